"""AdamW with warm-up and a schedule. State is a plain map of tensors: nothing is ever pickled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sibling.config import Optimizer as OptimizerConfig
from sibling.errors import RunError

Named = Sequence[tuple[str, torch.nn.Parameter]]

_STATES = ("exp_avg", "exp_avg_sq", "step")


def build(parameters: Named, config: OptimizerConfig) -> torch.optim.AdamW:
    """Fused AdamW (1711.05101); weight decay applies to matrices only, not to norms and biases."""
    decayed = [p for _, p in parameters if p.ndim >= 2]
    plain = [p for _, p in parameters if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        fused=True,
    )


def learning_rate(config: OptimizerConfig, update: int, total: int) -> float:
    """Learning rate of optimizer update `update` (0 is the first) of `total`.

    Linear warm-up over `warmup_steps` updates, ending at the full rate; then constant, linear to 0, or
    cosine to 0 at the end of the run.
    """
    warm = config.warmup_steps
    if update < warm:
        return config.learning_rate * (update + 1) / (warm + 1)
    progress = min(1.0, (update - warm) / max(1, total - warm))
    factor = {"constant": 1.0, "linear": 1.0 - progress, "cosine": 0.5 * (1.0 + math.cos(math.pi * progress))}
    return config.learning_rate * factor[config.schedule]


def gradient_norm(parameters: Named) -> Tensor:
    """2-norm over all gradients there are; NaN or infinite if one of them is, or if it overflows."""
    return torch.nn.utils.get_total_norm([p.grad for _, p in parameters if p.grad is not None])


def clipped_step(optimizer: torch.optim.Optimizer, parameters: Named, max_norm: float, rate: float) -> float:
    """One update at learning rate `rate` with the gradients scaled down to norm `max_norm`, which are then cleared.

    Returns the norm before clipping. A norm that is not finite leaves weights and moments untouched.
    """
    norm = gradient_norm(parameters)
    value = float(norm)
    if math.isfinite(value):
        torch.nn.utils.clip_grads_with_norm_([p for _, p in parameters], max_norm, norm)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        # The fused step writes the weights without counting it; their reduced copies (models.decoder) must follow.
        torch.autograd.graph.increment_version([p for _, p in parameters])
    optimizer.zero_grad(set_to_none=True)
    return value


def state_tensors(optimizer: torch.optim.Optimizer, parameters: Named) -> dict[str, Tensor]:
    """`<parameter>/<state>` -> tensor for every parameter that has been updated."""
    out = {}
    for name, parameter in parameters:
        state = optimizer.state.get(parameter, {})
        out.update({f"{name}/{key}": state[key].detach().contiguous() for key in _STATES if key in state})
    return out


def load_state_tensors(optimizer: torch.optim.Optimizer, parameters: Named, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `state_tensors` gave. Raises `RunError` when the names do not fit the parameters."""
    known = {f"{name}/{key}" for name, _ in parameters for key in _STATES}
    strange = sorted(set(tensors) - known)
    if strange:
        raise RunError("The optimizer state belongs to other parameters", seen=strange[:3])
    optimizer.state.clear()
    for name, parameter in parameters:
        state = {key: tensors[f"{name}/{key}"].clone() for key in _STATES if f"{name}/{key}" in tensors}
        if state:
            optimizer.state[parameter] = state
