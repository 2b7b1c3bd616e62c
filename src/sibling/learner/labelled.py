"""Labelled completions for the reward model, read from the sample files of the run when they are asked for.

The record holds every completion with its verdicts, so the history of a long run needs no memory, no place in a
checkpoint, and is the same after a resume.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sibling.batch import Completion, Finish, Prompt, Status, Verdict
from sibling.errors import RecordError
from sibling.learner.reward_model import Example
from sibling.record.samples import read_samples, sample_metadata

_LABELS = {Status.right.value: 1.0, Status.wrong.value: 0.0}


class LabelledSteps:
    """The examples of a run's steps 1, 2, ...; `reward` names the verifier whose verdicts are the labels."""

    def __init__(self, reward: str) -> None:
        self._reward = reward
        self._files: list[tuple[Path, NDArray[np.int64]]] = []  # of step 1, 2, ...: file, rows that have a label

    @property
    def steps(self) -> int:
        """The last step added."""
        return len(self._files)

    def add(self, path: Path) -> None:
        """Add the sample file of the next step. Raises `RecordError` when it cannot be read or is not of this run."""
        table = read_samples(path)
        labels = _labels(table, path, self._reward)
        self._files.append((path, np.array([i for i, label in enumerate(labels) if label is not None], np.int64)))

    def between(self, first: int, last: int) -> Sequence[Example]:
        """Examples of the steps `first` to `last`, both included, in the order of the record; none if last < first."""
        return _Recorded(self._files[first - 1 : max(first - 1, last)], self._reward)


class _Recorded(Sequence[Example]):
    """Rows of sample files; one file is in memory at a time."""

    def __init__(self, files: Sequence[tuple[Path, NDArray[np.int64]]], reward: str) -> None:
        self._files, self._reward = files, reward
        self._ends = np.cumsum([len(rows) for _, rows in files], dtype=np.int64).tolist()
        self._open: tuple[int, pa.Table, list[float | None]] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        file = bisect_right(self._ends, index)
        row = int(self._files[file][1][index - (self._ends[file - 1] if file else 0)])
        table, labels = self._table(file)
        label = labels[row]
        if label is None:
            raise RecordError(f"The sample file {self._files[file][0]} changed while the run went on")
        return Example(_ids(table["prompt_ids"], row), _ids(table["token_ids"], row), label)

    def _table(self, file: int) -> tuple[pa.Table, list[float | None]]:
        if self._open is None or self._open[0] != file:
            path = self._files[file][0]
            table = read_samples(path)
            self._open = (file, table, _labels(table, path, self._reward))
        return self._open[1], self._open[2]


def example(prompt: Prompt, completion: Completion, verdict: Verdict) -> Example | None:
    """A completion just drawn, labelled by `verdict`: right 1, wrong 0; None where there is no label."""
    label = _label(verdict.status.value, completion.finish.value)
    return None if label is None else Example(prompt.token_ids, completion.token_ids, label)


def _labels(table: pa.Table, path: Path, reward: str) -> list[float | None]:
    names: list[Any] = sample_metadata(table).get("reward_names", [])
    if reward not in names:
        raise RecordError(f"The sample file {path} has no verdicts of the reward {reward}", seen=names)
    place = names.index(reward)
    columns: list[list[Any]] = [table[name].to_pylist() for name in ("status", "finish")]
    return [_label(statuses[place], finish) for statuses, finish in zip(*columns, strict=True)]


def _label(status: str, finish: str) -> float | None:
    """None where the verifier failed or declined, and for an expert's trace, which is not the policy's own."""
    return None if finish == Finish.expert.value else _LABELS.get(status)


def _ids(column: pa.ChunkedArray[Any], row: int) -> NDArray[np.int64]:
    return np.array(column[row].as_py(), dtype=np.int64)
