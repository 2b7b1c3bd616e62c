"""Advantages that differ by token: reward-to-go, GAE, process supervision, and whitening over the batch.

A column is a list of N float64 arrays, one entry a token of the completion; `mask` columns are true at tokens that
the policy produced. Everything outside the mask is stepped over as if it were not there, and gets 0. NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RequestError
from sibling.maths.groups import exact_mean, exact_std

Column = Sequence[NDArray[np.float64]]
Masks = Sequence[NDArray[np.bool_]]
Steps = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(index of the last token of each step, its score), both [K]."""


def token_rewards(
    reward: NDArray[np.float64], mask: Masks, kl: Column | None = None, kl_beta: float = 0.0
) -> list[NDArray[np.float64]]:
    """The reward of a completion at its last active token, less a KL penalty at each (PPO, 2402.03300 eq. 2).

        r_t = -beta (log pi_old - log pi_ref)_t  (+ R_i at the last token)

    `reward` [N], NaN counts as 0 here (its completion is left out by the caller); `kl` N arrays of log pi_old -
    log pi_ref in nats, no gradient.
    """
    rows = []
    for i, active in enumerate(mask):
        row = np.zeros(len(active), dtype=np.float64)
        if kl is not None:
            row -= kl_beta * np.where(active, kl[i], 0.0)
        if active.any() and not np.isnan(reward[i]):
            row[np.flatnonzero(active)[-1]] += reward[i]
        rows.append(row)
    return rows


def reward_to_go(rewards: NDArray[np.float64], mask: NDArray[np.bool_], *, gamma: float) -> NDArray[np.float64]:
    """Discounted return of one completion: G_t = r_t + gamma G_{t+1} over its active tokens; 0 elsewhere."""
    returns = np.zeros(len(rewards), dtype=np.float64)
    following = 0.0
    for t in np.flatnonzero(mask)[::-1]:
        following = rewards[t] + gamma * following
        returns[t] = following
    return returns


def generalised_advantage(
    rewards: NDArray[np.float64],
    values: NDArray[np.floating],
    mask: NDArray[np.bool_],
    *,
    gamma: float,
    lam: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Generalised advantage estimation of one completion (1506.02438 eq. 16; 1707.06347 eq. 11 and 12).

        delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lam A_{t+1},   return_t = A_t + V_t

    V after the last token is 0; tokens outside the mask are carried across. Returns (advantages, returns), each [T].
    """
    advantage, target = np.zeros(len(rewards), dtype=np.float64), np.zeros(len(rewards), dtype=np.float64)
    next_value = next_advantage = 0.0
    for t in np.flatnonzero(mask)[::-1]:
        delta = rewards[t] + gamma * next_value - float(values[t])
        next_advantage = delta + gamma * lam * next_advantage
        next_value = float(values[t])
        advantage[t], target[t] = next_advantage, next_advantage + next_value
    return advantage, target


def process_supervision(
    steps: Sequence[Steps], group: NDArray[np.integer], mask: Masks, *, ddof: int, eps: float
) -> list[NDArray[np.float64]]:
    """Process supervision (DeepSeekMath, 2402.03300 sec. 4.1.3).

        x~_j = (x_j - mean) / (std + eps)        over every step reward of the group
        A_it = sum of x~_j over the steps j of i whose last token is t or later

    A group whose step rewards are all equal, or fewer than two, gets exactly 0. Nothing divides by the number of steps.
    """
    advantage = [np.zeros(len(m), dtype=np.float64) for m in mask]
    for g in np.unique(group):
        members = np.flatnonzero(group == g).tolist()
        scores = np.concatenate([steps[i][1] for i in members])
        if len(scores) < 2 or scores.min() == scores.max():
            continue
        mean, spread = exact_mean(scores), exact_std(scores, ddof) + eps
        for i in members:
            ends, own = steps[i]
            for end, score in zip(ends.tolist(), own.tolist(), strict=True):
                advantage[i][: end + 1] += (score - mean) / spread
            advantage[i][~mask[i]] = 0.0
    return advantage


def whiten(
    values: Column, mask: Masks, *, over: str, ddof: int, eps: float, eps_mode: str
) -> list[NDArray[np.float64]]:
    """z-score over the batch (REINFORCE++, 2501.03262): (x - mean) / sqrt(var + eps), or / (std + eps).

    `over` "tokens": one value an active token, so long completions weigh more; "sequences": one value a completion,
    that of its active tokens, which must not differ. `eps_mode` "inside_var" or "outside_std". A batch without
    spread, or with one value, becomes exactly 0.
    """
    own = [v[m] for v, m in zip(values, mask, strict=True) if m.any()]
    if over == "sequences":
        if any(v.min() != v.max() for v in own):
            raise RequestError(
                "Whitening over sequences needs one value a completion",
                seen="values that differ by token",
                wanted="gamma 1 and no KL at tokens",
                do="Set objective.advantage.whiten=tokens",
            )
        own = [v[:1] for v in own]
    every = np.concatenate(own) if own else np.zeros(0)
    if len(every) < 2 or every.min() == every.max():
        return [np.zeros(len(m), dtype=np.float64) for m in mask]
    mean, std = exact_mean(every), exact_std(every, ddof)
    spread = float(np.hypot(std, np.sqrt(eps))) if eps_mode == "inside_var" else std + eps
    return [np.where(m, (v - mean) / spread, 0.0) for v, m in zip(values, mask, strict=True)]
