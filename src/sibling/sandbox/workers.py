"""Our own code on text that is not trusted, in processes that can be killed: a bound on time and memory that holds.

A thread cannot be stopped, and some computations (a power tower, a catastrophic pattern) hold Python's global lock,
so that no time-out inside the process would ever be looked at. Here each call runs in a process of its own kind; a
call that is late is killed and the next one gets a fresh process.
Covered: wall time, address space (where the system has rlimits), a crash of the process, Ctrl-C, a killed parent.
Not covered: what the function may do. It is ours and never executes the text; programs go to the sandbox instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import IO, Any, Literal

from sibling.errors import RewardError

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What became of one call: a value, or why there is none."""

    value: Any = None
    failure: Literal["", "timeout", "memory", "recursion", "died", "raised"] = ""
    message: str = ""


class Workers:
    """Processes that call `function` of `module` (JSON in, JSON out), at most `count` at once, started when needed.

    Safe to call from several threads: a call waits until a process is free (that wait is not part of its bound).
    They end when this object goes, with the program, or with `close`.
    """

    def __init__(self, module: str, function: str, *, count: int = 1, memory_mb: int = 1024) -> None:
        self._what = (module, function, str(memory_mb))
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._end = weakref.finalize(self, _end_all, self._idle)

    def call(self, value: Any, seconds: float) -> Answer:
        """The answer to one call; it comes within `seconds`, or its process is killed and it is a time-out.

        Raises `RewardError` if no process can be started.
        """
        worker = self._idle.get()
        keep = None
        try:
            worker = worker or _Worker(self._what)
            answer, alive = worker.ask(value, seconds)
            keep = worker if alive else None
            return answer
        finally:
            if worker is not None and keep is None:
                worker.end()
            self._idle.put(keep)

    def close(self) -> None:
        """End the processes that are idle."""
        self._end()


class _Worker:
    def __init__(self, what: tuple[str, str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sibling.sandbox.worker", *what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",  # JSON with every other character escaped
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        self._stdin, self._stdout = stdin, stdout
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=_pass_on, args=(stdout, self._lines), daemon=True)
        self._reader.start()
        if self._line(_START_SECONDS) in (None, ""):
            self.end()
            raise RewardError("A worker process did not start", seen=" ".join(what[:2]))

    def ask(self, value: Any, seconds: float) -> tuple[Answer, bool]:
        """The answer, and whether the process can be asked again."""
        try:
            self._stdin.write(json.dumps({"value": value, "seconds": seconds}) + "\n")
            self._stdin.flush()
        except OSError:
            return Answer(failure="died", message="the process was gone"), False
        line = self._line(seconds)
        if line is None:
            return Answer(failure="timeout", message=f"no answer within {seconds:g} s"), False
        if not line:
            return Answer(failure="died", message="the process ended during the call"), False
        reply = json.loads(line)
        if "value" in reply:
            return Answer(reply["value"]), True
        kinds: dict[str, Literal["memory", "recursion"]] = {"MemoryError": "memory", "RecursionError": "recursion"}
        name = reply["raised"]
        return Answer(failure=kinds.get(name, "raised"), message=f"{name}: {reply.get('message', '')}"), True

    def _line(self, seconds: float) -> str | None:
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._stdout.close()
        with contextlib.suppress(OSError):  # what was not yet written has no reader
            self._stdin.close()


def _pass_on(lines: IO[str], to: queue.SimpleQueue[str]) -> None:
    for line in lines:
        to.put(line)
    to.put("")


def _end_all(idle: queue.LifoQueue[_Worker | None]) -> None:
    while True:
        try:
            worker = idle.get_nowait()
        except queue.Empty:
            return
        if worker is not None:
            worker.end()
