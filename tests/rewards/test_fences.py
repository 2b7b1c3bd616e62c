"""Fenced blocks of code."""

import time

import pytest

from sibling.rewards.fences import blocks, trimmed


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("", []),
        ("SELECT 1", []),
        ("```sql\na\n```", ["a\n"]),
        ("x\n```\na\n```\ny\n~~~ SQL \nb\n~~~\nz", ["a\n", "b\n"]),
        ("````\n```\n````", ["```\n"]),
        ("```\na\n~~~\n```", ["a\n~~~\n"]),
        ("```\r\na\r\n```\r\n", ["a\r\n"]),
        ("```\nno end", ["no end"]),
        ("```", [""]),
        ("```one two\na\n```\n", [""]),  # two words begin no block; the last line does
        ("in ```a``` line", []),
    ],
)
def test_blocks(text, inside):
    assert [text[start:end] for start, end in blocks(text)] == inside


def test_blocks_of_other_languages_are_left_out():
    text = "```python\na\n```\n```sql\nb\n```\n"
    assert [text[start:end] for start, end in blocks(text, ("", "sql"))] == ["b\n"]


@pytest.mark.parametrize(
    "text", ["```a\n" * 40_000, "```" * 60_000, "`" * 200_000, "```\n" * 50_001, "~~~\n```\n" * 25_000], ids=short
)
def test_one_pass_is_enough(text):
    start = time.monotonic()
    blocks(text)
    assert time.monotonic() - start < 2


def test_trimmed():
    assert trimmed("a  b  c", 1, 6) == (3, 4)
    assert trimmed("    ", 1, 3) == (3, 3)
