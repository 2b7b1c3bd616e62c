"""The table of advantage estimators: what each needs, and how it turns the evidence of a batch into advantages.

NumPy only, so that a record can be replayed without torch. An estimator is a row, never a branch.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RequestError
from sibling.maths import baselines, passk, returns
from sibling.maths.advantages import each_reward_standardised, group_advantages
from sibling.maths.evidence import Advantages, Column, Evidence, penalised_reward, require


@dataclass(frozen=True)
class Estimator:
    """One row. `numbers` are its settings with their defaults; `needs` the optional fields of `Evidence` it reads."""

    name: str
    title: str
    paper: str
    equation: str
    compute: Callable[..., Advantages]
    numbers: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    takes_token_kl: bool = False  # a KL penalty enters at each token, not in the completion's reward


def advantages(name: str, evidence: Evidence, **numbers: Any) -> Advantages:
    """Advantages of a batch under the estimator `name`; `numbers` override the row's.

    With `kl_beta` > 0 an estimator of whole completions sees R_i - beta sum_t m_it (log pi_old - log pi_ref)_it.
    Raises `RequestError` for an unknown estimator or number (the nearest one is named), `RunError` for evidence it
    needs and does not get, ragged columns, and rewards it cannot use.
    """
    row = ESTIMATORS.get(name)
    if row is None:
        near = difflib.get_close_matches(name, ESTIMATORS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RequestError(
            "An advantage estimator is not known", seen=repr(name), wanted=f"one of {', '.join(ESTIMATORS)}{hint}"
        )
    unknown = sorted(set(numbers) - set(row.numbers))
    if unknown:
        raise RequestError(
            f"The estimator {name} has no such number", seen=", ".join(unknown), wanted=", ".join(row.numbers) or "none"
        )
    if len(evidence.reward) == 0:
        return Advantages(sequence=np.zeros(0, dtype=np.float64))  # whole completions or tokens: there are none
    require(evidence, row.needs, name)
    if evidence.kl_beta and not row.takes_token_kl:
        evidence = replace(evidence, reward=penalised_reward(evidence), kl_beta=0.0)
    return row.compute(evidence, **{**row.numbers, **numbers})


# ---------------------------------------------------------------------------------------------- rows


def _of_rewards(function: Callable[..., NDArray[np.float64]]) -> Callable[..., Advantages]:
    return lambda e, **numbers: Advantages(sequence=function(e.reward, e.group, **numbers))


def _opo(e: Evidence) -> Advantages:
    tokens = np.array([int(m.sum()) for m in e.mask], dtype=np.int64)
    return Advantages(sequence=baselines.optimal_length(e.reward, e.group, tokens))


def _gdpo(e: Evidence, *, ddof: int, eps: float) -> Advantages:
    assert e.scores is not None and e.weights is not None
    scores = np.where(np.isnan(e.reward)[:, None], np.nan, e.scores)  # a completion left out takes its scores along
    return Advantages(sequence=each_reward_standardised(scores, e.weights, e.group, ddof=ddof, eps=eps))


def _process(e: Evidence, *, ddof: int, eps: float) -> Advantages:
    assert e.steps is not None
    return Advantages(token=tuple(returns.process_supervision(e.steps, e.group, e.mask, ddof=ddof, eps=eps)))


def _scored_masks(e: Evidence) -> list[NDArray[np.bool_]]:
    return [m if not np.isnan(r) else np.zeros_like(m) for r, m in zip(e.reward, e.mask, strict=True)]


def _whitened(values: Column, masks: Sequence[NDArray[np.bool_]], how: Mapping[str, Any]) -> tuple[Any, ...]:
    if how["whiten"] == "none":
        return tuple(values)
    return tuple(
        returns.whiten(values, masks, over=how["whiten"], ddof=how["ddof"], eps=how["eps"], eps_mode=how["eps_mode"])
    )


def _reward_to_go(e: Evidence, *, gamma: float, **how: Any) -> Advantages:
    masks = _scored_masks(e)
    rewards = e.token_rewards or returns.token_rewards(e.reward, masks, e.kl if e.kl_beta else None, e.kl_beta)
    values = [returns.reward_to_go(r, m, gamma=gamma) for r, m in zip(rewards, masks, strict=True)]
    return Advantages(token=_whitened(values, masks, how))


def _reward_to_go_over_group(e: Evidence, *, gamma: float, **how: Any) -> Advantages:
    centred = group_advantages(e.reward, e.group, scale="none", ddof=1, eps=0.0)
    centred = np.where(np.isnan(e.reward), np.nan, centred)
    return _reward_to_go(replace(e, reward=centred), gamma=gamma, **how)


def _gae(e: Evidence, *, gamma: float, lam: float, **how: Any) -> Advantages:
    assert e.values is not None
    masks = _scored_masks(e)
    rewards = e.token_rewards or returns.token_rewards(e.reward, masks, e.kl if e.kl_beta else None, e.kl_beta)
    pairs = [
        returns.generalised_advantage(r, v, m, gamma=gamma, lam=lam)
        for r, v, m in zip(rewards, e.values, masks, strict=True)
    ]
    return Advantages(token=_whitened([a for a, _ in pairs], masks, how), returns=tuple(r for _, r in pairs))


_WHITEN: Mapping[str, Any] = {"whiten": "tokens", "ddof": 0, "eps": 1e-8, "eps_mode": "inside_var"}

_ROWS = (
    Estimator(
        "group",
        "group mean, over a standard deviation",
        "DeepSeekMath, 2402.03300 sec. 4.1.2; none: Dr. GRPO, 2503.20783; batch: Lite PPO, 2508.08221",
        "A_i = (R_i - mean_g) / (s + eps),  s the std of the group, of the batch's rewards, or no division",
        _of_rewards(group_advantages),
        {"scale": "group", "ddof": 1, "eps": 1e-4},
    ),
    Estimator(
        "process",
        "process supervision",
        "DeepSeekMath, 2402.03300 sec. 4.1.3",
        "A_it = sum of (x_j - mean_g) / (std_g + eps) over the steps j of i that end at t or later",
        _process,
        {"ddof": 1, "eps": 1e-4},
        needs=("steps",),
    ),
    Estimator(
        "rloo",
        "leave one out",
        "RLOO, 2402.14740",
        "A_i = R_i - mean of the others",
        _of_rewards(baselines.leave_one_out),
        {},
    ),
    Estimator("reinforce", "no baseline", "Williams, 1992", "A_i = R_i", _of_rewards(baselines.reinforce), {}),
    Estimator(
        "opo",
        "optimal length-weighted baseline",
        "OPO, 2505.23585",
        "A_i = R_i - sum_j T_j R_j / sum_j T_j",
        _opo,
        {},
    ),
    Estimator(
        "gpg",
        "group mean, scaled for dead groups",
        "GPG, 2504.02546 eq. 5 and 7",
        "A_i = (B / (B - M)) (R_i - mean_g) / F,  B groups, M of them dead",
        _of_rewards(baselines.rescaled_for_dead_groups),
        {"f_norm": 1.0},
    ),
    Estimator(
        "maxrl",
        "group mean as baseline and scale",
        "MaxRL, 2602.02710",
        "A_i = (R_i - mean_g) / (mean_g + eps),  0 where mean_g <= 0",
        _of_rewards(baselines.over_the_mean),
        {"eps": 1e-6},
    ),
    Estimator(
        "gdpo",
        "each reward standardised, then the batch",
        "GDPO, 2601.05242",
        "y_i = sum_r weight_r (s_ir - mean_g) / (std_g + eps),  A_i = (y_i - mean) / (std + eps) over the batch",
        _gdpo,
        {"ddof": 1, "eps": 1e-4},
        needs=("scores", "weights"),
    ),
    Estimator(
        "passk",
        "pass@k in closed form",
        "2508.10751",
        "A_right = (1 - R) / s,  A_wrong = (1 - R - C(N-c-1, k-1) / C(N-1, k-1)) / s,"
        "  R = 1 - C(N-c, k) / C(N, k),  s = sqrt(R (1 - R))",
        _of_rewards(passk.closed_form),
        {"k": 2},
    ),
    Estimator(
        "pkpo",
        "unbiased pass@k",
        "PKPO, 2505.15201",
        "A_right = k / N,  A_wrong = (k / N) (1 - C(N-1-c, k-1) / C(N-1, k-1))",
        _of_rewards(passk.unbiased),
        {"k": 2},
    ),
    Estimator(
        "best",
        "best less second best",
        "2503.19595",
        "A = best - second best for the best sibling,  0 for the rest",
        _of_rewards(baselines.best_lead),
        {"scale": "none", "eps": 1e-6},
    ),
    Estimator(
        "beta",
        "Beta-normalised",
        "BNPO, 2506.02864",
        "A_i = (R_i - p) / f(p),  p = mean_g,  f a Beta density fitted to the group means",
        _of_rewards(baselines.beta_normalised),
        {},
    ),
    Estimator(
        "reinforce_pp",
        "whitened reward-to-go",
        "REINFORCE++, 2501.03262 eq. 8 to 10",
        "G_t = r_t + gamma G_t+1,  r_t = -beta (log pi_old - log pi_ref) (+ R_i at the end),  A = z-score of G",
        _reward_to_go,
        {"gamma": 1.0, **_WHITEN},
        takes_token_kl=True,
    ),
    Estimator(
        "reinforce_pp_baseline",
        "whitened reward-to-go over the group mean",
        "REINFORCE++, 2501.03262, appendix",
        "G_t = r_t + gamma G_t+1,  r_t = (R_i - mean_g at the end),  A = z-score of G",
        _reward_to_go_over_group,
        {"gamma": 1.0, **_WHITEN, "ddof": 1},
    ),
    Estimator(
        "gae",
        "generalised advantage estimation",
        "1506.02438; PPO, 1707.06347 eq. 11 and 12",
        "delta_t = r_t + gamma V_t+1 - V_t,  A_t = delta_t + gamma lam A_t+1,"
        "  r_t = -beta (log pi_old - log pi_ref) (+ R_i at the end),  then a z-score over the batch",
        _gae,
        {"gamma": 1.0, "lam": 0.95, **_WHITEN, "ddof": 1},
        needs=("values",),
        takes_token_kl=True,
    ),
)

ESTIMATORS: Mapping[str, Estimator] = MappingProxyType({row.name: row for row in _ROWS})
"""The estimators by name."""

__all__ = ["ESTIMATORS", "Advantages", "Estimator", "Evidence", "advantages"]
