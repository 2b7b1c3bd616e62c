"""What a model has to compute and to hold: useful operations of sampling and of an update, bytes of a run.

Operations are counted as if nothing were done twice: a prompt once for all its siblings, the vocabulary head once a
position that a token is drawn or scored at (siblings share the first), a completion's last token never, as nothing
follows it. Nothing is counted for padding, for recomputation, or for dead groups. A multiplication and its addition
are two operations. Of a Transformer only matrix products count: with N tokens through the layers, S keys seen by all
of them together, and K positions at the head,

    forward = 2 N layers layer_parameters + 4 S layers heads head_size + 2 K head_parameters

and a backward pass is twice that. Layers with a sliding window are counted as if they saw everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Group = tuple[int, Sequence[int]]
"""Tokens of a prompt, and of each of its completions (at least 1 each)."""

HEAD_CHUNK = 512
"""Positions whose logits an update holds at one time, for the estimate of memory."""

PROGRAM = 600_000_000
"""Bytes of the interpreter with torch and transformers loaded, before there is a model."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder-only Transformer that work and memory follow from."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    layer_parameters: int  # weights that tokens are multiplied with in one layer (the mean, where layers differ)
    head_parameters: int  # those of the vocabulary head
    parameters: int  # all weights, a tied one once


def shape_of(model: Any) -> Shape:
    """The shape of a transformers model without adapters, from its config and its linear layers."""
    from sibling.models.roofline import shapes_of

    config, linear = model.config.get_text_config(), shapes_of(model)
    heads = config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_size=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocabulary=config.vocab_size,
        layer_parameters=sum(s.parameters for s in linear if not s.head) // config.num_hidden_layers,
        head_parameters=sum(s.parameters for s in linear if s.head),
        parameters=sum(p.numel() for p in model.parameters()),
    )


# ---------------------------------------------------------------------------------------------- operations


def prefill_work(shape: Shape, prompts: Sequence[int]) -> float:
    """Operations of the layers on prompts of these lengths, each once. The head comes with the drawn tokens."""
    return _forward(shape, sum(prompts), sum(_seen(0, length) for length in prompts), 0)


def sampling_work(shape: Shape, prompts: Sequence[int], completions: Sequence[Sequence[int]]) -> float:
    """Operations of drawing `completions` (tokens of each, a list a group) after `prompts` (tokens), prefill included.

    Siblings draw their first token from one row of logits; the last token drawn is never computed.
    """
    tokens = seen = positions = 0
    for prompt, siblings in zip(prompts, completions, strict=True):
        tokens += sum(siblings) - len(siblings)
        seen += sum(_seen(prompt, prompt + n - 1) for n in siblings)
        positions += _positions(siblings)
    return prefill_work(shape, prompts) + _forward(shape, tokens, seen, positions)


def update_work(shape: Shape, groups: Sequence[Group], *, full: bool = True) -> float:
    """Operations of one forward and backward pass over `groups`: those that are live, with the rows that are computed.

    Every token of a completion is scored. `full`: the weights take a gradient; otherwise (adapters) only what
    leads back through the layers counts, and the backward pass of a product costs as much as its forward pass.
    """
    tokens = seen = positions = 0
    for prompt, siblings in groups:
        if siblings:
            tokens += prompt + sum(siblings) - len(siblings)
            seen += _seen(0, prompt) + sum(_seen(prompt, prompt + n - 1) for n in siblings)
            positions += _positions(siblings)
    products, attention = _forward(shape, tokens, 0, positions), _forward(shape, 0, seen, 0)
    return products * (3 if full else 2) + attention * 3


def _forward(shape: Shape, tokens: int, seen: int, positions: int) -> float:
    """The equation of the module's docstring."""
    layers = tokens * shape.layer_parameters + 2 * seen * shape.heads * shape.head_size
    return 2.0 * (layers * shape.layers + positions * shape.head_parameters)


def _seen(first: int, end: int) -> int:
    """Keys seen by the tokens at positions first .. end - 1 together: a token sees itself and all before it."""
    return (end * (end + 1) - first * (first + 1)) // 2


def _positions(siblings: Sequence[int]) -> int:
    """Positions that tokens of these siblings are drawn at: the end of the prompt is one for all of them."""
    return sum(siblings) - len(siblings) + 1 if siblings else 0


# -------------------------------------------------------------------------------------------------- memory


@dataclass(frozen=True)
class Cache:
    """The most that the sampler holds at one time: rows with up to `tokens` each, and prompts."""

    rows: int
    tokens: int
    prompts: int
    prompt_tokens: int


@dataclass(frozen=True)
class Memory:
    """Bytes of a run by what they hold."""

    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Holding:
    """What a run holds whatever the size of its micro-batches."""

    trainable: int  # weights with a gradient
    compute_dtype: str  # float32 or bfloat16
    gradient_checkpointing: bool = False
    cache: Cache | None = None
    beside: int = 0  # bytes of further models: a reference, a critic, a reward model, merged weights


def memory_estimate(
    shape: Shape,
    holding: Holding,
    *,
    micro_batch_tokens: int,
    scored_tokens: int | None = None,
) -> Memory:
    """Bytes that a run holds with micro-batches of this many tokens; `scored_tokens` of them (None: all) are scored.

    The parts do not all peak at one moment, so the sum is an upper bound as far as the parts are right.
    """
    scored = micro_batch_tokens if scored_tokens is None else scored_tokens
    reduced = shape.layers * shape.layer_parameters + shape.head_parameters
    cache = holding.cache
    cached = cache.rows * cache.tokens + cache.prompts * cache.prompt_tokens if cache else 0
    return Memory(
        MappingProxyType(
            {
                "program": PROGRAM,
                "weights": 4 * shape.parameters,
                "gradients": 4 * holding.trainable,
                "optimizer": 8 * holding.trainable,
                "bfloat16 weights": 2 * reduced if holding.compute_dtype == "bfloat16" else 0,
                "other models": holding.beside,
                "activations": activation_bytes(shape, holding, micro_batch_tokens),
                "head": 2 * 4 * HEAD_CHUNK * shape.vocabulary + 2 * 4 * scored * shape.hidden,
                "cache": cached * shape.layers * 2 * shape.kv_heads * shape.head_size * 4,
            }
        )
    )


def activation_bytes(shape: Shape, holding: Holding, tokens: int) -> int:
    """Bytes kept for the backward pass of `tokens` packed tokens.

    A layer keeps a token's residual stream in float32 before and after attention, and in the compute dtype both
    norms' outputs, queries, keys and values, attention's output, and the two products that SwiGLU joins. With
    gradient checkpointing every layer keeps its input alone, and one layer at a time all of it.
    """
    element = 2 if holding.compute_dtype == "bfloat16" else 4
    attention = shape.head_size * (2 * shape.heads + 2 * shape.kv_heads)
    layer = 8 * shape.hidden + element * (2 * shape.hidden + attention + 2 * shape.intermediate)
    if holding.gradient_checkpointing:
        return tokens * (4 * shape.hidden * shape.layers + layer)
    return tokens * layer * shape.layers


def largest_micro_batch(shape: Shape, holding: Holding, free: int) -> int:
    """The largest token budget of a micro-batch with which a run fits in `free` bytes; 0 if none does."""
    nothing, one = (memory_estimate(shape, holding, micro_batch_tokens=n).total for n in (0, 1))
    return max(0, free - nothing) // (one - nothing)
