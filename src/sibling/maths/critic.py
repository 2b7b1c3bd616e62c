"""The value model's loss, and how well it explains the returns."""

from __future__ import annotations

import torch

from sibling.maths.masked import blank, token_sum
from sibling.maths.shapes import PerSequence, PerToken, Scalar, TokenMask


def value_loss(
    value: PerToken,
    value_old: PerToken,
    returns: PerToken,
    mask: TokenMask,
    weight: PerSequence,
    *,
    clip: float | int | None,
) -> Scalar:
    """Squared error of the values, with PPO's clip around the old ones.

        loss = sum_i w_i sum_t m_it 1/2 max( (v - R)^2, (clip(v, v_old - c, v_old + c) - R)^2 )

    The squared error is PPO's (1707.06347 eq. 9); the clip and the half are conventions of later code. Arguments [N, T]
    in units of reward, `weight` [N] of the whole batch (1 / its active tokens for a mean), `clip` c > 0 or None.
    Gradient flows through `value` only.
    """
    value, old, target = (blank(x, mask) for x in (value, value_old.detach(), returns.detach()))
    error = (value - target).square()
    if clip is not None:
        held = torch.clamp(value, old - clip, old + clip)
        error = torch.maximum(error, (held - target).square())
    return (weight.detach() * token_sum(0.5 * error, mask)).sum()


def value_clipped(value: PerToken, value_old: PerToken, returns: PerToken, *, clip: float | int | None) -> TokenMask:
    """Tokens where the clipped error is the larger one: they have no gradient."""
    if clip is None:
        return torch.zeros_like(value, dtype=torch.bool)
    held = torch.clamp(value, value_old - clip, value_old + clip)
    return (held - returns).square() > (value - returns).square()
