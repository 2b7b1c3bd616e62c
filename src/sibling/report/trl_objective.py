"""What TRL's objective settings are here: loss type, advantages, corrections, entropy, KL."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sibling.errors import RequestError
from sibling.report.peers import Draft

ROWS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "grpo": ("grpo", "seq_mean_token_mean"),
        "bnpo": ("local_mean", "micro_token_mean"),
        "dr_grpo": ("dr_grpo", "token_sum_norm"),
        "dapo": ("dapo", "token_mean"),
        "cispo": ("cispo", "token_mean"),
        "sapo": ("sapo", "seq_mean_token_mean"),
        "luspo": ("grpo", "seq_mean_token_sum"),  # with token ratios; luspo itself has one ratio a sequence
        "vespo": ("vespo", "token_mean"),
    }
)
"""loss_type -> our row with token ratios, and its aggregation."""
CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")


def grpo_objective(draft: Draft) -> None:
    """Write the objective of a GRPOConfig, its KL apart."""
    _surrogate(draft)
    _advantage(draft)
    _dr_grpo(draft)
    _corrections(draft)
    _entropy(draft)


def _surrogate(draft: Draft) -> None:
    loss = draft.choice("loss_type", ROWS) or "dapo"
    level = draft.choice("importance_sampling_level", {"token": 0, "sequence": 0}) or "token"
    row, aggregation = ROWS[loss]
    if level == "sequence" and loss in CLIPPED:
        row = "luspo" if loss == "luspo" else "gspo"
    draft.carry("loss_type", "objective.type", row)
    draft.carry("loss_type", "objective.aggregation", aggregation)
    if aggregation == "token_sum_norm":
        draft.carry("max_completion_length", "objective.constant", draft.count("max_completion_length"))
    _level(draft, loss, level)
    if loss in CLIPPED:
        _clip(draft, row)
    else:
        _soft(draft, loss)


def _soft(draft: Draft, loss: str) -> None:
    """The numbers of a loss without PPO's clip."""
    if loss == "cispo":
        high = "epsilon_high" if draft.value("epsilon_high") is not None else "epsilon"
        draft.put("objective.ratio_min", None)
        if draft.number(high) > 1:
            draft.carry(high, "objective.ratio_max", draft.number(high))
        else:
            draft.dropped.append(
                f"{draft.said(high)}: with cispo TRL takes it as the cap of the ratio itself, below 1; here "
                "a cap has to be above 1 and the row's own, 5, stands"
            )
    elif loss == "sapo":
        draft.carry("sapo_temperature_pos", "objective.tau_positive", draft.number("sapo_temperature_pos"))
        draft.carry("sapo_temperature_neg", "objective.tau_negative", draft.number("sapo_temperature_neg"))
    else:
        for sign, short in (("positive", "pos"), ("negative", "neg")):
            for letter in ("k", "lambda"):
                name = f"vespo_{letter}_{short}"
                draft.carry(name, f"objective.{letter}_{sign}", draft.number(name))


def _level(draft: Draft, loss: str, level: str) -> None:
    said = draft.said("importance_sampling_level")
    if level == "token" or loss in CLIPPED:
        draft.kept.append(f"{said} -> objective.type {draft.fragment['objective']['type']}")
    elif loss == "vespo":
        draft.kept.append(f"{said}: vespo has a ratio of the sequence of its own, in TRL too")
    else:
        draft.dropped.append(f"{said}: {loss} has token ratios here; the fragment has them")


def _clip(draft: Draft, row: str) -> None:
    high = "epsilon_high" if draft.value("epsilon_high") is not None else "epsilon"
    draft.carry("epsilon", "objective.clip_low", draft.number("epsilon"))
    draft.carry(high, "objective.clip_high", draft.number(high))
    delta = draft.value("delta")
    if delta is None:
        return
    if row in ("gspo", "luspo"):
        draft.dropped.append(f"{draft.said('delta')}: a ratio of the sequence has no second bound here")
    elif delta <= 1 + draft.number(high):
        draft.dropped.append(
            f"{draft.said('delta')}: TRL caps the ratio before the clip, a dual clip only above 1 + epsilon_high"
        )
    else:
        draft.carry("delta", "objective.dual_clip", delta)


def _advantage(draft: Draft) -> None:
    how = draft.choice("multi_objective_aggregation", {"sum_then_normalize": 0, "normalize_then_sum": 0})
    scale = draft.value("scale_rewards")
    scale = {True: "group", False: "none"}[scale] if isinstance(scale, bool) else scale
    if scale not in ("group", "batch", "none"):
        raise RequestError(
            f"The setting scale_rewards of {draft.peer} is not what it takes",
            seen=repr(scale),
            wanted="group, batch or none",
        )
    if how == "normalize_then_sum":
        draft.carry("multi_objective_aggregation", "objective.advantage.type", "gdpo")
        if "scale_rewards" in draft.given:
            draft.dropped.append(f"{draft.said('scale_rewards')}: not read with normalize_then_sum, in TRL neither")
    else:
        draft.put("objective.advantage.type", "group")
        draft.carry("scale_rewards", "objective.advantage.scale", scale)
    draft.put("objective.advantage.ddof", 1)
    draft.put("objective.advantage.eps", 1e-4)
    draft.kept.append("std over n - 1 with 1e-4 added (fixed in TRL) -> objective.advantage.ddof 1 and eps 0.0001")


