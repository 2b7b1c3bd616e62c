"""The table of objectives, and the one function that evaluates any of them on a micro-batch.

An `Objective` is a row of four small functions (importance ratio, surrogate, aggregation, KL) with an advantage
estimator, its numbers and its paper. A variant is a row, never a branch: `policy_loss` does not know their names.

    loss = sum_i w_i sum_t m_it ( l_it + beta k_it )

l is the row's surrogate of its ratio and the advantage, k its KL estimate, m the mask, w_i the weight that
`aggregation.sequence_weights` gave for the whole batch; so losses and gradients of micro-batches simply add up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RequestError
from sibling.maths.advantages import group_advantages
from sibling.maths.diagnostics import Marker, mark_clip
from sibling.maths.kl import ESTIMATORS
from sibling.maths.masked import blank, token_sum
from sibling.maths.ratios import Ratio, token_log_ratio, token_ratio
from sibling.maths.shapes import Count, PerSequence, PerToken, Scalar, TokenMask
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
    advantage: Callable[..., NDArray[np.float64]]  # rewards and groups -> advantages
    ratio: Ratio
    surrogate: Surrogate
    marks: Marker  # where the surrogate's clip binds; takes the surrogate's arguments
    aggregation: str  # a mode of aggregation.sequence_weights
    kl: str  # a name in kl.ESTIMATORS, used when beta > 0
    numbers: Numbers
    advantage_defaults: Mapping[str, object]
    notes: tuple[str, ...] = ()  # names in other libraries, and what differs there

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

    loss: Scalar  # policy + kl, with the weights of the whole batch: micro-batches add up
    policy: Scalar  # the policy term's share of `loss`
    kl: Scalar  # the KL term's share of `loss`, beta included
    kl_sum: Scalar  # sum of k, without weights or beta; 0 without a reference
    clip_low: Count  # tokens where each clip binds
    clip_high: Count
    clip_dual: Count
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
    **numbers: Number,
) -> LossParts:
    """Loss of one micro-batch of N sequences, padded to T tokens.

        loss = sum_i w_i sum_t m_it ( l_it + beta k_it )

    Arguments: log-probs [N, T] in nats of the sampled tokens under the policy being updated (gradient), the
    policy that made the rollout and the reference; `advantage` [N] or [N, T]; `mask` [N, T], true at tokens in
    the loss; `weight` [N], w_i of the whole batch; `beta` >= 0 and `kl`, an estimator's name (None: the row's);
    `log_ratio_clamp` > 0 or None; `numbers` override the row's. Gradient flows through `logp_new` only.
    Positions outside the mask may hold anything and add exactly 0 to value and gradient.
    Everything is computed in the dtype of `logp_new`.

    Raises `RequestError` for beta > 0 without `logp_ref`, an unknown estimator or an unknown number.
    """
    settings = objective.with_numbers(numbers)
    terms = _terms(
        objective, logp_new=logp_new, logp_old=logp_old, advantage=advantage, mask=mask, log_ratio_clamp=log_ratio_clamp
    )
    weight = weight.detach().to(logp_new.dtype)
    policy = (weight * token_sum(objective.surrogate(terms, **settings), mask)).sum()
    k = _kl(kl or objective.kl, terms, logp_ref, beta)
    kl_loss = beta * (weight * k).sum()
    marks = objective.marks(terms, **settings).within(mask)
    ratio = token_ratio(terms.log_ratio.detach(), mask)
    gap = (ratio - 1.0).abs()  # masked positions have a log-ratio of 0, so a ratio of exactly 1
    return LossParts(
        loss=policy + kl_loss if beta else policy,
        policy=policy.detach(),
        kl=kl_loss.detach(),
        kl_sum=k.detach().sum(),
        clip_low=marks.low.sum(),
        clip_high=marks.high.sum(),
        clip_dual=marks.dual.sum(),
        ratio_sum=token_sum(ratio, mask).sum(),
        ratio_gap_max=gap.max() if gap.numel() else gap.sum(),
    )


def _terms(
    objective: Objective,
    *,
    logp_new: PerToken,
    logp_old: PerToken,
    advantage: PerSequence | PerToken,
    mask: TokenMask,
    log_ratio_clamp: Number,
) -> Terms:
    new, old = blank(logp_new, mask), blank(logp_old.detach(), mask)
    log_ratio = token_log_ratio(new, old, log_ratio_clamp)
    per_token = advantage if advantage.dim() == 2 else advantage[:, None].expand(mask.shape)
    return Terms(
        logp_new=new,
        logp_old=old,
        log_ratio=log_ratio,
        ratio=objective.ratio(log_ratio, mask),
        advantage=blank(per_token.detach().to(logp_new.dtype), mask),
        mask=mask,
    )


def _kl(name: str, terms: Terms, logp_ref: PerToken | None, beta: float | int) -> PerSequence:
    """[N] sum over active tokens of the KL estimate; zeros without a reference."""
    estimator = ESTIMATORS.get(name)
    if estimator is None:
        raise RequestError("A KL estimator is not known", seen=repr(name), wanted=f"one of {', '.join(ESTIMATORS)}")
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


_CLIP = {"clip_low": 0.2, "clip_high": 0.2, "dual_clip": None}

_ROWS = (
    Objective(
        name="grpo",
        title="GRPO",
        paper="DeepSeekMath, arXiv 2402.03300, eq. 3 and 4, sec. 4.1.2",
        equation=(
            "loss = (1/N) sum_i (1/T_i) sum_t [ -min(r A, clip(r, 1-low, 1+high) A) + beta k3 ],"
            "  A_i = (R_i - mean_g) / (std_g + eps)"
        ),
        advantage=group_advantages,
        ratio=token_ratio,
        surrogate=clip,
        marks=mark_clip,
        aggregation="seq_mean_token_mean",
        kl="k3",
        numbers=MappingProxyType(_CLIP),
        advantage_defaults=MappingProxyType({"scale": "group", "ddof": 1, "eps": 1e-4}),
        notes=(
            "TRL: loss_type grpo with scale_rewards group; its defaults (loss_type dapo, beta 0) are not the paper's.",
            "verl: adv_estimator grpo with loss_agg_mode seq-mean-token-mean; eps 1e-6, dual clip 3 and a clamp of "
            "k3 at 10 by default.",
            "OpenRLHF: group_norm with token_level_loss False; eps 1e-9.",
            "The paper states neither clip bounds, eps nor whether the std divides by G or G - 1.",
        ),
    ),
    Objective(
        name="dr_grpo",
        title="Dr. GRPO",
        paper="Understanding R1-Zero-Like Training, arXiv 2503.20783",
        equation=("loss = (1/(N C)) sum_i sum_t -min(r A, clip(r, 1-low, 1+high) A),  A_i = R_i - mean_g,  C constant"),
        advantage=group_advantages,
        ratio=token_ratio,
        surrogate=clip,
        marks=mark_clip,
        aggregation="token_sum_norm",
        kl="k3",
        numbers=MappingProxyType(_CLIP),
        advantage_defaults=MappingProxyType({"scale": "none", "ddof": 1, "eps": 1e-4}),
        notes=(
            "C is the generation budget, as in the authors' code; the paper's equation has C = 1.",
            "TRL: loss_type dr_grpo and scale_rewards none; the loss type alone keeps the std.",
            "verl: seq-mean-token-sum-norm divides by the padded width unless loss_scale_factor is set.",
            "OpenRLHF: the estimator dr_grpo drops the std only; its loss stays a token mean.",
        ),
    ),
    Objective(
        name="dapo",
        title="DAPO",
        paper="DAPO, arXiv 2503.14476, eq. 8, 9, 11, 12 and 13",
        equation=(
            "loss = (1/sum_j T_j) sum_i sum_t -min(r A, clip(r, 1-low, 1+high) A),"
            "  A_i = (R_i - mean_g) / (std_g + eps)"
        ),
        advantage=group_advantages,
        ratio=token_ratio,
        surrogate=clip,
        marks=mark_clip,
        aggregation="token_mean",
        kl="k3",
        numbers=MappingProxyType({**_CLIP, "clip_high": 0.28}),
        advantage_defaults=MappingProxyType({"scale": "group", "ddof": 1, "eps": 1e-4}),
        notes=(
            "The paper's eq. 8 divides by the tokens of each group (group_token_mean); the code its authors used by "
            "those of the mini-batch (token_mean, here).",
            "TRL: loss_type dapo divides by the average token count over the steps of a generation batch.",
            "verl: loss_agg_mode token-mean; set clip_ratio_low and clip_ratio_high, clip_ratio alone changes nothing.",
            "Dynamic sampling, overlong filtering and the soft punishment are settings of their own here.",
        ),
    ),
)

OBJECTIVES: Mapping[str, Objective] = MappingProxyType({row.name: row for row in _ROWS})
"""The objectives by name."""
