"""Calls of the audited reward, by processes that grade side by side where that is worth it."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sibling.audit.lane import CHUNK, Lane
from sibling.audit.outcomes import LEFT_OUT, Call, Outcome
from sibling.tasks.task import Task

_WORTH_A_PROCESS = 1.0  # seconds of calls from which another process is started for them


@dataclass
class Tally:
    """What the calls cost."""

    calls: int = 0
    peak_kb: int = 0
    threads: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def mean_seconds(self) -> float:
        """Of the calls so far."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else 0.0


class Calls:
    """Processes that grade, `lanes` at once. Ends with `close`, or as a context manager."""

    def __init__(
        self, spec: Mapping[str, Any], tasks: Sequence[Task], *, lanes: int, seconds: float, memory_mb: int
    ) -> None:
        self.seconds, self.tally = seconds, Tally()
        self._folder = Path(tempfile.mkdtemp(prefix="sibling-audit-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        rows = [
            {
                "id": t.id,
                "messages": [dict(m) for m in t.messages],
                "reference": t.reference,
                "columns": dict(t.columns),
            }
            for t in tasks
        ]
        self._request = {"do": "open", "spec": dict(spec), "tasks": rows}
        self._memory, self._lock = memory_mb, threading.Lock()
        self._lost: dict[str, Outcome] = {}  # texts that were late or ended their process: not tried again
        self._lanes = [self._lane(number) for number in range(lanes)]
        try:
            self.opened = self._lanes[0].open()
        except BaseException:
            self.close()
            raise

    def _lane(self, number: int) -> Lane:
        folder = self._folder / str(number)
        (folder / "empty").mkdir(parents=True)
        return Lane(self._request, folder, self.seconds, self._memory, self._lost)

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes and remove their folders."""
        for lane in self._lanes:
            lane.close()
        self._remove()

    def grade(self, calls: Sequence[Call]) -> list[Outcome]:
        """One outcome a call, in order; calls are graded one at a time, by several processes if that is worth it."""
        outcomes = self._counted(self._lanes[0].grade(calls[:CHUNK]))
        rest = calls[CHUNK:]
        if len(rest) * self.tally.mean_seconds < _WORTH_A_PROCESS or len(self._lanes) == 1:
            return outcomes + self._counted(self._lanes[0].grade(rest))
        return outcomes + self._counted(self._side_by_side(rest))

    def _side_by_side(self, calls: Sequence[Call]) -> list[Outcome]:
        chunks = [range(start, min(start + CHUNK, len(calls))) for start in range(0, len(calls), CHUNK)]
        out: list[list[Outcome]] = [[] for _ in chunks]
        todo = iter(range(len(chunks)))

        def some(lane: Lane) -> None:
            while True:
                with self._lock:
                    number = next(todo, None)
                if number is None:
                    return
                out[number] = lane.grade([calls[i] for i in chunks[number]])

        with ThreadPoolExecutor(len(self._lanes)) as pool:
            for done in [pool.submit(some, lane) for lane in self._lanes]:
                done.result()
        return [outcome for chunk in out for outcome in chunk]

    def patient(self) -> None:
        """Calls may be lost again: what went before was something else."""
        for lane in self._lanes:
            lane.be_patient()

    def in_order(self, calls: Sequence[Call]) -> list[Outcome]:
        """One outcome a call, graded one after another by one process."""
        return self._counted(self._lanes[0].grade(calls))

    def together(self, calls: Sequence[Call]) -> list[Outcome]:
        """One outcome a call, graded in one call where the reward takes batches."""
        return self._counted(self._lanes[0].whole({"do": "together"}, calls))

    def threads(self, calls: Sequence[Call], count: int) -> list[Outcome]:
        """One outcome a call, graded by threads that run at the same time."""
        return self._counted(self._lanes[0].whole({"do": "threads", "threads": count}, calls))

    def fresh(self, calls: Sequence[Call], hash_seed: int) -> list[Outcome]:
        """One outcome a call, from a new process with its own PYTHONHASHSEED."""
        return self._counted(self._lanes[0].fresh(calls, hash_seed))

    def _counted(self, outcomes: list[Outcome]) -> list[Outcome]:
        self.tally.calls += sum(o is not LEFT_OUT for o in outcomes)
        self.tally.seconds += [o.seconds for o in outcomes if not o.fault and o.seconds]
        self.tally.threads = max(lane.threads for lane in self._lanes)
        self.tally.peak_kb = max(lane.peak_kb for lane in self._lanes)
        return outcomes