def _dr_grpo(draft: Draft) -> None:
    own = draft.fragment["objective"]
    if own["type"] == "dr_grpo" and own["advantage"].get("scale") != "none":
        why = "TRL's dr_grpo is the division by a constant alone, and keeps the std unless scale_rewards is none"
        draft.carry("loss_type", "objective.type", "grpo", why)


def _corrections(draft: Draft) -> None:
    threshold = draft.value("off_policy_mask_threshold")
    if threshold is not None:
        draft.carry("off_policy_mask_threshold", "objective.off_policy_mask.delta", threshold)
    if not draft.value("use_vllm"):
        return
    if not draft.value("vllm_importance_sampling_correction"):
        draft.kept.append("vllm_importance_sampling_correction False -> no objective.sampler_correction")
        return
    modes = {f"{level}_{action}": (level, action) for level in ("token", "sequence") for action in ("truncate", "mask")}
    level, action = modes[draft.choice("vllm_importance_sampling_mode", modes) or "sequence_mask"]
    mode, top = "vllm_importance_sampling_mode", "vllm_importance_sampling_clip_max"
    top = "vllm_importance_sampling_cap" if draft.value("vllm_importance_sampling_cap") is not None else top
    # Null is a bound that is off, where it is given; left out, it is the default.
    highest = draft.given[top] if top in draft.given else draft.defaults[top]
    draft.read.add(top)
    draft.carry(mode, "objective.sampler_correction.level", level)
    draft.carry(mode, "objective.sampler_correction.action", action)
    draft.carry(top, "objective.sampler_correction.max", highest)
    draft.carry(
        "vllm_importance_sampling_clip_min",
        "objective.sampler_correction.min",
        draft.value("vllm_importance_sampling_clip_min"),
    )


def _entropy(draft: Draft) -> None:
    share = draft.number("top_entropy_quantile")
    if 0 < share < 1:
        draft.carry(
            "top_entropy_quantile",
            "objective.entropy_mask.keep_top",
            share,
            "the quantile is taken over all tokens of an optimizer step, in TRL over those of a micro-batch",
        )
    elif share <= 0:
        draft.dropped.append(f"{draft.said('top_entropy_quantile')}: a mask that keeps one token has no like here")
    coefficient, adaptive = draft.number("entropy_coef"), draft.value("use_adaptive_entropy")
    if not coefficient and not adaptive:
        return
    draft.carry(
        "entropy_coef",
        "objective.entropy_bonus.coefficient",
        coefficient,
        "the mean entropy has the objective's own weights here, in TRL it is the token mean of a micro-batch",
    )
    if adaptive:
        draft.carry("entropy_target", "objective.entropy_bonus.target", draft.number("entropy_target"))
        draft.carry("entropy_coef_delta", "objective.entropy_bonus.change", draft.number("entropy_coef_delta"))
        for name in ("entropy_coef_min", "entropy_coef_max"):
            if name in draft.given:
                draft.dropped.append(f"{draft.said(name)}: the coefficient has no such bound here")
                draft.read.add(name)


def rloo_objective(draft: Draft) -> None:
    """Write the objective of an RLOOConfig, its KL apart."""
    draft.put("objective.type", "rloo_clip")
    draft.kept.append("RLOOTrainer's clip on the product ratio of the sequence -> objective.type rloo_clip")
    _clip(draft, "rloo_clip")
    if draft.value("normalize_advantages"):
        draft.dropped.append(
            f"{draft.said('normalize_advantages')}: leave-one-out advantages are not normalised over the batch here; "
            "reinforce_pp_baseline with whiten sequences is near"
        )
    if draft.value("reward_clip_range"):
        draft.dropped.append(f"{draft.said('reward_clip_range')}: rewards are not clipped here; let the reward do it")


def kl(draft: Draft, *, updates: int, rloo: bool) -> None:
    """Write the KL penalty and its reference; `updates` are those of a rollout."""
    beta = draft.number("beta")
    if not beta:
        return
    draft.carry("beta", "objective.kl.beta", beta)
    draft.put("objective.kl.placement", "reward" if rloo else "loss")
    if not rloo:
        estimator = "k3_is" if draft.value("use_bias_correction_kl") else "k3"
        why = ""
        if estimator == "k3_is" and draft.value("importance_sampling_level") == "sequence":
            why = "k3_is takes token ratios, TRL the ratio of the sequence; on-policy they are equal in value"
        draft.carry("use_bias_correction_kl", "objective.kl.estimator", estimator, why)
    if not draft.value("sync_ref_model"):
        return
    share = draft.number("ref_model_mixup_alpha")
    every = max(1, round(draft.count("ref_model_sync_steps") / updates))
    why = "counted in rollout steps here" if updates > 1 else ""
    draft.put("objective.kl.reference.type", "refresh" if share >= 1 else "ema")
    draft.carry("ref_model_sync_steps", "objective.kl.reference.every", every, why)
    if share < 1:
        draft.carry("ref_model_mixup_alpha", "objective.kl.reference.decay", round(1 - share, 12))
