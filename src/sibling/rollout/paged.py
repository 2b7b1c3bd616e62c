"""Decoding with our own kernels: keys and values in pages of 32 positions, a prompt's pages shared by its siblings.

A row owns pages for its completion alone, so memory grows with completions and not with prompt x siblings. Rows come
and go between steps without anything being moved: only the small table of pages changes.

Shapes: B live rows, W width, H query heads, K key heads, D head size, T the compute dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sibling.models import native
from sibling.models.decoder import Decoder
from sibling.models.head import logits_of, plain_head
from sibling.models.laid_out import LaidOut, can_lay_out
from sibling.models.packed import GroupLayout, head_logits, pack
from sibling.models.precision import reduced_dtype
from sibling.models.steps import Fused, norm_heads

PAGE = 32

_SPAN_ROWS = 16  # most siblings whose queries are read together with their prompt's keys by one thread


def pages_of(tokens: int) -> int:
    """Pages that hold so many positions."""
    return -(-tokens // PAGE)


class PagedDecoding:
    """The state of the live rows; see `Decoding`."""

    compact_below = 1.0

    def __init__(self, model: Any, decoder: Decoder, *, pages: int, rows: int, max_tokens: int, positions: int) -> None:
        """`pages` bounds the pages in use at one time, `positions` the length of a prompt with its completion."""
        shape, self.dtype = decoder.shape, reduced_dtype("cpu")
        self.model, self.decoder, self.max_tokens = model, decoder, max_tokens
        size = (pages, shape.kv_heads)
        self.keys = [torch.empty(*size, shape.size, PAGE, dtype=self.dtype) for _ in decoder.layers]
        self.values = [torch.empty(*size, PAGE, shape.size, dtype=self.dtype) for _ in decoder.layers]
        self.free = list(range(pages))[::-1]
        self.rotation = decoder.rotation(torch.arange(positions))
        laid_out = self.dtype is torch.bfloat16 and can_lay_out(decoder)
        self.laid_out = LaidOut(decoder, self.keys, self.values, rows) if laid_out else None
        if self.laid_out is None:
            self.products = [[_product(f, self.dtype, rows) for f in layer.products()] for layer in decoder.layers]
        # In float32, or with a head of another kind, transformers' own head gives the logits.
        self.head = plain_head(model) if self.dtype is torch.bfloat16 else None
        if self.head is not None:
            self.head_product = _product(self.head, self.dtype, rows)
        self.tables: list[list[int]] = []  # of each live row: the pages of its prompt, then its own
        self.prompts: list[_Prompt] = []  # of each live row
        self.own: list[int] = []  # tokens of each live row's completion that are in its pages
        self._arrange()

    def admit(self, prompts: Sequence[NDArray[np.int64]], siblings: Sequence[int]) -> Tensor:
        """Compute the prompts, append their rows; logits [sum of siblings, V] of the first token of each."""
        packed = pack(prompts, [()] * len(prompts))
        fresh = [_Prompt(len(p), self._take(len(p))) for p in prompts]
        place = torch.tensor([(p.pages[t // PAGE], t % PAGE) for p in fresh for t in range(p.length)])
        layout = _Prefill(packed.layout, self, place[:, 0], place[:, 1])
        hidden = self.decoder.hidden(packed.ids[0], packed.positions[0], layout, self.dtype)
        last = torch.tensor([s.start + s.prompt - 1 for s in packed.layout.spans])
        for prompt, count in zip(fresh, siblings, strict=True):
            prompt.rows = count
            for _ in range(count):
                self.tables.append(prompt.pages + self._take(self.max_tokens))
                self.prompts.append(prompt)
                self.own.append(0)
        self._arrange()
        row = torch.repeat_interleave(torch.arange(len(fresh)), torch.tensor(list(siblings)))
        return self._logits(hidden[last])[row]

    def step(self, tokens: Tensor) -> Tensor:
        """Compute one new token a row [B]; logits [B, V] of the next."""
        decoder, offset = self.decoder, self.decoder.shape.offset
        x = decoder.embed(tokens)
        rotation = self.rotation[0][self.positions], self.rotation[1][self.positions]
        if self.laid_out is None:
            self._through(x, rotation)
        else:
            pages = {"table": self.table, "prompt": self.lengths, "own": self.drawn, "spans": self.spans}
            self.laid_out.step(x, rotation, **pages)
        final = torch.empty_like(x)
        native.add_norm(x, None, decoder.norm.weight, offset=offset, eps=decoder.norm.eps, out=final)
        self.own = [t + 1 for t in self.own]
        self.drawn += 1
        self.positions += 1
        return self._logits(final)

    def _through(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> None:
        """x [B, W] through all layers in place, by torch's products and one kernel after another."""
        decoder, shape = self.decoder, self.decoder.shape
        add: Tensor | None = None
        normed = torch.empty(x.shape, dtype=self.dtype)
        attended = torch.empty(len(x), shape.heads * shape.size, dtype=self.dtype)
        for i, (layer, (qkv, out, gate_up, down)) in enumerate(zip(decoder.layers, self.products, strict=True)):
            first, second = layer.first_norm, layer.second_norm
            native.add_norm(x, add, first.weight, offset=shape.offset, eps=first.eps, out=normed, y=x)
            native.decode_attention(
                norm_heads(qkv(normed), layer.head_norms, shape),
                rotation,
                self.keys[i],
                self.values[i],
                table=self.table,
                prompt=self.lengths,
                own=self.drawn,
                spans=self.spans,
                heads=layer.heads,
                out=attended,
            )
            native.add_norm(x, out(attended), second.weight, offset=shape.offset, eps=second.eps, out=normed, y=x)
            add = down(native.gated(gate_up(normed), tanh_form=shape.tanh_form))
        assert add is not None
        x += add

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows (ascending); the others give their pages back."""
        leaving = set(range(len(self.own))).difference(rows)
        for r in sorted(leaving):
            prompt = self.prompts[r]
            self.free += self.tables[r][len(prompt.pages) :]
            prompt.rows -= 1
            if not prompt.rows:
                self.free += prompt.pages
        self.tables, self.prompts = [self.tables[r] for r in rows], [self.prompts[r] for r in rows]
        self.own = [self.own[r] for r in rows]
        self._arrange()

    def _logits(self, hidden: Tensor) -> Tensor:
        if self.head is None:
            return head_logits(self.model, hidden)
        x = hidden.bfloat16()
        return logits_of(x, self.head.cast(torch.bfloat16)[0], rough=self.head_product(x))

    def _take(self, tokens: int) -> list[int]:
        return [self.free.pop() for _ in range(pages_of(tokens))]

    def _arrange(self) -> None:
        """The arrays that the kernel reads; rows of one prompt stand together."""
        width = max((len(t) for t in self.tables), default=0)
        table = np.zeros((len(self.tables), width), dtype=np.int32)
        for row, pages in zip(table, self.tables, strict=True):
            row[: len(pages)] = pages
        self.table = torch.from_numpy(table)
        self.lengths = torch.tensor([p.length for p in self.prompts], dtype=torch.int32)
        self.drawn = torch.tensor(self.own, dtype=torch.int32)
        self.positions = self.lengths.long() + self.drawn
        spans: list[tuple[int, int]] = []
        for r, prompt in enumerate(self.prompts):
            same = spans and self.prompts[spans[-1][0]] is prompt and r - spans[-1][0] < _SPAN_ROWS
            spans[-1:] = [(spans[-1][0], r + 1)] if same else [*spans[-1:], (r, r + 1)]
        self.spans = torch.tensor(spans, dtype=torch.int32)


class _Prompt:
    """A prompt in the cache, and how many live rows need it."""

    def __init__(self, length: int, pages: list[int]) -> None:
        self.length, self.pages, self.rows = length, pages, 0


class _Prefill(GroupLayout):
    """The layout of packed prompts, whose keys and values go into their pages."""

    def __init__(self, layout: GroupLayout, decoding: PagedDecoding, page: Tensor, column: Tensor) -> None:
        super().__init__(layout.spans)
        self.decoding, self.page, self.column = decoding, page, column

    def cached(self, layer: int, k: Tensor, v: Tensor) -> None:
        self.decoding.keys[layer][self.page, :, :, self.column] = k
        self.decoding.values[layer][self.page, :, self.column] = v


def _product(fused: Fused, dtype: torch.dtype, rows: int) -> Callable[[Tensor], Tensor]:
    """x [n, in] -> [n, out]. In bfloat16 with the weight laid out for the processor's matrix unit, where torch can.

    On a machine with AMX that made products of 32 to 128 rows 1.3 to 1.6 times faster, for 0.1 s of laying out.
    """
    weight, bias = fused.cast(dtype)
    if dtype is not torch.bfloat16 or not _can_reorder():
        return lambda x: F.linear(x, weight, bias)
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, laid_out, bias, "none", [], "")


def _can_reorder() -> bool:
    """These operators are torch's own (its compiler uses them) but not documented: ask before use."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return bool(torch.backends.mkldnn.enabled) and all(hasattr(torch.ops.mkldnn, name) for name in names)
