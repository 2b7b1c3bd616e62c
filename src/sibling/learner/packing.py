"""Which rows go through the model together: micro-batches under a token budget, and where their tokens lie.

A micro-batch holds whole groups where they fit. A group that does not fit is cut between siblings and its
prompt is computed once for each part. The gradient does not depend on the cut (invariant micro-batch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sibling.batch import Batch
from sibling.models.packed import Packed, pack


def minibatches(batch: Batch, count: int) -> list[NDArray[np.int64]]:
    """Rows of each optimizer step: the groups cut into `count` runs of nearly equal size, no group split."""
    groups = np.unique(batch.group)
    return [np.flatnonzero(np.isin(batch.group, part)) for part in np.array_split(groups, count) if len(part)]


def micro_batches(batch: Batch, rows: NDArray[np.int64], budget: int) -> list[list[int]]:
    """Cut `rows` (ordered by group) into micro-batches of at most `budget` packed tokens, or one row.

    As few as the budget allows, and of nearly equal cost: under the smallest budget that gives no more of them.
    """
    first = _cut(batch, rows, budget)
    low, high = 1, budget
    while len(first) > 1 and low < high:
        middle = (low + high) // 2
        if len(_cut(batch, rows, middle)) > len(first):
            low = middle + 1
        else:
            high = middle
    return _cut(batch, rows, high)


def _cut(batch: Batch, rows: NDArray[np.int64], budget: int) -> list[list[int]]:
    """Fill one micro-batch after another."""
    out: list[list[int]] = []
    used, last_group = budget, -1
    for row in rows.tolist():
        group = int(batch.group[row])
        tokens = len(batch.completions[row])
        cost = tokens + (0 if group == last_group else len(batch.prompts[group]))
        if out and out[-1] and used + cost <= budget:
            out[-1].append(row)
            used += cost
        else:
            out.append([row])
            used = tokens + len(batch.prompts[group])
        last_group = group
    return out


@dataclass(frozen=True)
class PackedRows:
    """A micro-batch on its way through the model. S packed tokens, n scored tokens, N rows of T columns."""

    packed: Packed
    before: Tensor  # [n] index of the packed token that predicts each scored token
    tokens: Tensor  # [n] the scored tokens
    place: Tensor  # [n] flat position of each scored token in an [N, T] array
    shape: tuple[int, int]  # N, T

    def padded(self, values: Tensor) -> Tensor:
        """[n] values -> [N, T], zeros where a row is shorter."""
        return values.new_zeros(self.shape[0] * self.shape[1]).index_put((self.place,), values).view(self.shape)


def pack_rows(batch: Batch, rows: Sequence[int], device: torch.device | None = None) -> PackedRows:
    """Pack `rows` (ordered by group) with one copy of each prompt."""
    groups = list(dict.fromkeys(int(batch.group[r]) for r in rows))
    members = [[r for r in rows if int(batch.group[r]) == g] for g in groups]
    packed = pack([batch.prompts[g] for g in groups], [[batch.completions[r] for r in m] for m in members], device)
    longest = max(len(batch.completions[r]) for r in rows)
    before, place = [], []
    row = 0
    for span in packed.layout.spans:
        last_prompt, first = span.start + span.prompt - 1, span.start + span.prompt
        for length in span.completions:
            before.append(np.concatenate([[last_prompt], np.arange(first, first + length - 1)]))
            place.append(row * longest + np.arange(length))
            first, row = first + length, row + 1
    return PackedRows(
        packed=packed,
        before=torch.from_numpy(np.concatenate(before)).to(device),
        tokens=torch.from_numpy(np.concatenate([batch.completions[r] for r in rows])).to(device),
        place=torch.from_numpy(np.concatenate(place)).to(device),
        shape=(len(rows), longest),
    )
