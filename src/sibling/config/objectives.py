"""Objectives as a recipe writes them: one section a row of the table, with that row's own numbers and defaults.

Every row is put together from the same parts: an advantage estimator, a surrogate (fixed by the row), an
aggregation and a KL term, with masks and corrections around them. A part left out is the row's own; what may
be put together is said in legal.py. `maths.objectives` has the equation of each row.

It is long because it is a table: each row can be read on its own, with every default that is its own in place.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sibling.config.section import Section

Aggregation = Literal[
    "seq_mean_token_mean",
    "token_mean",
    "group_token_mean",
    "seq_mean_token_sum",
    "token_sum_norm",
    "constant",
    "micro_token_mean",
]

# ------------------------------------------------------------------------------------------ advantages


class GroupAdvantage(Section):
    """Reward less the group's mean, over a standard deviation: of the group, of the batch, or none."""

    type: Literal["group"] = "group"
    scale: Literal["group", "batch", "none"] = "group"
    ddof: Literal[0, 1] = Field(1, description="a std divides by n - ddof")
    eps: float = Field(1e-4, ge=0, description="added to the std")


class ProcessAdvantage(Section):
    """Process supervision: step rewards standardised over all steps of the group, summed from each token on."""

    type: Literal["process"] = "process"
    ddof: Literal[0, 1] = Field(1, description="the std divides by n - ddof")
    eps: float = Field(1e-4, ge=0, description="added to the std")


class RlooAdvantage(Section):
    """Reward less the mean reward of the other siblings."""

    type: Literal["rloo"] = "rloo"


class ReinforceAdvantage(Section):
    """The reward itself: no baseline."""

    type: Literal["reinforce"] = "reinforce"


class OpoAdvantage(Section):
    """Reward less the group's length-weighted mean reward."""

    type: Literal["opo"] = "opo"


class GpgAdvantage(Section):
    """Reward less the group's mean, scaled up for the groups that carry no signal."""

    type: Literal["gpg"] = "gpg"
    f_norm: float = Field(1.0, gt=0, description="divides the advantage")


class MaxrlAdvantage(Section):
    """Reward less the group's mean, over that mean; binary rewards."""

    type: Literal["maxrl"] = "maxrl"
    eps: float = Field(1e-6, ge=0, description="added to the mean")


class GdpoAdvantage(Section):
    """Each reward standardised in its group, then the weighted sum over the batch."""

    type: Literal["gdpo"] = "gdpo"
    ddof: Literal[0, 1] = Field(1, description="a std divides by n - ddof")
    eps: float = Field(1e-4, ge=0, description="added to a std")


class PasskAdvantage(Section):
    """Closed form of pass@k: the average over all k-subsets of siblings; binary rewards."""

    type: Literal["passk"] = "passk"
    k: int = Field(2, ge=1, description="attempts that count as one")


class PkpoAdvantage(Section):
    """Weights of an unbiased gradient of pass@k; binary rewards, no baseline."""

    type: Literal["pkpo"] = "pkpo"
    k: int = Field(2, ge=1, description="attempts that count as one")


class BestAdvantage(Section):
    """Best less second best, to the best sibling only."""

    type: Literal["best"] = "best"
    scale: Literal["group", "none"] = Field("none", description="group: over the group's std")
    eps: float = Field(1e-6, ge=0, description="added to the std")


class BetaAdvantage(Section):
    """Reward less the group's mean over a Beta density fitted to the group means; rewards in [0, 1]."""

    type: Literal["beta"] = "beta"


class _Whitened(Section):
    whiten: Literal["tokens", "sequences", "none"] = Field(
        "tokens", description="z-score over the batch: one value a token or one a sequence"
    )
    ddof: Literal[0, 1] = Field(0, description="the variance divides by n - ddof")
    eps: float = Field(1e-8, ge=0, description="added to the variance (eps_mode inside_var) or to the std")
    eps_mode: Literal["inside_var", "outside_std"] = "inside_var"


class ReinforcePpAdvantage(_Whitened):
    """Discounted reward-to-go of token rewards with the KL penalty, whitened over the batch."""

    type: Literal["reinforce_pp"] = "reinforce_pp"
    gamma: float = Field(1.0, gt=0, le=1, description="discount a token")


