"""Facts about groups (all siblings of one prompt): scores, spread, and which groups carry no signal.

`reward` is float64 [N] with NaN where a completion has no score; `group` is an integer [N] counting from 0.
P is one more than the largest group index; an index without completions is a group without scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RunError


@dataclass(frozen=True)
class GroupSummary:
    """One entry a group. `lowest` and `highest` are NaN where a group has no score."""

    scored: NDArray[np.int64]  # [P] completions with a score
    lowest: NDArray[np.float64]  # [P]
    highest: NDArray[np.float64]  # [P]

    @property
    def degenerate(self) -> NDArray[np.bool_]:
        """[P] fewer than two scores, or all scores equal: every advantage of the group is exactly 0."""
        return np.asarray((self.scored < 2) | (self.lowest == self.highest), dtype=np.bool_)


def summarise(reward: NDArray[np.float64], group: NDArray[np.integer]) -> GroupSummary:
    """Scores, lowest and highest reward of each group. Raises `RunError` on infinite rewards or ragged columns."""
    check_columns(reward, group)
    size = int(group.max()) + 1 if len(group) else 0
    present = ~np.isnan(reward)
    lowest, highest = np.full(size, np.nan), np.full(size, np.nan)
    np.fmin.at(lowest, group[present], reward[present])
    np.fmax.at(highest, group[present], reward[present])
    scored = np.bincount(group[present], minlength=size).astype(np.int64)
    return GroupSummary(scored=scored, lowest=lowest, highest=highest)


def is_degenerate(reward: NDArray[np.float64]) -> bool:
    """Whether the rewards [G] of one group carry no signal: fewer than two scores, or all scores equal.

    Equality is tested as max == min: the mean of equal floats need not equal them (eight rewards of 0.7 in float32).
    """
    scores = reward[~np.isnan(reward)]
    return len(scores) < 2 or bool(scores.max() == scores.min())


def dead_groups(reward: NDArray[np.float64], group: NDArray[np.integer]) -> NDArray[np.bool_]:
    """[P] groups whose every advantage is exactly 0: fewer than two scores, or all scores equal."""
    return summarise(reward, group).degenerate


def keep_groups(reward: NDArray[np.float64], group: NDArray[np.integer]) -> NDArray[np.bool_]:
    """[P] groups that dynamic sampling keeps: those whose rewards are not all equal.

        keep g  iff  min_i R_i < max_i R_i        (0 < number right < G for rewards 0 and 1)

    DAPO, 2503.14476 eq. 11. Completions without a score have no say; a group with fewer than two scores goes.
    """
    return ~dead_groups(reward, group)


def scored_groups(reward: NDArray[np.float64], group: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    """Positions of the scored completions of each group that has one, in the order of the groups."""
    scored = np.flatnonzero(~np.isnan(reward))
    order = scored[np.argsort(group[scored], kind="stable")]
    return [m for m in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(m)]


def live_groups(reward: NDArray[np.float64], group: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    """`scored_groups` whose scores are not all equal."""
    return [members for members in scored_groups(reward, group) if not is_degenerate(reward[members])]


def exact_mean(values: NDArray[np.float64]) -> float:
    """Exactly rounded sum over n: the order of siblings cannot change it."""
    return math.fsum(values.tolist()) / len(values)


def exact_std(values: NDArray[np.float64], ddof: int) -> float:
    """Standard deviation with n - ddof; 0 with fewer than two values. hypot neither under- nor overflows."""
    if len(values) < 2:
        return 0.0
    return math.hypot(*(values - exact_mean(values)).tolist()) / math.sqrt(len(values) - ddof)


def check_columns(reward: NDArray[np.float64], group: NDArray[np.integer]) -> None:
    """Raise `RunError` unless the columns are aligned, rewards are not infinite and group indices not negative."""
    if reward.shape != group.shape or reward.ndim != 1:
        raise RunError("Rewards and groups must be columns of one length", seen=f"{reward.shape} and {group.shape}")
    if np.isinf(reward).any():
        raise RunError(
            "A reward is infinite", seen=reward[np.isinf(reward)].tolist(), wanted="a number, NaN if missing"
        )
    if len(group) and group.min() < 0:
        raise RunError("A group index is negative", seen=int(group.min()), wanted="indices that count from 0")
