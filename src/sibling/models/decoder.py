"""Our own forward pass of Llama-like decoders over the weights of a transformers model, for the CPU.

The element-wise work of a layer is five passes over memory (native.py), the queries, keys and values are one
product and so are gate and up, and each weight is cast to the compute dtype once per update, for sampling and for
learning together. `decoder_of` gives None where this does not apply (another architecture, adapters, a GPU, no
compiler); transformers' own modules run then. Both agree to rounding: tests/models/test_decoder.py.

Residual stream and norms are float32; what products read and write is T, the compute dtype. Shapes: S packed
tokens, W width, H query heads, K key heads, D head size, I intermediate width.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sibling.models import native

if TYPE_CHECKING:
    from sibling.models.packed import GroupLayout

ARCHITECTURES = ("LlamaModel", "Qwen2Model", "Qwen3Model", "MistralModel", "GemmaModel")
"""Decoders with this very layer: norm, attention, norm, gated linear unit, each added to the residual stream."""

_STATIC_ROPE = ("default", "linear", "llama3", "yarn")  # cosines depend on the position alone
_ACTIVATIONS = {"silu": False, "gelu_pytorch_tanh": True, "gelu_tanh": True}


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


class Layer:
    """The weights of one layer."""

    def __init__(self, module: Any, index: int, shape: Shape) -> None:
        attention = module.self_attn
        self.index = index
        # Qwen's layers differ and know their own window; Mistral's read the config's.
        own = hasattr(attention, "sliding_window")
        window = attention.sliding_window if own else getattr(attention.config, "sliding_window", None)
        self.heads = native.Heads(shape.heads, shape.kv_heads, shape.size, attention.scaling, window)
        self.first_norm, self.second_norm = Norm(module.input_layernorm), Norm(module.post_attention_layernorm)
        q, k, v, out, gate, up, down = _linears(module)
        self.qkv, self.out, self.gate_up, self.down = Fused(q, k, v), Fused(out), Fused(gate, up), Fused(down)
        norms = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        self.head_norms = None if norms[0] is None else (Norm(norms[0]), Norm(norms[1]))

    def products(self) -> Iterator[Fused]:
        """Its four products."""
        yield from (self.qkv, self.out, self.gate_up, self.down)


class Norm:
    """A root-mean-square norm."""

    def __init__(self, module: Any) -> None:
        self.weight: Tensor = module.weight
        self.eps: float = getattr(module, "variance_epsilon", None) or module.eps


class Decoder:
    """A decoder's weights, arranged for the forward pass below."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.weights: tuple[int, ...] = ()  # identities of the parameters it was made for
        attention, config = inner.layers[0].self_attn, inner.config
        self.shape = Shape(
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            size=attention.head_dim,
            tanh_form=_ACTIVATIONS[_activation(config)],
            offset=1.0 if type(inner).__name__ == "GemmaModel" else 0.0,
        )
        self.layers = [Layer(module, i, self.shape) for i, module in enumerate(inner.layers)]
        self.norm = Norm(inner.norm)

    def embed(self, ids: Tensor) -> Tensor:
        """[S, W] float32 of token ids [S]."""
        return self.inner.embed_tokens(ids)  # type: ignore[no-any-return]

    @torch.no_grad()
    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine [S, D] float32 of positions [S]."""
        cosine, sine = self.inner.rotary_emb(torch.empty(0, dtype=torch.float32), positions[None])
        return cosine[0].contiguous(), sine[0].contiguous()

    def hidden(self, ids: Tensor, positions: Tensor, layout: GroupLayout, dtype: torch.dtype) -> Tensor:
        """Final hidden states [S, W] float32 of packed tokens; what attends to what is the layout's to say."""
        rotation, x, add = self.rotation(positions), self.embed(ids), None
        again = self.inner.training and torch.is_grad_enabled() and getattr(self.inner, "gradient_checkpointing", False)
        for layer in self.layers:
            arguments = (self, layer, x, add, rotation, layout, dtype)
            x, add = checkpoint(run_layer, *arguments, use_reentrant=False) if again else run_layer(*arguments)
        return _final_norm(x, add, self.norm, self.shape.offset)


