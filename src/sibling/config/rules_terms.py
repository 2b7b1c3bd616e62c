"""Rules of combination, second half: KL and its reference, clips and bounds, masks and corrections."""

from __future__ import annotations

import math
from typing import Any

from sibling.config import facts as f
from sibling.config.facts import penalised, penalised_in, scaled_by
from sibling.config.rule import Rule, Settings, estimator, every, has, refuse, row, some, warn


def _adaptive(r: Settings) -> bool:
    return r.objective.kl.adaptive is not None


def _dual_inside(objective: Any) -> bool:
    return bool(objective.dual_clip <= 1 + objective.clip_high)


def _clamp_inside(objective: Any) -> bool:
    high, low, bound = objective.clip_high, objective.clip_low, objective.log_ratio_clamp
    return bool(bound < math.log1p(high) or (low < 1 and bound < -math.log1p(-low)))


KL: tuple[Rule, ...] = (
    refuse(
        "adaptive KL without KL",
        every(_adaptive, lambda r: not penalised(r)),
        "the controller multiplies beta, and objective.kl.beta=0 stays 0",
        "set objective.kl.beta to where it should start, for example 0.001, or remove objective.kl.adaptive",
    ),
    refuse(
        "adaptive KL with a short horizon",
        every(_adaptive, lambda r: f.completions_a_step(r) >= 5 * r.objective.kl.adaptive.horizon),
        "a step moves beta by up to 0.2 completions / horizon, and here that can take it to 0 or below",
        "raise objective.kl.adaptive.horizon above the completions of a step; 10000 is common",
    ),
    refuse(
        "reference that nobody reads",
        every(lambda r: r.objective.kl.reference.type != "initial", lambda r: not penalised(r)),
        "with objective.kl.beta=0 no reference policy is kept, so there is none to refresh or to average",
        "set objective.kl.beta above 0 or remove objective.kl.reference",
    ),
    warn(
        "reference that never changes",
        every(
            penalised,
            lambda r: r.objective.kl.reference.type != "initial" and r.objective.kl.reference.every >= r.steps,
        ),
        "objective.kl.reference.every is not below the number of steps, so all of them see the initial reference",
        "lower objective.kl.reference.every, or take objective.kl.reference.type=initial",
    ),
    refuse(
        "KL estimator of the loss in the reward",
        every(penalised_in("reward"), lambda r: r.objective.kl.estimator not in ("k1", "k3")),
        "the penalty in the reward is k1 between pi_old and pi_ref; the others differ in their gradient as a loss",
        "set objective.kl.estimator=k1, or objective.kl.placement=loss",
    ),
    warn(
        "k1 in the loss",
        every(penalised_in("loss"), lambda r: r.objective.kl.estimator == "k1"),
        "the expected gradient of k1 as a loss is zero, on-policy: it adds noise and regularises nothing",
        "take k2 or k3_is, whose gradient is the KL's, k3 as the GRPO paper does, or objective.kl.placement=reward",
    ),
    refuse(
        "KL in a reward that is not read",
        every(penalised_in("reward"), estimator(*f.WITHOUT_TOTAL)),
        "the estimator reads the scores of steps or of single rewards, so a penalty in the total reward is lost",
        "set objective.kl.placement=loss",
    ),
    refuse(
        "KL in a bounded reward",
        every(penalised_in("reward"), estimator(*f.BOUNDED_REWARDS)),
        "the estimator needs rewards of 0 or 1 (beta: between them), and a reward less a penalty is not",
        "set objective.kl.placement=loss",
    ),
    warn(
        "KL in a standardised reward",
        every(penalised_in("reward"), scaled_by("group", "batch")),
        "the penalty is divided by the std of the rewards, so beta weighs most where siblings hardly differ",
        "set objective.kl.placement=loss or objective.advantage.scale=none",
    ),
)

