"""The part of a completion that is looked at, and what of it a reader can see."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sibling.rewards.parts import part_of, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a<!-- b -->c", "a          c"),
        ("a<!--b", "a     "),
        ("<!-->a<!--->b", "     a      b"),
        ("<!-- <!-- -->a-->", "             a-->"),
        ("a --> b <! -- c", "a --> b <! -- c"),
        ("<think>a <!-- b</think>c", "<think>a       </think>c"),
        ("<think>a</think>b<!-- <answer>c</answer>", "<think>a</think>b" + " " * 23),
        ("", ""),
    ],
)
def test_comments_are_blank(text, seen):
    assert visible(text) == seen


def test_the_answer_is_not_looked_for_in_a_comment():
    text = visible("<think>1</think>2<!-- <answer>3</answer> -->")
    start, end = part_of(text, "answer")
    assert text[start:end].strip() == "2"


@given(st.text(alphabet="<!->a ", max_size=40))
def test_places_stay_the_same_and_nothing_is_added(text):
    seen = visible(text)
    assert len(seen) == len(text) and all(a in (b, " ") for a, b in zip(seen, text, strict=True))
    assert visible(seen) == seen


@pytest.mark.parametrize("text", ["<!--" * 500_000, "<!-- -->" * 300_000, "<!--</think>" * 200_000])
def test_many_comments_are_quick(text):
    start = time.perf_counter()
    assert "<!--" not in visible(text)
    assert time.perf_counter() - start < 5
