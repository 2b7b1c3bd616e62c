"""The critic's part of a step: values at the rollout, its loss over a minibatch, and how well it explains returns."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sibling.batch import Batch
from sibling.errors import NonFiniteError
from sibling.learner.critic import Critic
from sibling.learner.passes import Passes, flat, require_finite, stack
from sibling.learner.sums import Sums
from sibling.maths.critic import value_clipped, value_loss


def learn_values(critic: Critic, passes: Passes, batch: Batch, rows: NDArray[np.int64], sums: Sums | None) -> None:
    """One update of the critic on every row with tokens in the loss.

    The loss is a mean over the minibatch's tokens, whatever the policy's aggregation. `sums` counts, if given.
    """
    rows = rows[batch.token_counts[rows] > 0]
    if len(rows) == 0:
        return
    tokens = int(batch.token_counts[rows].sum())
    critic.optimizer.zero_grad(set_to_none=True)
    with passes.computing():
        for micro in passes.micro(batch, rows):
            packed = passes.pack(batch, micro)
            value = critic.values(packed)
            mask = packed.padded(flat([batch.mask[r] for r in micro], torch.float32, passes.device)).bool()
            assert batch.values is not None and batch.returns is not None
            old = _padded(batch.values, micro, value)
            target = _padded(batch.returns, micro, value)
            weight = torch.full((len(micro),), 1.0 / tokens, device=passes.device)
            loss = value_loss(value, old, target, mask, weight, clip=critic.config.value_clip)
            require_finite(loss, "The value loss of a micro-batch")
            torch.autograd.backward(loss)
            if sums is not None:
                clipped = value_clipped(value, old, target, clip=critic.config.value_clip) & mask
                sums.add_values(loss, clipped, tokens=int(mask.sum()))
    norm = critic.update()
    if not math.isfinite(norm):
        raise NonFiniteError(
            "The gradient of the critic is not finite",
            seen=f"norm {norm}",
            wanted="a finite number",
            do="Its weights are those of the previous update; lower objective.advantage.critic.learning_rate",
        )
    if sums is not None:
        sums.add_value_update(norm)


def value_statistics(batch: Batch, sums: Sums) -> dict[str, float]:
    """The critic's share of the step statistics; its loss is a mean over its updates of the last pass."""
    out = {
        "value_loss": sums.values["loss"] / sums.values["updates"],
        "value_clip_share": sums.values["clipped"] / max(sums.values["tokens"], 1.0),
        "critic_grad_norm": sums.values["norm"],
    }
    explained = explained_variance(batch)
    return out if explained is None else {**out, "explained_variance": explained}


def explained_variance(batch: Batch) -> float | None:
    """1 - var(return - value) / var(return) over trained tokens at the rollout; None where returns are all equal."""
    if batch.values is None or batch.returns is None:
        return None
    target = np.concatenate([r[m] for r, m in zip(batch.returns, batch.mask, strict=True)])
    value = np.concatenate([v[m] for v, m in zip(batch.values, batch.mask, strict=True)]).astype(np.float64)
    spread = float(np.var(target)) if len(target) else 0.0
    return None if spread == 0.0 else 1.0 - float(np.var(target - value)) / spread


def _padded(columns: tuple[NDArray[np.floating], ...], rows: list[int], like: Tensor) -> Tensor:
    return stack([torch.from_numpy(columns[r]) for r in rows], like.shape[1]).to(like.device, like.dtype)
