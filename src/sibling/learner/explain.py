"""What a recipe will minimise, in full: every factor, every normaliser, with the recipe's own numbers.

The row of the table and its estimator come in as arguments: the table needs torch, this module does not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from sibling.config import Recipe, warnings
from sibling.maths.estimators import ESTIMATORS

WEIGHTS: Mapping[str, str] = {
    "seq_mean_token_mean": "w_i = 1 / (N T_i)",
    "token_mean": "w_i = 1 / sum_j T_j",
    "group_token_mean": "w_i = 1 / (groups * sum of T_j over i's group)",
    "seq_mean_token_sum": "w_i = 1 / N",
    "token_sum_norm": "w_i = 1 / (N C)",
    "constant": "w_i = 1 / C",
    "micro_token_mean": "w_i = 1 / (micro-batches * sum of T_j over i's micro-batch)",
}
"""Aggregation -> the weight of every token of completion i."""

KL: Mapping[str, str] = {
    "k1": "k = d",
    "k2": "k = d^2 / 2",
    "k3": "k = exp(-d) - 1 + d",
    "k3_is": "k = r (exp(-d) - 1 + d), with the gradient through r",
    "k3_st": "k has the value exp(-d) - 1 + d and the gradient of d^2 / 2",
}
"""KL estimator -> its value at a token, d = log pi_new - log pi_ref."""


class Row(Protocol):
    """What is read of a row of the table."""

    @property
    def title(self) -> str:
        """As the paper writes it."""

    @property
    def paper(self) -> str:
        """Where it comes from."""

    @property
    def term(self) -> str:
        """The policy term of a token."""

    @property
    def numbers(self) -> Mapping[str, float | int | None]:
        """The numbers in it."""


def explain(recipe: Recipe, row: Row, width: int = 100) -> str:
    """The loss of one optimizer update of `recipe`, part by part."""
    objective = recipe.objective
    lines = [f"objective {objective.type}: {row.title}", *textwrap.wrap(row.paper, width), ""]
    lines += ["loss = sum_i w_i sum_t m_it ( f_it l_it + beta k_it - c H_it )", ""]
    for name, text in _parts(recipe, row):
        lines.append(
            textwrap.fill(text, width, initial_indent=f"{name:<12}", subsequent_indent=" " * 12, break_on_hyphens=False)
        )
    return "\n".join(lines)


def _parts(recipe: Recipe, row: Row) -> Iterator[tuple[str, str]]:
    yield "batch", _batch(recipe)
    yield "A", _advantage(recipe)
    numbers = {name: getattr(recipe.objective, name) for name in row.numbers}
    clamp = recipe.objective.log_ratio_clamp
    bounds = [f"{k} = {v:g}" for k, v in numbers.items() if v is not None]
    bounds += [] if clamp is None else [f"lr is held to [-{clamp:g}, {clamp:g}]"]
    yield "l", "; ".join([row.term, ", ".join(bounds) or "no numbers"])
    yield "w", _weight(recipe)
    yield "m", _mask(recipe)
    yield "f", _factor(recipe)
    yield "beta k", _kl(recipe)
    yield "c H", _entropy(recipe)
    critic = _critic(recipe)
    if critic:
        yield "critic", critic
    yield "optimizer", _optimizer(recipe)
    for sentence in warnings(recipe):
        yield "unusual", sentence


def _batch(recipe: Recipe) -> str:
    s, learner = recipe.sampling, recipe.learner
    rows = s.prompts_per_step * s.group_size
    updates = learner.passes * learner.minibatches
    cut = [f"top_p {s.top_p:g}"] * (s.top_p < 1) + [f"top_k {s.top_k}"] * (s.top_k > 0)
    cut += [f"min_p {s.min_p:g}"] * (s.min_p > 0)
    how = f"temperature {s.temperature:g}" + (f", {', '.join(cut)} (in the learner's log-probs too)" if cut else "")
    groups = s.prompts_per_step / learner.minibatches
    return (
        f"a step samples {s.prompts_per_step} prompts x {s.group_size} completions = {rows} of at most {s.max_tokens} "
        f"tokens at {how}, and makes {updates} update{'s' if updates > 1 else ''}: {learner.passes} pass"
        f"{'es' if learner.passes > 1 else ''} over {learner.minibatches} minibatch"
        f"{'es' if learner.minibatches > 1 else ''} of {groups:g} groups. pi_old is the learner at the weights that "
        "sampled" + (": with one update its ratio to pi_new is 1" if updates == 1 else "")
    )


def _advantage(recipe: Recipe) -> str:
    advantage = recipe.objective.advantage
    settings = advantage.model_dump(exclude={"type", "critic"})
    row = ESTIMATORS[advantage.type]
    told = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in settings.items())
    weights = " + ".join(f"{r.weight:g} {r.name or r.type}" for r in recipe.rewards)
    text = f"{row.equation}" + (f"; {told}" if told else "") + f". R = {weights}"
    kl = recipe.objective.kl
    if kl.placement == "reward" and kl.beta > 0 and not row.takes_token_kl:
        text += f" - {kl.beta:g} sum_t (log pi_old - log pi_ref)"
    return text + ". No gradient flows through A"


def _weight(recipe: Recipe) -> str:
    objective = recipe.objective
    mode = objective.aggregation
    text = f"{WEIGHTS[mode]} ({mode}), T_i the tokens of completion i in the loss"
    if " C" in WEIGHTS[mode]:
        text += f", C = {objective.constant or recipe.sampling.max_tokens}"
        text += "" if objective.constant else " (sampling.max_tokens)"
    if "N" in WEIGHTS[mode]:
        counted = "with" if objective.count_masked_sequences else "without"
        text += f", N the completions of the update, {counted} those that have no token in the loss"
    whole = "Counts are of the whole minibatch, groups with advantage 0 included"
    if recipe.filters.dynamic_sampling.enabled:
        whole += ", apart from groups that dynamic sampling replaced"
    return f"{text}. {whole}, before the first backward pass"


def _mask(recipe: Recipe) -> str:
    if recipe.filters.mask_truncated:
        return "1 at the tokens the policy drew, its end-of-sequence token included; 0 in completions cut at max_tokens"
    return "1 at the tokens the policy drew, its end-of-sequence token included"


def _factor(recipe: Recipe) -> str:
    objective, parts = recipe.objective, []
    if (c := objective.sampler_correction) is not None:
        low, high = ("none" if b is None else f"{b:g}" for b in (c.min, c.max))
        parts.append(f"exp(log pi_old - log pi_sampler) by {c.level}, {c.action} at [{low}, {high}]")
    if (o := objective.off_policy_mask) is not None:
        parts.append(f"0 where A_i < 0 and mean_t (log pi_sampler - log pi_new) > {o.delta:g}")
    if (e := objective.entropy_mask) is not None:
        parts.append(f"0 but at the {e.keep_top:.0%} of the minibatch's tokens with the highest entropy")
    return "; times ".join(parts) or "1"


def _kl(recipe: Recipe) -> str:
    kl = recipe.objective.kl
    if kl.beta == 0:
        return "0: no reference policy is kept"
    reference = {
        "initial": "the policy before the first step",
        "refresh": f"the policy of the last multiple of {getattr(kl.reference, 'every', 0)} steps",
        "ema": f"an average of the policy, decay {getattr(kl.reference, 'decay', 0):g}, "
        f"every {getattr(kl.reference, 'every', 0)} steps",
    }[kl.reference.type]
    where = f"{KL[kl.estimator]}, d = log pi_new - log pi_ref" if kl.placement == "loss" else "0 here: in the reward"
    text = f"{where}; beta {kl.beta:g}, pi_ref {reference}"
    if kl.adaptive is not None:
        text += f"; beta follows a KL of {kl.adaptive.target:g} nats a token over {kl.adaptive.horizon} completions"
    return text


def _entropy(recipe: Recipe) -> str:
    bonus = recipe.objective.entropy_bonus
    if bonus is None:
        return "0"
    text = f"c = {bonus.coefficient:g}, H the entropy of the sampling distribution, over the whole vocabulary"
    if bonus.target is not None:
        text += f"; c moves by {bonus.change:g} a step towards {bonus.target:g} nats, and applies at or below it"
    return text


def _critic(recipe: Recipe) -> str | None:
    settings: Any = getattr(recipe.objective.advantage, "critic", None)
    if settings is None:
        return None
    clip = "no clip" if settings.value_clip is None else f"c = {settings.value_clip:g}"
    return (
        "value loss = mean over the minibatch's tokens of 1/2 max((v - G)^2, (clip(v, v_old - c, v_old + c) - G)^2), "
        f"{clip}, G = A + V before whitening; AdamW of its own, learning rate {settings.learning_rate:g}"
        + (f"; the first {settings.warmup_steps} steps train the critic alone" if settings.warmup_steps else "")
    )


def _optimizer(recipe: Recipe) -> str:
    o = recipe.learner.optimizer
    return (
        f"AdamW, learning rate {o.learning_rate:g} ({o.schedule}, {o.warmup_steps} warm-up updates), betas "
        f"{o.betas[0]:g} {o.betas[1]:g}, eps {o.epsilon:g}, weight decay {o.weight_decay:g}; the gradient's norm is "
        f"clipped at {o.max_grad_norm:g}"
    )
