"""Objectives as text: a list, one in full, and the outcome of a check against golden vectors.

The rows come in as arguments: their table (maths/objectives.py) needs torch, this module does not.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sibling.errors import RequestError
from sibling.learner.explain import KL, WEIGHTS
from sibling.maths.estimators import ESTIMATORS


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
    def estimator(self) -> str:
        """Advantage estimator, a row of maths.estimators."""

    @property
    def term(self) -> str:
        """The policy term of a token."""

    @property
    def kl(self) -> str:
        """The KL estimator used when beta is above 0."""

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
        """pass or miss."""

    @property
    def detail(self) -> str:
        """The numbers that miss."""


def read_vectors(file: Path) -> Any:
    """The document in a file of golden vectors. Raises `RequestError` when it cannot be read as JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"Cannot read {file} as JSON", seen=str(error), wanted="a file of golden vectors") from error


def listing(rows: Sequence[Row], *, width: int = 100) -> str:
    """One line an objective: name, title, where it comes from; cut where a terminal is narrow."""
    wide = (max(len(r.name) for r in rows), max(len(r.title) for r in rows))
    return "\n".join(f"{r.name:<{wide[0]}}  {r.title:<{wide[1]}}  {_source(r.paper)}"[:width].rstrip() for r in rows)


def _source(paper: str) -> str:
    """The first arXiv number, or the whole reference where there is none."""
    found = re.search(r"arXiv \d{4}\.\d{5}", paper)
    return found[0] if found else paper


def facts(row: Row) -> dict[str, Any]:
    """An objective as JSON values."""
    return {
        "name": row.name,
        "title": row.title,
        "paper": row.paper,
        "equation": row.equation,
        "term": row.term,
        "advantage": {"type": row.estimator, **row.advantage_defaults},
        "aggregation": row.aggregation,
        "kl_estimator": row.kl,
        "numbers": dict(row.numbers),
        "elsewhere": list(row.notes),
    }


def describe(row: Row, *, notes: bool = True, width: int = 78) -> str:
    """An objective in full: title, paper, equation, its parts and numbers, and what it is called elsewhere."""
    estimator = ESTIMATORS[row.estimator]
    numbers = _told(row.numbers) or "none"
    lines = [f"objective {row.name}: {row.title}", *_filled(row.paper, width), ""]
    lines += [line for part in equation_lines(row.equation) for line in _filled(part, width, "  ")]
    lines.append("")
    lines += _filled(
        f"advantage {row.estimator}: {estimator.title}; {_told(row.advantage_defaults) or 'no numbers'}", width
    )
    lines += _filled(f"policy term {row.term}; numbers {numbers}", width)
    lines += _filled(f"aggregation {row.aggregation}: {WEIGHTS[row.aggregation]}", width)
    lines += _filled(f"KL, when beta is above 0: {row.kl}, {KL[row.kl]}", width)
    if notes and row.notes:
        lines += ["", "Elsewhere:"]
        lines += [textwrap.fill(n, width, initial_indent="- ", subsequent_indent="  ") for n in row.notes]
    return "\n".join(lines)


def in_short(row: Row, *, width: int = 78) -> str:
    """Title, source and equation; `sibling objectives --explain` has every factor."""
    lines = [f"objective {row.name}: {row.title}, {_source(row.paper)}"]
    return "\n".join([*lines, *(w for part in equation_lines(row.equation) for w in _filled(part, width, "  "))])


def _told(numbers: Mapping[str, object]) -> str:
    return ", ".join(f"{k} {v}" for k, v in numbers.items() if v is not None)


def _filled(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)


def equation_lines(equation: str) -> list[str]:
    """The parts of an equation, one a line."""
    parts = [part.strip() for part in equation.split(",  ")]
    return [part + ("," if i < len(parts) - 1 else "") for i, part in enumerate(parts)]


def check_text(results: Mapping[str, Sequence[Result]]) -> str:
    """The outcome of a check by precision: every miss, then the counts."""
    lines = []
    for precision, found in results.items():
        lines += [f"{precision}  miss  {r.id} ({r.title}): {r.detail}" for r in found if r.status == "miss"]
    for precision, found in results.items():
        tally = Counter(r.status for r in found)
        lines.append(f"{precision}: {tally['pass']} pass, {tally['miss']} miss")
    return "\n".join(lines)
