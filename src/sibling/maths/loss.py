"""What a row of the table of objectives is, and the one function that evaluates any of them on a micro-batch.

An `Objective` is a row of four small functions (importance ratio, surrogate, aggregation, KL) with an advantage
estimator, its numbers and its paper. A variant is a row, never a branch: `policy_loss` does not know their names.

    loss = sum_i w_i sum_t m_it ( f_it l_it + beta k_it - c H_it )

l is the row's surrogate of its ratio and the advantage, f the product of masks and sampler weights around it, k its
KL estimate, H the entropy, m the mask, w_i the weight that `aggregation.sequence_weights` gave for the whole batch;
so losses and gradients of micro-batches simply add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from sibling.errors import RequestError
from sibling.maths.diagnostics import ClipMarks, Marker, mark_clip
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.kl import ESTIMATORS as KL_ESTIMATORS
from sibling.maths.masked import blank, token_sum
from sibling.maths.ratios import Ratio, token_log_ratio, token_ratio
from sibling.maths.selections import Selector
from sibling.maths.shapes import Count, PerSequence, PerToken, Scalar, SequenceMask, TokenMask
from sibling.maths.surrogates import Surrogate, Terms, clip

Number = float | int | None
Numbers = Mapping[str, Number]


@dataclass(frozen=True)
class Objective:
    """One row of the table. `numbers` are the surrogate's keyword arguments with the row's defaults."""

    name: str
    title: str
    paper: str
    equation: str  # plain ASCII, as a loss to minimise
    estimator: str = "group"  # advantage estimator, a name in estimators.ESTIMATORS
    estimator_numbers: Mapping[str, Any] = field(default_factory=dict)  # departures from its defaults
    ratio: Ratio = token_ratio
    surrogate: Surrogate = clip
    term: str = "l = -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A),  r = exp(lr), lr = log pi_new - log pi_old"
    marks: Marker = mark_clip  # where the surrogate's clip binds; takes the surrogate's arguments
    aggregation: str = "token_mean"  # a mode of aggregation.sequence_weights
    kl: str = "k3"  # a name in kl.ESTIMATORS, used when beta > 0
    numbers: Numbers = field(default_factory=dict)
    select: Selector | None = None  # picks tokens from the whole minibatch; takes the surrogate's arguments
    sequence_level: bool = False  # the policy term is one a sequence
    acts_without_advantage: bool = False  # the policy term does not vanish where A = 0: dead groups are computed
    absorbs_sampler_weight: bool = False  # the surrogate uses the sampler's weights itself: they do not multiply it
    notes: tuple[str, ...] = ()  # names in other libraries, and what differs there

    @property
    def advantage_defaults(self) -> dict[str, Any]:
        """The settings of the row's estimator."""
        return {**ESTIMATORS[self.estimator].numbers, **self.estimator_numbers}

    def with_numbers(self, given: Numbers) -> dict[str, Number]:
        """The row's numbers, overridden by `given`. Raises `RequestError` for a name the row does not have."""
        unknown = sorted(set(given) - set(self.numbers))
        if unknown:
            raise RequestError(
                f"The objective {self.name} has no such number", seen=", ".join(unknown), wanted=", ".join(self.numbers)
            )
        return {**self.numbers, **given}


@dataclass(frozen=True)
class LossParts:
    """What one micro-batch adds to the step. Only `loss` carries a gradient; sums are over active tokens."""

    loss: Scalar  # policy + kl + entropy, with the weights of the whole batch: micro-batches add up
    policy: Scalar  # the policy term's share of `loss`
    kl: Scalar  # the KL term's share of `loss`, beta included
    entropy: Scalar  # the entropy bonus's share of `loss`, 0 or below
    kl_sum: Scalar  # sum of k, without weights or beta; 0 without a reference
    clip_low: Count  # tokens where each clip binds
    clip_high: Count
    clip_dual: Count
    clip_sequences: Count  # sequences where a clip binds at some token
    ratio_sum: Scalar  # sum of the token ratio pi_new / pi_old
    ratio_gap_max: Scalar  # largest |pi_new / pi_old - 1|; 0 without an active token


