"""The settings of TRL's GRPOTrainer and RLOOTrainer as a part of a recipe.

Names, defaults and meanings are those of TRL 1.16.0, read in its source; tests/parity holds the loss and the gradient
of a translated config to TRL's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from sibling.errors import RequestError
from sibling.report.peers import Draft, Settings, Translation
from sibling.report.trl_objective import grpo_objective, kl, rloo_objective
from sibling.report.trl_settings import DEFAULTS, MODEL_DEFAULTS, OUTSIDE, RLOO_DEFAULTS, RLOO_ONLY, VERSION


def from_trl(settings: Settings) -> Translation:
    """A GRPOConfig (or RLOOConfig) of TRL 1.16.0 as a part of a recipe.

    `settings` are its fields by name; what is left out has TRL's default. Raises `RequestError` for a value of a type
    that TRL does not take.
    """
    rloo = any(name in settings for name in RLOO_ONLY)
    defaults = {**DEFAULTS, **MODEL_DEFAULTS, **(RLOO_DEFAULTS if rloo else {})}
    draft = Draft(f"TRL {VERSION} {'RLOOConfig' if rloo else 'GRPOConfig'}", settings, defaults, OUTSIDE)
    if rloo:
        rloo_objective(draft)
    else:
        grpo_objective(draft)
    updates = _updates(draft, rloo=rloo)
    kl(draft, updates=updates, rloo=rloo)
    _sampling(draft)
    _optimizer(draft)
    _rewards(draft)
    _model(draft)
    return draft.done()


def _updates(draft: Draft, *, rloo: bool) -> int:
    """Write how a rollout becomes updates; returns their number."""
    each, accumulate = draft.count("per_device_train_batch_size"), draft.count("gradient_accumulation_steps")
    per_generation = _steps_per_generation(draft, each, accumulate)
    size, passes = draft.count("num_generations"), draft.count("num_iterations")
    rows = each * max(per_generation, accumulate)
    prompts = max(1, rows // size)
    draft.carry("num_generations", "sampling.group_size", size)
    draft.carry(
        "per_device_train_batch_size",
        "sampling.prompts_per_step",
        prompts,
        f"{rows} completions a rollout in groups of {size}, counted for one process; with more, multiply it",
    )
    draft.carry("num_iterations", "learner.passes", passes)
    wanted = max(1, per_generation // accumulate)
    minibatches = min(wanted, prompts)
    if minibatches < wanted:
        why = f"TRL cuts the rollout into {wanted} optimizer steps, but {prompts} groups are never split here"
    elif wanted > 1:
        why = "groups stay together here, TRL shuffles completions over the optimizer steps"
        if not rloo and draft.value("loss_type") in ("dapo", "cispo", "vespo"):
            why += "; TRL divides by their average token count, here each divides by its own"
    else:
        why = ""
    draft.carry("gradient_accumulation_steps", "learner.minibatches", minibatches, why)
    if not rloo and draft.fragment["objective"]["aggregation"] == "micro_token_mean":
        draft.changed.append(
            "bnpo averages over a micro-batch of per_device_train_batch_size completions in TRL, here over one of "
            "learner.micro_batch_tokens tokens"
        )
    _steps(draft, passes * minibatches)
    return passes * minibatches


def _steps_per_generation(draft: Draft, each: int, accumulate: int) -> int:
    if draft.value("generation_batch_size") is not None:
        if draft.value("steps_per_generation") is not None:
            raise RequestError(
                f"{draft.peer} takes generation_batch_size or steps_per_generation, not both",
                seen=f"{draft.said('generation_batch_size')}, {draft.said('steps_per_generation')}",
            )
        return max(1, draft.count("generation_batch_size") // each)
    return accumulate if draft.value("steps_per_generation") is None else draft.count("steps_per_generation")


def _steps(draft: Draft, updates: int) -> None:
    limit = draft.number("max_steps")
    if limit > 0:
        draft.carry(
            "max_steps", "steps", math.ceil(limit / updates), f"{updates} updates a rollout" if updates > 1 else ""
        )
    else:
        draft.dropped.append(f"{draft.said('num_train_epochs')}: a recipe counts rollout steps; set steps")
    draft.read.add("num_train_epochs")


def _sampling(draft: Draft) -> None:
    draft.carry("max_completion_length", "sampling.max_tokens", draft.count("max_completion_length"))
    draft.carry("temperature", "sampling.temperature", draft.number("temperature"))
    narrowed = "the learner's log-probs see it too here, in TRL the sampler alone"
    draft.carry("top_p", "sampling.top_p", draft.number("top_p"), narrowed if draft.number("top_p") < 1 else "")
    top_k = int(draft.value("top_k") or 0)
    draft.carry("top_k", "sampling.top_k", max(top_k, 0), narrowed if top_k > 0 else "")
    if draft.value("min_p"):
        draft.carry("min_p", "sampling.min_p", draft.number("min_p"), narrowed)
    if draft.number("repetition_penalty") != 1:
        draft.dropped.append(f"{draft.said('repetition_penalty')}: it would make the log-probs depend on the past")
    draft.carry("mask_truncated_completions", "filters.mask_truncated", draft.value("mask_truncated_completions"))


_SCHEDULES: Mapping[str, str] = MappingProxyType(
    {"linear": "linear", "cosine": "cosine", "constant": "constant", "constant_with_warmup": "constant"}
)


def _optimizer(draft: Draft) -> None:
    draft.carry("learning_rate", "learner.optimizer.learning_rate", draft.number("learning_rate"))
    schedule = draft.choice("lr_scheduler_type", _SCHEDULES)
    if schedule is not None:
        draft.carry("lr_scheduler_type", "learner.optimizer.schedule", _SCHEDULES[schedule])
    warm = draft.number("warmup_steps")
    if 0 < warm < 1:
        draft.dropped.append(
            f"{draft.said('warmup_steps')}: a share of the updates; set learner.optimizer.warmup_steps"
        )
    elif draft.given.get("lr_scheduler_type") != "constant":
        draft.carry("warmup_steps", "learner.optimizer.warmup_steps", int(warm))
    betas = [draft.number("adam_beta1"), draft.number("adam_beta2")]
    for name in ("adam_beta1", "adam_beta2"):
        draft.carry(name, "learner.optimizer.betas", betas)
    draft.carry("adam_epsilon", "learner.optimizer.epsilon", draft.number("adam_epsilon"))
    draft.carry("weight_decay", "learner.optimizer.weight_decay", draft.number("weight_decay"))
    draft.carry("max_grad_norm", "learner.optimizer.max_grad_norm", draft.number("max_grad_norm"))
    if not str(draft.value("optim")).startswith("adamw_torch"):
        draft.dropped.append(f"{draft.said('optim')}: the optimizer is AdamW here")
    draft.carry("gradient_checkpointing", "learner.gradient_checkpointing", draft.value("gradient_checkpointing"))
    _precision(draft)
    draft.carry("seed", "seed", int(draft.number("seed")))


def _precision(draft: Draft) -> None:
    half = draft.given.get("bf16")
    draft.read.add("bf16")
    if draft.value("fp16"):
        draft.dropped.append(f"{draft.said('fp16')}: float16 is not computed in here; bfloat16 and float32 are")
    elif half is None:
        draft.changed.append(
            "bf16 is on by default in TRL; learner.compute_dtype stays auto, which takes bfloat16 where it is faster"
        )
    else:
        draft.carry("bf16", "learner.compute_dtype", "bfloat16" if half else "float32")


def _rewards(draft: Draft) -> None:
    weights = draft.value("reward_weights")
    if not weights:
        return
    if not all(isinstance(w, int | float) for w in weights):
        raise RequestError(
            f"The setting reward_weights of {draft.peer} is not what it takes", seen=repr(weights), wanted="numbers"
        )
    rewards = [
        {"type": "callable", "target": f"rewards.py:reward_{i + 1}", "signature": "trl", "name": f"reward_{i + 1}"}
        for i in range(len(weights))
    ]
    draft.put("rewards", [{**r, "weight": float(w)} for r, w in zip(rewards, weights, strict=True)])
    draft.kept.append(f"{draft.said('reward_weights')} -> rewards[].weight")
    draft.changed.append("rewards[].target is to be set: a reward function of TRL runs as it is, with signature trl")


def _model(draft: Draft) -> None:
    name = draft.value("model_name_or_path")
    if name:
        local = str(name).startswith((".", "/", "~"))
        model = {"type": "directory", "path": name} if local else {"type": "hub", "id": name}
        if not local and draft.value("model_revision") != "main":
            model["revision"] = draft.value("model_revision")
        draft.carry("model_name_or_path", "model", model)
    if not draft.value("use_peft"):
        return
    draft.put("learner.finetune.type", "lora")
    draft.carry("lora_r", "learner.finetune.rank", draft.count("lora_r"))
    draft.carry("lora_alpha", "learner.finetune.alpha", draft.number("lora_alpha"))
    modules = draft.value("lora_target_modules")
    if modules and list(modules) != ["all-linear"]:
        draft.carry("lora_target_modules", "learner.finetune.target_modules", modules)
