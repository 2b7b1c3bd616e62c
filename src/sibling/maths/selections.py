"""Tokens picked from the whole minibatch by their covariance with the advantage (2505.22617).

    score_it = (A_it - mean A) (log pi_new_it - mean log pi_new)          means over the active tokens

A `Selector` sees every row of the minibatch at once, at the weights before its update, so the choice does not
depend on the split into micro-batches. Selections carry no gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from sibling.maths.masked import blank
from sibling.maths.shapes import PerToken, TokenMask
from sibling.maths.surrogates import Terms

Selector = Callable[..., TokenMask]
"""(terms of the whole minibatch, uniform [N, T] in [0, 1), **numbers of the row) -> tokens picked [N, T]."""


def covariance_score(advantage: PerToken, logp_new: PerToken, mask: TokenMask) -> PerToken:
    """score [N, T]; 0 at masked positions. How much the token's log-prob and its advantage move together."""
    n = mask.sum().clamp(min=1)
    centred = [values - blank(values, mask).sum() / n for values in (advantage, logp_new.detach())]
    return blank(centred[0] * centred[1], mask)


def highest(terms: Terms, uniform: PerToken, *, share: float | int, coefficient: float | int) -> TokenMask:
    """KL-Cov: the max(1, floor(share n)) active tokens with the largest score, n active tokens. No randomness."""
    del uniform, coefficient
    active = terms.mask.flatten().nonzero()[:, 0]
    score = covariance_score(terms.advantage, terms.logp_new, terms.mask).flatten()[active]
    wanted = min(max(1, int(share * len(active))), len(active))
    picked = torch.zeros(terms.mask.numel(), dtype=torch.bool, device=terms.mask.device)
    picked[active[score.topk(wanted).indices]] = True
    return picked.view(terms.mask.shape)


def within(
    terms: Terms,
    uniform: PerToken,
    *,
    clip_low: float | int,
    clip_high: float | int,
    share: float | int,
    score_low: float | int,
    score_high: float | int,
) -> TokenMask:
    """Clip-Cov: max(1, floor(share n)) tokens drawn at random among the eligible ones, or all of them if fewer.

    Eligible: active, inside the clip's bounds, score_low < score < score_high. Those with the smallest `uniform` are
    taken, so a draw is a pure function of its uniforms.
    """
    above, below = terms.ratio > 1.0 + clip_high, terms.ratio < 1.0 - clip_low
    clipped = ((terms.advantage > 0) & above) | ((terms.advantage < 0) & below)
    score = covariance_score(terms.advantage, terms.logp_new, terms.mask)
    eligible = terms.mask & ~clipped & (score > score_low) & (score < score_high)
    place = eligible.flatten().nonzero()[:, 0]
    wanted = min(max(1, int(share * int(terms.mask.sum()))), len(place))
    picked = torch.zeros(terms.mask.numel(), dtype=torch.bool, device=terms.mask.device)
    picked[place[uniform.flatten()[place].topk(wanted, largest=False).indices]] = True
    return picked.view(terms.mask.shape)
