"""Where a surrogate's clip binds: marks a token, from which the step counts shares.

Marks carry no gradient. A surrogate without a clip marks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sibling.maths.shapes import PerToken, TokenMask
from sibling.maths.surrogates import Terms


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
    ratio, advantage = ratio.detach(), advantage.detach()
    negative = advantage < 0
    return ClipMarks(
        low=(ratio < 1.0 - low) & negative,
        high=(ratio > 1.0 + high) & (advantage > 0),
        dual=(ratio > (float("inf") if dual is None else dual)) & negative,
    )


def mark_clip(
    terms: Terms, *, clip_low: float | int, clip_high: float | int, dual_clip: float | int | None
) -> ClipMarks:
    """`clip_marks` as a row of the table names it."""
    return clip_marks(terms.ratio, terms.advantage, low=clip_low, high=clip_high, dual=dual_clip)
