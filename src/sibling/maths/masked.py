"""Sums over active tokens, and an exponential that cannot poison a gradient.

A masked position may hold anything, NaN included: it is replaced before any arithmetic, so that neither
its value nor its gradient can reach a result (0 * inf = NaN is what a mask multiplied in at the end gives).
"""

from __future__ import annotations

import math

import torch

from sibling.maths.shapes import PerSequence, PerToken, TokenMask


def blank(values: PerToken, mask: TokenMask) -> PerToken:
    """`values` where the mask is true, exactly 0 (with no gradient) elsewhere."""
    return torch.where(mask, values, torch.zeros((), dtype=values.dtype, device=values.device))


def token_sum(values: PerToken, mask: TokenMask) -> PerSequence:
    """[N] sum over the active tokens of each sequence."""
    return blank(values, mask).sum(dim=-1)


def token_mean(values: PerToken, mask: TokenMask) -> PerSequence:
    """[N] mean over the active tokens of each sequence; 0 for a sequence without one."""
    return token_sum(values, mask) / mask.sum(dim=-1).clamp(min=1)


def below_overflow(x: PerToken) -> PerToken:
    """x, held just below the point where exp overflows (88.7 in float32, 709.8 in float64); its gradient is kept.

    Where a clip selects the other branch, an infinite exp would give 0 * inf = NaN as gradient; a finite one gives 0.
    Where the branch counts, value and gradient stay enormous, so the step is refused rather than quietly repaired.
    """
    bound = math.log(torch.finfo(x.dtype).max) - 1.0  # one below, so that rounding of the bound cannot reach infinity
    return x + (x.clamp(max=bound) - x).detach()


def finite_exp(x: PerToken) -> PerToken:
    """exp(x) that is never infinite (`below_overflow`); elsewhere it is exp, bit for bit."""
    return torch.exp(below_overflow(x))
