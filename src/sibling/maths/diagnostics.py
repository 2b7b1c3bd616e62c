"""Where a surrogate's clip binds: marks a token, from which the step counts shares.

Marks carry no gradient. A surrogate without a clip marks nothing. What low and high mean for a surrogate is said by
its marker; for the clip of PPO they are ratios below the lower bound with A < 0, above the upper bound with A > 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from sibling.maths.shapes import PerToken, TokenMask
from sibling.maths.surrogates import Terms
from sibling.maths.trust_regions import binary_kl


@dataclass(frozen=True)
class ClipMarks:
    """Active tokens at which a clip binds."""

    low: TokenMask  # ratio below the lower bound and A < 0: the term has no gradient
    high: TokenMask  # ratio above the upper bound and A > 0: the term has no gradient
    dual: TokenMask  # ratio above the dual bound and A < 0: the term has no gradient

    def within(self, mask: TokenMask) -> ClipMarks:
        """The marks at active tokens only."""
        return ClipMarks(low=self.low & mask, high=self.high & mask, dual=self.dual & mask)


Marker = Callable[..., ClipMarks]
"""(terms, **numbers) -> where the clip of the objective's surrogate binds; the same numbers as the surrogate."""


def clip_marks(
    ratio: PerToken, advantage: PerToken, *, low: float | int, high: float | int, dual: float | int | None = None
) -> ClipMarks:
    """Where `clip_surrogate` is in its clipped branch.

    low:  r < 1 - low  and A < 0        high:  r > 1 + high  and A > 0        dual:  r > c  and A < 0
    """
    negative = advantage < 0
    return ClipMarks(
        low=(ratio < 1.0 - low) & negative,
        high=(ratio > 1.0 + high) & (advantage > 0),
        dual=(ratio > (float("inf") if dual is None else dual)) & negative,
    )


def mark_clip(
    terms: Terms, *, clip_low: float | int, clip_high: float | int, dual_clip: float | int | None = None
) -> ClipMarks:
    """`clip_marks` as a row of the table names it."""
    return clip_marks(terms.ratio, terms.advantage, low=clip_low, high=clip_high, dual=dual_clip)


def mark_clip_cov(
    terms: Terms,
    *,
    clip_low: float | int,
    clip_high: float | int,
    share: float | int,
    score_low: float | int,
    score_high: float | int,
) -> ClipMarks:
    """Where the clip of Clip-Cov binds; the tokens it drops at random are not marked."""
    del share, score_low, score_high
    return mark_clip(terms, clip_low=clip_low, clip_high=clip_high)


def mark_log_clip(terms: Terms, *, clip_low: float | int, clip_high: float | int) -> ClipMarks:
    """GMPO: low: lr < -clip_low and A < 0; high: lr > clip_high and A > 0."""
    return ClipMarks(
        low=(terms.log_ratio < -clip_low) & (terms.advantage < 0),
        high=(terms.log_ratio > clip_high) & (terms.advantage > 0),
        dual=torch.zeros_like(terms.mask),
    )


def mark_bounds(
    terms: Terms, *, ratio_min: float | int | None = None, ratio_max: float | int | None = None
) -> ClipMarks:
    """CISPO: where the importance weight is at a bound, whatever the sign of the advantage."""
    return ClipMarks(
        low=terms.ratio < (-float("inf") if ratio_min is None else ratio_min),
        high=terms.ratio > (float("inf") if ratio_max is None else ratio_max),
        dual=torch.zeros_like(terms.mask),
    )


def mark_dropped_tv(
    terms: Terms, *, delta_low: float | int, delta_high: float | int, ratio_cap: float | int | None
) -> ClipMarks:
    """DPPO with total variation: tokens dropped, high with A > 0 and low with A <= 0."""
    del ratio_cap
    rise = terms.logp_new.detach().exp() - terms.logp_old.exp()
    positive = terms.advantage > 0
    return ClipMarks(
        low=(rise < -delta_low) & ~positive, high=(rise > delta_high) & positive, dual=torch.zeros_like(terms.mask)
    )


def mark_dropped_kl(
    terms: Terms,
    *,
    delta_low: float | int,
    delta_high: float | int,
    ratio_cap: float | int | None,
    tail_eps: float | int,
) -> ClipMarks:
    """DPPO with the binary KL: tokens dropped, high with A > 0 and low with A <= 0."""
    del ratio_cap
    new, old = terms.logp_new.detach(), terms.logp_old
    divergence, positive = binary_kl(new, old, tail_eps), terms.advantage > 0
    return ClipMarks(
        low=(divergence > delta_low) & (new < old) & ~positive,
        high=(divergence > delta_high) & (new > old) & positive,
        dual=torch.zeros_like(terms.mask),
    )


def mark_nothing(terms: Terms, **numbers: float | int | None) -> ClipMarks:
    """A surrogate without a clip."""
    del numbers
    none = torch.zeros_like(terms.mask)
    return ClipMarks(low=none, high=none, dual=none)
