"""Conclusions from premises, by truth tables: one bit an assignment, in one whole number a formula."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sibling.rewards.gym_answers.readers import Item, RefusedError, need

_TOKEN = re.compile(r"\s*([A-Z]|[¬∧∨→↔()])")
_MOST_CHARACTERS = 400
_MOST_VARIABLES = 14
_MOST_DEPTH = 60
_LEVELS = "↔→∨∧"  # loosest first; each groups to the left, as the family reads them


def conclusion(answer: str, item: Item) -> float:
    """A formula that follows from the premises, is not always true, and says something else than any one of them."""
    names = list(item.metadata["variables"])
    need(len(names) <= _MOST_VARIABLES, "too many variables", "too_hard")
    columns, everywhere = _columns(names)
    premises = [_table(premise, columns, everywhere) for premise in item.metadata["premises"]]
    stated = _table(answer, columns, everywhere)
    all_premises = everywhere
    for premise in premises:
        all_premises &= premise
    need(not all_premises & ~stated, "it does not follow")
    need(stated != everywhere, "it is always true", "trivial")
    need(stated not in premises, "it repeats a premise", "trivial")
    return 1.0


def _columns(names: list[str]) -> tuple[dict[str, int], int]:
    """(each variable's truth table, the table of what is always true)."""
    everywhere = (1 << (1 << len(names))) - 1
    halves = {name: 1 << place for place, name in enumerate(names)}  # rows in a row with the same value
    return {name: everywhere // ((1 << half) + 1) << half for name, half in halves.items()}, everywhere


def _table(formula: str, columns: Mapping[str, int], everywhere: int) -> int:
    need(len(formula) <= _MOST_CHARACTERS, f"it is longer than {_MOST_CHARACTERS} characters", "too_long")
    tokens, place = [], 0
    formula = formula.strip()
    while place < len(formula):
        match = _TOKEN.match(formula, place)
        if match is None:
            raise RefusedError("it is not a formula")
        tokens.append(match.group(1))
        place = match.end()
    reader = _Formula(tokens, columns, everywhere)
    table = reader.level(0, 0)
    need(reader.place == len(tokens), "it is not one formula", "unreadable")
    return table


class _Formula:
    def __init__(self, tokens: list[str], columns: Mapping[str, int], everywhere: int) -> None:
        self._tokens, self._columns, self._everywhere, self.place = tokens, columns, everywhere, 0

    def _peek(self) -> str:
        return self._tokens[self.place] if self.place < len(self._tokens) else ""

    def level(self, level: int, depth: int) -> int:
        need(depth <= _MOST_DEPTH, "it is nested too deep", "unreadable")
        if level == len(_LEVELS):
            return self._factor(depth)
        one = self.level(level + 1, depth)
        while self._peek() == _LEVELS[level]:
            self.place += 1
            other = self.level(level + 1, depth)
            if level == 0:
                one = ~(one ^ other) & self._everywhere
            elif level == 1:
                one = (~one | other) & self._everywhere
            else:
                one = one | other if level == 2 else one & other
        return one

    def _factor(self, depth: int) -> int:
        token = self._peek()
        self.place += 1
        if token == "¬":
            need(depth <= _MOST_DEPTH, "it is nested too deep", "unreadable")
            return ~self._factor(depth + 1) & self._everywhere
        if token == "(":
            inside = self.level(0, depth + 1)
            need(self._peek() == ")", "a bracket is not closed", "unreadable")
            self.place += 1
            return inside
        need(token in self._columns, "a variable that the premises do not have", "unreadable")
        return self._columns[token]