BOUNDS: tuple[Rule, ...] = (
    refuse(
        "dual clip inside the clip",
        every(lambda r: getattr(r.objective, "dual_clip", None) is not None, lambda r: _dual_inside(r.objective)),
        "the dual clip stops bad tokens at a smaller ratio than good ones, and libraries disagree on what that means",
        "set objective.dual_clip above 1 + objective.clip_high; 3 is common",
    ),
    warn(
        "token clip on a sequence ratio",
        every(row(*f.GEOMETRIC_MEAN_RATIO), lambda r: max(r.objective.clip_low, r.objective.clip_high) >= 0.05),
        "a geometric mean over tokens hardly leaves 1, so a clip made for token ratios (0.2) never acts",
        "set objective.clip_low and clip_high to 3e-4 and 4e-4 (GSPO) or 2e-3 and 2.5e-3 (LUSPO)",
    ),
    warn(
        "sequence clip on a token ratio",
        every(row(*f.TOKEN_RATIO_CLIP), lambda r: max(r.objective.clip_low, r.objective.clip_high) < 0.01),
        "a clip made for the geometric mean of a completion (3e-4) stops nearly every token after the first update",
        "set objective.clip_low and clip_high to about 0.2, or take objective.type=gspo",
    ),
    warn(
        "lower clip that never acts",
        every(row(*f.TOKEN_RATIO_CLIP, "rloo_clip"), lambda r: r.objective.clip_low >= 1),
        "a ratio is above 0, so with objective.clip_low of 1 or more its lower bound never acts (R1 reports 10)",
        "nothing, if that is meant; else set objective.clip_low to about 0.2",
    ),
    warn(
        "log-ratio clamp inside the clip",
        every(row(*f.TOKEN_RATIO_CLIP), has("log_ratio_clamp"), lambda r: _clamp_inside(r.objective)),
        "the clamp stops the gradient of both signs before the ratio reaches the clip",
        "set objective.log_ratio_clamp to 20, far outside the clip, or remove it",
    ),
    warn(
        "CISPO without bounds",
        every(row("cispo"), lambda r: f.ratio_bounds(r) == (0.0, math.inf)),
        "without ratio_min and ratio_max the importance weight is not bounded, which is what the method does",
        "set objective.ratio_max, for example 5",
    ),
    refuse(
        "CISPO bounds that leave out 1",
        every(row("cispo"), lambda r: f.leaves_out_one(f.ratio_bounds(r))),
        "the bounds are absolute ratios, min below max, and a token that has not moved has the ratio 1",
        "set objective.ratio_max above 1 (a paper's epsilon of 0.28 is 1.28 here) and ratio_min below 1",
    ),
    refuse(
        "DPPO cap below 1",
        every(row("dppo_tv", "dppo_kl"), lambda r: r.objective.ratio_cap is not None and r.objective.ratio_cap < 1),
        "the cap is an absolute ratio, and below 1 it scales down every token, moved or not",
        "set objective.ratio_cap to 1 or more; 20 is the row's own",
    ),
    refuse(
        "Clip-Cov without a band",
        every(row("clip_cov"), lambda r: r.objective.score_low >= r.objective.score_high),
        "no covariance score lies above score_low and below score_high",
        "set objective.score_low below objective.score_high",
    ),
    warn(
        "KL-Cov without penalty",
        every(row("kl_cov"), lambda r: r.objective.coefficient == 0),
        "nothing holds the ratio: the row has no clip, and its penalty has weight 0",
        "set objective.coefficient, for example 1",
    ),
)

CORRECTIONS: tuple[Rule, ...] = (
    refuse(
        "entropy mask with a sequence ratio",
        every(row(*f.ONE_TERM_A_SEQUENCE), has("entropy_mask")),
        "the ratio or weight is one of the whole completion, so single tokens cannot be left out of its term",
        "remove objective.entropy_mask, or take objective.type=gspo_token or a row of token ratios",
    ),
    refuse(
        "token weights with a sequence term",
        every(row(*f.SEQUENCE_TERM), some(f.correction(level="token"), f.correction(action="filter"))),
        "the policy term is one number a completion, and a weight of each token would only be averaged over it",
        "set objective.sampler_correction.level to sequence or geometric, with action truncate or mask",
    ),
    refuse(
        "sequence weights in VESPO",
        every(row("vespo"), some(f.correction(level="sequence"), f.correction(level="geometric"))),
        "VESPO multiplies the weights of all tokens into its own sequence weight, which would count this one T times",
        "set objective.sampler_correction.level=token",
    ),
    refuse(
        "filter of single tokens",
        f.correction(level="token", action="filter"),
        "filter keeps or drops a completion by one statistic of it, and level=token has none",
        "set objective.sampler_correction.action=mask, or its level to geometric or sequence",
    ),
    refuse(
        "sampler correction without bounds",
        every(f.correction(), lambda r: f.correction_bounds(r) == (0.0, math.inf)),
        "without min and max the weights are neither truncated nor masked",
        "set objective.sampler_correction.max, for example 2",
    ),
    refuse(
        "sampler correction that leaves out 1",
        every(f.correction(), lambda r: f.leaves_out_one(f.correction_bounds(r))),
        "the bounds are absolute ratios, min below max, and equal probabilities have the ratio 1",
        "set min below 1 and max above it, for example 0.5 and 2",
    ),
    warn(
        "wide bound on a geometric mean",
        every(f.correction(level="geometric"), lambda r: 1.1 <= f.correction_bounds(r)[1] < math.inf),
        "a mean over a completion's tokens hardly leaves 1, so a bound made for token ratios never acts",
        "set objective.sampler_correction.min and max to about 0.999 and 1.002",
    ),
    refuse(
        "off-policy mask with token advantages",
        every(has("off_policy_mask"), estimator(*f.TOKEN_ADVANTAGES)),
        "the mask drops completions with a negative advantage, and this estimator gives a completion many",
        "remove objective.off_policy_mask, or take an estimator with one advantage a completion",
    ),
    refuse(
        "entropy bonus without weight",
        every(
            has("entropy_bonus"),
            lambda r: r.objective.entropy_bonus.coefficient == 0 and r.objective.entropy_bonus.target is None,
        ),
        "the coefficient is 0 and no target moves it",
        "set objective.entropy_bonus.coefficient or target, or remove objective.entropy_bonus",
    ),
    warn(
        "80/20 without its mask",
        every(row("high_entropy"), lambda r: r.objective.entropy_mask is None),
        "the row is DAPO on the tokens of highest entropy; without objective.entropy_mask it is DAPO",
        "take objective.type=dapo, or leave objective.entropy_mask out to get the row's own",
    ),
)
