"""Tasks of the user's for an audit, from a JSON-lines file.

A row holds a prompt (`prompt`, `question` or `messages`), a reference (`reference`, `answer`, `solution` or
`ground_truth`), and whatever columns the reward reads. `completion` with `verdict` (or `want`: accept, refuse) is a
completion whose verdict is known: it is a right one to start from, or counts for the natural rates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sibling.errors import RequestError
from sibling.tasks.task import Task

_PROMPTS = ("prompt", "question", "problem", "messages")
_REFERENCES = ("reference", "answer", "solution", "ground_truth")
_SHOWN = 3


def read_triples(path: Path) -> list[Task]:
    """The tasks of the file. Raises `RequestError` naming rows that are none, and for a file without any."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        raise RequestError("The tasks cannot be read", seen=f"{path}: {failure}", wanted="JSON lines") from failure
    rows, faults = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as failure:
            faults.append(f"line {number}: {failure}")
            continue
        if isinstance(row, Mapping):
            rows.append(_task(row, number))
        else:
            faults.append(f"line {number}: a JSON {type(row).__name__}, not an object")
    if faults or not rows:
        raise RequestError(
            f"{len(faults)} rows of {path} are not tasks" if faults else f"The file {path} holds no tasks",
            seen="; ".join(faults[:_SHOWN]) or None,
            wanted='one JSON object a line, such as {"prompt": "2 + 2?", "reference": "4"}',
        )
    return rows


def _task(row: Mapping[str, Any], number: int) -> Task:
    prompt = next((row[name] for name in _PROMPTS if name in row), "")
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": str(prompt)}]
    reference = next((row[name] for name in _REFERENCES if row.get(name) is not None), None)
    stated = reference if reference is None or isinstance(reference, str) else json.dumps(reference)
    columns = dict(row)
    if row.get("contested"):
        columns.pop("want", None)
    elif "verdict" not in columns and columns.get("want") in ("accept", "refuse"):
        columns["verdict"] = columns.pop("want")
    return Task(str(row.get("id", number)), tuple(messages), stated, columns)
