"""One step of learning: a batch in, new weights and their statistics out.

    for each pass over the rollout:
        for each minibatch (one optimizer update):
            weights of the aggregation from counts of the whole minibatch
            for each micro-batch: log-probs, loss, backward
            refuse NaN and infinity, clip the gradient, AdamW

Groups without a policy term cost nothing when beta is 0; they still count in every denominator. Old
log-probs are those of the learner at the weights that made the rollout: with one update a rollout they are
the new ones without gradient, otherwise a pass of their own before the first update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sibling.batch import Batch
from sibling.config import DapoObjective, DrGrpoObjective, GrpoObjective, ObjectiveConfig, Sampling
from sibling.errors import NonFiniteError
from sibling.learner.logprobs import score
from sibling.learner.packing import PackedRows, micro_batches, minibatches, pack_rows
from sibling.learner.state import LearnerState
from sibling.maths.aggregation import sequence_weights
from sibling.maths.objectives import OBJECTIVES, LossParts, policy_loss
from sibling.models.precision import ComputeDtype, compute


@dataclass
class _Sums:
    """What the micro-batches of a step add up to."""

    first: dict[str, float] = field(default_factory=dict)  # over the first pass
    last: dict[str, float] = field(default_factory=dict)  # over the last pass
    gap_max: float = 0.0
    identity_gap: float = 0.0


class LearnerStep:
    """Applies batches to a `LearnerState` under one objective."""

    def __init__(
        self, state: LearnerState, objective: ObjectiveConfig, sampling: Sampling, compute_dtype: ComputeDtype
    ) -> None:
        self.state, self.sampling, self.compute_dtype = state, sampling, compute_dtype
        self.objective = objective
        self.row = OBJECTIVES[objective.type]
        self.beta = objective.kl.beta

    def __call__(self, batch: Batch) -> dict[str, float]:
        """Train on `batch`; returns the learner's share of the step statistics (names of stats.QUANTITIES).

        Raises `NonFiniteError` before the weights are touched when a loss or gradient is NaN or infinite.
        """
        config = self.state.config
        parts = minibatches(batch, config.minibatches)
        computed = [self._computed(batch, rows) for rows in parts]
        updates = config.passes * sum(len(c) > 0 for c in computed)
        old = self._old_logprobs(batch, computed) if updates > 1 else {}
        sums, norm, rate, done = _Sums(), 0.0, 0.0, 0
        for number in range(config.passes):
            for rows, live in zip(parts, computed, strict=True):
                if len(live) == 0:
                    continue
                self._accumulate(
                    batch, rows, live, old, sums, first=number == 0, last=number == config.passes - 1, fresh=done == 0
                )
                norm, rate = self._update(done)
                done += 1
        self.state.publish()
        return self._statistics(sums, norm, rate, done)

    def _computed(self, batch: Batch, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows that go through the model: those with tokens in the loss and, if beta is 0, a live group."""
        wanted = batch.token_counts[rows] > 0
        if self.beta == 0:
            wanted &= batch.live[rows]
        return rows[wanted]

    def _update(self, done: int) -> tuple[float, float]:
        norm, rate = self.state.update()
        if not math.isfinite(norm):
            raise NonFiniteError(
                f"The gradient of update {done + 1} of this step is not finite",
                seen=f"norm {norm}",
                wanted="a finite number",
                do="The weights are those of the previous update; look at the saved batch, lower the learning rate",
            )
        return norm, rate

    # -- forward passes

    def _micro(self, batch: Batch, rows: NDArray[np.int64]) -> list[list[int]]:
        return micro_batches(batch, rows, self.state.config.micro_batch_tokens)

    def _pack(self, batch: Batch, rows: list[int]) -> PackedRows:
        return pack_rows(batch, rows, self.state.model.device)

    @torch.no_grad()
    def _old_logprobs(self, batch: Batch, computed: list[NDArray[np.int64]]) -> dict[int, Tensor]:
        """Row -> [T] log-probs before the first update, computed with the packing of the first pass."""
        out: dict[int, Tensor] = {}
        with compute(self.compute_dtype, self.state.model.device.type):
            for live in computed:
                for rows in self._micro(batch, live):
                    scored = score(self.state.model, self._pack(batch, rows), self.sampling).logprobs
                    out.update({r: scored[i, : len(batch.completions[r])] for i, r in enumerate(rows)})
        return out

    @torch.no_grad()
    def _reference_logprobs(self, packed: PackedRows) -> Tensor | None:
        if self.beta == 0:
            return None
        with self.state.reference() as model:
            return score(model, packed, self.sampling).logprobs

    def _accumulate(
        self,
        batch: Batch,
        rows: NDArray[np.int64],
        live: NDArray[np.int64],
        old: dict[int, Tensor],
        sums: _Sums,
        *,
        first: bool,
        last: bool,
        fresh: bool,
    ) -> None:
        """Forward and backward over one minibatch; the gradients of its micro-batches add up.

        `first` and `last`: the first and the last pass, whose statistics are kept; `fresh`: no update was made yet.
        """
        weight_of = dict(zip(rows.tolist(), self._weights(batch, rows).tolist(), strict=True))
        device = self.state.model.device
        self.state.optimizer.zero_grad(set_to_none=True)  # a batch refused half-way has left gradients
        with compute(self.compute_dtype, device.type):
            for micro in self._micro(batch, live):
                packed = self._pack(batch, micro)
                scored = score(self.state.model, packed, self.sampling, with_entropy=first)
                new = scored.logprobs
                mask = packed.padded(_flat([batch.mask[r] for r in micro], torch.float32, device)).bool()
                before = _stack([old[r] for r in micro], new.shape[1]) if old else new.detach()
                parts = policy_loss(
                    self.row,
                    logp_new=new,
                    logp_old=before,
                    advantage=torch.tensor(batch.advantage[micro], dtype=new.dtype, device=device),
                    mask=mask,
                    weight=torch.tensor([weight_of[r] for r in micro], dtype=new.dtype, device=device),
                    logp_ref=self._reference_logprobs(packed),
                    beta=self.beta,
                    kl=self.objective.kl.estimator,
                    log_ratio_clamp=self.objective.log_ratio_clamp,
                    clip_low=self.objective.clip_low,
                    clip_high=self.objective.clip_high,
                    dual_clip=self.objective.dual_clip,
                )
                _require_finite(parts)
                torch.autograd.backward(parts.loss)
                if first:
                    sampler = packed.padded(_flat([batch.sampler_logprobs[r] for r in micro], torch.float32, device))
                    _add_first(sums, before - sampler, mask, scored.entropy)
                if fresh:
                    sums.identity_gap = max(sums.identity_gap, float(parts.ratio_gap_max))
                if last:
                    _add_last(sums, parts, mask)

    def _weights(self, batch: Batch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """w_i of every row of the minibatch, dead groups included (maths.aggregation)."""
        mode, constant, count_masked = aggregation_of(self.objective, self.sampling)
        return sequence_weights(
            batch.token_counts[rows], batch.group[rows], mode=mode, constant=constant, count_masked=count_masked
        )

    def _statistics(self, sums: _Sums, norm: float, rate: float, updates: int) -> dict[str, float]:
        out: dict[str, float] = {"updates": float(updates)}
        tokens = sums.first.get("tokens", 0.0)
        out["trained_tokens"] = tokens
        if updates == 0 or tokens == 0:
            return out
        out |= {"grad_norm": norm, "learning_rate": rate}
        out["entropy"] = sums.first["entropy"] / tokens
        out["sampler_gap_mean"] = sums.first["gap"] / tokens
        out["sampler_gap_max"] = sums.gap_max
        out["ratio_identity_gap"] = sums.identity_gap
        active = max(sums.last["tokens"], 1.0)
        last = updates / self.state.config.passes  # updates of the last pass
        out["loss"] = sums.last["loss"] / last
        out["policy_loss"] = sums.last["policy"] / last
        out["ratio_mean"] = sums.last["ratio"] / active
        out["clip_low_share"] = sums.last["clip_low"] / active
        out["clip_high_share"] = sums.last["clip_high"] / active
        if self.beta > 0:
            out["kl"] = sums.last["kl_sum"] / active
        return out


def aggregation_of(objective: ObjectiveConfig, sampling: Sampling) -> tuple[str, int | None, bool]:
    """(mode, constant, whether sequences without a trained token count) of a configured objective."""
    if isinstance(objective, DapoObjective):
        return objective.aggregation, None, True
    if isinstance(objective, DrGrpoObjective):
        constant = objective.constant or sampling.max_tokens
        return OBJECTIVES["dr_grpo"].aggregation, constant, objective.count_masked_sequences
    assert isinstance(objective, GrpoObjective)
    return OBJECTIVES["grpo"].aggregation, None, objective.count_masked_sequences


def _require_finite(parts: LossParts) -> None:
    if not bool(torch.isfinite(parts.loss)):
        raise NonFiniteError(
            "The loss of a micro-batch is not finite",
            seen=f"loss {float(parts.loss.detach())}",
            wanted="a finite number",
            do="The weights were not touched by this update; look at the saved batch",
        )


def _add(sums: dict[str, float], **values: float | Tensor) -> None:
    for name, value in values.items():
        sums[name] = sums.get(name, 0.0) + float(value)


def _add_first(sums: _Sums, gap: Tensor, mask: Tensor, entropy: Tensor | None) -> None:
    gap = gap.abs()[mask]
    assert entropy is not None
    _add(sums.first, tokens=mask.sum(), entropy=entropy[mask].sum(), gap=gap.sum())
    sums.gap_max = max(sums.gap_max, float(gap.max()) if gap.numel() else 0.0)


def _add_last(sums: _Sums, parts: LossParts, mask: Tensor) -> None:
    _add(
        sums.last,
        tokens=mask.sum(),
        loss=parts.loss.detach(),
        policy=parts.policy,
        ratio=parts.ratio_sum,
        kl_sum=parts.kl_sum,
        clip_low=parts.clip_low,
        clip_high=parts.clip_high,
    )


def _flat(arrays: list[NDArray[Any]], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays)).to(device=device, dtype=dtype)


def _stack(rows: list[Tensor], width: int) -> Tensor:
    return torch.stack([torch.nn.functional.pad(r, (0, width - len(r))) for r in rows])
