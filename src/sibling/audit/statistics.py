"""Rates of an audit and their intervals: probes of one triple fail together, so triples are what is counted.

    share of all:  p = F / N
    macro-average: p = mean over groups g of F_g / N_g      (many variants of one probe decide nothing)
    variance:      v = C/(C-1) sum_c e_c^2,  e_c = sum of the linearised residuals of triple c
                   (F_c - p N_c) / N, or mean_g (F_cg - p_g N_cg) / N_g
    interval:      Wilson's, at p (1 - p) / v effective trials, no more than N, times (z / t_K)^2; K, the degrees
                   of freedom, is the number of triples that failed somewhere, or that passed somewhere if fewer,
                   and at least 2

Wilson, JASA 22:209, 1927; effective trials: Korn and Graubard, Survey Methodology 24:193, 1998; the linearised
variance of a ratio: Cochran, Sampling Techniques, 1977, ch. 6.
With C - 1 in place of K, or with the bootstrap of triples that stands beside it, rare failures that come in few
triples are covered too seldom (86 % and 75 % at a rate of 1 %, 50 triples, intraclass correlation 0.2). With no
failure at all nothing is known of the correlation, and the interval is that of N independent probes; the rule of
three is given for probes and for triples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sibling.maths.intervals import Interval, wilson_interval

CONFIDENCE = 0.95
_RESAMPLES = 2_000
_LEAST_FREEDOM = 2  # of t; with 1 a single failure in thousands of probes would say next to nothing


@dataclass(frozen=True)
class Rate:
    """A share of probes with its 95 % interval."""

    failed: int
    n: int
    triples: int  # clusters among the n
    share: float | None  # None: nothing was tried
    interval: Interval
    bootstrap: Interval | None = None  # of whole triples
    rule_of_three: float | None = None  # at no failure: 3 / n
    rule_of_three_triples: float | None = None  # at no failure: 3 / triples, if probes of a triple fail together


def rate(failed: Sequence[bool] | NDArray[np.bool_], triple: Sequence[int] | NDArray[np.int64]) -> Rate:
    """The share of all probes that failed; `triple[i]` is the triple that probe i was made from."""
    return _rate(np.asarray(failed, bool), np.asarray(triple, np.int64), np.zeros(len(failed), np.int64), False, 0)


def macro_rate(
    failed: Sequence[bool] | NDArray[np.bool_],
    triple: Sequence[int] | NDArray[np.int64],
    group: Sequence[int] | NDArray[np.int64],
    *,
    bootstrap: bool = True,
    seed: int = 0,
) -> Rate:
    """The mean over groups of the share that failed; `group[i]` is the group of probe i."""
    arrays = np.asarray(failed, bool), np.asarray(triple, np.int64), np.asarray(group, np.int64)
    return _rate(*arrays, bootstrap, seed)


def _rate(
    failed: NDArray[np.bool_], triple: NDArray[np.int64], group: NDArray[np.int64], bootstrap: bool, seed: int
) -> Rate:
    n = len(failed)
    if n == 0:
        return Rate(0, 0, 0, None, (0.0, 1.0))
    fails, counts = tables(failed, triple, group)
    share = float(_macro(fails.sum(axis=0), counts.sum(axis=0)))
    count = int(failed.sum())
    clean = count == 0
    return Rate(
        failed=count,
        n=n,
        triples=len(fails),
        share=share,
        interval=wilson_interval(share * (size := max(1, round(effective(fails, counts)))), size, CONFIDENCE),
        bootstrap=bootstrapped(fails, counts, seed) if bootstrap and not clean else None,
        rule_of_three=min(1.0, 3 / n) if clean else None,
        rule_of_three_triples=min(1.0, 3 / len(fails)) if clean else None,
    )


def tables(
    failed: NDArray[np.bool_], triple: NDArray[np.int64], group: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[C, G] failures and trials of each triple in each group."""
    _, c = np.unique(triple, return_inverse=True)
    _, g = np.unique(group, return_inverse=True)
    shape = (int(c.max()) + 1, int(g.max()) + 1)
    place = c * shape[1] + g
    size = shape[0] * shape[1]
    fails = np.bincount(place, weights=failed.astype(np.float64), minlength=size).reshape(shape)
    counts = np.bincount(place, minlength=size).astype(np.float64).reshape(shape)
    return np.asarray(fails, np.float64), counts


def effective(fails: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Independent trials that would tell as much as these correlated ones."""
    totals = counts.sum(axis=0)
    n, clusters = float(totals.sum()), len(fails)
    share = float(_macro(fails.sum(axis=0), totals))
    if clusters < 2 or share in (0.0, 1.0):
        return n
    residuals = ((fails - counts * (fails.sum(axis=0) / totals)) / totals).mean(axis=1)
    variance = clusters / (clusters - 1) * float(np.sum(residuals**2))
    if variance <= 0:
        return n
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    moved = min(np.any(fails > 0, axis=1).sum(), np.any(fails < counts, axis=1).sum())
    return float(
        min(n, share * (1 - share) / variance) * (z / t_quantile(z, max(_LEAST_FREEDOM, min(clusters - 1, moved)))) ** 2
    )


def t_quantile(z: float, freedom: float) -> float:
    """Quantile of Student's t from that of the normal distribution (Abramowitz and Stegun 26.7.5, three terms).

    Within 1 % of the exact value at 95 % from 3 degrees of freedom on.
    """
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def bootstrapped(fails: NDArray[np.float64], counts: NDArray[np.float64], seed: int = 0) -> Interval:
    """Percentile bootstrap of whole triples for the macro-average."""
    generator = np.random.default_rng(seed)
    clusters = len(fails)
    weights = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=_RESAMPLES).astype(np.float64)
    shares = _macro(weights @ fails, weights @ counts)
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return (float(low), float(high))


def _macro(fails: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the groups (last axis) that have a trial."""
    shares = np.divide(fails, counts, out=np.zeros_like(fails), where=counts > 0)
    tried = np.maximum((counts > 0).sum(axis=-1), 1)
    return np.asarray(shares.sum(axis=-1) / tried)


def wasted_share(false_accepts: float, true_accepts: float, pass_rate: float) -> float | None:
    """Expected share of the positive advantage that goes to wrong samples.

        q_FA / (q_FA + TPR pi),   q_FA = (1 - pi) FPR

    `pass_rate` is pi, the share of completions that are right. None if nothing is accepted.
    """
    wrong, right = (1 - pass_rate) * false_accepts, pass_rate * true_accepts
    return wrong / (wrong + right) if wrong + right > 0 else None
