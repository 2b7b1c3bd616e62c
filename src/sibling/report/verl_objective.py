"""What verl's objective settings are here: advantage estimator, policy loss, aggregation, corrections, KL."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sibling.errors import RequestError
from sibling.report.peers import Draft
from sibling.report.verl_settings import ACTOR, CORRECTION

_WHITENED: Mapping[str, Any] = MappingProxyType(
    {"whiten": "tokens", "ddof": 1, "eps": 1e-8, "eps_mode": "inside_var"}  # masked_whiten
)
_GROUP: Mapping[str, Any] = MappingProxyType({"type": "group", "ddof": 1, "eps": 1e-6})
ESTIMATORS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "gae": {"type": "gae", **_WHITENED},
        "grpo": _GROUP,
        "grpo_vectorized": _GROUP,
        "grpo_passk": {"type": "best"},
        "gdpo": {"type": "gdpo", "ddof": 1, "eps": 1e-6},
        "reinforce_plus_plus": {"type": "reinforce_pp", **_WHITENED},
        "reinforce_plus_plus_baseline": {"type": "reinforce_pp_baseline", "gamma": 1.0, **_WHITENED},
        "rloo": {"type": "rloo"},
        "rloo_vectorized": {"type": "rloo"},
        "opo": {"type": "opo"},
        "gpg": {"type": "gpg"},
    }
)
OF_THE_ESTIMATOR: Mapping[str, str] = MappingProxyType(
    {
        "gae": "ppo",
        "gdpo": "gdpo",
        "reinforce_plus_plus": "reinforce_pp",
        "reinforce_plus_plus_baseline": "reinforce_pp_baseline",
    }
)
"""Rows that take their name from the estimator; all have the clipped token ratio of loss_mode vanilla."""
AGGREGATIONS: Mapping[str, str] = MappingProxyType(
    {
        "token-mean": "token_mean",
        "token-sum": "constant",
        "seq-mean-token-sum": "seq_mean_token_sum",
        "seq-mean-token-mean": "seq_mean_token_mean",
        "seq-mean-token-sum-norm": "token_sum_norm",
    }
)
MODES: Mapping[str, str] = MappingProxyType(
    {
        "vanilla": "grpo",
        "gpg": "gpg",
        "gspo": "gspo_token",
        "sapo": "sapo",
        "cispo": "cispo",
        "geo_mean": "gmpo",
        "clip_cov": "clip_cov",
        "kl_cov": "kl_cov",
        "dppo_tv": "dppo_tv",
        "dppo_kl": "dppo_kl",
    }
)
"""loss_mode -> our row."""
CLAMPED = ("vanilla", "sapo", "cispo", "dppo_tv", "dppo_kl")  # these clamp the log-ratio to [-20, 20]
OF_SEQUENCES = ("gspo", "sapo")  # always seq-mean-token-mean, whatever loss_agg_mode says
KL_TYPES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("kl", "k1"), "k1"),
        **dict.fromkeys(("mse", "k2", "mse+", "k2+"), "k2"),
        **dict.fromkeys(("low_var_kl", "k3"), "k3"),
        **dict.fromkeys(("low_var_kl+", "k3+"), "k3_st"),
        **dict.fromkeys(("kl+", "k1+"), "k2"),
    }
)


def advantage(draft: Draft) -> str:
    """Write the advantage estimator; returns verl's name of it."""
    name = draft.choice("algorithm.adv_estimator", ESTIMATORS)
    if name is None:
        name = "grpo"
        draft.dropped.append(
            "the fragment has the group's standardised advantages in its place, which is another method"
        )
    draft.put("objective.advantage", dict(ESTIMATORS[name]))
    draft.carry("algorithm.adv_estimator", "objective.advantage.type", ESTIMATORS[name]["type"], _DIFFERS.get(name, ""))
    if name in ("grpo", "grpo_vectorized", "grpo_passk"):
        key = "algorithm.norm_adv_by_std_in_grpo"
        draft.carry(key, "objective.advantage.scale", "group" if draft.value(key) else "none")
    if name in ("gae", "reinforce_plus_plus"):
        draft.carry("algorithm.gamma", "objective.advantage.gamma", draft.number("algorithm.gamma"))
    if name == "gae":
        _critic(draft)
    if name == "gdpo":
        _gdpo(draft)
    return name


_DIFFERS: Mapping[str, str] = MappingProxyType(
    {
        "gpg": "verl scales by all completions over those with a reward other than 0, here by groups over live groups",
        "gdpo": "verl's last z-score is over tokens, here over completions",
    }
)


def _critic(draft: Draft) -> None:
    draft.carry("algorithm.lam", "objective.advantage.lam", draft.number("algorithm.lam"))
    draft.carry("critic.optim.lr", "objective.advantage.critic.learning_rate", draft.number("critic.optim.lr"))
    draft.carry(
        "critic.cliprange_value", "objective.advantage.critic.value_clip", draft.number("critic.cliprange_value")
    )
    draft.carry(
        "trainer.critic_warmup",
        "objective.advantage.critic.warmup_steps",
        int(draft.number("trainer.critic_warmup")),
    )