class ReinforcePpBaselineAdvantage(_Whitened):
    """Reward less the group's mean as the last token's reward, discounted, whitened over the batch."""

    type: Literal["reinforce_pp_baseline"] = "reinforce_pp_baseline"
    ddof: Literal[0, 1] = Field(1, description="the variance divides by n - ddof")
    gamma: float = Field(1.0, gt=0, le=1, description="discount a token")


class Critic(Section):
    """The value model of PPO: a copy of the policy's trunk with a scalar head, and an optimizer of its own."""

    learning_rate: float = Field(1e-4, gt=0)
    value_clip: float | None = Field(0.2, gt=0, description="bound on the change of a value; null: no clip")
    warmup_steps: int = Field(0, ge=0, description="first rollout steps that train the critic alone")


class GaeAdvantage(_Whitened):
    """Generalised advantage estimation (1506.02438) with a learned critic."""

    type: Literal["gae"] = "gae"
    ddof: Literal[0, 1] = Field(1, description="the variance divides by n - ddof")
    gamma: float = Field(1.0, gt=0, le=1, description="discount a token")
    lam: float = Field(0.95, ge=0, le=1)
    critic: Critic = Critic()


AdvantageConfig = Annotated[
    GroupAdvantage
    | ProcessAdvantage
    | RlooAdvantage
    | ReinforceAdvantage
    | OpoAdvantage
    | GpgAdvantage
    | MaxrlAdvantage
    | GdpoAdvantage
    | PasskAdvantage
    | PkpoAdvantage
    | BestAdvantage
    | BetaAdvantage
    | ReinforcePpAdvantage
    | ReinforcePpBaselineAdvantage
    | GaeAdvantage,
    Field(discriminator="type"),
]


# --------------------------------------------------------------------------------- KL, masks, corrections


class InitialReference(Section):
    """The policy as it was before the first step."""

    type: Literal["initial"] = "initial"


class RefreshReference(Section):
    """The policy of the last multiple of `every` steps: iterative GRPO."""

    type: Literal["refresh"] = "refresh"
    every: int = Field(400, ge=1, description="steps between refreshes")


class EmaReference(Section):
    """An exponential moving average of the policy: reference <- decay reference + (1 - decay) policy."""

    type: Literal["ema"] = "ema"
    decay: float = Field(0.99, gt=0, lt=1)
    every: int = Field(1, ge=1, description="steps between updates of the average")


ReferenceConfig = Annotated[InitialReference | RefreshReference | EmaReference, Field(discriminator="type")]


class AdaptiveKl(Section):
    """Raises or lowers beta towards a target KL (Ziegler et al., 1909.08593)."""

    target: float = Field(0.1, gt=0, description="nats a token")
    horizon: int = Field(10_000, ge=1, description="completions over which beta moves by the full error")


class Kl(Section):
    """KL penalty to the reference policy, in the loss or in the reward. beta 0: no reference policy is kept."""

    beta: float = Field(0.0, ge=0)
    estimator: Literal["k1", "k2", "k3", "k3_is", "k3_st"] = Field("k3", description="in the loss; k1 in the reward")
    placement: Literal["loss", "reward"] = "loss"
    reference: ReferenceConfig = Field(InitialReference(), description="the policy the KL is taken to")
    adaptive: AdaptiveKl | None = None


class SamplerCorrection(Section):
    """Importance weights between the sampler's and the learner's probabilities, on the policy term."""

    level: Literal["token", "sequence", "geometric"] = Field("token", description="what a weight is made of")
    action: Literal["truncate", "mask", "filter"] = Field("truncate", description="what happens outside the bounds")
    min: float | None = Field(None, ge=0, description="absolute ratio; null: none")
    max: float | None = Field(2.0, gt=0, description="absolute ratio; null: none")


class OffPolicyMask(Section):
    """Drops a sequence with a negative advantage that drifted too far (DeepSeek-V3.2, 2512.02556)."""

    delta: float = Field(0.5, gt=0, description="mean of log pi_behaviour - log pi_new over its tokens, in nats")


