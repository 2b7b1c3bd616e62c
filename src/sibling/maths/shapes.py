"""Names for the array shapes of the tensor functions; jaxtyping checks them while testing.

Axes: N sequences of a micro-batch, T tokens (padded to the longest sequence). One name a shape, so that
signatures read as words and N and T mean the same thing in every argument of one call.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

PerToken = Float[Tensor, "N T"]
PerSequence = Float[Tensor, "N"]
TokenMask = Bool[Tensor, "N T"]
SequenceMask = Bool[Tensor, "N"]
Scalar = Float[Tensor, ""]
Count = Int[Tensor, ""]
