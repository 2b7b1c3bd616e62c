"""Golden cases of policy losses, through the functions a training step uses, in the order it uses them.

The whole batch first (golden_batch.py); then for each micro-batch corrections, `policy_loss`, autograd. Padding is
filled with a large number, since it must not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sibling.maths.corrections import off_policy_keep, sampler_weights
from sibling.maths.golden_batch import PADDING, VARIANTS, Batch, known, numbers, whole_batch
from sibling.maths.golden_numbers import Case, Dtype, inexact_zeros, miss, missing_as_none, padded
from sibling.maths.loss import LossParts, policy_loss
from sibling.maths.objectives import OBJECTIVES


def policy_loss_case(case: Case, dtype: Dtype) -> Iterator[str]:
    """Every number of a policy-loss case."""
    known(case)
    batch = whole_batch(case, getattr(torch, dtype))
    micro = [_MicroBatch(case, batch, rows, getattr(torch, dtype)) for rows in case["micro_batches"]]
    gradient: list[list[float]] = [[] for _ in batch.sequences]
    for part in micro:
        for row, values in zip(part.rows, part.gradient, strict=True):
            gradient[row] = values[: len(batch.masks[row])]
    parts = [m.parts for m in micro]
    active = int(sum(m.sum() for m in batch.masks))
    wanted = case["expected"]
    seen: dict[str, Any] = {
        "reward_total": missing_as_none(batch.reward),
        "advantages_token": batch.tokens(),
        "loss": sum(p.loss.item() for p in parts),
        "policy_loss": sum(p.policy.item() for p in parts),
        "kl_loss": sum(p.kl.item() for p in parts),
        "kl_mean": sum(p.kl_sum.item() for p in parts) / max(active, 1) if case["kl"] else None,
        "micro_losses": [p.loss.item() for p in parts],
        "grad": gradient,
        "active_tokens": active,
        "token_weight": batch.weight,
    }
    if batch.advantage.sequence is not None:
        seen["advantages_sequence"] = batch.advantage.sequence
    for name, value in seen.items():
        yield from miss(name, value, wanted[name], dtype)
    yield from inexact_zeros("advantages_token", batch.tokens(), wanted["advantages_token"])
    yield from _modifier_misses(batch, micro, wanted, dtype)
    for name, share in _clip_shares(parts, active, batch).items():
        if name in wanted["clip_fraction"]:
            yield from miss(f"clip_fraction.{name}", share, wanted["clip_fraction"][name], "float64")


def _modifier_misses(batch: Batch, micro: Sequence[_MicroBatch], wanted: Case, dtype: Dtype) -> Iterator[str]:
    weights: list[Any] = [None] * len(batch.sequences)
    keep: list[Any] = [None] * len(batch.sequences)
    for part in micro:
        for place, row in enumerate(part.rows):
            length = len(batch.masks[row])
            if part.sampler_weight is not None:
                own = part.sampler_weight[place, :length].double().numpy()
                own = np.ones_like(own) if part.row.absorbs_sampler_weight else own  # then nothing is multiplied
                weights[row] = np.where(np.array(batch.sequences[row]["mask"], dtype=bool), own, 0.0)
            if part.keep is not None:
                keep[row] = bool(part.keep[place])
    if "is_weights" in wanted:
        yield from miss("is_weights", weights, wanted["is_weights"], dtype)
    if "opsm_keep" in wanted:
        yield from miss("opsm_keep", keep, wanted["opsm_keep"], "float64")
    if "entropy_keep" in wanted:
        yield from miss("entropy_keep", batch.entropy_keep, wanted["entropy_keep"], "float64")


class _MicroBatch:
    """Loss parts of one micro-batch and d loss / d logp_new, padded."""

    def __init__(self, case: Case, batch: Batch, rows: Sequence[int], dtype: torch.dtype) -> None:
        self.rows = rows
        how, kl = case["objective"], case["kl"] or {"estimator": None, "beta": 0.0}
        self.row = OBJECTIVES[VARIANTS[how["variant"]].row]
        columns = {f: padded([c[i] for i in rows], -PADDING, dtype) for f, c in batch.columns.items()}
        new = padded([batch.columns["logp_new"][i] for i in rows], PADDING, dtype).requires_grad_()
        mask = padded([batch.masks[i] for i in rows], False, torch.bool)
        advantage = self._advantage(batch, dtype)
        given = padded([np.array(batch.sequences[i]["mask"], dtype=bool) for i in rows], False, torch.bool)
        self.sampler_weight = self._sampler_weight(case, columns, given)
        self.keep = self._keep(case, columns, new, mask, advantage)
        factor = None
        if batch.entropy_keep is not None:
            factor = padded([batch.entropy_keep[i] for i in rows], 0.0, dtype)
        if self.keep is not None:
            kept = self.keep[:, None].to(dtype).expand(mask.shape)
            factor = kept if factor is None else factor * kept
        self.parts: LossParts = policy_loss(
            self.row,
            logp_new=new,
            logp_old=columns["logp_old"],
            logp_ref=columns["logp_ref"] if case["kl"] else None,
            advantage=advantage,
            mask=mask,
            weight=torch.tensor(batch.weight[list(rows)], dtype=dtype),
            beta=kl["beta"],
            kl=kl["estimator"],
            log_ratio_clamp=how.get("log_ratio_clamp"),
            factor=factor,
            sampler_weight=self.sampler_weight,
            selected=padded([batch.selected[i] for i in rows], False, torch.bool) if batch.selected else None,
            **numbers(case),
        )
        (gradient,) = torch.autograd.grad(self.parts.loss, new)
        self.gradient: list[list[float]] = gradient.tolist()

    def _advantage(self, batch: Batch, dtype: torch.dtype) -> torch.Tensor:
        own = batch.advantage
        if own.token is not None:
            return padded([own.token[i] for i in self.rows], PADDING, dtype)
        assert own.sequence is not None
        return torch.tensor(own.sequence[list(self.rows)], dtype=dtype)

    def _sampler_weight(
        self, case: Case, columns: Mapping[str, torch.Tensor], mask: torch.Tensor
    ) -> torch.Tensor | None:
        how = case.get("sampler_correction")
        if not how:
            return None
        bounds = {k: how.get(k) for k in ("min", "max")}
        return sampler_weights(
            columns["logp_old"], columns["logp_sampler"], mask, level=how["level"], action=how["action"], **bounds
        )

    def _keep(
        self,
        case: Case,
        columns: Mapping[str, torch.Tensor],
        new: torch.Tensor,
        mask: torch.Tensor,
        advantage: torch.Tensor,
    ) -> torch.Tensor | None:
        how = case.get("off_policy_mask")
        if not how:
            return None
        behaviour = columns["logp_old"]
        if "logp_sampler" in columns:
            behaviour = torch.where(columns["logp_sampler"].isnan(), behaviour, columns["logp_sampler"])
        return off_policy_keep(new, behaviour, mask, advantage, delta=how["delta"])


def _clip_shares(parts: Sequence[LossParts], active: int, batch: Batch) -> dict[str, float]:
    low, high, dual = (sum(int(getattr(p, f"clip_{side}")) for p in parts) for side in ("low", "high", "dual"))
    total, sequences = max(active, 1), max(sum(bool(m.any()) for m in batch.masks), 1)
    clipped = sum(int(p.clip_sequences) for p in parts)
    return {
        "low": low / total,
        "high": high / total,
        "region": (low + high) / total,
        "dual": dual / total,
        "sequences": clipped / sequences,
    }