def run_layer(
    decoder: Decoder,
    layer: Layer,
    x: Tensor,
    add: Tensor | None,
    rotation: tuple[Tensor, Tensor],
    layout: GroupLayout,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """One layer: residual stream x [S, W] and what is still to be added to it, before and after."""
    shape = decoder.shape
    x, qkv = _norm_linear(x, add, layer.first_norm, layer.qkv, shape, dtype)
    qkv = _Rope.apply(norm_heads(qkv, layer, shape), *rotation, shape)  # type: ignore[no-untyped-call]
    layout.cached(layer.index, *(part.view(len(x), -1, shape.size) for part in qkv.split(shape.sections, dim=1)[1:]))
    attended = _GroupAttention.apply(qkv, layout.groups, layout.lengths, layer.heads)  # type: ignore[no-untyped-call]
    x, both = _norm_linear(x, _linear(attended, layer.out, dtype), layer.second_norm, layer.gate_up, shape, dtype)
    down = _GatedLinear.apply(both, shape.tanh_form, layer.down, *layer.down.parameters())  # type: ignore[no-untyped-call]
    return x, down


# -------------------------------------------------------------------------- steps of a layer, with their gradients


def _norm_linear(
    x: Tensor, add: Tensor | None, norm: Norm, fused: Fused, shape: Shape, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    return _NormLinear.apply(x, add, norm.weight, norm.eps, shape.offset, fused, dtype, *fused.parameters())  # type: ignore[no-any-return, no-untyped-call]


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


def _linear(x: Tensor, fused: Fused, dtype: torch.dtype) -> Tensor:
    return _Linear.apply(x, fused, dtype, *fused.parameters())  # type: ignore[no-any-return, no-untyped-call]


class _Linear(torch.autograd.Function):
    """x times a weight in the compute dtype; gradients of the float32 parameters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fused: Fused, dtype: torch.dtype, *_: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.fused = fused
        return F.linear(x, *fused.cast(dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (dout,) = gradients
        (x,) = ctx.saved_tensors
        return dout @ ctx.fused.cast(x.dtype)[0], None, None, *ctx.fused.gradients(dout, x)


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


def norm_heads(qkv: Tensor, layer: Layer, shape: Shape) -> Tensor:
    """qkv with the norms over D of its query and key heads, where the architecture has them (Qwen3)."""
    if layer.head_norms is None:
        return qkv
    return _HeadNorms.apply(qkv, layer, shape, *(n.weight for n in layer.head_norms))  # type: ignore[no-any-return, no-untyped-call]


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
    def forward(ctx: Any, qkv: Tensor, layer: Layer, shape: Shape, *weights: Tensor) -> Tensor:
        assert layer.head_norms is not None
        out, kept = qkv.clone(), []
        for place, norm in zip(_heads(shape), layer.head_norms, strict=True):
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


def _final_norm(x: Tensor, add: Tensor | None, norm: Norm, offset: float) -> Tensor:
    return _FinalNorm.apply(x, add, norm.weight, norm.eps, offset)  # type: ignore[no-any-return, no-untyped-call]


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


# ------------------------------------------------------------------------------------------------ which models

_known: weakref.WeakKeyDictionary[Any, Decoder] = weakref.WeakKeyDictionary()


def decoder_of(model: Any) -> Decoder | None:
    """The decoder of `model`; None where transformers' own modules have to run."""
    inner = model.get_decoder()
    if not (native.available() and _applies(inner)):
        return None
    weights = tuple(map(id, inner.parameters()))
    if inner not in _known or _known[inner].weights != weights:  # a parameter or a layer was replaced
        _known[inner] = Decoder(inner)
        _known[inner].weights = weights
    return _known[inner]


def _applies(inner: Any) -> bool:
    """Asked every time: adapters may have taken the place of a layer since."""
    if type(inner).__name__ not in ARCHITECTURES or type(inner).__module__.split(".")[0] != "transformers":
        return False
    config = inner.config
    parameters = getattr(config, "rope_parameters", None) or {}
    known = _activation(config) in _ACTIVATIONS and parameters.get("rope_type", "default") in _STATIC_ROPE
    plain = all(
        type(linear) is nn.Linear and linear.weight.dtype is torch.float32 and linear.weight.device.type == "cpu"
        for module in inner.layers
        for linear in _linears(module)
    )
    return plain and known and not config.attention_dropout and inner.layers[0].self_attn.head_dim % 2 == 0


def _linears(module: Any) -> tuple[Any, ...]:
    attention, mlp = module.self_attn, module.mlp
    return (
        *(attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj),
        *(mlp.gate_proj, mlp.up_proj, mlp.down_proj),
    )


def _activation(config: Any) -> str:
    return str(getattr(config, "hidden_activation", None) or config.hidden_act)
