"""Data of your own: JSON lines, Parquet, and directories written by `datasets.Dataset.save_to_disk`.

A row needs a prompt column: text, or a list of chat messages. Every column but the prompt's reaches rewards
under its own name (`Task.columns`); the prompt as the file gives it is there as `prompt`. Files are read whole.
Directories of `datasets` are read with pyarrow alone: that package is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sibling.canonical import digest, file_digest, tree_digests
from sibling.config import DatasetTask, JsonLinesTask, ParquetTask
from sibling.errors import TaskError
from sibling.tasks import finite
from sibling.tasks.finite import Columns, Record, Table
from sibling.tasks.task import Task

FileConfig = JsonLinesTask | ParquetTask | DatasetTask


@dataclass
class FileSource:
    """Train and held-out rows of files, checked when opened; see `tasks.task.TaskSource`."""

    name: str  # the kind of source
    config: FileConfig
    files: dict[str, str]  # path as written in the recipe -> digest
    rows: Table
    held_out_rows: Table

    @property
    def digest(self) -> str:
        """Digest of the files and of the options that choose rows and columns."""
        return digest({"files": self.files, "options": self.config.model_dump(mode="json")})

    def train(self, seed: int, step: int, index: int, prompts_per_step: int) -> Task:
        """Prompt `index` of `step`, by the order of `tasks.finite.row_at`."""
        return self.rows.tasks[finite.row_at(len(self.rows.tasks), seed, step, index, prompts_per_step)]

    def held_out(self, count: int) -> list[Task]:
        """The first `count` held-out prompts in the order of their digests."""
        return finite.by_digest(self.held_out_rows.tasks)[:count]

    def describe(self) -> dict[str, Any]:
        """Facts for the record."""
        return {
            "type": self.name,
            "options": self.config.model_dump(mode="json", exclude={"type"}),
            "digest": self.digest,
            "files": dict(self.files),
            "train": len(self.rows.tasks),
            "held_out": len(self.held_out_rows.tasks),
            "licence": None,  # a data file does not say
            "problems": finite.noted([*self.rows.notes, *self.held_out_rows.notes]),
        }

    def location(self, task_id: str) -> str:
        """File and line or row of a prompt."""
        places = self.rows.places if task_id in self.rows.places else self.held_out_rows.places
        return places.get(task_id, f"prompt {task_id}")


def open_file_source(config: FileConfig, *, base: Path) -> FileSource:
    """Read and check the files of `config`.

    Raises `TaskError` naming up to five rows and the number of all that have a problem.
    """
    columns = Columns(config.prompt, config.reference, config.id, config.system)
    path = _find(config.path, base)
    records = _read(config, path, config.path)
    if not records:
        raise TaskError(f"The data file {config.path} is empty", seen="no rows", wanted="at least two prompts")
    files = {config.path: _digest_of(path)}
    table = finite.read_table(records, columns)
    fatal = list(table.fatal)
    if config.held_out is None:
        train, held_out = finite.split_by_digest(table, config.held_out_share)
    else:
        other = _find(config.held_out, base)
        records = _read(config, other, config.held_out)
        train, held_out = table, finite.read_table(records, columns, distinct=True)
        finite.check_disjoint(train, held_out)
        files[config.held_out] = _digest_of(other)
        fatal += held_out.fatal
    finite.require(config.path, fatal)
    _both_sides(config, train, held_out)
    return FileSource(config.type, config, files, train, held_out)


def _both_sides(config: FileConfig, train: Table, held_out: Table) -> None:
    if train.tasks and held_out.tasks:
        return
    raise TaskError(
        f"The data of {config.path} leaves one stream empty",
        seen=f"{len(train.tasks)} train and {len(held_out.tasks)} held-out prompts",
        wanted="at least one of each, and different ones",
        do="Add rows, or name a file of held-out prompts with task.held_out",
    )


def _find(name: str, base: Path) -> Path:
    for path in (base / name, Path(name)):
        if path.exists():
            return path
    raise TaskError(
        f"The data file {name} does not exist",
        wanted="a path relative to the recipe's folder or to the working folder",
        do="Check task.path and task.held_out",
    )


def _digest_of(path: Path) -> str:
    return digest(tree_digests(path)) if path.is_dir() else file_digest(path)


def _read(config: FileConfig, path: Path, name: str) -> list[Record]:
    readers: dict[str, Callable[[Path, str], list[Record]]] = {"jsonl": _json_lines, "parquet": _parquet}
    label = Path(name).name
    try:
        if isinstance(config, DatasetTask):
            return _dataset(path, label, config.split)
        return readers[config.type](path, label)
    except (OSError, pa.ArrowException) as error:
        raise TaskError(
            f"The data file {name} cannot be read as {config.type}",
            seen=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            do="Check that task.type names its format",
        ) from error


def _json_lines(path: Path, label: str) -> list[Record]:
    records: list[Record] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{label} line {number}"
            try:
                value = json.loads(line.rstrip().decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:  # malformed JSON or UTF-8, numbers or nesting without end
                found = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
                records.append(Record(where, {}, f"not JSON ({found})"))
                continue
            wrong = None if isinstance(value, dict) else f"a JSON {type(value).__name__}, not an object"
            records.append(Record(where, {} if wrong else value, wrong))
    return records


def _parquet(path: Path, label: str) -> list[Record]:
    return _rows(pq.read_table(path), label)


def _dataset(path: Path, label: str, split: str) -> list[Record]:
    folder, state = path / split, "state.json"
    if (path / state).is_file():  # a single Dataset, not a DatasetDict
        folder = path
    if not (folder / state).is_file():
        splits = sorted(p.parent.name for p in path.glob(f"*/{state}"))
        raise TaskError(
            f"{label} holds no data set split {split!r}",
            seen=f"splits: {', '.join(splits) or 'none'}",
            wanted="a directory written by datasets.Dataset.save_to_disk",
            do="Set task.split",
        )
    try:
        names = [f["filename"] for f in json.loads((folder / state).read_text(encoding="utf-8"))["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise TaskError(f"{label} has a {state} that lists no data files", seen=repr(error)) from error
    tables = [pa.ipc.open_stream((folder / name).read_bytes()).read_all() for name in names]
    return _rows(pa.concat_tables(tables), label) if tables else []


def _rows(table: pa.Table, label: str) -> list[Record]:
    return [Record(f"{label} row {n}", values) for n, values in enumerate(table.to_pylist(), start=1)]
