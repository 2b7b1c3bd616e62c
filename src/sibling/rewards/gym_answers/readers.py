"""Readers of short answers: numbers, grids, nested lists, JSON, arithmetic. Nothing is executed, everything is bounded.

A reader takes the whole answer, without white space around it, and refuses what it cannot read to the end, so that
two answers in one (`12 or 13`) are none. Numbers are exact fractions of at most 400 characters, with powers of ten
to 400; lists nest to depth 8; arithmetic has at most 500 characters and 40 numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from sibling.rewards.json_text import NotJsonError, parse

_NUMBER = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)?(\.\d*)?(?:[eE]([+-]?\d{1,3}))?")
_LITERAL = re.compile(r"\s*(?:([\[\]()])|(,)|'([^'\\]{0,200})'|\"([^\"\\]{0,200})\"|([+-]?[\w.]{1,60}))")
_ARITHMETIC = re.compile(r"\s*(?:(\d{1,12})|([-+*/()]))")
_MOST_NUMBER = 400
_MOST_POWER = 400
_MOST_DEPTH = 8
_MOST_ARITHMETIC = 500
_MOST_LEAVES = 40


class RefusedError(ValueError):
    """The answer is not accepted; `code` is the reason as one word."""

    def __init__(self, reason: str, code: str = "unreadable") -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


@dataclass(frozen=True)
class Item:
    """What an answer is compared with: the stored answer ("" if there is none), and the family's own notes."""

    reference: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def need(held: object, reason: str, code: str = "different") -> None:
    """Refuse the answer unless `held`."""
    if not held:
        raise RefusedError(reason, code)


def number(text: str) -> Fraction:
    """A decimal number, with thousands separators and a power of ten if it likes.

    >>> number("-1,250.50"), number("1.5e-3")
    (Fraction(-2501, 2), Fraction(3, 2000))
    """
    text = text.strip().replace("−", "-")
    match = _NUMBER.fullmatch(text) if len(text) <= _MOST_NUMBER and text.isascii() else None
    if match is None or not (match.group(2) or (match.group(3) or "").strip(".")):
        raise RefusedError("it is not one number")
    sign, whole, rest, power = match.groups()
    exponent = int(power or 0)
    need(abs(exponent) <= _MOST_POWER, "the number is out of range", "unreadable")
    digits = (rest or "").lstrip(".")
    value = Fraction(int((whole or "").replace(",", "") + digits), 10 ** len(digits)) * Fraction(10) ** exponent
    return -value if sign == "-" else value


def fraction(text: str) -> Fraction:
    """A decimal number or a quotient of two."""
    above, bar, below = text.partition("/")
    if not bar:
        return number(text)
    divisor = number(below)
    need(divisor, "it divides by nothing", "unreadable")
    return number(above) / divisor


def integer(text: str) -> int:
    """A decimal number without anything behind the point."""
    value = number(text)
    need(value.denominator == 1, "it is not a whole number")
    return int(value)


def grid(text: str) -> list[list[str]]:
    """Rows of words: one row a line, words apart by blanks; empty lines around do not count."""
    return [line.split() for line in text.strip().splitlines()]


def number_grid(text: str) -> list[list[Fraction]]:
    """Rows of numbers."""
    return [[number(word) for word in row] for row in grid(text)]


def json_value(text: str) -> Any:
    """One strict JSON value."""
    try:
        return parse(text)
    except NotJsonError as failure:
        raise RefusedError(failure.reason, failure.code) from None


def literal(text: str) -> Any:
    """Nested lists of numbers, quoted text and words (True, red), as Python or JSON would write them.

    Numbers and words come back as the text that states them; tuples as lists.

    >>> literal("[[1, 'a'], (True, -2.5)]")
    [['1', 'a'], ['True', '-2.5']]
    """
    stack: list[list[Any]] = [[]]
    closing: list[str] = []
    place, wants_value = 0, True
    text = text.strip()
    while place < len(text):
        match = _LITERAL.match(text, place)
        if match is None:
            raise RefusedError("it is not a list")
        place = match.end()
        bracket, comma, *words = match.groups()
        if bracket in ("[", "("):
            need(wants_value and len(stack) <= _MOST_DEPTH, "it is not a list", "unreadable")
            stack.append([])
            closing.append("]" if bracket == "[" else ")")
        elif bracket:
            need(closing and closing.pop() == bracket, "its brackets do not match", "unreadable")
            done = stack.pop()
            stack[-1].append(done)
            wants_value = False
        elif comma:
            need(not wants_value and closing, "it is not a list", "unreadable")
            wants_value = True
        else:
            need(wants_value, "it is not a list", "unreadable")
            stack[-1].append(next(word for word in words if word is not None))
            wants_value = False
    need(len(stack) == 1 and len(stack[0]) == 1, "it is not one list", "unreadable")
    return stack[0][0]


def arithmetic(text: str) -> tuple[Fraction, list[int]]:
    """(value, the whole numbers it is made of) of an expression of + - * / and brackets; exact.

    >>> arithmetic("8*(5*1 - 2)")
    (Fraction(24, 1), [8, 5, 1, 2])
    """
    need(len(text) <= _MOST_ARITHMETIC, f"it is longer than {_MOST_ARITHMETIC} characters", "too_long")
    plain = text.strip().replace("×", "*").replace("÷", "/").replace("−", "-")
    tokens, place = [], 0
    while place < len(plain):
        match = _ARITHMETIC.match(plain, place)
        if match is None:
            raise RefusedError("it is not an arithmetic expression")
        place = match.end()
        tokens.append(match.group(1) or match.group(2))
    reader = _Arithmetic(tokens)
    value = reader.total()
    need(reader.at_end() and reader.leaves, "it is not an arithmetic expression", "unreadable")
    return value, reader.leaves


class _Arithmetic:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._place, self.leaves = tokens, 0, list[int]()
        self._depth = 0

    def at_end(self) -> bool:
        return self._place == len(self._tokens)

    def _next(self, wanted: str) -> str:
        token = "" if self.at_end() else self._tokens[self._place]
        if not token or token not in wanted:
            return ""
        self._place += 1
        return token

    def total(self) -> Fraction:
        value = self._product()
        while sign := self._next("+-"):
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> Fraction:
        value = self._factor()
        while sign := self._next("*/"):
            other = self._factor()
            need(sign == "*" or other, "it divides by 0", "unreadable")
            value = value * other if sign == "*" else value / other
        return value

    def _factor(self) -> Fraction:
        self._depth += 1
        need(self._depth <= 100, "it is nested too deep", "unreadable")
        try:
            if self._next("-"):
                return -self._factor()
            if self._next("("):
                value = self.total()
                need(self._next(")"), "a bracket is not closed", "unreadable")
                return value
            need(not self.at_end() and self._tokens[self._place].isdigit(), "a number is missing", "unreadable")
            self.leaves.append(int(self._tokens[self._place]))
            need(len(self.leaves) <= _MOST_LEAVES, f"it has more than {_MOST_LEAVES} numbers", "too_long")
            self._place += 1
            return Fraction(self.leaves[-1])
        finally:
            self._depth -= 1
