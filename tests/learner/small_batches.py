"""Small models and ragged batches, and the plain way to score them: one row at a time, as transformers does it."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from sibling.batch import Batch
from sibling.config import GaeAdvantage, Learner, ObjectiveConfig, Sampling
from sibling.learner.state import LearnerState
from sibling.learner.step import LearnerStep
from sibling.maths.likelihood import sampling_logits, token_logprobs
from sibling.models.packed import use_packed_attention
from sibling.models.precision import ComputeDtype
from sibling.models.tiny import ARCHITECTURES, build_tiny

VOCABULARY = 259
CASES = [(name, None) for name in ARCHITECTURES] + [("mistral", 4)]
"""(architecture, sliding window in tokens): every tiny model, and a window shorter than every prompt used here."""


@functools.cache
def _built(architecture: str, window: int | None) -> tuple[Any, Any]:
    return build_tiny(architecture, 0, sliding_window=window)


def plain_model(architecture: str = "llama", window: int | None = None) -> Any:
    """A fresh copy that runs as transformers made it."""
    return copy.deepcopy(_built(architecture, window)[0])


def packed_model(architecture: str = "llama", window: int | None = None) -> Any:
    """A fresh copy that runs in packed groups."""
    model = plain_model(architecture, window)
    use_packed_attention(model)
    return model


def tokenizer() -> Any:
    return _built("llama", None)[1]


def ragged_prompts(seed: int, count: int, shortest: int = 1, longest: int = 12) -> list[np.ndarray]:
    random = np.random.default_rng([seed, 1])
    return [random.integers(0, VOCABULARY, int(n)) for n in random.integers(shortest, longest + 1, count)]


def ragged_batch(seed: int = 0, groups: int = 3, siblings: int = 3, longest: int = 9) -> Batch:
    """Groups of random tokens: prompts of 1 to 12 tokens, completions of 1 to `longest`, every group live."""
    random = np.random.default_rng([seed, 2])
    n = groups * siblings
    completions = [random.integers(0, VOCABULARY, int(k)) for k in random.integers(1, longest + 1, n)]
    return Batch(
        prompts=tuple(ragged_prompts(seed, groups)),
        group=np.repeat(np.arange(groups), siblings),
        completions=tuple(completions),
        sampler_logprobs=tuple(np.full(len(c), -5.0, dtype=np.float32) for c in completions),
        mask=tuple(np.ones(len(c), dtype=bool) for c in completions),
        advantage=random.normal(size=n),
        live=np.ones(n, dtype=bool),
    )


def one_row_groups(batch: Batch) -> Batch:
    """The same rows, each a group of its own: nothing is shared."""
    prompts = tuple(batch.prompts[g] for g in batch.group)
    return replace(batch, prompts=prompts, group=np.arange(batch.size))


def row_logprobs(model: Any, prompt: np.ndarray, completion: np.ndarray, **distribution: Any) -> Tensor:
    """[T] log-probs of one completion by the model's own forward pass over prompt and completion."""
    ids = torch.from_numpy(np.concatenate([prompt, completion]))[None]
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
    tokens = ids[0, len(prompt) :]
    return token_logprobs(sampling_logits(logits, keep=tokens, **distribution), tokens)


def alone(model: Any, batch: Batch, **distribution: Any) -> list[Tensor]:
    """`row_logprobs` of every row."""
    rows = zip(batch.group, batch.completions, strict=True)
    return [row_logprobs(model, batch.prompts[g], c, **distribution) for g, c in rows]


