"""Advantages for pass@k, which asks that one of k attempts is right. Rewards are 0 or 1. NumPy only.

With c of the group's N scored completions right, and C(n, k) the binomial coefficient:

    R(N, c) = 1 - C(N - c, k) / C(N, k)        the chance that k of the N, drawn without replacement, hold a right one
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RequestError, RunError
from sibling.maths.groups import check_columns, scored_groups


def closed_form(reward: NDArray[np.float64], group: NDArray[np.integer], *, k: int) -> NDArray[np.float64]:
    """The average over all k-subsets that hold the completion of the standardised subset reward (2508.10751).

        s = sqrt(R (1 - R)),   A_right = (1 - R) / s,   A_wrong = (1 - R - C(N-c-1, k-1) / C(N-1, k-1)) / s

    All 0 where s = 0: no completion is right, or so many that every subset holds one.
    """
    advantage = np.zeros(len(reward), dtype=np.float64)
    for members in _binary_groups(reward, group, k):
        right = reward[members] == 1.0
        n, c = len(members), int(right.sum())
        chance = 1.0 - _none_right(n, c, k)
        spread = math.sqrt(chance * (1.0 - chance))
        if spread > 0.0:
            others = _none_right(n - 1, c, k - 1)  # no right one among the k - 1 others, seen from a wrong one
            advantage[members] = np.where(right, 1.0 - chance, 1.0 - chance - others) / spread
    return advantage


def unbiased(reward: NDArray[np.float64], group: NDArray[np.integer], *, k: int) -> NDArray[np.float64]:
    """PKPO (2505.15201): weights w such that sum_i w_i grad log pi_i is an unbiased gradient of pass@k.

        w_right = k / N,   w_wrong = (k / N) (1 - C(N-1-c, k-1) / C(N-1, k-1))

    There is no baseline, so a group whose completions are all right still has weights.
    """
    advantage = np.zeros(len(reward), dtype=np.float64)
    for members in _binary_groups(reward, group, k):
        right = reward[members] == 1.0
        n, c = len(members), int(right.sum())
        wrong = 0.0 if c == n else 1.0 - _none_right(n - 1, c, k - 1)
        advantage[members] = (k / n) * np.where(right, 1.0, wrong)
    return advantage


def _none_right(n: int, c: int, k: int) -> float:
    """C(n - c, k) / C(n, k), exactly rounded: no right one among k of n of which c are right."""
    return math.comb(n - c, k) / math.comb(n, k)


def _binary_groups(reward: NDArray[np.float64], group: NDArray[np.integer], k: int) -> list[NDArray[np.intp]]:
    """The groups with at least two scores; `RunError` for rewards that are not 0 or 1 and groups smaller than k."""
    check_columns(reward, group)
    present = reward[~np.isnan(reward)]
    strange = present[(present != 0.0) & (present != 1.0)]
    if len(strange):
        raise RunError(
            "pass@k needs rewards of 0 or 1",
            seen=sorted(set(strange.tolist()))[:5],
            wanted="0 for wrong, 1 for right",
            do="Use one reward with weight 1 that says right or wrong, or another estimator (objective.advantage.type)",
        )
    if k < 1:
        raise RequestError("The k of pass@k is too small", seen=k, wanted="at least 1")
    groups = [members for members in scored_groups(reward, group) if len(members) > 1]
    short = min((len(members) for members in groups), default=k)
    if short < k:
        raise RunError(
            "A group has fewer scored completions than the k of pass@k",
            seen=f"{short} scored, k = {k}",
            wanted="k of at most the group's size",
            do="Lower objective.advantage.k, raise sampling.group_size, or mend the reward that gave no score",
        )
    return groups
