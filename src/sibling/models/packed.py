"""Packed attention: many sequences in one row of tokens, a prompt computed once for all its siblings.

A transformers model runs on one row of tokens [1, S] without padding and without a mask. What attends to
what is told by a *layout*, passed to the model as the keyword `sibling_layout`; the function registered
here under the attention name `sibling` reads it. Two layouts exist:

- `GroupLayout`: whole groups, `prompt, completion 0, completion 1, ...` one after another. A completion
  attends to its prompt and to itself. Used by the learner and, without completions, by prefill.
- `DecodeLayout` (rollout.cache): one new token for each of B rows, against cached keys and values.

Any architecture works whose attention goes through transformers' attention interface and passes keyword
arguments on; `check_architecture` proves it for the model at hand before anything is trained.

Shapes: S packed tokens, H query heads, K key heads, D head size, L prompt tokens, G siblings, T tokens of
the longest sibling.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AttentionInterface

from sibling.errors import ModelError
from sibling.models.decoder import decoder_of
from sibling.models.head import plain_head, refined_logits
from sibling.models.precision import head_product, reduced_dtype

ATTENTION = "sibling"


class Layout(Protocol):
    """How packed queries, keys and values attend: q [S, H, D], k and v [S, K, D] -> [S, H, D]."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        """Attention of one layer's packed tokens."""
        ...


@dataclass(frozen=True)
class GroupSpan:
    """Where one group lies in the packed row: its first token, L, and the length of each completion."""

    start: int
    prompt: int
    completions: tuple[int, ...]


