"""Importance ratios between the policy being updated and the policy that made the rollout.

A `Ratio` turns the token log-ratio into the importance ratio each token's surrogate uses. GRPO, Dr. GRPO, DAPO
and PPO use one ratio a token; sequence-level ratios repeat one number at every token of the sequence.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from sibling.maths.masked import finite_exp, token_mean, token_sum
from sibling.maths.shapes import PerToken, TokenMask

Ratio = Callable[[PerToken, TokenMask], PerToken]
"""(token log-ratio [N, T] with 0 at masked positions, mask [N, T]) -> importance ratio [N, T]."""


def token_log_ratio(logp_new: PerToken, logp_old: PerToken, clamp: float | int | None = None) -> PerToken:
    """Log importance ratio of each sampled token.

        lr_it = log pi_new(o_it | ...) - log pi_old(o_it | ...),   then clipped to [-clamp, clamp]

    Arguments: log-probs in nats [N, T]; `clamp` > 0 or None for no clamp. A clamped token has no gradient.
    Gradient flows through `logp_new` only.
    """
    log_ratio = logp_new - logp_old.detach()
    return log_ratio if clamp is None else torch.clamp(log_ratio, min=-clamp, max=clamp)


def token_ratio(log_ratio: PerToken, mask: TokenMask) -> PerToken:
    """One ratio a token, r_it = exp(lr_it) (PPO, 1707.06347 sec. 3). The mask has no part in it."""
    del mask
    return finite_exp(log_ratio)


def geometric_ratio(log_ratio: PerToken, mask: TokenMask) -> PerToken:
    """One ratio a sequence, the geometric mean of its tokens', at each of them (GSPO, 2507.18071 eq. 7).

        s_i = exp( (1/T_i) sum_t m_it lr_it )

    Its gradient at a token is s_i / T_i.
    """
    return finite_exp(token_mean(log_ratio, mask)[:, None].expand(mask.shape))


def geometric_token_ratio(log_ratio: PerToken, mask: TokenMask) -> PerToken:
    """The value of `geometric_ratio` with each token's own gradient (GSPO-token, 2507.18071 eq. 13 and 14).

    s_it = sg(s_i) exp(lr_it - sg(lr_it))          sg: no gradient
    """
    return geometric_ratio(log_ratio, mask).detach() * torch.exp(log_ratio - log_ratio.detach())


def product_ratio(log_ratio: PerToken, mask: TokenMask) -> PerToken:
    """One ratio a sequence, the product of its tokens', at each of them: S_i = exp( sum_t m_it lr_it )."""
    return finite_exp(token_sum(log_ratio, mask)[:, None].expand(mask.shape))