def _gdpo(draft: Draft) -> None:
    keys, weights = draft.value("algorithm.gdpo_reward_keys"), draft.value("algorithm.gdpo_reward_weights")
    if keys:
        each = weights or [1.0] * len(keys)
        named = ", ".join(f"{k} with weight {w}" for k, w in zip(keys, each, strict=False))
        draft.changed.append(f"algorithm.gdpo_reward_keys: write each as a reward of its own (rewards[]): {named}")


def policy(draft: Draft, estimator: str) -> None:
    """Write the row with its numbers, its aggregation, the correction for the sampler and the entropy bonus."""
    mode = draft.choice(ACTOR + "policy_loss.loss_mode", MODES)
    if mode is None:
        mode = "vanilla"
        draft.dropped.append("the fragment has the clipped surrogate in its place, which is another objective")
    row = OF_THE_ESTIMATOR.get(estimator, "grpo") if mode == "vanilla" else MODES[mode]
    aggregation = draft.choice(ACTOR + "loss_agg_mode", AGGREGATIONS) or "token-mean"
    if row == "grpo" and aggregation == "token-mean":
        row = "dapo"
    if row == "grpo" and aggregation == "seq-mean-token-sum-norm" and _without_std(draft):
        row = "dr_grpo"
    draft.carry(ACTOR + "policy_loss.loss_mode", "objective.type", row)
    _aggregate(draft, mode, aggregation)
    _numbers(draft, mode)
    if mode in CLAMPED:
        draft.put("objective.log_ratio_clamp", 20.0)
        draft.kept.append("log-ratios held to [-20, 20] (fixed in verl) -> objective.log_ratio_clamp 20")
    _correction(draft)
    coefficient = draft.number(ACTOR + "entropy_coeff")
    if coefficient:
        draft.carry(ACTOR + "entropy_coeff", "objective.entropy_bonus.coefficient", coefficient)


def _without_std(draft: Draft) -> bool:
    own = draft.fragment["objective"]["advantage"]
    return bool(own["type"] == "group" and own["scale"] == "none")


def _aggregate(draft: Draft, mode: str, aggregation: str) -> None:
    key = ACTOR + "loss_agg_mode"
    if mode in OF_SEQUENCES:
        draft.put("objective.aggregation", "seq_mean_token_mean")
        if aggregation != "seq-mean-token-mean":
            draft.kept.append(f"{mode} is seq-mean-token-mean in verl whatever {key} says -> seq_mean_token_mean")
        return
    if mode == "geo_mean":
        draft.put("objective.aggregation", "seq_mean_token_mean")
        draft.changed.append("geo_mean averages over a micro-batch in verl, here over the optimizer step")
        return
    draft.carry(key, "objective.aggregation", AGGREGATIONS[aggregation])
    if aggregation == "token-sum":
        draft.put("objective.constant", 1)
    if aggregation == "seq-mean-token-sum-norm":
        factor = draft.value(ACTOR + "loss_scale_factor")
        if factor is None:
            why = "verl divides by the padded width of a micro-batch when it is null, here by a constant"
            draft.carry(ACTOR + "loss_scale_factor", "objective.constant", draft.count("data.max_response_length"), why)
        else:
            draft.carry(ACTOR + "loss_scale_factor", "objective.constant", draft.count(ACTOR + "loss_scale_factor"))


def _numbers(draft: Draft, mode: str) -> None:
    low, high = draft.number(ACTOR + "clip_ratio_low"), draft.number(ACTOR + "clip_ratio_high")
    names = {"dppo_tv": ("delta_low", "delta_high"), "dppo_kl": ("delta_low", "delta_high")}
    if mode in ("vanilla", "gspo", "geo_mean", "clip_cov", *names):
        first, second = names.get(mode, ("clip_low", "clip_high"))
        draft.carry(ACTOR + "clip_ratio_low", f"objective.{first}", low)
        draft.carry(ACTOR + "clip_ratio_high", f"objective.{second}", high)
        if draft.given.get(ACTOR + "clip_ratio", low) != low:
            draft.dropped.append(
                f"{draft.said(ACTOR + 'clip_ratio')}: verl does not read it, for clip_ratio_low and clip_ratio_high "
                "have defaults of their own; set those"
            )
        draft.read.add(ACTOR + "clip_ratio")
    elif mode == "cispo":
        draft.carry(ACTOR + "clip_ratio_low", "objective.ratio_min", round(1 - low, 12))
        draft.carry(ACTOR + "clip_ratio_high", "objective.ratio_max", round(1 + high, 12))
    for name, key in _OF_MODE.get(mode, {}).items():
        draft.carry(ACTOR + name, f"objective.{key}", draft.number(ACTOR + name))
    if mode == "gspo":
        draft.dropped.append("gspo's log-ratio is held to 10 from above in verl; here it is not")


