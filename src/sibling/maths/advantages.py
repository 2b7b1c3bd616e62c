"""Group-relative advantages from rewards. NumPy only, float64 throughout, so a record can be replayed without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RequestError, RunError
from sibling.maths.groups import check_columns, exact_mean, exact_std, live_groups

SCALES: tuple[str, ...] = ("group", "batch", "none")


def group_advantages(
    reward: NDArray[np.float64],
    group: NDArray[np.integer],
    *,
    scale: str,
    ddof: int,
    eps: float,
) -> NDArray[np.float64]:
    """Advantage of each completion over its siblings.

        A_i = (R_i - mean_g) / (s + eps)      mean_g over the scored members of i's group
        scale "group": s = std of those members (DeepSeekMath, 2402.03300 sec. 4.1.2)
        scale "batch": s = std of the raw rewards of the whole batch (Lite PPO, 2508.08221)
        scale "none":  A_i = R_i - mean_g     (Dr. GRPO, 2503.20783)

    Arguments: `reward` [N], NaN where there is no score; `group` [N], counting from 0; `scale`, one of `SCALES`;
    a std divides by n - `ddof` (0 or 1); `eps` >= 0. Returns float64 [N].

    Exactly 0: completions without a score (they leave the statistics too), groups with fewer than two
    scores, and groups whose scores are all equal. Raises `RunError` on ragged columns and infinite rewards.
    """
    check_columns(reward, group)
    if scale not in SCALES:
        raise RequestError("An advantage scale is not known", seen=repr(scale), wanted=", ".join(SCALES))
    batch_std = exact_std(reward[~np.isnan(reward)], ddof) if scale == "batch" else 0.0
    advantage = np.zeros(len(reward), dtype=np.float64)
    for members in live_groups(reward, group):
        scores = reward[members]
        centred = scores - exact_mean(scores)
        if scale == "group":
            centred = centred / (exact_std(scores, ddof) + eps)
        elif scale == "batch":
            centred = centred / (batch_std + eps)
        advantage[members] = centred
    return advantage


def each_reward_standardised(
    scores: NDArray[np.float64],
    weights: Sequence[float],
    group: NDArray[np.integer],
    *,
    ddof: int,
    eps: float,
) -> NDArray[np.float64]:
    """GDPO (2601.05242): every reward standardised in its group, added, and standardised over the batch.

        y_i = sum_r weight_r (s_ir - mean_g) / (std_g + eps)        over the scores present in the group
        A_i = (y_i - mean_batch(y)) / (std_batch(y) + eps)

    `scores` [N, R] with NaN for missing, R `weights`. A reward whose scores in a group are all equal, or fewer than
    two, adds 0 there. A completion without any score gets exactly 0 and leaves the statistics of the batch.
    """
    total = sum(
        weight * group_advantages(scores[:, r], group, scale="group", ddof=ddof, eps=eps)
        for r, weight in enumerate(weights)
    )
    scored = ~np.isnan(scores).all(axis=1)
    advantage = np.zeros(len(scores), dtype=np.float64)
    y = np.broadcast_to(np.asarray(total, dtype=np.float64), scored.shape)[scored]
    if len(y) and y.min() < y.max():
        # Every group's y add up to 0, so the mean is 0 but for rounding: a group without signal stays at exactly 0.
        advantage[scored] = np.where(y == 0.0, 0.0, (y - exact_mean(y)) / (exact_std(y, ddof) + eps))
    return advantage


def total_reward(scores: NDArray[np.float64], weights: Sequence[float]) -> NDArray[np.float64]:
    """Weighted sum of the reward functions that gave a score.

        R_i = sum_{r present} weight_r score_ir        NaN where none is present

    `scores` is [N, R] with NaN for missing; `weights` has R entries. Missing is never counted as 0.
    """
    if scores.ndim != 2 or scores.shape[1] != len(weights):
        raise RunError(
            "Every reward needs a weight", seen=f"{len(weights)} weights for {scores.shape}", wanted="R weights"
        )
    present = ~np.isnan(scores)
    total = np.where(present, scores * np.asarray(weights, dtype=np.float64), 0.0).sum(axis=1)
    return np.where(present.any(axis=1), total, np.nan)


@overload
def overlong_penalty(length: int, max_len: int, cache: int) -> float: ...
@overload
def overlong_penalty(length: NDArray[np.integer], max_len: int, cache: int) -> NDArray[np.float64]: ...
def overlong_penalty(length: int | NDArray[np.integer], max_len: int, cache: int) -> float | NDArray[np.float64]:
    """Soft overlong punishment, added to the reward before group statistics (DAPO, 2503.14476 eq. 13).

        0                                   if |y| <= L_max - cache
        (L_max - cache - |y|) / cache       if |y| <= L_max
        -1                                  beyond

    Lengths in tokens; `cache` >= 1 is the stretch over which the punishment grows.
    """
    if cache < 1:
        raise RequestError("The cache of the overlong punishment is too short", seen=cache, wanted="at least 1 token")
    over = np.asarray(max_len - cache, dtype=np.float64) - length
    penalty = np.clip(over / cache, -1.0, 0.0)
    return float(penalty) if isinstance(length, int) else penalty
