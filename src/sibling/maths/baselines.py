"""Advantages from one reward a completion, beyond group standardisation: other baselines and other scales.

All take `reward` float64 [N] with NaN where there is no score, and `group` [N] counting from 0; all return float64
[N]. Exactly 0 everywhere: completions without a score, groups with fewer than two scores, and groups whose scores
are all equal (but see `reinforce`). NumPy only, and sums are exactly rounded: the order of siblings has no say.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RunError
from sibling.maths.groups import check_columns, exact_mean, exact_std, live_groups, scored_groups

Rewards = NDArray[np.float64]
Groups = NDArray[np.integer]


def leave_one_out(reward: Rewards, group: Groups) -> Rewards:
    """RLOO (2402.14740): the baseline is the mean reward of the other siblings.

    A_i = R_i - (1/(n-1)) sum_{j != i} R_j = n/(n-1) (R_i - mean_g)        n scores in the group
    """
    advantage = _zeros(reward, group)
    for members in live_groups(reward, group):
        scores = reward[members]
        advantage[members] = (scores - exact_mean(scores)) * (len(scores) / (len(scores) - 1))
    return advantage


def reinforce(reward: Rewards, group: Groups) -> Rewards:
    """REINFORCE (Williams, 1992) without a baseline: A_i = R_i.

    Equal rewards carry signal here. A completion alone in its group keeps its reward (a run with G = 1, or whose other
    siblings were dropped before); a group of several of which fewer than two have a score is left out, as everywhere.
    """
    advantage = _zeros(reward, group)
    size = np.bincount(group) if len(group) else np.zeros(0, dtype=np.int64)
    for members in scored_groups(reward, group):
        if len(members) > 1 or size[group[members[0]]] == 1:
            advantage[members] = reward[members]
    return advantage


def optimal_length(reward: Rewards, group: Groups, tokens: NDArray[np.integer]) -> Rewards:
    """OPO (2505.23585): the baseline weighs siblings by length, as the variance of the gradient does.

        A_i = R_i - sum_j T_j R_j / sum_j T_j

    `tokens` [N] are the active tokens T_i; a group without any has the advantage R_i, on no token.
    """
    advantage = _zeros(reward, group)
    for members in live_groups(reward, group):
        weighted = math.fsum((tokens[members] * reward[members]).tolist())
        advantage[members] = reward[members] - weighted / max(int(tokens[members].sum()), 1)
    return advantage


def rescaled_for_dead_groups(reward: Rewards, group: Groups, *, f_norm: float) -> Rewards:
    """GPG (2504.02546 eq. 5 and 7): group mean, scaled up for the groups that carry no signal.

    A_i = (B / (B - M)) (R_i - mean_g) / F        B groups in the batch, M of them dead, F = `f_norm`
    """
    advantage = _zeros(reward, group)
    alive = live_groups(reward, group)
    total = len(np.unique(group))
    for members in alive:
        scores = reward[members]
        advantage[members] = (total / len(alive)) * (scores - exact_mean(scores)) / f_norm
    return advantage


def over_the_mean(reward: Rewards, group: Groups, *, eps: float) -> Rewards:
    """MaxRL (2602.02710): A_i = (R_i - mean_g) / (mean_g + eps); 0 where mean_g <= 0.

    With rewards 0 and 1 its expectation is the gradient of the truncated expansion of log p(right).
    """
    advantage = _zeros(reward, group)
    for members in live_groups(reward, group):
        scores = reward[members]
        mean = exact_mean(scores)
        if mean > 0:
            advantage[members] = (scores - mean) / (mean + eps)
    return advantage


def best_lead(reward: Rewards, group: Groups, *, scale: str = "none", eps: float = 1e-6) -> Rewards:
    """Best sibling only (2503.19595): A = best - second best for the best one, 0 for the rest.

    `scale` "group" divides by the group's std (n - 1) + `eps`, as verl does by default. A tie for the best gives 0.
    """
    advantage = _zeros(reward, group)
    for members in live_groups(reward, group):
        scores = reward[members]
        second, best = np.sort(scores)[-2:]
        lead = best - second
        advantage[members[int(scores.argmax())]] = lead / (exact_std(scores, 1) + eps) if scale == "group" else lead
    return advantage


def beta_normalised(reward: Rewards, group: Groups) -> Rewards:
    """BNPO (2506.02864): group mean, over a Beta density that is fitted to the group means.

        A_i = (R_i - p) / f(p),   p = mean_g,   f = density of Beta(max(1, 1 + a/3), max(1, 1 + b/3))
        a = m (m (1 - m) / v - 1),   b = (1 - m) (m (1 - m) / v - 1)       m, v mean and variance (n - 1) of the p_g

    Rewards in [0, 1], else `RunError`. Fewer than two groups, or equal means, fit no Beta: the density is then 1.
    """
    present = reward[~np.isnan(reward)]
    if len(present) and (present.min() < 0 or present.max() > 1):
        raise RunError(
            "Beta normalisation needs rewards between 0 and 1",
            seen=f"{present.min()} to {present.max()}",
            wanted="rewards in [0, 1]",
            do="Rescale the reward, or take another estimator (objective.advantage.type)",
        )
    advantage = _zeros(reward, group)
    means = [exact_mean(reward[m]) for m in scored_groups(reward, group) if len(m) > 1]
    alpha, beta = _beta_fit(np.array(means, dtype=np.float64))
    for members in live_groups(reward, group):
        mean = exact_mean(reward[members])
        advantage[members] = (reward[members] - mean) / _beta_density(mean, alpha, beta)
    return advantage


def _beta_fit(means: NDArray[np.float64]) -> tuple[float, float]:
    """(al, be): a third of the moment fit, added to the flat Beta(1, 1)."""
    spread = exact_std(means, 1)
    if len(means) < 2 or spread == 0:
        return 1.0, 1.0
    m = exact_mean(means)
    concentration = m * (1.0 - m) / spread**2 - 1.0
    return max(1.0, 1.0 + m * concentration / 3.0), max(1.0, 1.0 + (1.0 - m) * concentration / 3.0)


def _beta_density(p: float, alpha: float, beta: float) -> float:
    log_norm = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return math.exp(log_norm + (alpha - 1.0) * math.log(p) + (beta - 1.0) * math.log1p(-p))


def _zeros(reward: Rewards, group: Groups) -> Rewards:
    check_columns(reward, group)
    return np.zeros(len(reward), dtype=np.float64)
