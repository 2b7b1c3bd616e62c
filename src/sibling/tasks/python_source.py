"""Prompts from your own function: `def prompts(split: str, seed: int) -> Iterable[dict]`.

It is called with split `train` and the run's seed, and with split `held_out` and seed 0 (the held-out prompts
are the same for every seed). Rows have the keys `prompt` (text or chat messages), `reference` and, if wished,
`id`; other keys reach rewards. All rows are read at once and must be finitely many.

Not covered: the function runs in this process, without a time limit.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from sibling import plugins
from sibling.canonical import digest
from sibling.config import CallableTask
from sibling.errors import TaskError
from sibling.tasks import finite
from sibling.tasks.finite import Columns, Record, Table
from sibling.tasks.task import Split, Task

_MOST_ROWS = 1_000_000


class CallableSource:
    """A user's function as a task source; see `tasks.task.TaskSource`. Train rows are read once a seed."""

    name = "callable"

    def __init__(self, config: CallableTask, *, base: Path) -> None:
        self._config = config
        self._plugin = plugins.load(config.target, base=base)
        _check_signature(config.target, self._plugin.call)
        self._held_out = self._table("held_out", 0)
        self._train: dict[int, Table] = {}

    @cached_property
    def digest(self) -> str:
        """Digest of the function's source file, its options and the held-out prompts."""
        held_out = [task.digest for task in self._held_out.tasks]
        options = self._config.model_dump(mode="json")
        return digest({"code": self._plugin.code, "options": options, "held_out": held_out})

    def train(self, seed: int, step: int, index: int, prompts_per_step: int) -> Task:
        """Prompt `index` of `step`, by the order of `tasks.finite.row_at` over the rows given for `seed`."""
        tasks = self._rows(seed).tasks
        return tasks[finite.row_at(len(tasks), seed, step, index, prompts_per_step)]

    def held_out(self, count: int) -> list[Task]:
        """The first `count` held-out prompts in the order of their digests."""
        return finite.by_digest(self._held_out.tasks)[:count]

    def describe(self) -> dict[str, Any]:
        """Facts for the record."""
        tables = [*self._train.values(), self._held_out]
        return {
            "type": self.name,
            "options": self._config.model_dump(mode="json", exclude={"type"}),
            "digest": self.digest,
            "code_digest": self._plugin.code,
            "train": None,  # depends on the seed
            "held_out": len(self._held_out.tasks),
            "licence": None,
            "problems": finite.noted([note for table in tables for note in table.notes]),
        }

    def location(self, task_id: str) -> str:
        """Split and row of a prompt."""
        for table in (*self._train.values(), self._held_out):
            if task_id in table.places:
                return table.places[task_id]
        return f"prompt {task_id}"

    def _rows(self, seed: int) -> Table:
        if seed not in self._train:
            table = self._table("train", seed)
            finite.check_disjoint(table, other := Table(self._held_out.tasks, self._held_out.places))
            finite.require(self._config.target, other.fatal)
            self._train[seed] = table
        return self._train[seed]

    def _table(self, split: Split, seed: int) -> Table:
        columns = Columns(system=self._config.system)
        records = self._records(split, seed)
        if any("id" in r.values for r in records):
            columns = Columns(id="id", system=self._config.system)
        table = finite.read_table(records, columns, distinct=split == "held_out")
        finite.require(self._config.target, table.fatal)
        if not table.tasks:
            raise TaskError(
                f"{self._config.target} gives no {split} prompts",
                seen=f"prompts({split!r}, {seed}) has no rows",
                wanted="at least one row for each of the splits 'train' and 'held_out'",
            )
        return table

    def _records(self, split: Split, seed: int) -> list[Record]:
        target, records = self._config.target, []
        try:
            for number, row in enumerate(self._plugin.call(split, seed), start=1):
                if number > _MOST_ROWS:
                    break
                wrong = None if isinstance(row, Mapping) else f"a {type(row).__name__}, not a dict"
                records.append(Record(f"{target} {split} row {number}", {} if wrong else row, wrong))
        except Exception as error:  # whatever a user's function raises is one failure: it gives no prompts
            raise TaskError(
                f"{target} failed while giving {split} prompts",
                seen=f"{type(error).__name__}: {error}",
                wanted="an iterable of dicts with the keys prompt and reference",
            ) from error
        if len(records) >= _MOST_ROWS:
            raise TaskError(f"{target} gives too many prompts", seen=f"{_MOST_ROWS} or more", wanted="a finite number")
        return records


def _check_signature(target: str, call: Any) -> None:
    try:
        inspect.signature(call).bind("train", 0)
    except ValueError:
        return  # a builtin without a signature: calling it will tell
    except TypeError as error:
        raise TaskError(
            f"{target} cannot be called with a split and a seed",
            seen=f"{error}",
            wanted="def prompts(split: str, seed: int) -> Iterable[dict]",
        ) from error