class EntropyMask(Section):
    """Keeps the policy term at the tokens of highest entropy only (80/20, 2506.01939)."""

    keep_top: float = Field(0.2, gt=0, lt=1, description="share of the tokens")


class EntropyBonus(Section):
    """loss -= coefficient * weighted mean entropy; with a target, the coefficient follows it (2505.22312)."""

    coefficient: float = Field(0.001, ge=0)
    target: float | None = Field(None, gt=0, description="nats a token; applied at or below it only")
    change: float = Field(0.005, gt=0, description="how much a step moves the coefficient, with a target")


# ------------------------------------------------------------------------------------------------ rows


class _Objective(Section):
    advantage: AdvantageConfig = GroupAdvantage()
    aggregation: Aggregation
    constant: int | None = Field(None, ge=1, description="C of token_sum_norm and constant; null: sampling.max_tokens")
    count_masked_sequences: bool = Field(True, description="sequences without a trained token count in N")
    log_ratio_clamp: float | None = Field(None, gt=0, description="bound on the token log-ratio, in nats")
    kl: Kl = Kl()
    sampler_correction: SamplerCorrection | None = None
    off_policy_mask: OffPolicyMask | None = None
    entropy_mask: EntropyMask | None = None
    entropy_bonus: EntropyBonus | None = None

    @model_validator(mode="before")
    @classmethod
    def _own_parts(cls, data: Any) -> Any:
        """`kl.beta=0.04` alone leaves the rest of the row's own KL; a part of another type starts from its defaults."""
        if not isinstance(data, dict):
            return data
        merged = dict(data)
        for name, field in cls.model_fields.items():
            own, given = field.default, data.get(name)
            if isinstance(own, Section) and isinstance(given, dict):
                defaults = own.model_dump()
                if given.get("type", defaults.get("type")) == defaults.get("type"):
                    merged[name] = {**defaults, **given}
        return merged


class _Clipped(_Objective):
    clip_low: float = Field(0.2, gt=0, description="the ratio's lower bound is 1 - clip_low")
    clip_high: float = Field(0.2, gt=0, description="the ratio's upper bound is 1 + clip_high")


class _DualClipped(_Clipped):
    dual_clip: float | None = Field(None, gt=1, description="bound on the ratio for negative advantages")


class GrpoObjective(_DualClipped):
    """GRPO (DeepSeekMath, 2402.03300 eq. 3): per-sequence token mean, group std, symmetric clip."""

    type: Literal["grpo"] = "grpo"
    aggregation: Aggregation = "seq_mean_token_mean"


class GrpoProcessObjective(_DualClipped):
    """GRPO with process supervision (2402.03300 sec. 4.1.3): rewards for steps, advantages for tokens."""

    type: Literal["grpo_process"] = "grpo_process"
    advantage: AdvantageConfig = ProcessAdvantage()
    aggregation: Aggregation = "seq_mean_token_mean"


class DrGrpoObjective(_DualClipped):
    """Dr. GRPO (2503.20783): group mean only, token sum over a constant."""

    type: Literal["dr_grpo"] = "dr_grpo"
    advantage: AdvantageConfig = GroupAdvantage(scale="none")
    aggregation: Aggregation = "token_sum_norm"


class DapoObjective(_DualClipped):
    """DAPO (2503.14476): token mean over the batch or the group, clip-higher, group std."""

    type: Literal["dapo"] = "dapo"
    clip_high: float = Field(0.28, gt=0, description="the ratio's upper bound is 1 + clip_high")
    aggregation: Aggregation = "token_mean"


class HighEntropyObjective(_DualClipped):
    """DAPO on the tokens of highest entropy (80/20, 2506.01939)."""

    type: Literal["high_entropy"] = "high_entropy"
    clip_high: float = Field(0.28, gt=0, description="the ratio's upper bound is 1 + clip_high")
    aggregation: Aggregation = "token_mean"
    entropy_mask: EntropyMask | None = EntropyMask()


