"""Keys and values while decoding: a prompt's are kept once a group, a row's own beside them.

`DecodeLayout` answers the attention of one new token for each of B rows (siblings of P prompts). A row
sees its prompt (L keys, shared by the group: one matrix product for all siblings) and its own suffix.
Rows leave the cache when their completion has ended; the buffers are compacted then.

Shapes: B rows, P prompts, M most live siblings of a prompt, H query heads, K key heads, R = H / K,
D head size, L longest prompt, T tokens of the suffix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sibling.models.packed import GroupLayout, head_logits, hidden_states, pack


class DecodeLayout:
    """The cache of the live rows. A row's own buffers hold as many tokens as it has drawn."""

    def __init__(self, prefill: GroupLayout, siblings: Sequence[int], max_tokens: int) -> None:
        lengths = [span.prompt for span in prefill.spans]
        device = prefill.keys[0].device
        self.length = torch.tensor(lengths, device=device)
        self.prompt_keys = [_by_prompt(k, prefill, max(lengths)) for k in prefill.keys]
        self.prompt_values = [_by_prompt(v, prefill, max(lengths)) for v in prefill.values]
        rows = sum(siblings)
        heads, size = prefill.keys[0].shape[1:]
        shape = (rows, heads, max_tokens, size)
        self.keys = [k.new_zeros(shape) for k in prefill.keys]  # zeros: a weight of 0 on an unwritten value must give 0
        self.values = [v.new_zeros(shape) for v in prefill.values]
        self.prompt_of_row = torch.repeat_interleave(
            torch.arange(len(lengths), device=device), torch.tensor(list(siblings), device=device)
        )
        self.drawn = torch.zeros(rows, dtype=torch.long, device=device)  # tokens already in each row's buffers
        self._index()

    def _index(self) -> None:
        """Slots: rows laid out as [P, M] so that a prompt meets all its siblings in one product."""
        prompts = len(self.length)
        counts = torch.bincount(self.prompt_of_row, minlength=prompts)
        most = int(counts.max())
        first = counts.cumsum(0) - counts
        rank = torch.arange(len(self.prompt_of_row), device=counts.device) - first[self.prompt_of_row]
        self.slot_of_row = self.prompt_of_row * most + rank
        self.row_of_slot = torch.zeros(prompts * most, dtype=torch.long, device=counts.device)
        self.row_of_slot[self.slot_of_row] = torch.arange(len(rank), device=counts.device)
        self.most = most

    def positions(self) -> Tensor:
        """[B] position of the token each row is about to compute."""
        return self.length[self.prompt_of_row] + self.drawn

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        """q [B, H, D], k and v [B, K, D] of one new token a row -> [B, H, D]."""
        t = int(self.drawn.max()) + 1
        keys, values = self.keys[layer], self.values[layer]
        b, h, d = q.shape
        row = torch.arange(b, device=q.device)
        keys[row, :, self.drawn], values[row, :, self.drawn] = k, v
        grouped = q.view(b, k.shape[1], h // k.shape[1], d)
        own = grouped @ keys[:, :, :t].transpose(-1, -2)  # [B, K, R, T]
        prompt = self._to_rows(self._to_slots(grouped) @ self.prompt_keys[layer].transpose(-1, -2))  # [B, K, R, L]
        scores = torch.cat([prompt, own], -1) * scale
        shared = prompt.shape[-1]
        weights = scores.masked_fill(self._hidden(shared, t, window), float("-inf")).softmax(-1)
        out = weights[..., shared:] @ values[:, :, :t]
        out += self._to_rows(self._to_slots(weights[..., :shared]) @ self.prompt_values[layer])
        return out.reshape(b, h, d)

    def _to_slots(self, rows: Tensor) -> Tensor:
        """[B, K, R, X] -> [P, K, M * R, X]."""
        _, k, r, x = rows.shape
        slots = rows[self.row_of_slot].view(-1, self.most, k, r, x)
        return slots.transpose(1, 2).reshape(-1, k, self.most * r, x)

    def _to_rows(self, slots: Tensor) -> Tensor:
        """[P, K, M * R, X] -> [B, K, R, X]."""
        p, k, mr, x = slots.shape
        rows = slots.view(p, k, self.most, mr // self.most, x).transpose(1, 2)
        return rows.reshape(p * self.most, k, mr // self.most, x)[self.slot_of_row]

    def _hidden(self, shared: int, t: int, window: int | None) -> Tensor:
        """[B, 1, 1, L + T]: True where a key is padding of a shorter prompt or suffix, or out of the sliding window."""
        device = self.length.device
        length = self.length[self.prompt_of_row][:, None]
        column = torch.arange(shared, device=device)[None, :]
        prompt = column >= length
        drawn, suffix = self.drawn[:, None], torch.arange(t, device=device)[None, :]
        own = suffix > drawn
        if window is not None:
            prompt = prompt | (length + drawn - column >= window)
            own = own | (drawn - suffix >= window)
        return torch.cat([prompt, own], -1)[:, None, None, :]

    def join(self, other: DecodeLayout) -> None:
        """Append the rows of `other`, which were admitted after these."""
        longest = max(k.shape[2] for k in (self.prompt_keys[0], other.prompt_keys[0]))
        for name in ("prompt_keys", "prompt_values"):
            pairs = zip(getattr(self, name), getattr(other, name), strict=True)
            setattr(self, name, [torch.cat([_longer(a, longest), _longer(b, longest)]) for a, b in pairs])
        self.keys = [torch.cat(pair) for pair in zip(self.keys, other.keys, strict=True)]
        self.values = [torch.cat(pair) for pair in zip(self.values, other.values, strict=True)]
        self.prompt_of_row = torch.cat([self.prompt_of_row, other.prompt_of_row + len(self.length)])
        self.length, self.drawn = torch.cat([self.length, other.length]), torch.cat([self.drawn, other.drawn])
        self._index()

    def keep(self, rows: Tensor) -> None:
        """Keep these rows (ascending indices) and the prompts they need; the rest leaves the buffers."""
        prompts, renumbered = torch.unique(self.prompt_of_row[rows], return_inverse=True)
        self.prompt_of_row = renumbered
        if len(prompts) < len(self.length):
            self.length = self.length[prompts]
            self.prompt_keys = [k[prompts] for k in self.prompt_keys]
            self.prompt_values = [v[prompts] for v in self.prompt_values]
        self.keys = [k[rows] for k in self.keys]
        self.values = [v[rows] for v in self.values]
        self.drawn = self.drawn[rows]
        self._index()


def _longer(x: Tensor, length: int) -> Tensor:
    """[P, K, L, D] with zeros up to `length` columns."""
    return torch.nn.functional.pad(x, (0, 0, 0, length - x.shape[2]))


def _by_prompt(packed: Tensor, prefill: GroupLayout, longest: int) -> Tensor:
    """Keys or values [S, K, D] of packed prompts -> [P, K, L, D], zeros after a shorter prompt."""
    out = packed.new_zeros(len(prefill.spans), packed.shape[1], longest, packed.shape[2])
    for i, span in enumerate(prefill.spans):
        out[i, :, : span.prompt] = packed[span.start : span.start + span.prompt].transpose(0, 1)
    return out


class ModulesDecoding:
    """Decoding through transformers' modules, for any architecture and device; see `Decoding`."""

    compact_below = 0.75  # leaving rows means copying the buffers

    def __init__(self, model: Any, max_tokens: int) -> None:
        self.model, self.max_tokens = model, max_tokens
        self.cache: DecodeLayout | None = None

    def admit(self, prompts: Sequence[NDArray[np.int64]], siblings: Sequence[int]) -> Tensor:
        """Compute the prompts, append their rows; logits [sum of siblings, V] of the first token of each."""
        device = self.model.device
        packed = pack(prompts, [()] * len(prompts), device)
        packed.layout.keep = True
        hidden = hidden_states(self.model, packed.ids, packed.positions, packed.layout)
        last = torch.tensor([s.start + s.prompt - 1 for s in packed.layout.spans], device=device)
        fresh = DecodeLayout(packed.layout, siblings, self.max_tokens)
        logits = head_logits(self.model, hidden[last])[fresh.prompt_of_row]
        if self.cache is None or not len(self.cache.drawn):
            self.cache = fresh
        else:
            self.cache.join(fresh)
        return logits

    def step(self, tokens: Tensor) -> Tensor:
        """Compute one new token a row [B]; logits [B, V] of the next."""
        assert self.cache is not None
        hidden = hidden_states(self.model, tokens[None], self.cache.positions()[None], self.cache)
        # A row that has ended rides along until the next compaction: its buffers, long full, take its last place again.
        self.cache.drawn.add_(1).clamp_(max=self.max_tokens - 1)
        return head_logits(self.model, hidden)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows (ascending)."""
        assert self.cache is not None
        if rows:
            self.cache.keep(torch.tensor(rows, device=self.model.device))
        else:
            self.cache = None
