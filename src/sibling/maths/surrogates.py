"""Per-token policy terms l_it: what the ratio and the advantage become before aggregation.

A `Surrogate` sees every per-token quantity of the micro-batch (`Terms`) and its own numbers by name, and returns
l [N, T] to be minimised. Positions outside the mask may hold anything finite: the caller blanks them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from sibling.maths.shapes import PerToken, TokenMask


@dataclass(frozen=True)
class Terms:
    """What a surrogate may use. Log-probs and log-ratios are exactly 0 where the mask is false."""

    logp_new: PerToken  # the only tensor through which gradient flows, with what is derived from it
    logp_old: PerToken
    log_ratio: PerToken  # token log-ratio, clamped if the objective says so
    ratio: PerToken  # what the objective's ratio made of it: one a token, or one a sequence repeated
    advantage: PerToken  # no gradient; a sequence's advantage is repeated at each of its tokens
    mask: TokenMask


Surrogate = Callable[..., PerToken]
"""(terms, **numbers) -> l [N, T]; the numbers are the objective's `numbers`, passed by name."""


def clip_surrogate(
    ratio: PerToken, advantage: PerToken, *, low: float | int, high: float | int, dual: float | int | None = None
) -> PerToken:
    """The clipped surrogate of PPO, as a loss.

        l_it = -min( r A, clip(r, 1 - low, 1 + high) A )
        with dual clip c, where A < 0:   l_it <- min( l_it, -c A )

    Schulman et al., 1707.06347 eq. 7; clip-higher (low != high): DAPO, 2503.14476; dual clip: Ye et al.,
    1912.09729. `low`, `high` > 0 are distances from 1 (a `low` above 1 never acts); `dual` > 1 bounds the ratio.
    d l / d log pi_new = -r A, or 0 where a clip is in force.
    """
    clipped = torch.clamp(ratio, 1.0 - low, 1.0 + high)
    loss = -torch.minimum(ratio * advantage, clipped * advantage)
    if dual is None:
        return loss
    return torch.where(advantage < 0, torch.minimum(loss, -dual * advantage), loss)


def clip(terms: Terms, *, clip_low: float | int, clip_high: float | int, dual_clip: float | int | None) -> PerToken:
    """`clip_surrogate` as a row of the table names it."""
    return clip_surrogate(terms.ratio, terms.advantage, low=clip_low, high=clip_high, dual=dual_clip)
