"""Finite sources: rows of a file or of a user's function, checked, turned into tasks, and put in order.

Fatal, with the place of each: a malformed or empty prompt, a missing column, a duplicate id, the same prompt
in train and held-out. Noted, not fatal: the same prompt and reference twice in one stream.

Prompts are compared across the two streams by the digest of their messages alone, so the same question with
another reference counts as the same prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sibling.canonical import digest
from sibling.errors import TaskError
from sibling.seeds import stream
from sibling.tasks.task import Message, Task, content_digest

_SHOWN = 5  # problems named in an error
_NOTED = 20  # problems listed in the record


@dataclass(frozen=True)
class Record:
    """One row as read, and where it stands, such as `file.jsonl line 12`; `problem` if it could not be read."""

    where: str
    values: Mapping[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns hold the prompt, the reference and the id; `system` goes before every prompt."""

    prompt: str = "prompt"
    reference: str | None = "reference"
    id: str | None = None
    system: str | None = None


@dataclass
class Table:
    """Tasks with their places, and the problems met on the way."""

    tasks: list[Task] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)  # task id -> where
    fatal: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class RowError(ValueError):
    """One row cannot become a task; the text says why."""


def read_table(records: Sequence[Record], columns: Columns, *, distinct: bool = False) -> Table:
    """Tasks of `records`, in order; problems are collected, not raised.

    `distinct`: a repeated prompt with the same reference is left out (held-out data), with a note; otherwise
    it is kept and its id gets a suffix.
    """
    table = Table()
    first_places: dict[str, str] = {}  # content digest -> where
    names = sorted({name for record in records for name in record.values})
    if columns.prompt != "prompt" and "prompt" in names:
        table.notes.append(f"the column 'prompt' is hidden from rewards by the prompt column {columns.prompt!r}")
    for record in records:
        try:
            if record.problem is not None:
                raise RowError(record.problem)
            task = _task(record.values, columns, names)
        except RowError as error:
            table.fatal.append(f"{record.where}: {error}")
            continue
        earlier = first_places.setdefault(task.digest, record.where)
        if earlier != record.where:
            table.notes.append(f"{record.where} repeats {earlier}" + ("; used once" if distinct else ""))
            if distinct:
                continue
        _add(table, task, record.where, given=columns.id is not None)
    return table


def _add(table: Table, task: Task, where: str, *, given: bool) -> None:
    name = task.id
    if name in table.places and given:
        table.fatal.append(f"{where}: the id {name!r} is already used by {table.places[name]}")
        return
    copy = 1
    while name in table.places:  # the id is the content digest and the content is repeated
        copy += 1
        name = f"{task.id}-{copy}"
    table.places[name] = where
    table.tasks.append(Task(name, task.messages, task.reference, task.columns))


def _task(values: Mapping[str, Any], columns: Columns, names: Sequence[str]) -> Task:
    messages = _messages(_column(values, columns.prompt), columns)
    reference = None if columns.reference is None else _text(_column(values, columns.reference))
    # every row gets every column, as in a table; `prompt` is the prompt as the source gave it
    passed = {n: json_value(values.get(n)) for n in names if n not in (columns.prompt, "prompt")}
    passed["prompt"] = json_value(values[columns.prompt])
    if columns.id is None:
        identity = short_id(content_digest(messages, reference))
    else:
        identity = _text(_column(values, columns.id)) or ""
        if not identity.strip():
            raise RowError(f"the id in column {columns.id!r} is empty")
    return Task(identity, messages, reference, passed)


