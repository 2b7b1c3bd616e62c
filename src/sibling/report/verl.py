"""The settings of verl's ppo_trainer as a part of a recipe.

Names, defaults and meanings are those of verl of 2026-08-22, read in its source. Settings come nested or with dotted
names, as its command line takes them; `${...}` is followed to other settings.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import yaml

from sibling.errors import RequestError
from sibling.report.peers import Draft, Settings, Translation
from sibling.report.verl_objective import advantage, kl, policy
from sibling.report.verl_settings import (
    ACTOR,
    DEFAULTS,
    MODEL,
    OTHERS,
    OVERLONG,
    ROLLOUT,
    ROOTS,
    STRICT,
    VERSION,
)


def from_verl(settings: Settings) -> Translation:
    """A configuration of verl's ppo_trainer as a part of a recipe.

    What is left out has verl's default. Raises `RequestError` for a value of a type that verl does not take, or a
    section that is no mapping.
    """
    given = _resolved({name.lstrip("+"): value for name, value in _flat(settings)})
    old = OVERLONG.replace("reward.", "reward_model.", 1)  # where it was until 2026
    given = {(OVERLONG + n.removeprefix(old) if n.startswith(old) else n): v for n, v in given.items()}
    draft = Draft(f"verl {VERSION}", given, DEFAULTS, frozenset(name for name in given if _runs(name)))
    estimator = advantage(draft)
    policy(draft, estimator)
    _batch(draft)
    kl(draft)
    _sampling(draft)
    _optimizer(draft)
    _filters(draft)
    _model(draft)
    return draft.done()


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        elif f"{path}{name}." in _SECTIONS and value is not None:
            raise RequestError(f"The section {path}{name} of verl is not a mapping", seen=repr(value))
        elif value != "???":  # what Hydra writes for a value that is still missing
            yield f"{path}{name}", value


_SECTIONS = frozenset(name[: i + 1] for name in DEFAULTS for i, letter in enumerate(name) if letter == ".")
_REFERENCE = re.compile(r"^\$\{(?:oc\.select:)?\s*([\w.]+)\s*(?:,(.*))?\}$")


def _resolved(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every `${a.b}` and `${oc.select:a.b,default}` followed; one that leads nowhere is left out: the default."""
    followed = {name: _follow(value, given) for name, value in given.items()}
    return {name: value for name, value in followed.items() if not (isinstance(value, str) and "${" in value)}


def _follow(value: Any, given: Mapping[str, Any]) -> Any:
    seen: set[str] = set()  # two settings may refer to each other
    while isinstance(value, str) and (found := _REFERENCE.match(value)) and value not in seen:
        seen.add(value)
        other, fallback = found.groups()
        value = given.get(other, DEFAULTS.get(other, None if fallback is None else yaml.safe_load(fallback)))
    return value


def _runs(name: str) -> bool:
    """Whether a setting is verl's own but says how it runs, not what it optimises."""
    if name in OTHERS or name.endswith("._target_"):
        return True
    section, own = name[: name.rfind(".") + 1], name.rsplit(".", 1)[-1]
    if name in DEFAULTS or section in STRICT or name.split(".", 1)[0] not in ROOTS:
        return False
    beside = [known.removeprefix(section) for known in DEFAULTS if known.startswith(section)]
    return not difflib.get_close_matches(own, beside, n=1, cutoff=0.88)  # so near that it is a slip


# ------------------------------------------------------------------------------- sampling and updates


def _batch(draft: Draft) -> None:
    prompts, mini = draft.count("data.train_batch_size"), draft.count(ACTOR + "ppo_mini_batch_size")
    draft.carry("data.train_batch_size", "sampling.prompts_per_step", prompts)
    draft.carry(ROLLOUT + "n", "sampling.group_size", draft.count(ROLLOUT + "n"))
    draft.carry(ACTOR + "ppo_epochs", "learner.passes", draft.count(ACTOR + "ppo_epochs"))
    why = "" if prompts % mini == 0 else f"{prompts} prompts do not divide into mini-batches of {mini}"
    if mini > prompts:
        why = f"verl refuses mini-batches larger than the {prompts} prompts of a step"
    draft.carry(ACTOR + "ppo_mini_batch_size", "learner.minibatches", max(1, round(prompts / mini)), why)
    steps = draft.value("trainer.total_training_steps")
    draft.read.add("trainer.total_epochs")
    if steps is not None:
        draft.carry("trainer.total_training_steps", "steps", draft.count("trainer.total_training_steps"))
    else:
        draft.dropped.append(f"{draft.said('trainer.total_epochs')}: a recipe counts rollout steps; set steps")