class GroupLayout:
    """Groups one after another; see the module docstring."""

    def __init__(self, spans: Sequence[GroupSpan], device: torch.device | None = None) -> None:
        self.spans = tuple(spans)
        self.device = device
        self._sizes = [span.prompt + sum(span.completions) for span in self.spans]
        self.keys: list[Tensor] = []  # per layer, filled when `keep` is set: prefill hands them to the cache
        self.values: list[Tensor] = []
        self.keep = False

    @functools.cached_property
    def _plans(self) -> list[_Plan]:
        return [_Plan(span, self.device) for span in self.spans]

    @functools.cached_property
    def groups(self) -> Tensor:
        """[U, 4] int32 for native.group_attention: first token, prompt, index of the first sibling, siblings."""
        before = np.cumsum([0, *(len(s.completions) for s in self.spans)])[:-1].tolist()
        rows = [(s.start, s.prompt, b, len(s.completions)) for s, b in zip(self.spans, before, strict=True)]
        return torch.tensor(rows, dtype=torch.int32)

    @functools.cached_property
    def lengths(self) -> Tensor:
        """[N] int32: the length of each completion."""
        return torch.tensor([t for s in self.spans for t in s.completions], dtype=torch.int32)

    def cached(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Take note of a layer's keys and values [S, K, D], where they are to be kept."""
        if self.keep:
            self.keys.append(k)
            self.values.append(v)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        """Attention of every group, each on its own."""
        self.cached(layer, k, v)
        groups = zip(self._plans, *(torch.split(x, self._sizes) for x in (q, k, v)), strict=True)
        return torch.cat([plan.attend(*qkv, scale, window) for plan, *qkv in groups])


class _Plan:
    """One group: index tensors made once and used by every layer."""

    def __init__(self, span: GroupSpan, device: torch.device | None) -> None:
        self.prompt, self.total = span.prompt, sum(span.completions)
        self.siblings, self.longest = len(span.completions), max(span.completions, default=0)
        lengths = torch.tensor(span.completions, dtype=torch.long, device=device)
        first = lengths.cumsum(0) - lengths
        self.column = torch.arange(self.longest, device=device)
        inside = self.column[None, :] < lengths[:, None]
        # Padding repeats a sibling's first token: it stands after the real tokens, so causality hides it.
        self.gather = torch.where(inside, first[:, None] + self.column[None, :], first[:, None]).reshape(-1)
        self.real = inside.reshape(-1).nonzero()[:, 0]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        """q, k and v of this group's tokens [L + sum T, heads, D]."""
        parts = [torch.split(x, [self.prompt, self.total]) for x in (q, k, v)]
        qp, kp, vp = (prompt.transpose(0, 1)[None] for prompt, _ in parts)  # [1, heads, L, D]
        causal = window is None or window >= self.prompt
        mask = None if causal else _band(torch.arange(self.prompt, device=q.device), self.prompt, window)
        out = _sdpa(qp, kp, vp, mask, scale)[0].transpose(0, 1)
        if self.siblings == 0:
            return out
        rest = [own for _, own in parts]
        return torch.cat([out, self._siblings(rest[0], rest[1], rest[2], kp, vp, scale, window)])

    def _siblings(
        self, q: Tensor, k: Tensor, v: Tensor, kp: Tensor, vp: Tensor, scale: float, window: int | None
    ) -> Tensor:
        g, t = self.siblings, self.longest
        qs, ks, vs = (x[self.gather].view(g, t, x.shape[1], x.shape[2]).transpose(1, 2) for x in (q, k, v))
        keys = torch.cat([kp.expand(g, -1, -1, -1), ks], dim=2)
        values = torch.cat([vp.expand(g, -1, -1, -1), vs], dim=2)
        mask = _band(self.prompt + self.column, self.prompt + t, window)
        out = _sdpa(qs, keys, values, mask, scale).transpose(1, 2).reshape(g * t, q.shape[1], q.shape[2])
        return out[self.real]


def _band(query_positions: Tensor, keys: int, window: int | None) -> Tensor:
    """Boolean mask [queries, keys]: a query sees keys at or before it, within `window` positions if given."""
    key = torch.arange(keys, device=query_positions.device)
    distance = query_positions[:, None] - key[None, :]
    seen = distance >= 0
    return seen if window is None else seen & (distance < window)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    gqa = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=gqa)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    sibling_layout: Layout | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The function transformers calls: [1, H, S, D] in, [1, S, H, D] out."""
    if sibling_layout is None:
        raise ModelError(
            "The model did not pass the packed layout on to its attention",
            seen=type(module).__name__,
            wanted="an architecture that hands keyword arguments to transformers' attention interface",
        )
    q, k, v = (x[0].transpose(0, 1).float() for x in (query, key, value))
    scale = scaling if scaling is not None else float(q.shape[-1]) ** -0.5
    with torch.autocast(query.device.type, enabled=False):  # sampler and learner differ less: see precision.py
        out = sibling_layout.attend(int(getattr(module, "layer_idx", 0)), q, k, v, scale, sliding_window)
    return out[None], None


AttentionInterface.register(ATTENTION, _attention)  # type: ignore[no-untyped-call, unused-ignore]


@dataclass(frozen=True)
class Packed:
    """Token ids and positions of packed groups, with the layout that says what attends to what."""

    ids: Tensor  # [1, S]
    positions: Tensor  # [1, S]
    layout: GroupLayout


def pack(
    prompts: Sequence[NDArray[np.int64]],
    completions: Sequence[Sequence[NDArray[np.int64]]],
    device: torch.device | None = None,
) -> Packed:
    """Pack groups: prompt p, then its completions, then the next prompt."""
    spans, ids, positions, start = [], [], [], 0
    for prompt, siblings in zip(prompts, completions, strict=True):
        spans.append(GroupSpan(start, len(prompt), tuple(len(c) for c in siblings)))
        ids += [prompt, *siblings]
        positions.append(np.arange(len(prompt)))
        positions += [np.arange(len(prompt), len(prompt) + len(c)) for c in siblings]
        start += len(prompt) + sum(len(c) for c in siblings)
    return Packed(
        ids=torch.from_numpy(np.concatenate(ids).astype(np.int64))[None].to(device),
        positions=torch.from_numpy(np.concatenate(positions).astype(np.int64))[None].to(device),
        layout=GroupLayout(spans, device),
    )


def use_packed_attention(model: Any) -> None:
    """Switch `model` to the packed attention; it then runs only with a layout."""
    model.set_attn_implementation(ATTENTION)


def hidden_states(model: Any, ids: Tensor, positions: Tensor, layout: Layout) -> Tensor:
    """Final hidden states [S, width] of packed tokens ids and positions [1, S]."""
    decoder = decoder_of(model)
    if decoder is not None and isinstance(layout, GroupLayout):
        return decoder.hidden(ids[0], positions[0], layout, reduced_dtype("cpu"))
    out = model.get_decoder()(input_ids=ids, position_ids=positions, use_cache=False, sibling_layout=layout)
    return out.last_hidden_state[0]  # type: ignore[no-any-return]


def head_logits(model: Any, hidden: Tensor) -> Tensor:
    """Logits [n, V] in float32 of hidden states [n, width], soft-capped where the architecture does so."""
    plain = plain_head(model)
    if plain is not None and reduced_dtype("cpu") is torch.bfloat16:
        return refined_logits(hidden, plain)
    head = model.get_output_embeddings()
    if type(head) is nn.Linear:
        logits = head_product(hidden, head.weight)
        if head.bias is not None:
            logits = logits + head.bias
    else:  # a head with an adapter is more than its weight
        with torch.autocast(hidden.device.type, enabled=False):
            logits = head(hidden.float())
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


@torch.no_grad()
def check_architecture(model: Any, tolerance: float = 1e-3) -> float:
    """Largest difference of log-probs between packed siblings and the model's own forward pass, in nats.

    Raises `ModelError` above `tolerance`: the architecture does something the packed attention does not
    know (its own masks, attention sinks, scaled logits). Call it in float32, before `use_packed_attention`.
    """
    rng = np.random.default_rng(0)
    size = model.config.get_text_config().vocab_size
    prompt = rng.integers(0, size, 5)
    siblings = [rng.integers(0, size, n) for n in (4, 7)]
    packed = pack([prompt], [siblings])
    rows = [torch.from_numpy(np.concatenate([prompt, s]))[None] for s in siblings]
    before = model.config._attn_implementation
    own = torch.cat([model(input_ids=row, use_cache=False).logits[0, 5:] for row in rows]).float().log_softmax(-1)
    try:
        use_packed_attention(model)
        hidden = hidden_states(model, packed.ids, packed.positions, packed.layout)
        ours = head_logits(model, hidden[5:]).log_softmax(-1)
    except (TypeError, RuntimeError, ValueError) as error:
        raise _unsupported(model, f"{type(error).__name__}: {error}") from error
    finally:
        model.set_attn_implementation(before)
    gap = float((own - ours).abs().max())
    if not gap <= tolerance:
        raise _unsupported(model, f"log-probs differ by {gap:.3g} nats from the model's own")
    return gap


def _unsupported(model: Any, seen: str) -> ModelError:
    return ModelError(
        f"The architecture {type(model).__name__} does not run in packed groups",
        seen=seen,
        wanted="attention through transformers' attention interface, causal or with a sliding window",
        do="Llama, Qwen2, Qwen3, Gemma and Mistral models are known to work",
    )
