"""Algebraic expressions as trees, read by a parser of our own: nothing is looked up and nothing is executed.

Read are numbers, the names that are allowed, + - * / ** (and ^), brackets and the functions of `FUNCTIONS`. An
operator that is left to do (`Integral(...)`) is no function here, so that an answer cannot state its own question.
Bounds: 2,000 characters, depth 40, numbers of 60 digits.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from sibling.rewards.gym_answers.readers import RefusedError, need

_PLAIN = ("exp", "log", "ln", "sqrt", "abs", "Abs", "erf", "sin", "cos", "tan", "sec", "csc", "cot")
_INVERSE_OR_HYPERBOLIC = ("asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh")
FUNCTIONS = frozenset(_PLAIN + _INVERSE_OR_HYPERBOLIC)
MOST_CHARACTERS = 2000
_MOST_DEPTH = 40
_OPERATOR = re.compile(r"\b(?:Integral|integrate|Derivative|diff|Sum|Limit|expand|simplify)\b")
_TOKEN = re.compile(r"\s*(?:(\d{1,60}(?:\.\d{0,60})?)|([A-Za-z]\w{0,20})|(\*\*|[-+*/^()]))")


@dataclass(frozen=True)
class Tree:
    """`kind` is number, name, function or one of + - * / ** neg."""

    kind: str
    parts: tuple[Tree, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""


def read(text: str, names: Collection[str]) -> Tree:
    """The tree of an expression over `names`. Raises `RefusedError`."""
    need(text.strip(), "there is no answer", "no_answer")
    need(len(text) <= MOST_CHARACTERS, f"it is longer than {MOST_CHARACTERS} characters", "too_long")
    need(not _OPERATOR.search(text), "an operator is left to do", "unevaluated")
    plain = text.strip().replace("−", "-").replace("·", "*")
    tokens: list[str] = []
    place = 0
    while place < len(plain):
        match = _TOKEN.match(plain, place)
        if match is None:
            raise RefusedError("it is not an expression")
        tokens.append(next(part for part in match.groups() if part is not None))
        place = match.end()
    reader = _Reader(tokens, names)
    tree = reader.total(0)
    need(reader.token() == "", "it is not one expression", "unreadable")
    return tree


class _Reader:
    def __init__(self, tokens: list[str], names: Collection[str]) -> None:
        self._tokens, self._names, self._place = tokens, names, 0

    def token(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self) -> str:
        token = self.token()
        self._place += 1
        return token

    def total(self, depth: int) -> Tree:
        need(depth <= _MOST_DEPTH, "it is nested too deep", "unreadable")
        tree = self._product(depth)
        while self.token() in ("+", "-"):
            tree = Tree(self._take(), (tree, self._product(depth)))
        return tree

    def _product(self, depth: int) -> Tree:
        tree = self._signed(depth)
        while self.token() in ("*", "/"):
            tree = Tree(self._take(), (tree, self._signed(depth)))
        return tree

    def _signed(self, depth: int) -> Tree:
        need(depth <= _MOST_DEPTH, "it is nested too deep", "unreadable")
        if self.token() in ("-", "+"):
            sign = self._take()
            inside = self._signed(depth + 1)
            return Tree("neg", (inside,)) if sign == "-" else inside
        base = self._atom(depth)
        if self.token() in ("**", "^"):
            self._take()
            return Tree("**", (base, self._signed(depth + 1)))
        return base

    def _atom(self, depth: int) -> Tree:
        token = self._take()
        if token == "(":
            tree = self.total(depth + 1)
            need(self._take() == ")", "a bracket is not closed", "unreadable")
            return tree
        if token[:1].isdigit():
            return Tree("number", value=Fraction(token))
        if token in FUNCTIONS and self.token() == "(":
            self._take()
            tree = Tree("function", (self.total(depth + 1),), name=token)
            need(self._take() == ")", "a bracket is not closed", "unreadable")
            return tree
        need(token in self._names, f"{token[:20]!r} is not of the question", "unevaluated" if token else "unreadable")
        return Tree("name", name=token)
