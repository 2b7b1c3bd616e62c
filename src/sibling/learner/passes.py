"""Forward passes over packed rows of a batch, and ragged columns as padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sibling.batch import Batch
from sibling.config import Sampling
from sibling.errors import NonFiniteError
from sibling.learner.logprobs import Scored, score
from sibling.learner.packing import PackedRows, micro_batches, pack_rows
from sibling.learner.state import LearnerState
from sibling.models.precision import ComputeDtype, compute

ByRow = dict[int, Tensor]
"""Row of the batch -> one value a token [T]."""


class Passes:
    """Scores rows under the policy and its reference, in one compute dtype and one sampling distribution."""

    def __init__(self, state: LearnerState, sampling: Sampling, compute_dtype: ComputeDtype) -> None:
        self.state, self.sampling, self.compute_dtype = state, sampling, compute_dtype

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        device: torch.device = self.state.model.device
        return device

    def computing(self) -> AbstractContextManager[None]:
        """The compute dtype of every pass."""
        return compute(self.compute_dtype, self.device.type)

    def micro(self, batch: Batch, rows: NDArray[np.int64]) -> list[list[int]]:
        """`rows` cut under the token budget of one pass."""
        return micro_batches(batch, rows, self.state.config.micro_batch_tokens)

    def pack(self, batch: Batch, rows: list[int]) -> PackedRows:
        """`rows` with one copy of each prompt."""
        return pack_rows(batch, rows, self.device)

    def policy(self, packed: PackedRows, *, with_entropy: bool = False, entropy_gradient: bool = False) -> Scored:
        """Log-probs and entropies under the policy."""
        return score(
            self.state.model, packed, self.sampling, with_entropy=with_entropy, entropy_gradient=entropy_gradient
        )

    @torch.no_grad()
    def reference(self, packed: PackedRows) -> Tensor:
        """Log-probs [N, T] under the reference policy."""
        with self.state.reference() as model:
            return score(model, packed, self.sampling).logprobs

    @torch.no_grad()
    def scored(self, batch: Batch, micro: Sequence[list[int]], *, with_entropy: bool = False) -> tuple[ByRow, ByRow]:
        """Log-probs and entropies of rows at the weights as they are, without gradient."""
        logprobs: ByRow = {}
        entropies: ByRow = {}
        with self.computing():
            for rows in micro:
                scored = self.policy(self.pack(batch, rows), with_entropy=with_entropy)
                for out, values in ((logprobs, scored.logprobs), (entropies, scored.entropy)):
                    if values is not None:
                        out.update(unpadded(batch, rows, values))
        return logprobs, entropies


def unpadded(batch: Batch, rows: Sequence[int], values: Tensor) -> ByRow:
    """[N, T] -> each row's own tokens."""
    return {r: values[i, : len(batch.completions[r])] for i, r in enumerate(rows)}


def flat(arrays: Sequence[NDArray[Any]], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Columns one after another."""
    return torch.from_numpy(np.concatenate(arrays)).to(device=device, dtype=dtype)


def stack(rows: Sequence[Tensor], width: int | None = None) -> Tensor:
    """[N, T] padded with zeros to `width`, or to the longest row."""
    longest = max(len(r) for r in rows) if width is None else width
    return torch.stack([torch.nn.functional.pad(r, (0, longest - len(r))) for r in rows])


def advantage_of(batch: Batch, rows: Sequence[int], width: int, device: torch.device) -> Tensor:
    """[N], or [N, T] where advantages differ by token, float32."""
    if batch.token_advantage is None:
        return torch.tensor(batch.advantage[list(rows)], dtype=torch.float32, device=device)
    return stack([torch.from_numpy(batch.token_advantage[r]) for r in rows], width).to(device, torch.float32)


def require_finite(values: Tensor, what: str) -> None:
    """Raise `NonFiniteError` before anything is touched."""
    if not bool(torch.isfinite(values).all()):
        seen = values.detach().flatten()
        raise NonFiniteError(
            f"{what} is not finite",
            seen=f"{float(seen[~torch.isfinite(seen)][0])}",
            wanted="a finite number",
            do="The weights were not touched by this update; look at the saved batch",
        )