class DeepseekV32Objective(_DualClipped):
    """GRPO as in DeepSeek-V3.2 (2512.02556): no std, unbiased KL, off-policy sequence mask."""

    type: Literal["deepseek_v3_2"] = "deepseek_v3_2"
    advantage: AdvantageConfig = GroupAdvantage(scale="none")
    aggregation: Aggregation = "seq_mean_token_mean"
    kl: Kl = Kl(estimator="k3_is")
    off_policy_mask: OffPolicyMask | None = OffPolicyMask()


class LitePpoObjective(_DualClipped):
    """Lite PPO (2508.08221): group mean, std of the batch's raw rewards, token mean."""

    type: Literal["lite_ppo"] = "lite_ppo"
    advantage: AdvantageConfig = GroupAdvantage(scale="batch")
    aggregation: Aggregation = "token_mean"


class LocalMeanObjective(_DualClipped):
    """GRPO with the token mean of each micro-batch, which TRL calls bnpo."""

    type: Literal["local_mean"] = "local_mean"
    aggregation: Aggregation = "micro_token_mean"


class BnpoObjective(_DualClipped):
    """BNPO (2506.02864): Beta-normalised advantages."""

    type: Literal["bnpo"] = "bnpo"
    advantage: AdvantageConfig = BetaAdvantage()
    aggregation: Aggregation = "token_mean"


class RlooObjective(_Objective):
    """RLOO (2402.14740): leave-one-out baseline, the whole completion as one action, KL in the reward."""

    type: Literal["rloo"] = "rloo"
    advantage: AdvantageConfig = RlooAdvantage()
    aggregation: Aggregation = "seq_mean_token_sum"
    kl: Kl = Kl(placement="reward")


class RlooClipObjective(_Clipped):
    """RLOO with a clip on the product ratio of the sequence, as TRL's RLOOTrainer."""

    type: Literal["rloo_clip"] = "rloo_clip"
    advantage: AdvantageConfig = RlooAdvantage()
    aggregation: Aggregation = "seq_mean_token_mean"
    kl: Kl = Kl(placement="reward")


class ReinforceObjective(_Objective):
    """REINFORCE (Williams, 1992) without a baseline."""

    type: Literal["reinforce"] = "reinforce"
    advantage: AdvantageConfig = ReinforceAdvantage()
    aggregation: Aggregation = "token_mean"


class ReinforcePpObjective(_DualClipped):
    """REINFORCE++ (2501.03262): token rewards with KL, whitened over the batch, PPO clip."""

    type: Literal["reinforce_pp"] = "reinforce_pp"
    advantage: AdvantageConfig = ReinforcePpAdvantage()
    aggregation: Aggregation = "seq_mean_token_mean"
    kl: Kl = Kl(placement="reward")


class ReinforcePpBaselineObjective(_DualClipped):
    """REINFORCE++ with the group mean as baseline (2501.03262, appendix)."""

    type: Literal["reinforce_pp_baseline"] = "reinforce_pp_baseline"
    advantage: AdvantageConfig = ReinforcePpBaselineAdvantage()
    aggregation: Aggregation = "token_mean"


class PpoObjective(_DualClipped):
    """PPO (1707.06347) with a learned critic: GAE, clip, value clip, KL in the reward."""

    type: Literal["ppo"] = "ppo"
    advantage: AdvantageConfig = GaeAdvantage()
    aggregation: Aggregation = "token_mean"
    kl: Kl = Kl(placement="reward")


class GpgObjective(_Objective):
    """GPG (2504.02546): plain policy gradient, group mean, scaled for groups without signal."""

    type: Literal["gpg"] = "gpg"
    advantage: AdvantageConfig = GpgAdvantage()
    aggregation: Aggregation = "token_mean"


class OpoObjective(_Objective):
    """OPO (2505.23585): optimal length-weighted baseline, exactly on-policy."""

    type: Literal["opo"] = "opo"
    advantage: AdvantageConfig = OpoAdvantage()
    aggregation: Aggregation = "token_mean"


class GspoObjective(_Clipped):
    """GSPO (2507.18071 eq. 5): one ratio a sequence, the geometric mean of its tokens'."""

    type: Literal["gspo"] = "gspo"
    clip_low: float = Field(3e-4, gt=0, description="the ratio's lower bound is 1 - clip_low")
    clip_high: float = Field(4e-4, gt=0, description="the ratio's upper bound is 1 + clip_high")
    aggregation: Aggregation = "seq_mean_token_mean"


