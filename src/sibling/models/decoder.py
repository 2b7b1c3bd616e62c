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
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sibling.models import native, steps
from sibling.models.steps import Fused, Norm, Shape

if TYPE_CHECKING:
    from sibling.models.packed import GroupLayout

ARCHITECTURES = ("LlamaModel", "Qwen2Model", "Qwen3Model", "MistralModel", "GemmaModel")
"""Decoders with this very layer: norm, attention, norm, gated linear unit, each added to the residual stream."""

_STATIC_ROPE = ("default", "linear", "llama3", "yarn")  # cosines depend on the position alone
_ACTIVATIONS = {"silu": False, "gelu_pytorch_tanh": True, "gelu_tanh": True}


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
        rotation, x = self.rotation(positions), self.embed(ids)
        add: Tensor | None = None
        again = self.inner.training and torch.is_grad_enabled() and getattr(self.inner, "gradient_checkpointing", False)
        for layer in self.layers:
            arguments = (self, layer, x, add, rotation, layout, dtype)
            x, add = checkpoint(run_layer, *arguments, use_reentrant=False) if again else run_layer(*arguments)
        assert add is not None
        return steps.final_norm(x, add, self.norm, self.shape)


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
    x, qkv = steps.norm_linear(x, add, layer.first_norm, layer.qkv, shape, dtype)
    qkv = steps.rope(steps.norm_heads(qkv, layer.head_norms, shape), rotation, shape)
    layout.cached(
        layer.index, *(part.view(len(x), -1, shape.size) for part in torch.split(qkv, shape.sections, dim=1)[1:])
    )
    attended = steps.group_attention(qkv, layout.groups, layout.lengths, layer.heads)
    out = steps.linear(attended, layer.out)
    x, both = steps.norm_linear(x, out, layer.second_norm, layer.gate_up, shape, dtype)
    return x, steps.gated_linear(both, layer.down, shape)


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
