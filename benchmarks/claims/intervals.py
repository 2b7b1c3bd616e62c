"""Means over seeds with their intervals, and the verdict that an interval allows.

The unit is the seed: each gives one number (or one difference between two arms run with that seed), and the interval
is Student's t over those numbers. A bootstrap of five values is too narrow; the t interval is not, at the price of
taking the five numbers as draws of one normal distribution. It covers seeds, not tasks, models or settings. Every
interval is at 95 % on its own: there is no correction for their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Quantile 0.975 of Student's t with 1, 2, ... 9 degrees of freedom (any table of the distribution)."""


class Verdict(StrEnum):
    """What the interval says of a statement."""

    reproduced = "reproduced"
    not_reproduced = "not reproduced"
    unclear = "unclear"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int

    def text(self, digits: int = 2) -> str:
        """`mean [low, high]`."""
        mean, low, high = (f"{round(x, digits) + 0.0:.{digits}f}" for x in (self.mean, self.low, self.high))  # no "-0"
        return f"{mean} [{low}, {high}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Student's t interval of the mean of 2 to 10 values, one a seed.

    mean -+ t_(n-1) s / sqrt(n),  s with n - 1
    """
    n = len(values)
    if not 2 <= n <= len(T_975) + 1 or not all(map(math.isfinite, values)):
        raise ValueError(f"an interval needs 2 to {len(T_975) + 1} finite values, one a seed; seen: {list(values)}")
    mean = math.fsum(values) / n
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = T_975[n - 2] * spread / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def difference(after: Sequence[float], before: Sequence[float]) -> Estimate:
    """after - before, paired by seed."""
    return estimate([a - b for a, b in zip(after, before, strict=True)])


def ratio(after: Sequence[float], before: Sequence[float]) -> Estimate:
    """after / before, paired by seed: the t interval of the log-ratio, turned back. All values above 0."""
    logs = estimate([math.log(a / b) for a, b in zip(after, before, strict=True)])
    return Estimate(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high), logs.n)


def verdict(measured: Estimate, *, above: float | None = None, below: float | None = None) -> Verdict:
    """Whether the quantity lies above (or below) a bound, stated in advance.

    Reproduced: the whole interval is on the claimed side. Not reproduced: the whole interval is on the other side.
    Else unclear. Exactly one bound is given.
    """
    if (above is None) == (below is None):
        raise ValueError("a rule needs exactly one bound")
    if above is not None:
        inside, outside = measured.low > above, measured.high <= above
    else:
        assert below is not None
        inside, outside = measured.high < below, measured.low >= below
    if inside:
        return Verdict.reproduced
    return Verdict.not_reproduced if outside else Verdict.unclear


def overall(parts: Sequence[Verdict]) -> Verdict:
    """All parts of a rule together: reproduced if all are, not reproduced if one is not, else unclear."""
    if all(p is Verdict.reproduced for p in parts):
        return Verdict.reproduced
    return Verdict.not_reproduced if Verdict.not_reproduced in parts else Verdict.unclear