def _column(values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise RowError(f"no column {name!r} (columns: {', '.join(sorted(values)) or 'none'})")
    return values[name]


def _messages(prompt: Any, columns: Columns) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        messages: list[Message] = [{"role": "user", "content": prompt}]
    elif isinstance(prompt, Sequence) and not isinstance(prompt, bytes):
        messages = [_message(m) for m in prompt]
    else:
        raise RowError(f"the prompt in column {columns.prompt!r} is {_kind(prompt)}, not text or a list of messages")
    if not any(m["content"].strip() for m in messages if m["role"] != "system"):
        raise RowError("the prompt is empty")
    if not all(_encodable(m["content"]) for m in messages):
        raise RowError("the prompt holds half a surrogate pair, which UTF-8 cannot carry")
    if messages[-1]["role"] == "assistant":
        raise RowError("the last message is the assistant's, so there is nothing to answer")
    if columns.system is None:
        return tuple(messages)
    if messages[0]["role"] == "system":
        raise RowError("the prompt has a system message and the recipe sets task.system too; keep one of them")
    return ({"role": "system", "content": columns.system}, *messages)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _message(value: Any) -> Message:
    if not isinstance(value, Mapping):
        raise RowError(f"a message is {_kind(value)}, not a map with role and content")
    present = {k: v for k, v in value.items() if v is not None}  # Arrow fills the keys a message lacks with null
    if set(present) != {"role", "content"} or not all(isinstance(v, str) for v in present.values()):
        raise RowError(f"a message needs the texts role and content and nothing else; it has {sorted(present)}")
    if present["role"] not in ("system", "user", "assistant", "tool"):
        raise RowError(f"a message has the role {present['role']!r}; known are system, user, assistant, tool")
    return {"role": present["role"], "content": present["content"]}


def _text(value: Any) -> str | None:
    """A reference or id as text: text as it is, numbers as Python writes them, anything else as JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        if not _encodable(value):
            raise RowError("the reference or id holds half a surrogate pair, which UTF-8 cannot carry")
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return json.dumps(json_value(value), ensure_ascii=False, sort_keys=True)


def json_value(value: Any) -> Any:
    """`value` as JSON can carry it: maps, lists and scalars as they are, others (dates, decimals, bytes) as text."""
    if isinstance(value, Mapping):
        return {str(k): json_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(v) for v in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def short_id(content: str) -> str:
    """The first 16 hexadecimal digits of a digest: the id of a prompt that has no other."""
    return content.removeprefix("sha256:")[:16]


def prompt_digest(task: Task) -> str:
    """Digest of the messages alone: what the model is asked, whatever counts as right."""
    return digest([dict(m) for m in task.messages])


def split_by_digest(table: Table, share: float) -> tuple[Table, Table]:
    """(train, held-out): rows whose prompt digest falls in the lowest `share` of its range are held out.

    A row stays on its side when rows are added. If no row falls there, the prompt with the lowest digest is
    held out, so that a small file has a held-out prompt too.
    """
    digests = {task.id: prompt_digest(task) for task in table.tasks}
    bound = share * 16**8
    chosen = {d for d in digests.values() if int(d.removeprefix("sha256:")[:8], 16) < bound}
    chosen = chosen or set(sorted(digests.values())[:1])
    train, held_out = Table(notes=list(table.notes)), Table()
    for task in table.tasks:
        part = held_out if digests[task.id] in chosen else train
        part.tasks.append(task)
        part.places[task.id] = table.places[task.id]
    return train, held_out


def check_disjoint(train: Table, held_out: Table) -> None:
    """Add to `held_out.fatal` every prompt or id that is in train too."""
    prompts = {prompt_digest(task): train.places[task.id] for task in train.tasks}
    for task in held_out.tasks:
        where = held_out.places[task.id]
        if (place := prompts.get(prompt_digest(task))) is not None:
            held_out.fatal.append(f"{where}: this held-out prompt is also at {place}")
        elif task.id in train.places:
            held_out.fatal.append(f"{where}: the id {task.id!r} is already used by {train.places[task.id]}")


def require(name: str, fatal: Sequence[str]) -> None:
    """Raise `TaskError` with the first problems and their number, if there is any."""
    if fatal:
        more = f" (and {len(fatal) - _SHOWN} more)" if len(fatal) > _SHOWN else ""
        raise TaskError(
            f"The data of {name} cannot be used: {len(fatal)} problem{'s' if len(fatal) > 1 else ''}",
            seen="; ".join(fatal[:_SHOWN]) + more,
            wanted="a prompt in every row, unique ids, and no prompt in both train and held-out",
            do="Mend these rows, or map the columns with task.prompt, task.reference and task.id; nothing was run",
        )


def noted(notes: Sequence[str]) -> list[str]:
    """The first notes and the number left out, for the record."""
    rest = len(notes) - _NOTED
    return [*notes[:_NOTED], f"and {rest} more"] if rest > 0 else list(notes)


@lru_cache(maxsize=8)
def _permutation(size: int, seed: int, *names: str | int) -> NDArray[np.int64]:
    return stream(seed, *names).permutation(size)


def row_at(size: int, seed: int, step: int, index: int, prompts_per_step: int) -> int:
    """The row of prompt `index` of `step` in a source of `size` rows: a pure function of its arguments.

    Position n = step * prompts_per_step + index of endless epochs, each a fresh permutation. A refill
    (index >= prompts_per_step) comes from the step's own permutation, without the rows the step already has
    as long as there are others.
    """
    if index < prompts_per_step:
        return _in_epochs(size, seed, step * prompts_per_step + index)
    own = {_in_epochs(size, seed, step * prompts_per_step + i) for i in range(prompts_per_step)}
    order = [int(r) for r in _permutation(size, seed, "refill", step)]
    rest = [r for r in order if r not in own] or order
    return rest[(index - prompts_per_step) % len(rest)]


def _in_epochs(size: int, seed: int, position: int) -> int:
    epoch, place = divmod(position, size)
    return int(_permutation(size, seed, "epoch", epoch)[place])


def by_digest(tasks: Sequence[Task]) -> list[Task]:
    """Held-out prompts in the order of their content digests: the first few are no biased sample of a sorted file."""
    return sorted(tasks, key=lambda t: (t.digest, t.id))