_OF_MODE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "vanilla": {"clip_ratio_c": "dual_clip"},
        "dppo_tv": {"clip_ratio_c": "ratio_cap"},
        "dppo_kl": {"clip_ratio_c": "ratio_cap"},
        "sapo": {"tau_pos": "tau_positive", "tau_neg": "tau_negative"},
        "clip_cov": {
            "policy_loss.clip_cov_ratio": "share",
            "policy_loss.clip_cov_lb": "score_low",
            "policy_loss.clip_cov_ub": "score_high",
        },
        "kl_cov": {"policy_loss.kl_cov_ratio": "share", "policy_loss.ppo_kl_coef": "coefficient"},
    }
)


def _correction(draft: Draft) -> None:
    if draft.value(CORRECTION + "bypass_mode"):
        draft.dropped.append(
            f"{draft.said(CORRECTION + 'bypass_mode')}: the ratio is to the learner's log-probs here, not the sampler's"
        )
    if draft.value(CORRECTION + "rollout_rs"):
        draft.dropped.append(
            f"{draft.said(CORRECTION + 'rollout_rs')}: verl takes rejected tokens out of the mask, so of denominators; "
            "objective.sampler_correction with action mask is near, and leaves the denominators"
        )
    if not draft.value(CORRECTION + "rollout_is"):
        return
    level = draft.choice(CORRECTION + "rollout_is", {"token": 0, "sequence": 0})
    if level is None:
        return
    low, high = _bounds(draft)
    draft.carry(CORRECTION + "rollout_is", "objective.sampler_correction.level", level)
    action = "truncate" if low is None else "mask"
    draft.carry(CORRECTION + "rollout_is_threshold", "objective.sampler_correction.action", action)
    draft.put("objective.sampler_correction.min", low)
    draft.put("objective.sampler_correction.max", high)
    if draft.value(CORRECTION + "rollout_is_batch_normalize"):
        draft.dropped.append(
            f"{draft.said(CORRECTION + 'rollout_is_batch_normalize')}: weights are not normalised to a mean of 1 here"
        )


def _bounds(draft: Draft) -> tuple[float | None, float]:
    """`C` truncates above; `low_high` masks outside."""
    name = CORRECTION + "rollout_is_threshold"
    text = str(draft.value(name))
    try:
        parts = [float(part) for part in text.split("_")]
    except ValueError:
        parts = []
    if len(parts) not in (1, 2):
        raise RequestError(
            f"The setting {name} of {draft.peer} is not what it takes", seen=repr(text), wanted="C, or low_high"
        )
    return (None, parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def kl(draft: Draft) -> None:
    """Write the KL penalty, in the loss or in the reward."""
    in_loss, in_reward = draft.value(ACTOR + "use_kl_loss"), draft.value("algorithm.use_kl_in_reward")
    if in_loss:
        _kl_in_loss(draft)
        if in_reward:
            draft.dropped.append(
                "algorithm.use_kl_in_reward true: a recipe has one KL penalty; the one in the loss is kept"
            )
    elif in_reward:
        _kl_in_reward(draft)


def _kl_in_loss(draft: Draft) -> None:
    kind = draft.choice(ACTOR + "kl_loss_type", KL_TYPES)
    if kind is None:
        kind = "low_var_kl"
        draft.dropped.append("the fragment has k3 in its place")
    draft.carry(ACTOR + "kl_loss_coef", "objective.kl.beta", draft.number(ACTOR + "kl_loss_coef"))
    draft.put("objective.kl.placement", "loss")
    why = ""
    if KL_TYPES[kind].startswith("k3"):
        why = "verl clamps it at 10 and its gradient is then 0; here nothing is clamped"
    elif kind in ("kl+", "k1+"):
        why = "the same gradient, but verl reports the value of k1"
    draft.carry(ACTOR + "kl_loss_type", "objective.kl.estimator", KL_TYPES[kind], why)


def _kl_in_reward(draft: Draft) -> None:
    ctrl = "algorithm.kl_ctrl."
    draft.carry(ctrl + "kl_coef", "objective.kl.beta", draft.number(ctrl + "kl_coef"))
    draft.carry("algorithm.use_kl_in_reward", "objective.kl.placement", "reward")
    if draft.value("algorithm.kl_penalty") not in ("kl", "k1"):
        draft.changed.append(f"{draft.said('algorithm.kl_penalty')}: the KL in the reward is k1 here")
    if draft.value(ctrl + "type") == "adaptive":
        draft.carry(ctrl + "target_kl", "objective.kl.adaptive.target", draft.number(ctrl + "target_kl"))
        draft.carry(ctrl + "horizon", "objective.kl.adaptive.horizon", draft.count(ctrl + "horizon"))
