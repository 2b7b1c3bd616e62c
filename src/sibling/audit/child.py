"""The process in which the audited reward lives: builds it once, then answers calls.

It is started by `sandbox.workers`, so a reward that hangs, dies or eats its memory takes only this process with it.
Its working folder is empty, and whatever appears there was put there by the reward. The outcome of each call is also
written to a journal as soon as it is known, so that the parent knows which call was the bad one.
Covered: the outcome of each call, its time, the tripwire. Not covered: a reward that finds and alters this
module; the audit measures carelessness and gullibility, not malice of the reward's own author.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sibling import plugins
from sibling.audit import tripwire
from sibling.audit.signatures import Manner, assumed_columns, call_many, call_one, manner_of
from sibling.batch import Completion, Verdict
from sibling.config import RewardConfig
from sibling.errors import SiblingError
from sibling.rewards.grade import Grader, stating
from sibling.rewards.verdicts import from_value
from sibling.tasks.task import Task

_WORDS = 300  # characters of a message that travel


class Built:
    """The reward of a spec: one verdict for one completion, or many for many."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.grader: Grader | None = None
        self.manner = Manner("config")
        base = Path(spec["base"])
        if "config" in spec:
            config = TypeAdapter[Any](RewardConfig).validate_python(spec["config"])
            self.grader = Grader((config,), base=base, max_tokens=4096)
            self.code = self.grader.describe()[0]["code_digest"]
        else:
            plugin = plugins.load(spec["callable"], base=base)
            self.call, self.code = plugin.call, plugin.code
            self.manner = manner_of(self.call, spec["signature"])

    @property
    def takes_batches(self) -> bool:
        """It is given several completions in one call."""
        return self.grader is not None or self.manner.signature == "trl"

    def one(self, task: Task, completion: Completion) -> Any:
        """What it says of one completion."""
        if self.grader is not None:
            return self.grader.grade([task], [completion])[0][0]
        return call_one(self.manner, self.call, task, completion)

    def many(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> Any:
        """What it says of several completions, given in one call where it takes them so."""
        if self.grader is not None:
            return [verdicts[0] for verdicts in self.grader.grade(tasks, completions)]
        if self.manner.signature == "trl":
            return call_many(self.call, tasks, completions)
        return [self.one(t, c) for t, c in zip(tasks, completions, strict=True)]


@dataclass
class _Open:
    built: Built
    tasks: list[Task]
    folder: Path
    journal: Path


_open: list[_Open] = []  # the one reward of this process, once it is built


def work(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one request of the parent: `open`, `grade`, `together` or `threads`."""
    if request["do"] == "open":
        return _build(request)
    if not _open:
        return {"unopened": True}
    here = _open[0]
    match request["do"]:
        case "grade":
            outcomes = _grade(here, request["calls"], request["stop_after"])
        case "together":
            outcomes = _together(here, request["calls"])
        case _:
            outcomes = _threads(here, request["calls"], request["threads"])
    return {"outcomes": outcomes, "peak_kb": _peak(), "threads": threading.active_count()}


def _build(request: Mapping[str, Any]) -> dict[str, Any]:
    os.environ[tripwire.VARIABLE] = str(Path(request["folder"]) / tripwire.NAME)
    try:
        built = Built(request["spec"])
        tasks = [Task(t["id"], tuple(t["messages"]), t["reference"], t["columns"]) for t in request["tasks"]]
        assumed: list[str] = []
        if built.manner.signature == "trl":
            assumed = assumed_columns(built.call, tasks[:1], [stating("")] * len(tasks[:1]))
    except SiblingError as problem:
        return {"problem": problem.what, "seen": str(problem.seen), "wanted": problem.wanted, "do": problem.do}
    os.chdir(request["folder"])
    _open[:] = [_Open(built, tasks, Path(request["folder"]), Path(request["journal"]))]
    return {
        "signature": built.manner.signature,
        "words": built.manner.words if built.grader is None else "",
        "sure": built.manner.sure,
        "batches": built.takes_batches,
        "assumed": assumed,
        "code": built.code,
        "peak_kb": _peak(),
    }


def _grade(here: _Open, calls: Sequence[Sequence[Any]], stop_after: float) -> list[dict[str, Any]]:
    """One call after another, up to `stop_after` seconds; at least one."""
    import json

    outcomes: list[dict[str, Any]] = []
    start = time.perf_counter()
    with here.journal.open("w", encoding="ascii", buffering=1) as journal:
        for call in calls:
            outcomes.append(_one(here, call))
            journal.write(json.dumps(outcomes[-1]) + "\n")
            if time.perf_counter() - start > stop_after:
                break
    return outcomes


def _one(here: _Open, call: Sequence[Any]) -> dict[str, Any]:
    task, completion = _arguments(here, call)
    start = time.perf_counter()
    try:
        outcome = _said(here.built.one(task, completion))
    except BaseException as failure:  # SystemExit and KeyboardInterrupt out of a reward are failures of it too
        outcome = _failed(failure)
    outcome["seconds"] = round(time.perf_counter() - start, 6)
    if _tripped(here.folder):
        outcome["tripped"] = _clear(here.folder)
    return outcome


def _together(here: _Open, calls: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """All completions in one call, where the reward takes them so."""
    pairs = [_arguments(here, call) for call in calls]
    try:
        values = here.built.many([t for t, _ in pairs], [c for _, c in pairs])
        said = [_said(value) for value in values] if not isinstance(values, str | bytes | Mapping) else []
    except BaseException as failure:  # as above
        return [_failed(failure)] * len(calls)
    if len(said) != len(calls):
        return [{"fault": "length", "message": f"{len(said)} scores for {len(calls)} completions"}] * len(calls)
    return said


def _threads(here: _Open, calls: Sequence[Sequence[Any]], count: int) -> list[dict[str, Any]]:
    """The calls shared out over `count` threads that run at the same time."""
    outcomes: list[dict[str, Any]] = [{"fault": "raised", "message": "the thread ended"} for _ in calls]

    def some(first: int) -> None:
        for place in range(first, len(calls), count):
            outcomes[place] = _one(here, calls[place])

    threads = [threading.Thread(target=some, args=(first,), daemon=True) for first in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _arguments(here: _Open, call: Sequence[Any]) -> tuple[Task, Completion]:
    """A call is [task, text] or [task, text, another reference]."""
    task = here.tasks[call[0]]
    if len(call) > 2:
        task = _with_reference(task, call[2])
    return task, stating(call[1])


def _with_reference(task: Task, reference: str | None) -> Task:
    """The task with another reference, also in the columns that held the old one."""
    columns = {k: reference if v == task.reference and v is not None else v for k, v in task.columns.items()}
    return dataclasses.replace(task, reference=reference, columns=columns)


def _said(value: Any) -> dict[str, Any]:
    """A return value as what travels to the parent."""
    if isinstance(value, Mapping) and "score" in value:  # verl's scorers may return a dictionary
        value = value["score"]
    verdict = from_value(value)
    if not isinstance(value, Verdict) and verdict.score is not None:
        return {"status": "number", "score": verdict.score}
    if not isinstance(value, Verdict) and value is not None:
        return {"fault": "value", "message": verdict.reason[:_WORDS]}
    out = {"status": verdict.status.value, "score": verdict.score, "code": verdict.code}
    return {**out, "message": verdict.reason[:_WORDS]}


def _failed(failure: BaseException) -> dict[str, Any]:
    kind = "memory" if isinstance(failure, MemoryError) else "raised"
    return {"fault": kind, "message": f"{type(failure).__name__}: {' '.join(str(failure).split())}"[:_WORDS]}


def _tripped(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(True for _ in entries)


def _clear(folder: Path) -> str:
    """Names of what was put into the folder, which is emptied."""
    import shutil

    names = sorted(os.listdir(folder))
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return ", ".join(names)[:_WORDS]


def _peak() -> int:
    """Most memory this process has held, in KB; 0 where the system does not say."""
    try:
        import resource
        import sys
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
