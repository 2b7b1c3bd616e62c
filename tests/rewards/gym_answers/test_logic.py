"""Conclusions by truth tables."""

import pytest

from sibling.rewards.gym_answers.logic import conclusion
from sibling.rewards.gym_answers.readers import Item, RefusedError

NOTES = {"premises": ["¬(P ↔ S)", "P", "(Q → P)"], "variables": ["P", "Q", "R", "S"]}


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


@pytest.mark.parametrize("answer", ["¬S", "P ∧ ¬S", "(S → R) ∧ P", "¬S ∨ R", "¬¬¬S"])
def test_what_follows(answer):
    assert conclusion(answer, Item("", NOTES)) == 1.0


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("S", "different"),
        ("Q", "different"),
        ("P", "trivial"),
        ("P ∧ P", "trivial"),
        ("¬(S ↔ P)", "trivial"),
        ("P ∨ ¬P", "trivial"),
        ("", "unreadable"),
        ("X", "unreadable"),
        ("¬S or S", "unreadable"),
        ("¬S S", "unreadable"),
        ("(¬S", "unreadable"),
        ("¬" * 300 + "S", "unreadable"),
        ("(" * 300, "unreadable"),
        ("P ∧ " * 200 + "P", "too_long"),
    ],
    ids=short,
)
def test_what_does_not(answer, code):
    with pytest.raises(RefusedError) as refused:
        conclusion(answer, Item("", NOTES))
    assert refused.value.code == code


def test_operators_bind_as_the_family_reads_them():
    item = Item("", {"premises": ["P → Q → R", "¬R ∧ S ∨ S"], "variables": ["P", "Q", "R", "S"]})
    assert conclusion("((P → Q) → R) ∧ S", item) == 1.0
    with pytest.raises(RefusedError):
        conclusion("P → (Q → R) → S ∧ R", item)
