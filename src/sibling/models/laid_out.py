"""A decoder's weights as a matrix unit reads them, and a decoding step through all layers in one call (decode.c).

A step of few rows costs what reading the weights costs, and what starting each small operation costs: thirty layers
of nine operations took 8 ms of a step's 32 in Python and torch alone. Laid out in the order they are read, the
products of 32 rows took 10.4 ms against torch's 13.9 (two cores with AMX, SmolLM2-135M, 212 MB of weights).

Not covered: processors without AMX, widths that are not multiples of 32, norms of single heads (Qwen3). There
rollout/paged.py makes a step of torch's products and single kernels, to the same numbers up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sibling.models import native
from sibling.models.decoder import Decoder
from sibling.models.steps import Fused

_BLOCK = 32


def can_lay_out(decoder: Decoder) -> bool:
    """Whether a step through `decoder` can be made here in one call."""
    shape, first = decoder.shape, decoder.layers[0]
    widths = (shape.heads * shape.size, shape.size, first.down.linears[0].in_features, first.qkv.linears[0].in_features)
    alike = len({norm.eps for layer in decoder.layers for norm in (layer.first_norm, layer.second_norm)}) == 1
    return native.matrix_unit() and alike and first.head_norms is None and all(w % _BLOCK == 0 for w in widths)


class LaidOut:
    """The weights of all layers, copied as they are now, with the pages that keys [l] and values [l] lie in."""

    def __init__(self, decoder: Decoder, keys: Sequence[Tensor], values: Sequence[Tensor], rows: int) -> None:
        """`rows`: most rows of a step."""
        self.decoder = decoder
        self.wide = decoder.layers[0].down.linears[0].in_features
        self.kept: list[Tensor] = []  # what the addresses below point to
        fields = []
        for layer, k, v in zip(decoder.layers, keys, values, strict=True):
            self.kept += [k, v]
            products = [
                at
                for fused, pair in ((layer.qkv, 0), (layer.out, 0), (layer.gate_up, self.wide), (layer.down, 0))
                for at in self._product(fused, pair)
            ]
            norms = [layer.first_norm.weight.data_ptr(), layer.second_norm.weight.data_ptr()]
            fields.append([*norms, *products, k.data_ptr(), v.data_ptr(), layer.heads.window or 0])
        self.fields = torch.tensor(fields, dtype=torch.long)
        width, across = decoder.layers[0].qkv.linears[0].in_features, decoder.shape.heads * decoder.shape.size
        room = 2 * width + 2 * across + sum(decoder.shape.sections) + self.wide
        self.room = torch.zeros(-(-rows // _BLOCK) * _BLOCK * room, dtype=torch.bfloat16)

    def step(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        *,
        table: Tensor,
        prompt: Tensor,
        own: Tensor,
        spans: Tensor,
    ) -> None:
        """x [B, W] float32 through all layers, in place; arguments as in `native.decode_attention`."""
        layer, shape = self.decoder.layers[0], self.decoder.shape
        native.decode_layers(
            self.fields,
            x,
            rotation,
            table=table,
            prompt=prompt,
            own=own,
            spans=spans,
            heads=layer.heads,
            wide=self.wide,
            offset=shape.offset,
            eps=layer.first_norm.eps,
            tanh_form=shape.tanh_form,
            room=self.room,
        )

    def _product(self, fused: Fused, pair: int) -> tuple[int, int]:
        """Addresses of a weight, laid out, and of its bias."""
        weight, bias = fused.cast(torch.bfloat16)
        laid = native.lay_out(weight, pair=pair)
        self.kept += [laid] if bias is None else [laid, bias]
        return laid.data_ptr(), 0 if bias is None else bias.data_ptr()
