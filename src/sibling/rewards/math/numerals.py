"""Numerals: integers, decimals, scientific notation, repeating decimals, mixed numbers, numbers in another base."""

from __future__ import annotations

import re
from fractions import Fraction

from sibling.rewards.math.cursor import Cursor
from sibling.rewards.math.tokens import Token
from sibling.rewards.math.tree import Node, TooHardError, UnreadableError, number

_MOST_EXPONENT = 4_000  # of scientific notation
_BASES = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "sixteen": 16,
}
_REPEAT = re.compile(r"([0-9]*)\.([0-9]*)(?:\\(?:overline|bar)\s*\{?([0-9]+)\}?|\(([0-9]+)\))$")
_DOTS = re.compile(r"([0-9]*)\.([0-9]*)\\dot\s*\{?([0-9])\}?(?:([0-9]*)\\dot\s*\{?([0-9])\}?)?$")


def numeral(cursor: Cursor) -> Node:
    """The number that begins here."""
    text, kind = cursor.peek(), cursor.kind()
    cursor.at += 1
    if kind == "repeat":
        return repeating(text)
    if cursor.peek() == "_":
        return _base(cursor, text)
    value = decimal(text)
    if cursor.peek() == r"\dots" and re.search(r"\.[0-9]*?([0-9])\1\1$", text):
        cursor.at += 1
        return repeating(f"{text[:-1]}({text[-1]})")
    if "." in text or value.denominator != 1:
        return number(value, text)
    part = _proper_fraction(cursor)
    return number(value, text) if part is None else number(value + part, "mixed")


def digit(cursor: Cursor) -> Node | None:
    """The next digit alone, as TeX reads \\frac12; None if the next token is no number of several digits."""
    text = cursor.peek()
    if cursor.kind() != "num" or len(text) < 2 or not text[0].isdigit():
        return None
    cursor.tokens[cursor.at] = Token("num", text[1:])
    return number(int(text[0]))


def _proper_fraction(cursor: Cursor) -> Fraction | None:
    """The fraction of a mixed number, 2\\frac{3}{4} or 2 3/4; None, and nothing read, if there is none."""
    texts = [cursor.peek(k) for k in range(7)]
    if texts[0] == r"\frac" and texts[1] == texts[4] == "{" and texts[3] == texts[6] == "}":
        top, bottom, length = texts[2], texts[5], 7
    elif texts[0] == r"\frac" and len(texts[1]) == 2:
        top, bottom, length = texts[1][0], texts[1][1], 2
    elif texts[0] == r"\frac" and len(texts[1]) == 1 and texts[2] == texts[4] == "{":
        return None
    elif texts[1] == "/" and cursor.spaced():
        top, bottom, length = texts[0], texts[2], 3
    else:
        return None
    if not (top.isdigit() and bottom.isdigit() and 0 <= int(top) < int(bottom)):
        return None
    cursor.at += length
    return Fraction(int(top), int(bottom))


def _base(cursor: Cursor, digits: str) -> Node:
    cursor.at += 1
    text = cursor.script()
    base = _BASES.get(text.lower(), int(text) if text.isdigit() and len(text) < 3 else 0)
    if not 2 <= base <= 36 or not digits.isdigit() or any(int(one) >= base for one in digits):
        raise UnreadableError(f"digits {digits[:20]} with the subscript {text[:20]}")
    return Node("base", name=digits.lstrip("0") or "0", value=Fraction(base))


def decimal(text: str) -> Fraction:
    """The value of an integer, a decimal or `1e-7`, exactly. Raises `TooHardError` for exponents beyond bounds."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent) > 6 or (exponent and abs(int(exponent)) > _MOST_EXPONENT):
        raise TooHardError(f"an exponent of {exponent[:20]}")
    return Fraction(mantissa) * Fraction(10) ** int(exponent or 0)


def repeating(text: str) -> Node:
    """0.1\\overline{6} is 1/6."""
    match = _REPEAT.match(text) or _DOTS.match(text)
    if match is None:
        raise UnreadableError("a repeating decimal that cannot be read")
    whole, fixed, *period = match.groups()
    cycle = "".join(p for p in period if p)
    start = Fraction(f"{whole or 0}.{fixed or 0}")
    return number(start + Fraction(int(cycle), (10 ** len(cycle) - 1) * 10 ** len(fixed)), "repeating")
