"""Marks of an answer: boxes and statements."""

import time

import pytest

from sibling.rewards.marks import boxes, closing_braces, statements


@pytest.mark.parametrize(
    ("text", "insides"),
    [
        (r"\boxed{C}", ["C"]),
        (r"a \boxed {x^{2}} b \fbox{\text{B}}", ["x^{2}", r"\text{B}"]),
        (r"\boxed{\boxed{C}}", [r"\boxed{C}"]),  # the outermost
        (r"\boxed{a\}b}", [r"a\}b"]),
        (r"\boxed{}", [""]),
        (r"\boxed{open", []),
        ("boxed{C}", []),
        ("", []),
    ],
)
def test_boxes(text, insides):
    assert [text[start:end] for start, end in boxes(text)] == insides


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("The answer is C", ["C"]),
        ("Answer: C", ["C"]),
        ("**Answer:** C", ["C"]),
        ("**Answer**: C", ["C"]),
        ("the answer to this question is, clearly, C", [", clearly, C"]),
        ("The correct option is B.", ["B."]),
        ("so 4\n#### 5", ["5"]),
        ("##### heading", []),
        ("Answers vary", []),
        ("The answer eludes me", []),
        ("答案是C", ["C"]),
        ("Die Antwort ist 5", ["5"]),
    ],
)
def test_statements(text, after):
    assert [text[start:] for start in statements(text)] == after


@pytest.mark.parametrize(
    "text", [r"\boxed{" * 20_000, "{" * 100_000, "the answer " * 2_000, "answer a b c d e f g " * 500]
)
def test_time_is_linear(text):
    start = time.perf_counter()
    boxes(text), statements(text), closing_braces(text)
    assert time.perf_counter() - start < 5