class GspoTokenObjective(_Clipped):
    """GSPO-token (2507.18071 eq. 13): the sequence's ratio with each token's own gradient and advantage."""

    type: Literal["gspo_token"] = "gspo_token"
    clip_low: float = Field(3e-4, gt=0, description="the ratio's lower bound is 1 - clip_low")
    clip_high: float = Field(4e-4, gt=0, description="the ratio's upper bound is 1 + clip_high")
    aggregation: Aggregation = "seq_mean_token_mean"


class LuspoObjective(_Clipped):
    """LUSPO (2602.05261): GSPO's term times the length of the sequence."""

    type: Literal["luspo"] = "luspo"
    clip_low: float = Field(2e-3, gt=0, description="the ratio's lower bound is 1 - clip_low")
    clip_high: float = Field(2.5e-3, gt=0, description="the ratio's upper bound is 1 + clip_high")
    aggregation: Aggregation = "seq_mean_token_sum"


class GmpoObjective(_Clipped):
    """GMPO (2507.20673): geometric mean of token ratios, clipped in log space before the mean."""

    type: Literal["gmpo"] = "gmpo"
    clip_low: float = Field(0.4, gt=0, description="the log-ratio's lower bound is -clip_low")
    clip_high: float = Field(0.4, gt=0, description="the log-ratio's upper bound is clip_high")
    aggregation: Aggregation = "seq_mean_token_mean"


class CispoObjective(_Objective):
    """CISPO (MiniMax-M1, 2506.13585): clipped importance weight without gradient; every token keeps its own."""

    type: Literal["cispo"] = "cispo"
    ratio_min: float | None = Field(None, ge=0, description="absolute ratio; null: none")
    ratio_max: float | None = Field(5.0, gt=0, description="absolute ratio; null: none")
    aggregation: Aggregation = "token_mean"


class SapoObjective(_Objective):
    """SAPO (2511.20347): a sigmoid gate in place of the clip."""

    type: Literal["sapo"] = "sapo"
    tau_positive: float = Field(1.0, gt=0, description="temperature of the gate where A > 0")
    tau_negative: float = Field(1.05, gt=0, description="temperature of the gate elsewhere")
    aggregation: Aggregation = "seq_mean_token_mean"


class VespoObjective(_Objective):
    """VESPO (2602.10693): a smooth weight of the sequence's product ratio, without gradient."""

    type: Literal["vespo"] = "vespo"
    k_positive: float = Field(2.0, ge=0)
    lambda_positive: float = Field(3.0, ge=0)
    k_negative: float = Field(3.0, ge=0)
    lambda_negative: float = Field(2.0, ge=0)
    aggregation: Aggregation = "token_mean"


class DppoTvObjective(_Objective):
    """DPPO (2602.04879) with total variation: tokens that leave the ball are dropped, no ratio clip."""

    type: Literal["dppo_tv"] = "dppo_tv"
    delta_low: float = Field(0.15, gt=0, lt=1, description="most a probability may fall")
    delta_high: float = Field(0.15, gt=0, lt=1, description="most a probability may rise")
    ratio_cap: float | None = Field(20.0, gt=0, description="cap on the importance weight; null: none")
    aggregation: Aggregation = "token_mean"


class DppoKlObjective(_Objective):
    """DPPO (2602.04879) with the binary KL of the sampled token."""

    type: Literal["dppo_kl"] = "dppo_kl"
    delta_low: float = Field(0.05, gt=0, description="most nats for a falling probability")
    delta_high: float = Field(0.05, gt=0, description="most nats for a rising probability")
    ratio_cap: float | None = Field(20.0, gt=0, description="cap on the importance weight; null: none")
    tail_eps: float = Field(1e-8, ge=0, description="keeps log(1 - p) finite")
    aggregation: Aggregation = "token_mean"


