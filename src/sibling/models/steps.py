"""The steps of a decoder layer, each a function with its own gradient that keeps as little as it can.

Element-wise work is done by the kernels (native.py), products by torch, in T, the compute dtype. Weights and their
gradients, the residual stream and norms are float32. Shapes as in decoder.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sibling.models import native


class Fused:
    """Linear layers that read the same input, as one; its weight in the compute dtype follows the parameters.

    A parameter that an optimizer or a checkpoint writes in place counts up its version: that is what is watched. What
    is written through `.data` is not counted and would not be seen.
    """

    def __init__(self, *linears: nn.Linear) -> None:
        self.linears = linears
        self.sizes = [linear.out_features for linear in linears]
        self.seen: tuple[Any, ...] = ()
        self.weight = self.bias = torch.empty(0)

    def parameters(self) -> list[Tensor]:
        """The weights, then the biases if there are any."""
        weights: list[Tensor] = [linear.weight for linear in self.linears]
        return weights + [linear.bias for linear in self.linears if linear.bias is not None]

    def cast(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """[sum of out, in] weight and bias (None if there is none) in `dtype`."""
        parameters = self.parameters()
        seen = (dtype, *((p.data_ptr(), p._version) for p in parameters))
        if seen != self.seen:
            count = len(self.linears)
            if len(parameters) == 1 and parameters[0].dtype is dtype:
                self.weight = parameters[0].detach()
            else:
                self.weight = _join(parameters[:count], self.weight, dtype)
                self.bias = _join(parameters[count:], self.bias, dtype) if len(parameters) > count else self.bias
            self.seen = seen
        return self.weight, self.bias if len(parameters) > len(self.linears) else None

    def gradients(self, dout: Tensor, x: Tensor) -> list[Tensor]:
        """Gradients of `parameters()`: of y = x weight^T + bias, given dout [S, out] and x [S, in]."""
        out = list(torch.split(weight_gradient(dout, x), self.sizes))
        if any(linear.bias is not None for linear in self.linears):
            out += [g.contiguous() for g in torch.split(dout.float().sum(0), self.sizes)]
        return out


def weight_gradient(dout: Tensor, x: Tensor, add_to: Tensor | None = None) -> Tensor:
    """dout^T x [out, in] in float32, added to what is given in place. dout [S, out] and x [S, in] of one dtype.

    In bfloat16 the matrix unit wants its left factor in rows: whichever is narrower is transposed beforehand.
    """
    if dout.dtype is not torch.bfloat16:
        return dout.T @ x if add_to is None else add_to.addmm_(dout.T, x)
    if x.shape[1] < dout.shape[1]:
        return native.transposed_float(native.transposed(x) @ dout, add_to)
    product = native.transposed(dout) @ x
    return product.float() if add_to is None else add_to.add_(product)


@torch.no_grad()
def _join(parts: Sequence[Tensor], into: Tensor, dtype: torch.dtype) -> Tensor:
    shape = (sum(p.shape[0] for p in parts), *parts[0].shape[1:])
    if into.shape != shape or into.dtype is not dtype:
        into = torch.empty(shape, dtype=dtype)
    start = 0
    for p in parts:
        into[start : start + p.shape[0]].copy_(p)
        start += p.shape[0]
    return into


@dataclass(frozen=True)
class Shape:
    """Heads and constants that all layers share."""

    heads: int
    kv_heads: int
    size: int  # D
    tanh_form: bool  # of the gate's activation, GELU; else SiLU
    offset: float  # of norm weights: 1 for Gemma

    @property
    def sections(self) -> list[int]:
        """Columns of queries, keys and values."""
        return [self.heads * self.size, self.kv_heads * self.size, self.kv_heads * self.size]


class Norm:
    """A root-mean-square norm."""

    def __init__(self, module: Any) -> None:
        self.weight: Tensor = module.weight
        self.eps: float = getattr(module, "variance_epsilon", None) or module.eps


def norm_linear(
    x: Tensor, add: Tensor | None, norm: Norm, fused: Fused, shape: Shape, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """y = x + add [S, W] float32, and norm(y) times the fused weight, T."""
    return two(_NormLinear, x, add, norm.weight, norm.eps, shape.offset, fused, dtype, *fused.parameters())


def linear(x: Tensor, fused: Fused) -> Tensor:
    """x T times the fused weight, T."""
    return one(_Linear, x, fused, *fused.parameters())


def gated_linear(both: Tensor, fused: Fused, shape: Shape) -> Tensor:
    """act(gate) up of both T [S, 2 I] = (gate, up), times the fused weight, T."""
    return one(_GatedLinear, both, shape.tanh_form, fused, *fused.parameters())


def rope(qkv: Tensor, rotation: tuple[Tensor, Tensor], shape: Shape) -> Tensor:
    """qkv T with its queries and keys rotated by cosine and sine [S, D], in place."""
    return one(_Rope, qkv, *rotation, shape)


def group_attention(qkv: Tensor, groups: Tensor, lengths: Tensor, heads: native.Heads) -> Tensor:
    """Attention T [S, H D] of packed groups; see native.group_attention."""
    return one(_GroupAttention, qkv, groups, lengths, heads)


def norm_heads(qkv: Tensor, norms: tuple[Norm, Norm] | None, shape: Shape) -> Tensor:
    """qkv T with norms over D of its query and key heads, where the architecture has them (Qwen3)."""
    return qkv if norms is None else one(_HeadNorms, qkv, norms, shape, *(n.weight for n in norms))


def final_norm(x: Tensor, add: Tensor, norm: Norm, shape: Shape) -> Tensor:
    """norm(x + add) [S, W] float32."""
    return one(_FinalNorm, x, add, norm.weight, norm.eps, shape.offset)


def one(step: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    """`step.apply`, which torch leaves untyped, for a step with one output."""
    return step.apply(*arguments)  # type: ignore[no-any-return, no-untyped-call]


def two(step: type[torch.autograd.Function], *arguments: Any) -> tuple[Tensor, Tensor]:
    """The same for a step with two."""
    return step.apply(*arguments)  # type: ignore[no-any-return, no-untyped-call]


class _NormLinear(torch.autograd.Function):
    """y = x + add, and norm(y) times a fused weight. Keeps y alone and norms it again on the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        add: Tensor | None,
        norm: Tensor,
        eps: float,
        offset: float,
        fused: Fused,
        dtype: torch.dtype,
        *_: Tensor,
    ) -> tuple[Tensor, Tensor]:
        n, w = x.shape
        y, out, scale = torch.empty_like(x), x.new_empty(n, w, dtype=dtype), x.new_empty(n)
        native.add_norm(x, add, norm, offset=offset, eps=eps, out=out, y=y, scale=scale)
        ctx.save_for_backward(y, norm, scale)
        ctx.offset, ctx.fused, ctx.dtype, ctx.adds = offset, fused, dtype, add is not None
        ctx.set_materialize_grads(False)
        return y, F.linear(out, *fused.cast(dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        dy, dout = gradients
        assert dout is not None
        y, norm, scale = ctx.saved_tensors
        weight, _ = ctx.fused.cast(ctx.dtype)
        out = y.new_empty(y.shape, dtype=ctx.dtype)
        dadd = torch.empty_like(out) if ctx.adds else None
        dx, dnorm = native.norm_backward(dout @ weight, dy, y, norm, scale, offset=ctx.offset, again=out, dadd=dadd)
        return dx, dadd, dnorm, None, None, None, None, *ctx.fused.gradients(dout, out)


class _Linear(torch.autograd.Function):
    """x times a weight in the compute dtype; gradients of the float32 parameters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fused: Fused, *_: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.fused = fused
        return F.linear(x, *fused.cast(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (dout,) = gradients
        (x,) = ctx.saved_tensors
        return dout @ ctx.fused.cast(x.dtype)[0], None, *ctx.fused.gradients(dout, x)


class _GatedLinear(torch.autograd.Function):
    """act(gate) up, times a weight. Keeps gate and up alone."""

    @staticmethod
    def forward(ctx: Any, both: Tensor, tanh_form: bool, fused: Fused, *_: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        ctx.tanh_form, ctx.fused = tanh_form, fused
        return F.linear(native.gated(both, tanh_form=tanh_form), *fused.cast(both.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (dout,) = gradients
        (both,) = ctx.saved_tensors
        dgated = dout @ ctx.fused.cast(both.dtype)[0]
        out, dboth = native.gated_backward(both, dgated, tanh_form=ctx.tanh_form)
        return dboth, None, None, *ctx.fused.gradients(dout, out)


class _Rope(torch.autograd.Function):
    """Rotate queries and keys of qkv [S, (H + 2 K) D] in place: whoever made qkv does not read it again."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cosine: Tensor, sine: Tensor, shape: Shape) -> Tensor:
        ctx.rotation, ctx.heads = (cosine, sine), shape.heads + shape.kv_heads
        native.rope_(qkv, cosine, sine, heads=ctx.heads)
        return qkv.view_as(qkv)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (gradient,) = gradients  # made by the attention for this alone, so it is turned in place
        native.rope_(gradient, *ctx.rotation, heads=ctx.heads, backward=True)
        return gradient, None, None, None


class _GroupAttention(torch.autograd.Function):
    """Attention of packed groups (native.group_attention)."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, groups: Tensor, lengths: Tensor, heads: native.Heads) -> Tensor:
        out, norm = native.group_attention(qkv, groups, lengths, heads)
        ctx.save_for_backward(qkv, groups, lengths, out, norm)
        ctx.heads = heads
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        qkv, groups, lengths, out, norm = ctx.saved_tensors
        dout = gradients[0].contiguous()
        return native.group_attention_backward(qkv, groups, lengths, ctx.heads, out, norm, dout), None, None, None


class _HeadNorms(torch.autograd.Function):
    """See `norm_heads`."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, norms: tuple[Norm, Norm], shape: Shape, *weights: Tensor) -> Tensor:
        out, kept = qkv.clone(), []
        for place, norm in zip(_heads(shape), norms, strict=True):
            x = qkv[:, place].float().reshape(-1, shape.size)
            normed, scale = x.new_empty(x.shape, dtype=qkv.dtype), x.new_empty(len(x))
            native.add_norm(x, None, norm.weight, offset=shape.offset, eps=norm.eps, out=normed, scale=scale)
            out[:, place] = normed.view(len(qkv), -1)
            kept += [x, scale]
        ctx.save_for_backward(*weights, *kept)
        ctx.shape = shape
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        dqkv, shape = gradients[0].clone(), ctx.shape
        wq, wk, *kept = ctx.saved_tensors
        dweights = []
        for place, weight, (x, scale) in zip(_heads(shape), (wq, wk), (kept[:2], kept[2:]), strict=True):
            dout = dqkv[:, place].reshape(-1, shape.size).contiguous()
            dx, dweight = native.norm_backward(dout, None, x, weight, scale, offset=shape.offset)
            dqkv[:, place] = dx.view(len(dqkv), -1).to(dqkv.dtype)
            dweights.append(dweight)
        return dqkv, None, None, *dweights


def _heads(shape: Shape) -> tuple[slice, slice]:
    queries, keys, _ = shape.sections
    return slice(0, queries), slice(queries, queries + keys)


class _FinalNorm(torch.autograd.Function):
    """norm(x + add), float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, add: Tensor, norm: Tensor, eps: float, offset: float) -> Tensor:
        y, out, scale = torch.empty_like(x), torch.empty_like(x), x.new_empty(len(x))
        native.add_norm(x, add.float(), norm, offset=offset, eps=eps, out=out, y=y, scale=scale)
        ctx.save_for_backward(y, norm, scale)
        ctx.offset, ctx.dtype = offset, add.dtype
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        y, norm, scale = ctx.saved_tensors
        dx, dnorm = native.norm_backward(gradients[0].contiguous(), None, y, norm, scale, offset=ctx.offset)
        return dx, dx.to(ctx.dtype), dnorm, None, None
