"""Evaluation metrics and the intervals around them: pass@k, mean@k, consensus, and paired comparisons.

NumPy and the standard library only. Every resampling takes a seed, so that a report can be recomputed.

What the intervals cover: the draw of held-out items (and of samples within them) for a fixed model. They say
nothing of another training seed, and the paired ones need the same items on both sides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RequestError

RESAMPLES = 10_000
_CHUNK = 2_000_000  # random numbers held at once, which bounds memory to some tens of megabytes

Interval = tuple[float, float]


# ------------------------------------------------------------------------------------------- metrics


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate of the chance that at least one of k samples is right, from n >= k samples, c of them right.

        pass@k = 1 - C(n-c, k) / C(n, k) = 1 - prod_{j<k} (n-c-j) / (n-j)

    Chen et al., 2107.03374. It is not 1 - (1 - c/n)^k, which is biased low.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise RequestError(
            "pass@k is not defined for these counts", seen=f"n={n}, c={c}, k={k}", wanted="0 <= c <= n, 1 <= k <= n"
        )
    return 1.0 - math.prod((n - c - j) / (n - j) for j in range(k)) if n - c >= k else 1.0


def mean_at_k(right: Sequence[bool]) -> float:
    """Share of the k samples that are right (avg@k): pass@1 estimated with k samples. k >= 1."""
    if not right:
        raise RequestError("mean@k needs at least one sample", seen=0)
    return sum(map(bool, right)) / len(right)


def majority_vote(answers: Sequence[str | None]) -> str | None:
    """The most frequent answer (self-consistency, 2203.11171); None entries do not vote, ties go to the first seen.

    Equivalent forms of one answer must have been merged before. None if nobody votes.
    """
    leaders = _leaders(answers)
    return leaders[0] if leaders else None


def consensus_at_k(
    answers: Sequence[str | None], reference: str, *, ties: Literal["first", "uniform"] = "first"
) -> float:
    """cons@k: 1 if the majority vote is the reference, else 0.

    `ties` "uniform" gives the expectation over a tie broken at random: 1/m if the reference is one of m leaders.
    """
    leaders = _leaders(answers)
    if ties == "first":
        leaders = leaders[:1]
    return 1.0 / len(leaders) if reference in leaders else 0.0


def _leaders(answers: Sequence[str | None]) -> list[str]:
    """The answers with most votes, first seen first."""
    votes = Counter(a for a in answers if a is not None)  # a Counter keeps the order of first sight
    most = max(votes.values(), default=0)
    return [a for a, count in votes.items() if count == most]


# ----------------------------------------------------------------------------------------- intervals


def wilson_interval(successes: float | int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval for a share (Wilson, JASA 22:209, 1927).

        (p + z^2/2n  -+  z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n),   p = successes / n

    Never empty and never outside [0, 1], also at 0 and n successes. `successes` may be fractional. (0, 1) for n = 0.
    """
    if not 0 <= successes <= n:
        raise RequestError("Successes must lie between 0 and n", seen=f"{successes} of {n}")
    if n == 0:
        return (0.0, 1.0)
    z, p = _z(confidence), successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    # At 0 and n successes one end is the share itself; rounding must not move it.
    return (0.0 if successes == 0 else max(low, 0.0), 1.0 if successes == n else min(high, 1.0))


