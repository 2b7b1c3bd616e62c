from sibling.audit.shrink import may_be_right, shrink, shrink_added


def test_lines_and_words_go_as_long_as_the_fault_stays():
    text = "One line.\nAnother with magic in it.\nA third line.\n"
    tried = []

    def fails(texts):
        tried.extend(texts)
        return ["magic" in t for t in texts]

    assert shrink(text, fails, 100) == "magic"
    assert len(tried) <= 100


def test_two_pieces_that_are_needed_both_stay():
    assert shrink("a b c d e f", lambda ts: ["b" in t and "e" in t for t in ts], 200) == "be"


def test_calls_are_bounded():
    count = []
    shrink("word " * 500, lambda ts: [bool(count.append(t)) for t in ts], 30)
    assert len(count) == 30


def test_a_text_that_cannot_be_made_smaller_stays():
    assert shrink("alpha beta", lambda ts: [t == "alpha beta" for t in ts], 50) == "alpha beta"
    assert shrink("", lambda ts: [True for _ in ts], 50) == ""


def test_only_what_was_added_may_go():
    right = "The answer is 7."
    text = "Let us see now. The answer is 7. I am sure."

    def fails(texts):
        assert all("The" in t and "7." in t for t in texts)
        return ["see" in t for t in texts]

    assert shrink_added(text, right, fails, 50) == "see The answer is 7. "


def test_a_replaced_answer_is_not_made_smaller():
    assert shrink_added("The answer is 7.0 .", "The answer is 7 .", lambda ts: [True for _ in ts], 50).startswith("The")
    assert "7.0" in shrink_added("The answer is 7.0 .", "The answer is 7 .", lambda ts: [True for _ in ts], 50)


def test_half_a_tag_is_never_left():
    text = "<think>\nlong thought\n</think>\n7"
    assert shrink_added(text, "7", lambda ts: [True for _ in ts], 50).split() == ["<think>", "</think>", "7"]


def test_what_may_be_right():
    assert may_be_right("the answer is 4 2", "42")
    assert may_be_right("0.50", "1/2")
    assert not may_be_right("43", "42")
    assert may_be_right("anything", "")
