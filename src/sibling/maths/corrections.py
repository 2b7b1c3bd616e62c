"""Weights and masks on the policy term: sampler against learner, off-policy sequences, high-entropy tokens.

None carries a gradient. They multiply the (already clipped) policy term, never the KL term, and leave every
denominator as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from sibling.errors import RequestError
from sibling.maths.masked import blank, finite_exp, token_mean, token_sum
from sibling.maths.shapes import PerSequence, PerToken, SequenceMask, TokenMask

_STATISTICS: Mapping[str, Callable[[PerToken, TokenMask], PerToken]] = MappingProxyType(
    {
        "token": lambda gap, mask: gap,
        "sequence": lambda gap, mask: token_sum(gap, mask)[:, None].expand(mask.shape),
        "geometric": lambda gap, mask: token_mean(gap, mask)[:, None].expand(mask.shape),
    }
)
LEVELS = tuple(_STATISTICS)
ACTIONS = ("truncate", "mask", "filter")


def sampler_weights(
    logp_old: PerToken,
    logp_sampler: PerToken,
    mask: TokenMask,
    *,
    level: str,
    action: str,
    min: float | int | None = None,
    max: float | int | None = None,
) -> PerToken:
    """Importance weights [N, T] between what the sampler reported and what the learner computes.

        rho = exp(log pi_old - log pi_sampler)   token: of each token;  sequence: of the sum;  geometric: of the mean
        truncate: rho held to [min, max]         mask: rho inside [min, max], else 0
        filter:   the token's rho where the level's rho is inside [min, max], else 0

    Truncated importance sampling (token or sequence), IcePop (token, mask), masked sequences and the geometric filter
    of Yao et al. and Liu, Li et al. 2025. A log-prob the sampler did not report (NaN) counts as equal: weight 1.
    Bounds are absolute ratios, None for none. Masked positions have weight 1 of their own and share a sequence's.
    """
    if level not in LEVELS or action not in ACTIONS:
        raise RequestError(
            "A sampler correction is not known",
            seen=f"level {level!r}, action {action!r}",
            wanted=f"level {', '.join(LEVELS)}; action {', '.join(ACTIONS)}",
        )
    gap = blank(torch.nan_to_num(logp_old.detach() - logp_sampler.detach(), nan=0.0), mask)
    token = finite_exp(gap)
    rho = finite_exp(_STATISTICS[level](gap, mask))
    low, high = (-float("inf") if min is None else min), (float("inf") if max is None else max)
    if action == "truncate":
        return rho.clamp(low, high)
    inside = (rho >= low) & (rho <= high)
    return torch.where(inside, rho if action == "mask" else token, torch.zeros_like(rho))


def off_policy_keep(
    logp_new: PerToken,
    logp_behaviour: PerToken,
    mask: TokenMask,
    advantage: PerSequence | PerToken,
    *,
    delta: float | int,
) -> SequenceMask:
    """Sequences [N] that stay (DeepSeek-V3.2, 2512.02556): dropped if A_i < 0 and they drifted too far.

        (1/T_i) sum_t m_it (log pi_behaviour - log pi_new)_it > delta

    The behaviour is what the sampler reported, or pi_old at tokens where it reported nothing; `delta` in nats a token.
    Raises `RequestError` for advantages that differ by token: they have no sign for the sequence.
    """
    if advantage.dim() != 1:
        raise RequestError(
            "The off-policy mask needs one advantage a sequence",
            seen="advantages that differ by token",
            wanted="an estimator of whole completions",
            do="Set objective.off_policy_mask=null, or take another objective.advantage.type",
        )
    drift = token_mean(logp_behaviour - logp_new.detach(), mask)
    return ~((advantage < 0) & (drift > delta))


def entropy_keep(entropy: PerToken, mask: TokenMask, *, keep_top: float | int) -> TokenMask:
    """Tokens [N, T] whose entropy is in the top share of the batch's active tokens (80/20, 2506.01939).

        keep where H_it >= quantile(1 - keep_top) of the active H, with linear interpolation

    Call it on every row of the minibatch at once. `entropy` in nats, of the sampling distribution.
    """
    active = entropy[mask]
    if active.numel() == 0:
        return torch.zeros_like(mask)
    return mask & (entropy >= _quantile(active, 1.0 - keep_top))


def _quantile(values: torch.Tensor, q: float) -> torch.Tensor:
    """Linear interpolation between order statistics; torch.quantile refuses more than 16 million values."""
    ordered = values.sort().values
    place = q * (len(ordered) - 1)
    below = int(place)
    above = below + 1 if below + 1 < len(ordered) else below
    return torch.lerp(ordered[below], ordered[above], place - below)