def _sampling(draft: Draft) -> None:
    draft.carry("data.max_response_length", "sampling.max_tokens", draft.count("data.max_response_length"))
    draft.carry("data.max_prompt_length", "sampling.max_prompt_tokens", draft.count("data.max_prompt_length"))
    draft.carry(ROLLOUT + "temperature", "sampling.temperature", draft.number(ROLLOUT + "temperature"))
    narrowed = "the learner's log-probs see it too here, in verl the sampler alone"
    top_p, top_k = draft.number(ROLLOUT + "top_p"), int(draft.number(ROLLOUT + "top_k"))
    draft.carry(ROLLOUT + "top_p", "sampling.top_p", top_p, narrowed if top_p < 1 else "")
    draft.carry(ROLLOUT + "top_k", "sampling.top_k", max(top_k, 0), narrowed if top_k > 0 else "")


_SCHEDULES: Mapping[str, str] = MappingProxyType({"constant": "constant", "cosine": "cosine", "linear": "linear"})


def _optimizer(draft: Draft) -> None:
    optim = ACTOR + "optim."
    draft.carry(optim + "lr", "learner.optimizer.learning_rate", draft.number(optim + "lr"))
    draft.carry(optim + "weight_decay", "learner.optimizer.weight_decay", draft.number(optim + "weight_decay"))
    draft.carry(optim + "betas", "learner.optimizer.betas", [float(b) for b in draft.value(optim + "betas")])
    draft.carry(optim + "clip_grad", "learner.optimizer.max_grad_norm", draft.number(optim + "clip_grad"))
    schedule = draft.choice(optim + "lr_scheduler_type", _SCHEDULES)
    if schedule is not None:
        draft.carry(optim + "lr_scheduler_type", "learner.optimizer.schedule", _SCHEDULES[schedule])
    warm = draft.number(optim + "lr_warmup_steps")
    if warm > 0:
        draft.carry(optim + "lr_warmup_steps", "learner.optimizer.warmup_steps", int(warm))
    elif draft.number(optim + "lr_warmup_steps_ratio"):
        draft.dropped.append(
            f"{draft.said(optim + 'lr_warmup_steps_ratio')}: a share of the updates; set learner.optimizer.warmup_steps"
        )
    if draft.number(optim + "min_lr_ratio"):
        draft.dropped.append(f"{draft.said(optim + 'min_lr_ratio')}: a schedule ends at 0 here")
    if draft.value(optim + "optimizer") != "AdamW":
        draft.dropped.append(f"{draft.said(optim + 'optimizer')}: the optimizer is AdamW here")
    key = MODEL + "enable_gradient_checkpointing"
    draft.carry(key, "learner.gradient_checkpointing", draft.value(key))


def _filters(draft: Draft) -> None:
    groups = "algorithm.filter_groups."
    if draft.value(groups + "enable"):
        draft.carry(groups + "enable", "filters.dynamic_sampling.enabled", True)
        most = draft.number(groups + "max_num_gen_batches")
        if most > 0:
            draft.carry(groups + "max_num_gen_batches", "filters.dynamic_sampling.max_rounds", int(most))
        else:
            draft.changed.append(
                f"{draft.said(groups + 'max_num_gen_batches')}: no limit in verl; filters.dynamic_sampling.max_rounds "
                "has one here and keeps its default"
            )
        if draft.value(groups + "metric"):
            draft.changed.append(f"{draft.said(groups + 'metric')}: a group is judged by its total reward here")
    if draft.value(OVERLONG + "enable"):
        reward = {"type": "overlong", "cache": draft.count(OVERLONG + "len")}
        reward["weight"] = draft.number(OVERLONG + "penalty_factor")
        draft.put("rewards", [reward])
        draft.kept.append(f"{draft.said(OVERLONG + 'len')} -> rewards[] of type overlong; add your own rewards to it")
    if draft.value("algorithm.use_pf_ppo"):
        draft.dropped.append(f"{draft.said('algorithm.use_pf_ppo')}: samples are not filtered by their weight here")


def _model(draft: Draft) -> None:
    path = draft.value(MODEL + "path")
    if path:
        local = str(path).startswith((".", "/", "~"))
        draft.carry(
            MODEL + "path", "model", {"type": "directory", "path": path} if local else {"type": "hub", "id": path}
        )
    if draft.number(MODEL + "lora_rank") > 0:
        draft.put("learner.finetune.type", "lora")
        draft.carry(MODEL + "lora_rank", "learner.finetune.rank", draft.count(MODEL + "lora_rank"))
        draft.carry(MODEL + "lora_alpha", "learner.finetune.alpha", draft.number(MODEL + "lora_alpha"))
        modules = draft.value(MODEL + "target_modules")
        draft.carry(MODEL + "target_modules", "learner.finetune.target_modules", modules)
