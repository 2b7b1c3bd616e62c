"""A time bound on functions that are not ours: each call runs in a worker thread and is given up when it is late.

Covered: functions that sleep, wait, loop in Python or await for too long; functions that raise, SystemExit
included. A late coroutine is cancelled; the thread of a late function is left behind (a daemon, so the program
can still end) and a new one takes its place. After three late calls in a row the run stops with `RewardError`.
Not covered: code that keeps Python's global lock (a catastrophic regular expression, a huge integer power, C code)
stalls the whole process; memory, files and network are not limited; a thread left behind may go on working.
Process isolation is the sandbox's work.
"""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sibling.errors import RewardError

MOST_HANGS = 3
_GRACE = 1.0  # seconds a coroutine has to be cancelled in before its thread is given up


@dataclass(frozen=True)
class Outcome:
    """What became of one call: its value, or the exception it raised, or lateness."""

    value: Any = None
    failure: BaseException | None = None
    late: bool = False


_Job = tuple[Callable[[], Any], float, "queue.SimpleQueue[Outcome]"]


class HangCounter:
    """Counts late calls in a row and stops the run at the third."""

    def __init__(self, name: str, advice: str) -> None:
        self._name, self._advice, self._hangs = name, advice, 0

    def in_time(self) -> None:
        """A call came back."""
        self._hangs = 0

    def late(self, seconds: float) -> None:
        """A call did not. Raises `RewardError` at the third in a row."""
        self._hangs += 1
        if self._hangs >= MOST_HANGS:
            raise RewardError(
                f"The reward {self._name} hung {self._hangs} times in a row",
                seen=f"no answer within {seconds:g} s each time",
                do=self._advice,
            )


class BoundedWorker:
    """Runs jobs one after another in a thread of its own; awaitable results are awaited there, on one event loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] | None = None
        self._hangs = HangCounter(name, "Find out what it waits for, or raise rewards[].timeout")

    def run(self, job: Callable[[], Any], seconds: float) -> Outcome:
        """The outcome of `job()`, awaited if need be. Raises `RewardError` at the third late call in a row."""
        reply: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._queue().put((job, seconds, reply))
        try:
            outcome = reply.get(timeout=seconds + _GRACE)
        except queue.Empty:
            outcome = Outcome(late=True)
            self._give_up()
        if outcome.late:
            self._hangs.late(seconds)
        else:
            self._hangs.in_time()
        return outcome

    def _queue(self) -> queue.SimpleQueue[_Job | None]:
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(self._jobs,), name=f"reward {self._name}", daemon=True).start()
            weakref.finalize(self, self._jobs.put, None)
        return self._jobs

    def _give_up(self) -> None:
        if self._jobs is not None:
            self._jobs.put(None)  # should the late job ever end, its thread ends too
            self._jobs = None


def _serve(jobs: queue.SimpleQueue[_Job | None]) -> None:
    with asyncio.Runner() as runner:
        while (item := jobs.get()) is not None:
            job, seconds, reply = item
            reply.put(_outcome(runner, job, seconds))
            del item, job, reply  # an idle thread keeps nothing alive


def _outcome(runner: asyncio.Runner, job: Callable[[], Any], seconds: float) -> Outcome:
    try:
        value = job()
        return runner.run(_within(value, seconds)) if inspect.isawaitable(value) else as_outcome(value)
    except BaseException as failure:  # whatever it is, it is one failed call and must reach the caller
        return Outcome(failure=failure)


def as_outcome(value: Any) -> Outcome:
    """A job may give its outcome itself (many calls in one job); any other value is the value."""
    return value if isinstance(value, Outcome) else Outcome(value)


async def _within(value: Awaitable[Any], seconds: float) -> Outcome:
    bound = asyncio.timeout(seconds)
    try:
        async with bound:
            return as_outcome(await value)
    except TimeoutError as failure:  # ours, or the function's own
        return Outcome(late=True) if bound.expired() else Outcome(failure=failure)
