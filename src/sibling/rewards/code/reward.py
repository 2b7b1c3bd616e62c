"""The code verifier: right if the program of a completion passes the tests of its task.

Protected: the verdict. The tests run in one sandboxed process (the tester), the program in another. Calls, results,
exceptions and printed text cross between them as data in a bounded encoding of our own, never as code; an object that
is no data crosses as a number and equals no data. The verdict comes from the tester alone, over a channel that the
program's process never has: what the program prints, how it ends and what it sends cannot say "passed". So exits,
objects equal to everything, patched builtins, a search for the tests (frames, memory, files, descriptors), forged
messages, late answers and left-over processes are of no use, and none of them can turn a refusal into an error. What
the sandbox holds in is said in `sandbox.levels`; at `limits` a program could still reach the tester as the same user.
Not protected: tests that are weak. A program sees the arguments of each call, so it can keep a table of the answers it
knows (`if x == 3: return 5`); held-out tests catch that, nothing here does. Where the tests use a helper that the
task's `prompt_code` does not define, it comes from the program, which may define it as it likes (`warning_for` tells).
Arguments changed in place change for the tests too, as in one process. Time and memory that the tests use count
against the program, because what they compute with comes from it. A test of `==` or order between two objects of
the program believes the program's class.
Not covered: packages outside the standard library, tests that patch what the program uses (`mock.patch`), seed its
random numbers or subclass its classes, `is` between a result and anything but an argument, time and date of the
program under the tests' control.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from sibling.batch import Completion, Verdict
from sibling.config.rewards import CodeReward
from sibling.rewards.code.extract import program_in
from sibling.rewards.code.plan import Plan, plan_of
from sibling.rewards.code.session import Session
from sibling.rewards.verdicts import error, raised
from sibling.sandbox.limits import Limits
from sibling.sandbox.probe import require
from sibling.sandbox.run import Sandbox
from sibling.tasks.task import Task

_INSIDE = Path(__file__).with_name("inside")
_ENTRIES = (_INSIDE / "tester.py", _INSIDE / "candidate.py")
_MOST_SERVERS = 4


class Code:
    """Right if the tests of the task pass. Raises `RequestError` if the machine has no sandbox strong enough."""

    uses_reference = False

    def __init__(self, config: CodeReward) -> None:
        self._config = config
        self._level = require(config.sandbox)
        self._workers = config.workers or _processors()
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(self._workers)  # whoever calls, no more run at once
        self._session: Session | None = None
        self._pool: ThreadPoolExecutor | None = None

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion, in order; at most `workers` of them are found at once."""
        pairs = list(zip(tasks, completions, strict=True))
        if len(pairs) <= 1:
            return [self._one(task.columns, completion.text) for task, completion in pairs]
        return list(self._started().map(lambda pair: self._one(pair[0].columns, pair[1].text), pairs))

    def grade_row(self, row: Mapping[str, Any]) -> Verdict:
        """The verdict on one row: the columns of a task, and `completion`, text."""
        completion = row.get("completion")
        if not isinstance(completion, str):
            return error("the row has no column `completion` with text", code="bad_row")
        return self._one(row, completion)

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        plan = plan_of(task.columns)
        return plan if isinstance(plan, str) else None

    def warning_for(self, task: Task) -> str | None:
        """What makes the task easy to cheat, in words; None if nothing is seen."""
        plan = plan_of(task.columns)
        if isinstance(plan, str) or not plan.entry_point:
            return None
        helpers = sorted(plan.names - {plan.entry_point})
        if not helpers:
            return None
        return (
            f"its tests use {', '.join(helpers[:3])} beside {plan.entry_point}: the program may define that as it "
            f"likes, unless the column `prompt_code` does"
        )

    def facts(self) -> dict[str, Any]:
        """What the options leave open: the level in use and the number of programs at once."""
        return {"sandbox_level": self._level.name, "workers_used": self._workers}

    def close(self) -> None:
        """End the sandbox. Grading again starts another."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown()
            if self._session is not None:
                self._session.sandbox.close()
            self._pool = self._session = None

    def _one(self, columns: Mapping[str, Any], text: str) -> Verdict:
        start = time.perf_counter()
        try:
            plan = plan_of(columns)
            verdict = error(plan, code="bad_task") if isinstance(plan, str) else self._judged(plan, text)
        except Exception as failure:  # a failure of ours is an error of this completion, never a score
            verdict = raised(failure)
        return replace(verdict, seconds=time.perf_counter() - start)

    def _judged(self, plan: Plan, text: str) -> Verdict:
        program = program_in(text, plan.names)
        if isinstance(program, Verdict):
            return program
        with self._room:
            return self._running().graded(plan, program)

    def _running(self) -> Session:
        with self._lock:
            if self._session is None:
                config = self._config
                limits = Limits(seconds=config.seconds, cpu_seconds=config.seconds + 1, memory=config.memory_mb << 20)
                servers = min(self._workers, _MOST_SERVERS)
                sandbox = Sandbox(_ENTRIES, minimum=self._level, servers=servers)
                self._session = Session(sandbox, limits, config.score == "share")
            return self._session

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="code")
            return self._pool


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
