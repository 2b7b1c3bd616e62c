"""What is trained of a model, every weight or LoRA adapters: made ready, merged, named by a digest, put back.

The policy and the critic are trained alike; both are made of these functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sibling.canonical import digest
from sibling.config import LoraFinetune
from sibling.errors import ModelError, RunError
from sibling.learner.optimizer import Named

# ------------------------------------------------------------------------------------------ making ready


def make_trainable(model: Any, *, gradient_checkpointing: bool) -> None:
    """Training mode without dropout: ratios compare two passes over the same tokens, chance would tell them apart."""
    if gradient_checkpointing:
        # transformers renamed the method within version 5; its first argument stayed the same.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0


def trained_parameters(model: Any) -> list[tuple[str, torch.nn.Parameter]]:
    """Name and parameter of everything that takes a gradient; a tied weight occurs once."""
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]


# -------------------------------------------------------------------------------------------------- LoRA


def with_adapters(model: Any, config: LoraFinetune, seed: int) -> Any:
    """Put LoRA adapters (2106.09685) into `model` and freeze the rest; W = W_base + (alpha / rank) B A, B = 0 at first.

    The matrices A depend on `seed` alone; the global random state is left as it was. Raises `ModelError` when a
    name in `config.target_modules` is no linear layer of the model, or names a tied weight.
    """
    from peft import LoraConfig, inject_adapter_in_model

    targets = config.target_modules if isinstance(config.target_modules, str) else list(config.target_modules)
    if isinstance(targets, list):
        _require_targets(model, targets)
    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=targets, lora_dropout=0.0, bias="none")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            model = inject_adapter_in_model(lora, model)
        except ValueError as error:
            raise ModelError(
                "LoRA finds no module to adapt",
                seen=f"learner.finetune.target_modules={config.target_modules}",
                wanted="names of linear layers of the model, or all-linear",
            ) from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return model


def has_module(model: Any, target: str) -> bool:
    """Whether a module of `model` goes by the name `target`, as LoRA understands names."""
    return any(f".{name}".endswith(f".{target}") for name, _ in model.named_modules())


def _require_targets(model: Any, targets: list[str]) -> None:
    """Refuse a name that no module has, and a weight that two modules share: one of them would go unadapted."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    tied = ends[1] is not None and ends[0].weight is ends[1].weight
    for target in targets:
        found = [m for name, m in model.named_modules() if f".{name}".endswith(f".{target}")]
        if not found or (tied and any(m is end for m in found for end in ends)):
            raise ModelError(
                "LoRA cannot adapt a module: " + ("its weight is tied" if found else "the model has none of that name"),
                seen=f"{target} in learner.finetune.target_modules",
                wanted="names of linear layers of the model, or all-linear",
            )


def adapted_layers(model: Any) -> list[tuple[str, Any]]:
    """(name, layer) of every layer with an adapter; the name is that of the layer without it."""
    return [(name, module) for name, module in model.named_modules() if hasattr(module, "get_delta_weight")]


@contextmanager
def without_adapters(model: Any) -> Iterator[Any]:
    """The base model: the same module with its adapters off, on again afterwards."""
    layers = [layer for _, layer in adapted_layers(model)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield model
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@torch.no_grad()
def merge(model: Any, into: Any) -> None:
    """Write W_base + scale B A of every adapted layer of `model` into the plain model `into`, from the base each time.

    Weights are never added to what was merged before, so nothing drifts.
    """
    merged = dict(into.named_parameters())
    for name, layer in adapted_layers(model):
        merged[f"{name}.weight"].copy_(layer.base_layer.weight + layer.get_delta_weight(layer.active_adapters[0]))


def base_weights(model: Any) -> dict[str, Tensor]:
    """The weights under the adapters, by the names they have in the model without them."""
    named = ((n.replace(".base_layer.", "."), p) for n, p in model.named_parameters() if "lora_" not in n)
    return {name: p.detach() for name, p in named}


# ------------------------------------------------------------------------------------- identity and state


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over {name: [shape, dtype, SHA-256 of the bytes]}; tensors are hashed in parallel."""

    def one(item: tuple[str, Tensor]) -> tuple[str, list[Any]]:
        name, tensor = item
        data = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        return name, [list(tensor.shape), str(tensor.dtype), hashlib.sha256(data.data).hexdigest()]

    with ThreadPoolExecutor() as pool:
        return digest(dict(pool.map(one, weights.items())))


@torch.no_grad()
def put_weights(parameters: Named, weights: Mapping[str, Tensor], whose: str) -> None:
    """Copy `weights` into `parameters`. Raises `RunError`, with nothing copied, when names or shapes differ."""
    own = dict(parameters)
    if set(own) != set(weights) or any(own[n].shape != weights[n].shape for n in own):
        strange = sorted(set(own) ^ set(weights))[:3]
        raise RunError(f"The checkpoint's weights do not fit {whose}", seen=strange or "other shapes")
    for name, parameter in own.items():
        parameter.copy_(weights[name])
