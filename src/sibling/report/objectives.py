"""Objectives as text: a list, one in full, and the outcome of a check against golden vectors.

The rows come in as arguments: their table (maths/objectives.py) needs torch, this module does not.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sibling.errors import RequestError


class Row(Protocol):
    """What is read of a row of the table."""

    @property
    def name(self) -> str:
        """As a recipe writes it."""

    @property
    def title(self) -> str:
        """As the paper writes it."""

    @property
    def paper(self) -> str:
        """Where it comes from."""

    @property
    def equation(self) -> str:
        """The loss; parts are set apart by two blanks."""

    @property
    def aggregation(self) -> str:
        """How tokens and sequences are weighted."""

    @property
    def numbers(self) -> Mapping[str, float | int | None]:
        """The defaults of the surrogate."""

    @property
    def advantage_defaults(self) -> Mapping[str, object]:
        """The defaults of the advantage."""

    @property
    def notes(self) -> Sequence[str]:
        """Names in other libraries."""


class Result(Protocol):
    """What is read of the result of one golden case."""

    @property
    def id(self) -> str:
        """Name of the case."""

    @property
    def title(self) -> str:
        """What it is about."""

    @property
    def status(self) -> str:
        """pass, miss or not built."""

    @property
    def detail(self) -> str:
        """The numbers that miss, or the part that is not built."""


def read_vectors(file: Path) -> Any:
    """The document in a file of golden vectors. Raises `RequestError` when it cannot be read as JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"Cannot read {file} as JSON", seen=str(error), wanted="a file of golden vectors") from error


def listing(rows: Sequence[Row]) -> str:
    """One line an objective: name, title, paper."""
    wide = max(len(r.name) for r in rows)
    return "\n".join(f"{r.name:<{wide}}  {r.title}: {r.paper}" for r in rows)


def describe(row: Row, *, notes: bool = True, width: int = 78) -> str:
    """An objective in full: title, paper, equation, its numbers and what they are called elsewhere."""
    numbers = ", ".join(f"{k} {v}" for k, v in {**row.numbers, **row.advantage_defaults}.items() if v is not None)
    lines = [f"objective {row.name}: {row.title}", row.paper, ""]
    lines += ["  " + part for part in equation_lines(row.equation)]
    lines += ["", textwrap.fill(f"aggregation {row.aggregation}; {numbers}", width)]
    if notes and row.notes:
        lines.append("")
        lines += [textwrap.fill(n, width, initial_indent="- ", subsequent_indent="  ") for n in row.notes]
    return "\n".join(lines)


def equation_lines(equation: str) -> list[str]:
    """The parts of an equation, one a line."""
    parts = [part.strip() for part in equation.split(",  ")]
    return [part + ("," if i < len(parts) - 1 else "") for i, part in enumerate(parts)]


def check_text(results: Mapping[str, Sequence[Result]]) -> str:
    """The outcome of a check by precision: every miss, what is not built and why, then the counts."""
    lines = []
    for precision, found in results.items():
        lines += [f"{precision}  miss  {r.id} ({r.title}): {r.detail}" for r in found if r.status == "miss"]
    first = next(iter(results.values()), ())
    absent = Counter(r.detail for r in first if r.status == "not built")
    lines += [f"not built  {part}: {n} {'case' if n == 1 else 'cases'}" for part, n in sorted(absent.items())]
    for precision, found in results.items():
        tally = Counter(r.status for r in found)
        lines.append(f"{precision}: {tally['pass']} pass, {tally['miss']} miss, {tally['not built']} not built")
    return "\n".join(lines)