def mean_interval(
    values: NDArray[np.float64], confidence: float = 0.95, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Percentile bootstrap interval for the mean of item scores in [0, 1] (Efron, Ann. Stat. 7:1, 1979).

    Items [n] are resampled with replacement. When all items are equal the bootstrap has no spread and would claim
    certainty: the Wilson interval of the same mean is given instead, which is never too narrow for scores in [0, 1].
    """
    if len(values) == 0:
        return (0.0, 1.0)
    if values.max() == values.min():
        return wilson_interval(float(values[0]) * len(values), len(values), confidence)
    return _percentiles(_resampled_means(values, seed, resamples), confidence)


@dataclass(frozen=True)
class PairedDifference:
    """After minus before on the same items."""

    n: int
    before: float
    after: float
    difference: float
    interval: Interval  # for `difference`
    wins: int  # items better after
    losses: int  # items worse after
    p_value: float  # two-sided, for no change


def paired_shares(before: NDArray[np.bool_], after: NDArray[np.bool_], confidence: float = 0.95) -> PairedDifference:
    """Difference of two shares on the same n items, right or wrong on each.

        p-value: exact McNemar test with mid-p over the d = wins + losses items that changed,
            2 (P[X < min] + P[X = min]/2),   X ~ Binomial(d, 1/2), min = min(wins, losses)
        interval: Newcombe's hybrid score interval for paired data

    McNemar, Psychometrika 12:153, 1947; mid-p: Fagerland et al., BMC Med. Res. Methodol. 13:91, 2013; interval:
    Newcombe, Stat. Med. 17:2635, 1998, method 10. Raises `RequestError` for no items or ragged columns.
    """
    _check_pairs(before, after)
    n = len(before)
    wins, losses = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    both = int(np.sum(after & before))
    return PairedDifference(
        n=n,
        before=int(before.sum()) / n,
        after=int(after.sum()) / n,
        difference=(wins - losses) / n,
        interval=_newcombe(both, losses, wins, n - both - wins - losses, confidence),
        wins=wins,
        losses=losses,
        p_value=mcnemar_mid_p(wins, losses),
    )


def mcnemar_mid_p(wins: int, losses: int) -> float:
    """Two-sided mid-p value of the exact McNemar test; 1 when nothing changed or wins equal losses."""
    d, least = wins + losses, min(wins, losses)
    below = sum(math.comb(d, j) for j in range(least))
    # Integers up to the division: exact, and no overflow for any number of items.
    return float((2 * below + math.comb(d, least)) / 2**d)


def paired_scores(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    confidence: float = 0.95,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """Difference of mean scores in [0, 1] on the same n items, for graded scores such as mean@k.

        interval: percentile bootstrap of mean(after - before), items resampled in pairs
        p-value:  sign-flip test, (1 + #{|mean(+-d)| >= |mean(d)|}) / (1 + resamples)

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13 and 15. If every item changed by the same
    amount the bootstrap has no spread; the interval then combines the two Wilson intervals (Newcombe's method 10
    without correlation). The sign-flip p-value cannot fall under 1 / (1 + resamples).
    """
    _check_pairs(before, after)
    change = after - before
    n, mean = len(change), float(np.mean(change))
    if change.max() == change.min():
        interval = _square_and_add(float(np.mean(before)), float(np.mean(after)), n, 0.0, confidence)
    else:
        interval = _percentiles(_resampled_means(change, seed, resamples), confidence)
    return PairedDifference(
        n=n,
        before=float(np.mean(before)),
        after=float(np.mean(after)),
        difference=mean,
        interval=interval,
        wins=int(np.sum(change > 0)),
        losses=int(np.sum(change < 0)),
        p_value=_sign_flip_p(change, seed, resamples),
    )


def _check_pairs(before: NDArray[np.generic], after: NDArray[np.generic]) -> None:
    if before.shape != after.shape or before.ndim != 1 or len(before) == 0:
        raise RequestError(
            "A paired comparison needs the same items, at least one, on both sides",
            seen=f"{before.shape} before, {after.shape} after",
        )


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise RequestError("A confidence is not between 0 and 1", seen=confidence, wanted="for example 0.95")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _newcombe(both: int, losses: int, wins: int, neither: int, confidence: float) -> Interval:
    """Method 10 for after - before; the correlation is 0 where a margin of the table is empty."""
    n = both + losses + wins + neither
    margins = (both + losses) * (wins + neither) * (both + wins) * (losses + neither)
    top = float(both * neither - losses * wins)
    if top > 0:
        top = max(top - n / 2, 0.0)  # the continuity correction of the paper
    phi = top / math.sqrt(margins) if margins else 0.0
    return _square_and_add((both + losses) / n, (both + wins) / n, n, phi, confidence)


def _square_and_add(before: float, after: float, n: int, phi: float, confidence: float) -> Interval:
    """Interval of after - before from the Wilson interval of each and their correlation phi."""
    low_b, high_b = wilson_interval(before * n, n, confidence)
    low_a, high_a = wilson_interval(after * n, n, confidence)

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    difference = after - before
    low = difference - distance(after - low_a, high_b - before)
    high = difference + distance(high_a - after, before - low_b)
    return (max(low, -1.0), min(high, 1.0))


def _resampled_means(values: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """[resamples] means of bootstrap resamples."""
    generator = np.random.default_rng(seed)
    n, rows = len(values), max(1, _CHUNK // len(values))
    means = [
        values[generator.integers(0, n, size=(min(rows, resamples - start), n))].mean(axis=1)
        for start in range(0, resamples, rows)
    ]
    return np.concatenate(means)


def _sign_flip_p(change: NDArray[np.float64], seed: int, resamples: int) -> float:
    moved = change[change != 0]  # a zero stays zero whatever its sign
    if len(moved) == 0:
        return 1.0
    generator = np.random.default_rng([seed, 1])
    target = abs(float(moved.sum())) * (1 - 1e-12)  # equal sums may differ in the last bit
    rows, extreme = max(1, _CHUNK // len(moved)), 0
    for start in range(0, resamples, rows):
        signs = generator.integers(0, 2, size=(min(rows, resamples - start), len(moved)), dtype=np.int8) * 2 - 1
        extreme += int(np.sum(np.abs(signs @ moved) >= target))
    return (1 + extreme) / (1 + resamples)


def _percentiles(means: NDArray[np.float64], confidence: float) -> Interval:
    _z(confidence)  # checks the range
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return (float(low), float(high))
