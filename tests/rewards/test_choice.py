"""Multiple choice: what asserts an option, what hedges, what denies."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Status
from sibling.config.rewards import ChoiceReward
from sibling.errors import RequestError
from sibling.rewards.choice import Choice
from sibling.rewards.grade import stating
from sibling.tasks.task import Task

CITIES = ["Paris", "London", "Rome", "Both A and B"]
CHOICE = Choice(ChoiceReward())


def task(reference="C", **columns):
    return Task("id", ({"role": "user", "content": "?"},), reference, columns)


ASSERTED = [
    "C", "(C)", "[C]", "C.", "C!", "C:", "C)", "c", "c)", "(c)", "'C'", '"C"', "**C**", "**C.**", "$C$", "Ｃ",
    "\u200bC\u200b", "Option C", "option (c)", "Answer: C", "answer: (c)", "Answer - C", "Answer (C)", "Ans: C",
    r"\boxed{C}", r"\boxed{\text{C}}", r"\boxed{\textbf{(C)}}", r"$\boxed{\mathrm{C}}$", r"The answer is $\boxed{C}$.",
    "the answer is C", "The correct answer is **C**.", "**Answer:** C", "**Answer: C**", r"$\text{Answer: }C$",
    "Answer:\n\nC", "The answer is\u200b C.", "The final answer is $C$.", "The answer to the question is C.",
    "Final answer: option C", "Thus the correct option is C", "My answer is C", "The answer is clearly C", "#### C",
    "C\n\nBecause it is.", "I thought about A and B.\nC", "C. Because of this", "Answer: C\nAnswer: C",
    "The answer is C because A and B are wrong.", "The answer is C, not D.", "The answer is C rather than D.",
    "C is correct.", "A is wrong. B is wrong. C is correct. D is wrong.", "I choose C.", "I'd go with (C).", "It's C.",
    "So C.", "The answer is C. A cat is not a dog.", "A dog barks. The answer is C.", "答案:C", "答案是C。", "应选C",
    r"Not A but \boxed{C}.", r"(D) is wrong, so \boxed{C}", r"\boxed{C}, not D",
    "<!-- The answer is A. -->The answer is C.", "<think>a <!-- b</think>C", "The answer is C and I am sure.",
    "Respuesta: C", "Die Antwort ist C", "<answer>C</answer>", "<think>A or B? Answer: A</think>C",
]  # fmt: skip

REFUSED = {
    "hedged": [
        "C or D", "A, B, C or D", "The answer is C or D", "Answer: C?", "Answer: A\nAnswer: C", "Answer: C, D",
        "A B C D", "Answer: C and D", "Answer: C/D", "Answer: C D", "C-D", "The answer is C, but it could also be D",
        "C, or maybe D", "The answer is C. Or D.", "A is correct. B is correct. C is correct. D is correct.",
        r"\boxed{C} or D", r"D or \boxed{C}", r"\boxed{C} / (D)", r"(D) \boxed{C}", r"\boxed{C}?",
        "A. x\nB. y\nC. z\nD. w", "Answer: C. D", "C; D.", "The answer is C.\n\nD", r"\boxed{A} \boxed{C}",
        "Either The answer is A or The answer is C.", "The answer is A and the answer is C.", "The answer is C or so",
        "The answer is A while the answer is C.", r"\boxed{C or D}", "The answer is A. Wait, the answer is C.",
    ],
    "negated": [
        "not C", "It is not C", "C is wrong", "The answer is not C", "The answer is C. C is wrong.",
        "C is not the answer", "The answer isn't C", "Neither C nor D", "Answer: C is incorrect",
        "I don't think it's C", "C can't be right",
    ],
    "no_answer": [
        "<!-- The answer is C. -->", "<!-- C", "<think>a</think><!-- <answer>C</answer> -->", "", "  \n", "<think>C",
        "<think>C</think>",
    ],
    "unreadable": [
        ".", "A cat", "C major", "The answer is a good one", "ABCD", "Answer: CD", "Answer: all of them", "e", "42",
        "None of the above", "I cannot tell", "Because C", r"\boxed{}", "Let's think: option C is about dogs",
        "I like vitamin C a lot.", "Maybe C is correct", "Answer: A good question",
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", ASSERTED)
def test_asserted(text):
    verdict = CHOICE.judge(task(), stating(text))
    assert (verdict.status, verdict.code) == (Status.right, "equal")
    assert text[slice(*verdict.span)] in ("C", "c", "Ｃ")
    assert CHOICE.judge(task("B"), stating(text)).code == "different"


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in REFUSED.items() for text in texts])
def test_refused(code, text):
    verdict = CHOICE.judge(task(), stating(text))
    assert (verdict.status, verdict.code) == (Status.wrong, code)


@pytest.mark.parametrize("text", ["A", "(A)", "A.", "The answer is A.", "Answer: A", "A is correct."])
def test_a_letter_that_is_also_a_word(text):
    assert CHOICE.judge(task("A"), stating(text)).status is Status.right


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Rome", "equal"),
        ("  **rome.**", "equal"),
        ("C. Rome", "equal"),
        ("(C) Rome", "equal"),
        ("C: Rome", "equal"),
        ("The answer is Rome.", "equal"),
        ("The answer is (C) Rome", "equal"),
        (r"\boxed{\text{Rome}}", "equal"),
        ("I thought about it.\nRome", "equal"),
        ("Paris", "different"),
        ("Both A and B", "different"),
        ("D. Both A and B", "different"),
        ("C. Paris", "hedged"),
        ("(A) Rome", "hedged"),
        ("Rome\nParis", "hedged"),
        ("Rome or Paris", "unreadable"),
        ("Rom", "unreadable"),
        ("The answer is not Rome", "unreadable"),
        ("Rome is wrong", "unreadable"),
        ("Rome, I think", "unreadable"),
    ],
)
def test_texts_of_options(text, code):
    assert CHOICE.judge(task(options=CITIES), stating(text)).code == code
    named = dict(zip("ABCD", CITIES, strict=True))
    assert CHOICE.judge(task("Rome", options=named), stating(text)).code == code


@pytest.mark.parametrize(
    ("reference", "options", "words"),
    [
        ("C", None, None),
        ("(c)", CITIES, None),
        ("Rome", CITIES, None),
        ("Rome", None, "names no single option"),
        ("E", CITIES, "names no single option"),
        ("D", CITIES[:3], "names no single option"),
        ("A or B", CITIES, "names no single option"),
        (None, CITIES, "no reference"),
        ("C", ["a b", "A  B.", "c"], "same text twice"),
        ("C", ["x", "", "c"], "empty"),
        ("C", ["B", "A", "c"], "letter of another"),
        ("C", [*CITIES, "Oslo"], "5 texts"),
        ("C", {"E": "x", "F": "y"}, "two or more"),
        ("C", ["x"], "two or more"),
        ("C", [["x"], ["y"]], "no text"),
        ("C", "Paris", "neither"),
    ],
)
def test_problem_with(reference, options, words):
    columns = {} if options is None else {"options": options}
    found = CHOICE.problem_with(task(reference, **columns))
    assert found is None if words is None else words in found
    if words is not None:
        verdict = CHOICE.judge(task(reference, **columns), stating("C"))
        assert verdict.status is (Status.abstain if reference is None else Status.error)


def test_letters_are_an_option():
    digits = Choice(ChoiceReward(letters="12345"))
    assert digits.judge(task("5"), stating("The answer is (5).")).status is Status.right
    assert digits.judge(task("3"), stating("The answer is 3.5")).status is Status.wrong
    many = Choice(ChoiceReward(letters="ABCDEFGHIJ"))
    assert many.judge(task("I"), stating("I think the answer is I.")).status is Status.right
    assert many.judge(task("I"), stating("I think so.")).status is Status.wrong
    for letters in ("AAB", "A,", "Aa"):
        with pytest.raises(RequestError):
            Choice(ChoiceReward(letters=letters))


def test_the_thought_is_not_looked_at_unless_asked_for():
    text = "<think>Answer: B</think>Answer: C"
    assert CHOICE.judge(task(), stating(text)).status is Status.right
    assert Choice(ChoiceReward(part="all")).judge(task(), stating(text)).code == "hedged"


@pytest.mark.parametrize(
    "text",
    [
        "A" * 100_000_000, "(C)" * 3000, r"\boxed{" * 6000, "answer " * 1000, "not C " * 700, "the answer is " * 300,
        "\x00" * 5000, "\ud800", "{" * 20_000, "answer, a, a, " * 300, "C is A, " * 600, "A, " * 2000 + "are wrong",
        "10^{10^{10}}", "__import__('os').system('touch tripwire')",
    ],
)  # fmt: skip
def test_hostile_answers_are_refused_quickly(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = time.perf_counter()
    assert CHOICE.judge(task("D", options=CITIES), stating(text)).status is Status.wrong
    assert time.perf_counter() - start < 5 and not list(tmp_path.iterdir())


@given(
    st.lists(st.sampled_from(["C", "(D)", " or ", "not ", "answer is ", ".", "\n", r"\boxed{", "}", "?", " A ", "*"]))
)
@settings(max_examples=300, deadline=None)
def test_two_letters_are_never_right_after_or(parts):
    text = "".join(parts)
    verdict = CHOICE.judge(task(), stating(f"{text}\nThe answer is C or D."))
    assert verdict.status is Status.wrong
    assert CHOICE.judge(task(), stating(text)).code  # any text has a verdict, with its reason


@given(
    st.sampled_from("ABCD"),
    st.sampled_from(["{}", "({})", "Answer: {}", "**{}**", r"\boxed{{{}}}", "The answer is {}."]),
)
def test_only_the_reference_is_right(letter, dress):
    for reference in "ABCD":
        verdict = CHOICE.judge(task(reference), stating(dress.format(letter)))
        assert (verdict.status is Status.right) == (letter == reference)
