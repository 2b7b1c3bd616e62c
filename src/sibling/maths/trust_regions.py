"""DPPO (2602.04879): no ratio clip; tokens whose probability left a ball around the old one are dropped.

    l_it = -sg( min(r, cap) ) A log pi_new          on the tokens that stay, 0 on the others

p is the new and q the old probability of the sampled token. `delta_low` and `delta_high` bound falls and rises that go
in the direction of the advantage; the other direction is always kept.
"""

from __future__ import annotations

import torch

from sibling.maths.shapes import PerToken
from sibling.maths.surrogates import Terms, weighted_gradient


def binary_kl(logp_new: PerToken, logp_old: PerToken, tail_eps: float | int) -> PerToken:
    """KL between "this token or another" under q and under p, in nats; e = `tail_eps` keeps the tail finite.

    D = q log(q/p) + (1 - q) log((1 - q + e) / (1 - p + e))
    """
    p, q = logp_new.exp(), logp_old.exp()
    return q * (logp_old - logp_new) + (1.0 - q) * torch.log((1.0 - q + tail_eps) / (1.0 - p + tail_eps))


def within_total_variation(
    terms: Terms, *, delta_low: float | int, delta_high: float | int, ratio_cap: float | int | None
) -> PerToken:
    """Drops A > 0 with p - q > delta_high, and A <= 0 with p - q < -delta_low."""
    rise = terms.logp_new.detach().exp() - terms.logp_old.exp()
    dropped = torch.where(terms.advantage > 0, rise > delta_high, rise < -delta_low)
    return _kept(terms, dropped, ratio_cap)


def within_binary_kl(
    terms: Terms,
    *,
    delta_low: float | int,
    delta_high: float | int,
    ratio_cap: float | int | None,
    tail_eps: float | int,
) -> PerToken:
    """Drops A > 0 with D > delta_high and p > q, and A <= 0 with D > delta_low and p < q."""
    new, old = terms.logp_new.detach(), terms.logp_old
    divergence = binary_kl(new, old, tail_eps)
    dropped = torch.where(
        terms.advantage > 0, (divergence > delta_high) & (new > old), (divergence > delta_low) & (new < old)
    )
    return _kept(terms, dropped, ratio_cap)


def _kept(terms: Terms, dropped: torch.Tensor, cap: float | int | None) -> PerToken:
    weight = terms.ratio.detach().clamp(max=cap) if cap is not None else terms.ratio.detach()
    return weighted_gradient(terms, torch.where(dropped, torch.zeros_like(weight), weight))
