"""Checks of answers that are text."""

import pytest

from sibling.rewards.gym_answers import texts
from sibling.rewards.gym_answers.readers import Item, RefusedError

CASES = [  # check, stored answer, notes, accepted, refused
    (texts.exact, "True", {}, ["True", " True\n"], ["true", "True or False", "False", ""]),
    (texts.exact, "a b\nc", {}, ["a b  \r\nc"], ["a  b\nc", "a b c"]),
    (texts.exact_any_case, "Friday", {}, ["friday"], ["Friday or Monday", "Fri"]),
    (texts.exact_any_space, "#A B#", {}, ["#A  B#", "#A\nB#"], ["#AB#", "B# #A"]),
    (texts.exact_any_space_in_lines, "1 2\n3 4", {}, ["1  2 \n3 4\n"], ["1 2 3 4", "1 2\n3 5", "1 2\n3 4\n5 6"]),
    (texts.exact_any_case_or_space, "The end.", {}, ["the  end."], ["the end", "end. The"]),
    (texts.one_word, "WOLTER", {}, ["w o l t e r", "Wolter"], ["wolterx", "wol"]),
    (texts.word_list, "", {"sorted_words": ["a", "b"]}, ["a, b", "a,b"], ["b, a", "a, b, c", "a b", "a, b, "]),
    (texts.palindrome, "", {"letters": list("uytxtyu")}, ["tuyxyut", "UTYXYTU"], ["tuyxyu", "uytxtyu uytxtyu", "aba"]),
    (
        texts.anagrams,
        "",
        {"solution": [["a", "b"], ["c"]]},
        ['[["c"], ["b", "a"]]'],
        ['[["a"], ["b", "c"]]', "[]", "a", "[[1]]", '{"a": 1}'],
    ),
    (
        texts.partitions,
        "",
        {"solution": [["a", "b"], ["ab"]]},
        ['[["ab"], ["a", "b"]]'],
        ['[["ab"]]', '[["ab"], ["b", "a"]]', '[["ab"],["ab"],["a","b"]]'],
    ),
    (texts.json_object, '{"s": 1}', {}, ['{"s":1.0}'], ['{"s": 2}', 'x {"s": 1}', '{"s": 1, "s": 1}']),
    (texts.json_object, "plain words", {}, ["plain words"], ["words", '{"s": 1}']),
    (
        texts.roles,
        "Al is a knight, and Bo is a knave.",
        {},
        ["Bo is a knave and Al is a knight", "al is a knight, bo is a knave."],
        [
            "Al is a knight",
            "Al is a knight, Al is a knave, and Bo is a knave",
            "Al is a knave, and Bo is a knave",
            "knight",
        ],
    ),
]


@pytest.mark.parametrize(("check", "reference", "notes", "accepted", "refused"), CASES)
def test_texts(check, reference, notes, accepted, refused):
    item = Item(reference, notes)
    assert [check(answer, item) for answer in accepted] == [1.0] * len(accepted)
    for answer in refused:
        with pytest.raises(RefusedError):
            check(answer, item)


def test_a_list_of_letters_is_worth_a_tenth():
    item = Item("CEAD")
    assert texts.string_or_letters("CEAD", item) == 1.0
    assert texts.string_or_letters("['C', 'E', 'A', 'D']", item) == 0.1
    for answer in ("['C', 'E']", "[['C']]", "CEADX", "['C','E','A','D'"):
        with pytest.raises(RefusedError):
            texts.string_or_letters(answer, item)