class ClipCovObjective(_Clipped):
    """Clip-Cov (2505.22617): a random share of the tokens of high covariance loses its gradient."""

    type: Literal["clip_cov"] = "clip_cov"
    share: float = Field(2e-4, gt=0, lt=1, description="share of the tokens that is dropped")
    score_low: float = Field(1.0, description="tokens with a covariance score above it may be dropped")
    score_high: float = Field(5.0, description="and below this")
    aggregation: Aggregation = "token_mean"


class KlCovObjective(_Objective):
    """KL-Cov (2505.22617): a penalty on the tokens of highest covariance, no clip."""

    type: Literal["kl_cov"] = "kl_cov"
    share: float = Field(2e-3, gt=0, lt=1, description="share of the tokens that is penalised")
    coefficient: float = Field(1.0, ge=0, description="weight of abs(log-ratio) there")
    aggregation: Aggregation = "token_mean"


class KimiObjective(_Objective):
    """Kimi k1.5 (2501.12599 eq. 3): squared sequence log-ratio, no clip."""

    type: Literal["kimi"] = "kimi"
    tau: float = Field(0.01, gt=0, description="weight of the squared log-ratio")
    advantage: AdvantageConfig = GroupAdvantage(scale="none")
    aggregation: Aggregation = "seq_mean_token_mean"


class MaxrlObjective(_Objective):
    """MaxRL (2602.02710): group mean as baseline and as scale; binary rewards."""

    type: Literal["maxrl"] = "maxrl"
    advantage: AdvantageConfig = MaxrlAdvantage()
    aggregation: Aggregation = "token_mean"


class PasskObjective(_DualClipped):
    """pass@k training in closed form (2508.10751); binary rewards."""

    type: Literal["passk"] = "passk"
    advantage: AdvantageConfig = PasskAdvantage()
    aggregation: Aggregation = "token_mean"


class PkpoObjective(_Objective):
    """PKPO (2505.15201): an unbiased gradient of pass@k; binary rewards."""

    type: Literal["pkpo"] = "pkpo"
    advantage: AdvantageConfig = PkpoAdvantage()
    aggregation: Aggregation = "token_mean"


class PasskMaxObjective(_Objective):
    """Best of k (2503.19595): only the best sibling, by its lead over the second."""

    type: Literal["passk_max"] = "passk_max"
    advantage: AdvantageConfig = BestAdvantage()
    aggregation: Aggregation = "token_mean"


class GdpoObjective(_DualClipped):
    """GDPO (2601.05242): every reward standardised on its own before they are added."""

    type: Literal["gdpo"] = "gdpo"
    advantage: AdvantageConfig = GdpoAdvantage()
    aggregation: Aggregation = "token_mean"


class LuffyObjective(_Objective):
    """LUFFY (2504.14945): expert traces join the group, with a shaped ratio and no clip."""

    type: Literal["luffy"] = "luffy"
    shaping: float = Field(0.1, gt=0, description="gamma of f(x) = x / (x + gamma) at expert tokens")
    expert_column: str = Field("expert", description="column of the task with the expert's completion")
    advantage: AdvantageConfig = GroupAdvantage(scale="none")
    aggregation: Aggregation = "token_sum_norm"


ObjectiveConfig = Annotated[
    GrpoObjective
    | GrpoProcessObjective
    | DrGrpoObjective
    | DapoObjective
    | HighEntropyObjective
    | DeepseekV32Objective
    | LitePpoObjective
    | LocalMeanObjective
    | BnpoObjective
    | RlooObjective
    | RlooClipObjective
    | ReinforceObjective
    | ReinforcePpObjective
    | ReinforcePpBaselineObjective
    | PpoObjective
    | GpgObjective
    | OpoObjective
    | GspoObjective
    | GspoTokenObjective
    | LuspoObjective
    | GmpoObjective
    | CispoObjective
    | SapoObjective
    | VespoObjective
    | DppoTvObjective
    | DppoKlObjective
    | ClipCovObjective
    | KlCovObjective
    | KimiObjective
    | MaxrlObjective
    | PasskObjective
    | PkpoObjective
    | PasskMaxObjective
    | GdpoObjective
    | LuffyObjective,
    Field(discriminator="type"),
]