def policy_loss(
    objective: Objective,
    *,
    logp_new: PerToken,
    logp_old: PerToken,
    advantage: PerSequence | PerToken,
    mask: TokenMask,
    weight: PerSequence,
    logp_ref: PerToken | None = None,
    beta: float | int = 0.0,
    kl: str | None = None,
    log_ratio_clamp: Number = None,
    factor: PerToken | None = None,
    sampler_weight: PerToken | None = None,
    selected: TokenMask | None = None,
    expert: SequenceMask | None = None,
    entropy: PerToken | None = None,
    entropy_coefficient: float | int = 0.0,
    **numbers: Number,
) -> LossParts:
    """Loss of one micro-batch of N sequences, padded to T tokens.

        loss = sum_i w_i sum_t m_it ( f_it l_it + beta k_it - c H_it )

    Arguments: log-probs [N, T] in nats of the sampled tokens under the policy being updated (gradient), the
    policy that made the rollout and the reference; `advantage` [N] or [N, T]; `mask` [N, T], true at tokens in
    the loss; `weight` [N], w_i of the whole batch; `beta` >= 0 and `kl`, an estimator's name (None: the row's);
    `log_ratio_clamp` > 0 or None; `factor` [N, T] and `sampler_weight` [N, T] (corrections.py), whose product is f;
    `selected` [N, T], tokens that the row's selector picked; `expert` [N], traces of an expert; `entropy` [N, T] in
    nats and its coefficient c; `numbers` override the row's. Gradient flows through `logp_new` and `entropy` only.
    Positions outside the mask may hold anything and add exactly 0. Everything is in the dtype of `logp_new`.

    Raises `RequestError` for beta > 0 without `logp_ref`, an unknown estimator or number, a missing selection.
    """
    settings = objective.with_numbers(numbers)
    _require_selection(objective, selected)
    terms = Terms(
        **_ratios(objective, logp_new, logp_old, advantage, mask, log_ratio_clamp),
        sampler_weight=None if sampler_weight is None else _outside_one(sampler_weight, mask),
        selected=selected,
        expert=None if expert is None else expert[:, None].expand(mask.shape),
    )
    weight = weight.detach().to(logp_new.dtype)
    term = objective.surrogate(terms, **settings)
    for f in (factor, None if objective.absorbs_sampler_weight else terms.sampler_weight):
        term = term if f is None else term * blank(f.detach().to(term.dtype), mask)
    policy = (weight * token_sum(term, mask)).sum()
    k = _kl(kl or objective.kl, terms, logp_ref, beta)
    kl_loss = beta * (weight * k).sum()
    h = policy.new_zeros(()) if entropy is None else (weight * token_sum(entropy, mask)).sum()
    bonus = -entropy_coefficient * h
    return LossParts(
        loss=policy + (kl_loss if beta else 0.0) + (bonus if entropy_coefficient else 0.0),
        policy=policy.detach(),
        kl=kl_loss.detach(),
        entropy=bonus.detach(),
        kl_sum=k.detach().sum(),
        **_clipped(objective.marks(terms, **settings).within(mask)),
        **_moved(terms),
    )


def _clipped(marks: ClipMarks) -> dict[str, Any]:
    return {
        "clip_low": marks.low.sum(),
        "clip_high": marks.high.sum(),
        "clip_dual": marks.dual.sum(),
        "clip_sequences": (marks.low | marks.high).any(dim=-1).sum(),
    }


def _moved(terms: Terms) -> dict[str, Any]:
    """How far the token ratio is from 1; masked positions have a log-ratio of 0, so a ratio of exactly 1."""
    ratio = token_ratio(terms.log_ratio.detach(), terms.mask)
    gap = (ratio - 1.0).abs()
    return {
        "ratio_sum": token_sum(ratio, terms.mask).sum(),
        "ratio_gap_max": gap.max() if gap.numel() else gap.sum(),
    }


def minibatch_terms(
    objective: Objective,
    *,
    logp_new: PerToken,
    logp_old: PerToken,
    advantage: PerSequence | PerToken,
    mask: TokenMask,
    log_ratio_clamp: Number = None,
) -> Terms:
    """What the row's selector sees: every row of a minibatch, without gradient."""
    with torch.no_grad():
        return Terms(**_ratios(objective, logp_new, logp_old, advantage, mask, log_ratio_clamp))


def _ratios(
    objective: Objective,
    logp_new: PerToken,
    logp_old: PerToken,
    advantage: PerSequence | PerToken,
    mask: TokenMask,
    log_ratio_clamp: Number,
) -> dict[str, Any]:
    new, old = blank(logp_new, mask), blank(logp_old.detach(), mask)
    log_ratio = token_log_ratio(new, old, log_ratio_clamp)
    per_token = advantage if advantage.dim() == 2 else advantage[:, None].expand(mask.shape)
    return {
        "logp_new": new,
        "logp_old": old,
        "log_ratio": log_ratio,
        "ratio": objective.ratio(log_ratio, mask),
        "advantage": blank(per_token.detach().to(logp_new.dtype), mask),
        "mask": mask,
    }


def _outside_one(weight: PerToken, mask: TokenMask) -> PerToken:
    """1 at masked positions, whose logarithm is 0."""
    return torch.where(mask, weight.detach(), torch.ones((), dtype=weight.dtype, device=weight.device))


def _require_selection(objective: Objective, selected: TokenMask | None) -> None:
    if (objective.select is None) != (selected is None):
        wanted = "the tokens that its selector picked" if objective.select else "none: it has no selector"
        raise RequestError(
            f"The objective {objective.name} was given {'a' if selected is not None else 'no'} selection of tokens",
            wanted=wanted,
        )


def _kl(name: str, terms: Terms, logp_ref: PerToken | None, beta: float | int) -> PerSequence:
    """[N] sum over active tokens of the KL estimate; zeros without a reference."""
    estimator = KL_ESTIMATORS.get(name)
    if estimator is None:
        raise RequestError("A KL estimator is not known", seen=repr(name), wanted=f"one of {', '.join(KL_ESTIMATORS)}")
    if logp_ref is None:
        if beta:
            raise RequestError(
                "A KL penalty needs the log-probs of a reference policy",
                seen=f"beta {beta} and no reference",
                do="Give a reference or set beta to 0",
            )
        return terms.logp_new.new_zeros(len(terms.logp_new))
    gap = terms.logp_new - blank(logp_ref.detach(), terms.mask)
    return token_sum(estimator(gap, token_ratio(terms.log_ratio, terms.mask)), terms.mask)
