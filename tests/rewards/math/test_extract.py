"""Where the answer stands: spans, denial, correction, rivals, and time on long texts."""

import time

import pytest

from sibling.rewards.math.extract import find


def first(text: str, where: str = "any", correction: bool = True) -> str:
    found = find(text, (0, len(text)), where=where, correction=correction)  # type: ignore[arg-type]
    return found.code or text[slice(*found.candidates[-1][0])]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{a{b}c}", "a{b}c"),
        (r"\boxed{\{1\}}", r"\{1\}"),
        (r"\boxed{\boxed{1}}", r"\boxed{1}"),
        (r"\fbox{1}", "1"),
        (r"\boxed 5", "5"),
        (r"\boxed{1} \boxed{2", "no_answer"),
        ("The answer is $x^2$.", "x^2"),
        ("Final Answer: The final answer is $7$. I hope it is correct.", "7"),
        ("#### 7", "7"),
        ("Answer:\n\n7", "7"),
        ("It is not \\boxed{7}.", "negated"),
        ("\\boxed{7} is wrong.", "negated"),
        ("\\boxed{6}. Wait, \\boxed{7}", "7"),
    ],
)
def test_spans(text: str, answer: str) -> None:
    assert first(text) == answer


def test_boxes_only() -> None:
    assert first("The answer is 7.", where="boxed") == "no_answer"


def test_correction_drops_the_boxes_before_it() -> None:
    text = r"\boxed{6}. Wait, no: \boxed{7}"
    assert len(find(text, (0, len(text)), where="any", correction=True).candidates) == 1
    assert len(find(text, (0, len(text)), where="any", correction=False).candidates) == 2


def test_what_is_offered_beside_it() -> None:
    text = r"\boxed{7}, or maybe 8."
    found = find(text, (0, len(text)), where="any", correction=True)
    assert [text[slice(*r)] for r in found.rivals] == ["8"]


def test_spans_are_places_in_the_whole_text() -> None:
    text = "y" * 50_000 + r" \boxed{7} " + "z" * 100
    found = find(text, (10, len(text) - 5), where="any", correction=True)
    assert [text[slice(*ways[0])] for ways in found.candidates] == ["7"]


@pytest.mark.parametrize(
    "piece",
    ["answer is ", "= ", "$$ ", "\\(", "\\[ ", "not ", "5 or ", "between ", "\\boxed{1} ", "{", "a. ", "1,234 "],
)
def test_long_texts_take_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    begun = time.monotonic()
    find(text, (0, len(text)), where="any", correction=True)
    assert time.monotonic() - begun < 1.0