def gradients(model: Any) -> dict[str, Tensor]:
    """A copy of the gradients by name; zeros where there is none."""
    return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def relative_gap(seen: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """Largest difference of any entry over the largest entry wanted; infinite if all that was wanted is 0."""
    assert set(seen) == set(wanted)
    largest = max(float(t.abs().max()) for t in wanted.values())
    gap = max(float((seen[n] - wanted[n]).abs().max()) for n in wanted)
    return 0.0 if gap == 0 else gap / largest if largest else float("inf")


def learner(
    objective: ObjectiveConfig,
    config: Learner | None = None,
    *,
    model: Any = None,
    sampling: Sampling | None = None,
    compute_dtype: ComputeDtype = "float32",
    total_updates: int = 10,
) -> LearnerStep:
    """A learner on a fresh tiny Llama, or on `model`."""
    state = LearnerState(
        plain_model() if model is None else model,
        config or Learner(),
        kl=objective.kl,
        critic=objective.advantage.critic if isinstance(objective.advantage, GaeAdvantage) else None,
        total_updates=total_updates,
        seed=0,
    )
    return LearnerStep(state, objective, sampling or Sampling(max_tokens=9), compute_dtype)


ROWS = {t.model_fields["type"].default: t for t in get_args(get_args(ObjectiveConfig)[0])}
"""Row of the table -> its section of a recipe."""

BY_TOKEN = ("process", "gae", "reinforce_pp", "reinforce_pp_baseline")
"""Estimators whose advantages differ by token."""


def objective_of(row: str, **changes: Any) -> Any:
    """The row's section. Selectors pick a fifth of the tokens, so that a small batch has some; clips of sequences are
    wide enough that one update does not put every sequence beyond them; Kimi's square weighs something.
    """
    own: dict[str, dict[str, float]] = {
        "clip_cov": {"share": 0.2, "score_low": 0.05, "score_high": 99.0},
        "kl_cov": {"share": 0.2},
        "kimi": {"tau": 2.0},
        **{r: {"clip_low": 0.5, "clip_high": 0.5} for r in ("gspo", "gspo_token", "luspo")},
        "rloo_clip": {"clip_low": 0.9, "clip_high": 9.0},
    }
    return ROWS[row](**{**own.get(row, {}), **changes})


def for_row(batch: Batch, objective: ObjectiveConfig, seed: int = 0) -> Batch:
    """The batch with the columns that the row reads: token advantages, values and returns, an expert's traces."""
    random = np.random.default_rng([seed, 3])
    noise = [random.normal(size=len(c)) for c in batch.completions]
    if objective.advantage.type in BY_TOKEN:
        token = tuple(
            np.where(m, a * (1 + 0.5 * np.tanh(e)), 0.0)
            for a, e, m in zip(batch.advantage, noise, batch.mask, strict=True)
        )
        batch = replace(batch, token_advantage=token)
    if isinstance(objective.advantage, GaeAdvantage):
        values = tuple(0.1 * e.astype(np.float32) for e in noise)
        batch = replace(batch, values=values, returns=tuple(v + e for v, e in zip(values, noise, strict=True)))
    if objective.type == "luffy":  # the last sibling of each group; nobody knows its log-probs
        expert = np.append(np.diff(batch.group) > 0, True)
        logprobs = [np.full_like(s, np.nan) if e else s for s, e in zip(batch.sampler_logprobs, expert, strict=True)]
        batch = replace(batch, expert=expert, sampler_logprobs=tuple(logprobs))
    return batch


@contextmanager
def watched_gradients(step: LearnerStep) -> Iterator[list[dict[str, Tensor]]]:
    """Collects what each optimizer update is given (after clipping; raise max_grad_norm to see it unclipped)."""
    seen: list[dict[str, Tensor]] = []
    parameters = step.state.parameters

    def note(*_: Any) -> None:
        seen.append({n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in parameters})

    handle = step.state.optimizer.register_step_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def counted_tokens(model: Any) -> Iterator[list[int]]:
    """Collects the number of tokens of every forward pass through the decoder."""
    seen: list[int] = []
    handle = model.get_decoder().embed_tokens.register_forward_pre_hook(lambda _, given: seen.append(given[0].numel()))
    try:
        yield seen
    finally:
        handle.remove()


def tokens_of(batch: Batch, rows: Sequence[int]) -> int:
    """Packed tokens of some rows: each completion, and each prompt once."""
    prompts = {int(batch.group[r]) for r in rows}
    return sum(len(batch.prompts[g]) for g in prompts) + sum(len(batch.completions[r]) for r in rows)
