"""The vocabulary head on the CPU: products in bfloat16 whose logits are not rounded where they carry any mass.

A product in bfloat16 that returns float32 costs twice to seven times one that returns bfloat16 (34 against 5 ms for
64 rows and 49,152 tokens on one core with AMX). So the head returns bfloat16, and the likely tokens of each row, with
the one that is scored, are computed again in float32 (native.refine).

Shapes: n scored positions, W width, V vocabulary.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sibling.models import native
from sibling.models.precision import reduced_dtype
from sibling.models.steps import Fused, one, two, weight_gradient
from sibling.models.work import HEAD_CHUNK

_known: weakref.WeakKeyDictionary[Any, Fused] = weakref.WeakKeyDictionary()


def plain_head(model: Any) -> Fused | None:
    """The head of `model`, if it is a matrix in float32 on the CPU and nothing else, and the kernels run here."""
    head = model.get_output_embeddings()
    plain = type(head) is nn.Linear and head.bias is None and head.weight.dtype is torch.float32
    capped = getattr(model.config, "final_logit_softcapping", None) is not None
    if not plain or capped or head.weight.device.type != "cpu" or not native.available():
        return None
    if head not in _known:
        _known[head] = Fused(head)
    return _known[head]


def refined_logits(hidden: Tensor, head: Fused) -> Tensor:
    """Logits [n, V] float32 of hidden [n, W], with products in bfloat16; differentiable."""
    (weight,) = head.parameters()
    return one(_RefinedLogits, hidden, weight, head)


class _RefinedLogits(torch.autograd.Function):
    """See `refined_logits`."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, parameter: Tensor, head: Fused) -> Tensor:
        x = hidden.bfloat16()
        ctx.save_for_backward(x)
        ctx.head = head
        return logits_of(x, head.cast(torch.bfloat16)[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        dlogits = gradients[0].bfloat16()
        dweight = weight_gradient(dlogits, x) if ctx.needs_input_grad[1] else None
        return (dlogits @ ctx.head.cast(torch.bfloat16)[0]).float(), dweight, None


def logits_of(x: Tensor, weight: Tensor, tokens: Tensor | None = None, rough: Tensor | None = None) -> Tensor:
    """Logits [n, V] float32 of x [n, W] and weight [V, W] in one dtype; `rough` is their product, if known."""
    rough = F.linear(x, weight) if rough is None else rough
    return native.refine(rough, x, weight, tokens) if x.dtype is torch.bfloat16 else rough


def token_scores(
    hidden: Tensor, head: Fused, tokens: Tensor, *, temperature: float, with_entropy: bool, chunk: int = HEAD_CHUNK
) -> tuple[Tensor, Tensor | None]:
    """log p(token) [n] and, if wanted, entropies [n] in nats, of softmax(hidden head^T / temperature).

    hidden [n, W] float32. Logits are made `chunk` positions at a time and again on the way back, never kept.
    """
    (weight,) = head.parameters()
    logprob, entropy = two(_TokenScores, hidden, weight, head, tokens, temperature, with_entropy, chunk)
    return logprob, entropy if with_entropy else None


class _TokenScores(torch.autograd.Function):
    """See `token_scores`."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        parameter: Tensor,
        head: Fused,
        tokens: Tensor,
        temperature: float,
        with_entropy: bool,
        chunk: int,
    ) -> tuple[Tensor, Tensor]:
        dtype = reduced_dtype("cpu")
        weight, x = head.cast(dtype)[0], hidden.to(dtype)
        parts = []
        for h, t in zip(torch.split(x, chunk), torch.split(tokens, chunk), strict=True):
            logits = _scaled(logits_of(h, weight, t), temperature)
            parts.append(native.score(logits, t, with_entropy=with_entropy))
        logprob, norm = torch.cat([p[0] for p in parts]), torch.cat([p[2] for p in parts])
        entropy = torch.cat([p[1] for p in parts if p[1] is not None]) if with_entropy else torch.zeros_like(logprob)
        ctx.save_for_backward(x, tokens, norm, entropy)
        ctx.head, ctx.temperature, ctx.chunk = head, temperature, chunk
        ctx.set_materialize_grads(False)
        return logprob, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        x, tokens, norm, entropy = ctx.saved_tensors
        dlogprob, dentropy = gradients
        weight = ctx.head.cast(x.dtype)[0]
        given = torch.zeros_like(entropy) if dlogprob is None else dlogprob.contiguous()
        dweight: Tensor | None
        dhidden, dweight = torch.empty(x.shape), None
        for start in range(0, len(x), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            logits = _scaled(logits_of(x[part], weight, tokens[part]), ctx.temperature)
            out = torch.empty(logits.shape, dtype=x.dtype)
            native.score_backward(
                logits,
                tokens[part],
                norm[part],
                given[part],
                out=out,
                entropy=entropy[part],
                dentropy=None if dentropy is None else dentropy[part].contiguous(),
            )
            dhidden[part] = _scaled((out @ weight).float(), ctx.temperature)
            if ctx.needs_input_grad[1]:
                dweight = weight_gradient(_scaled(out, ctx.temperature), x[part], dweight)
        return dhidden, dweight, None, None, None, None, None


def _scaled(values: Tensor, temperature: float) -> Tensor:
    return values if temperature == 1.0 else values / temperature
