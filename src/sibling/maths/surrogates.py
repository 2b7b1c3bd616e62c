"""Per-token policy terms l_it: what the ratio and the advantage become before aggregation.

A `Surrogate` sees every per-token quantity of the micro-batch (`Terms`) and its own numbers by name, and returns
l [N, T] to be minimised. Positions outside the mask may hold anything finite: the caller blanks them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sibling.maths.masked import finite_exp, token_mean, token_sum
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
    sampler_weight: PerToken | None = None  # no gradient; weights between the sampler's and the learner's log-probs
    selected: TokenMask | None = None  # tokens that the objective's selector picked
    expert: TokenMask | None = None  # tokens of an expert's trace


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


def clip(
    terms: Terms, *, clip_low: float | int, clip_high: float | int, dual_clip: float | int | None = None
) -> PerToken:
    """`clip_surrogate` as a row of the table names it."""
    return clip_surrogate(terms.ratio, terms.advantage, low=clip_low, high=clip_high, dual=dual_clip)


def weighted_gradient(terms: Terms, weight: PerToken) -> PerToken:
    """l_it = -sg(weight) A log pi_new: a policy gradient whose importance weight carries no gradient.

    The value depends on log pi_new itself and is not comparable with that of the clipped surrogates.
    """
    return -(weight.detach() * terms.advantage) * terms.logp_new


def policy_gradient(terms: Terms) -> PerToken:
    """l_it = -A log pi_new (REINFORCE, Williams 1992). There is no ratio: more than one update is not corrected."""
    return -terms.advantage * terms.logp_new


def bounded_weight(terms: Terms, *, ratio_min: float | int | None, ratio_max: float | int | None) -> PerToken:
    """CISPO (MiniMax-M1, 2506.13585 eq. 4 and 5): l_it = -sg( clip(r, min, max) ) A log pi_new.

    Bounds are absolute ratios, None for none. Every token keeps a gradient.
    """
    weight = terms.ratio.detach()
    if ratio_min is not None or ratio_max is not None:
        weight = weight.clamp(min=ratio_min, max=ratio_max)
    return weighted_gradient(terms, weight)


def soft_gate(terms: Terms, *, tau_positive: float | int, tau_negative: float | int) -> PerToken:
    """SAPO (2511.20347): l_it = -(4/tau) sigmoid(tau (r - 1)) A, tau by the sign of A.

    d l / d log pi_new = -4 p (1 - p) r A with p = sigmoid(tau (r - 1)): -A at r = 1, fading on both sides.
    """
    tau = _by_sign(terms.advantage > 0, tau_positive, tau_negative, terms.ratio)
    return -(4.0 / tau) * torch.sigmoid(tau * (terms.ratio - 1.0)) * terms.advantage


def geometric_mean(terms: Terms, *, clip_low: float | int, clip_high: float | int) -> PerToken:
    """GMPO (2507.20673): l_i = -A exp( mean_t c_t ), repeated at each token of the sequence.

        c_t = min(lr, clip_high) if A > 0, else max(lr, -clip_low)         clipped in log space before the mean

    Clipped tokens lose their gradient; the others have -A exp(mean c) / T_i in the sum over the sequence.
    """
    upper, lower = terms.log_ratio.clamp(max=clip_high), terms.log_ratio.clamp(min=-clip_low)
    clipped = torch.where(terms.advantage > 0, upper, lower)
    mean = token_mean(clipped, terms.mask)[:, None].expand(terms.mask.shape)
    return -terms.advantage * finite_exp(mean)


def squared_log_ratio(terms: Terms, *, tau: float | int) -> PerToken:
    """Kimi k1.5 (2501.12599 eq. 3): l_i = -A x + (tau/2) x^2 with x = sum_t lr_it, repeated at each token."""
    x = token_sum(terms.log_ratio, terms.mask)[:, None]
    return -terms.advantage * x + 0.5 * tau * x * x


def smooth_sequence_weight(
    terms: Terms,
    *,
    k_positive: float | int,
    lambda_positive: float | int,
    k_negative: float | int,
    lambda_negative: float | int,
) -> PerToken:
    """VESPO (2602.10693): l_it = -sg(phi_i) A log pi_new, phi = exp(lambda (1 - W)) W^k.

        log W_i = sum_t clip(lr_it, -20, 20) + sum_t log w_it, then clipped to [log 1e-8, 20]

    w are the weights between sampler and learner, where given. (k, lambda) is the positive pair where A >= 0. phi is 1
    at W = 1 and falls off on both sides.
    """
    log_w = token_sum(terms.log_ratio.detach().clamp(-20.0, 20.0), terms.mask)
    if terms.sampler_weight is not None:
        log_w = log_w + token_sum(terms.sampler_weight.log(), terms.mask)
    log_w = log_w.clamp(math.log(1e-8), 20.0)[:, None]
    positive = terms.advantage >= 0
    k = _by_sign(positive, k_positive, k_negative, log_w)
    lam = _by_sign(positive, lambda_positive, lambda_negative, log_w)
    return weighted_gradient(terms, torch.exp(lam + k * log_w - lam * log_w.exp()))


def penalised_covariance(terms: Terms, *, share: float | int, coefficient: float | int) -> PerToken:
    """KL-Cov (2505.22617): l_it = -r A, plus coefficient |lr| at the tokens that `selections.highest` picked."""
    del share
    loss = -terms.ratio * terms.advantage
    assert terms.selected is not None
    return torch.where(terms.selected, loss + coefficient * terms.log_ratio.abs(), loss)


def clip_without_selected(
    terms: Terms,
    *,
    clip_low: float | int,
    clip_high: float | int,
    share: float | int,
    score_low: float | int,
    score_high: float | int,
) -> PerToken:
    """Clip-Cov (2505.22617): the clipped surrogate, 0 at the tokens that `selections.within` picked."""
    del share, score_low, score_high
    loss = clip(terms, clip_low=clip_low, clip_high=clip_high)
    assert terms.selected is not None
    return torch.where(terms.selected, torch.zeros_like(loss), loss)


def shaped_expert(terms: Terms, *, shaping: float | int) -> PerToken:
    """LUFFY (2504.14945): l_it = -r A on own tokens, -f(pi_new) A with f(x) = x / (x + gamma) on an expert's.

    The expert's probability is taken as 1, so its ratio is pi_new itself; there is no clip. `shaping` is gamma: it
    lifts the gradient at tokens the policy finds unlikely.
    """
    loss = -terms.ratio * terms.advantage
    if terms.expert is None:
        return loss
    probability = finite_exp(terms.logp_new)
    return torch.where(terms.expert, -probability / (probability + shaping) * terms.advantage, loss)


def _by_sign(positive: TokenMask, first: float | int, second: float | int, like: torch.Tensor) -> PerToken:
    """One of two numbers a token, in the dtype of `like`: torch.where of two Python numbers would be float32."""
    return torch.where(positive, torch.full_like(like, first), torch.full_like(like, second))
