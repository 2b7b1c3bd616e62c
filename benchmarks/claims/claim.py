"""What a claim is: text that was written before measuring, arms, one measurement, and a judgement of all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claims.figure import Chart
from claims.intervals import Verdict

Values = dict[str, Any]
Runs = Mapping[str, Sequence[Values]]
"""Values of each arm, one entry a seed, seeds in the same order for every arm."""

LABELS = ("Claim", "Source", "Design", "Expected", "Rule")


@dataclass(frozen=True)
class Table:
    """Rows of text under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Judgement:
    """What the runs say: a verdict for each statement of the rule, tables, a figure."""

    statements: Sequence[tuple[str, str, Verdict]]  # statement, measured quantity with interval, verdict
    tables: Sequence[Table] = ()
    charts: Mapping[str, Chart] = field(default_factory=dict)  # file stem -> chart


@dataclass(frozen=True)
class Claim:
    """One section of the page. `text` is the module's docstring: paragraphs that begin with the words of `LABELS`."""

    key: str
    title: str
    text: str
    settings: Mapping[str, Any]  # everything a run depends on; a run with other settings is made again
    arms: Mapping[str, str]  # name -> what it is
    measure: Callable[[str, int], Values]  # arm, seed -> numbers
    judge: Callable[[Runs], Judgement]
    remark: str = ""  # what was learned, without numbers; written after measuring
    alone: bool = False  # measures time or memory: nothing else runs beside it
    also: tuple[str, ...] = ()  # keys of claims whose runs are judged too, as arms "key/arm"

    def paragraphs(self) -> dict[str, str]:
        """The labelled paragraphs of `text`, on one line each."""
        found: dict[str, str] = {}
        for block in textwrap.dedent(self.text).split("\n\n"):
            label, _, rest = block.strip().partition(":")
            if label in LABELS:
                found[label] = " ".join(rest.split())
        missing = [label for label in LABELS if label not in found]
        if missing:
            raise ValueError(f"the docstring of the claim {self.key} lacks {', '.join(missing)}")
        return found


def column(runs: Runs, arm: str, name: str) -> list[float]:
    """One number a seed."""
    return [float(values[name]) for values in runs[arm]]


def mean_curve(runs: Runs, arm: str, name: str) -> list[float]:
    """Mean over seeds of a series, point by point; series of unequal length are cut to the shortest."""
    series = [values[name] for values in runs[arm]]
    return [sum(s[i] for s in series) / len(series) for i in range(min(map(len, series)))]
