"""Per-token estimates of KL(pi_new, pi_ref) from the sampled token alone, each with the gradient it stands for.

With d = log pi_new - log pi_ref at the sampled token and r = pi_new / pi_old
(Schulman's note "Approximating KL divergence", 2020; k3 in DeepSeekMath, 2402.03300 eq. 4):

    name    value                  d value / d log pi_new   expected gradient on-policy
    k1      d                      1                        0: as a loss it regularises nothing
    k2      d^2 / 2                d                        grad KL(pi_new, pi_ref)
    k3      exp(-d) - 1 + d        1 - exp(-d)              grad KL(pi_ref, pi_new), the other direction
    k3_is   r (exp(-d) - 1 + d)    r d                      grad KL(pi_new, pi_ref), off-policy too (2512.02556)
    k3_st   value of k3            d                        grad KL(pi_new, pi_ref)

No estimate is clamped: a clamp takes the gradient away exactly where the drift is largest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from sibling.maths.masked import below_overflow
from sibling.maths.shapes import PerToken

Estimator = Callable[[PerToken, PerToken], PerToken]
"""(d = log pi_new - log pi_ref [N, T], ratio r = pi_new / pi_old [N, T]) -> estimate in nats a token [N, T]."""


def k1(gap: PerToken, ratio: PerToken) -> PerToken:
    """d. Unbiased, of either sign; its gradient has expectation 0."""
    del ratio
    return gap


def k2(gap: PerToken, ratio: PerToken) -> PerToken:
    """d^2 / 2. Biased in value, exact in gradient on-policy."""
    del ratio
    return 0.5 * gap * gap


def k3(gap: PerToken, ratio: PerToken) -> PerToken:
    """exp(-d) - 1 + d. Unbiased and never negative; its gradient is that of the other KL."""
    del ratio
    return torch.expm1(below_overflow(-gap)) + gap  # expm1 keeps small gaps exact in float32


def k3_is(gap: PerToken, ratio: PerToken) -> PerToken:
    """r (exp(-d) - 1 + d), gradient through r as well (DeepSeek-V3.2, 2512.02556 sec. 3.1)."""
    return ratio * k3(gap, ratio)


def k3_st(gap: PerToken, ratio: PerToken) -> PerToken:
    """Straight-through: the value of k3 with the gradient of k2."""
    straight = k2(gap, ratio)
    return k3(gap, ratio).detach() + (straight - straight.detach())


ESTIMATORS: Mapping[str, Estimator] = MappingProxyType({"k1": k1, "k2": k2, "k3": k3, "k3_is": k3_is, "k3_st": k3_st})
"""The estimators by name."""
