"""A regular expression over the completion, searched in a process of its own.

The pattern is the recipe author's, the text is not: a pattern that is fine on friendly text can take years on
hostile text, and Python's matcher cannot be interrupted nor does it let another thread run. So the search runs in
a small child process with a time limit, and is killed when it is late: that completion gets `error`, and after
three in a row the run stops.
Not covered: memory of the child process.
"""

from __future__ import annotations

import dataclasses
import json
import queue
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from sibling.batch import Completion, Verdict
from sibling.errors import RequestError, RewardError
from sibling.rewards.answers import normal
from sibling.rewards.bounded import HangCounter
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.tasks.task import Task

SEARCH_SECONDS = 2.0
_START_SECONDS = 60.0
_CHILD = Path(__file__).with_name("regex_child.py")


class Regex:
    """Right if the pattern is found (`full`: matches all of the completion); a group `answer` must be the reference.

    With the group, a task without reference abstains. Both are compared as `exact_match` does.
    """

    def __init__(self, name: str, pattern: str, *, full: bool, seconds: float = SEARCH_SECONDS) -> None:
        try:
            compiled = re.compile(pattern)
        except re.error as failure:
            raise RequestError(
                f"The pattern of the reward {name} is not a regular expression", seen=f"{pattern!r}: {failure}"
            ) from failure
        self.uses_reference = "answer" in compiled.groupindex
        self._pattern, self._full, self._seconds = pattern, full, seconds
        self._matcher: Matcher | None = None
        self._hangs = HangCounter(name, "Write the pattern without nested repetition such as (a+)+")

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion."""
        verdicts = []
        for task, completion in zip(tasks, completions, strict=True):
            start = time.perf_counter()
            verdict = self._judge(task, completion.text)
            verdicts.append(dataclasses.replace(verdict, seconds=time.perf_counter() - start))
        return verdicts

    def states(self, text: str) -> bool:
        """Whether the pattern is found in `text` at all, whatever its group catches."""
        found = self._search(text)
        return found is not None and bool(found["found"])

    def _judge(self, task: Task, text: str) -> Verdict:
        if self.uses_reference and task.reference is None:
            return abstain("the task has no reference")
        found = self._search(text)
        if found is None:
            return error(f"the search took longer than {self._seconds:g} s")
        if not found["found"]:
            return wrong("the pattern is not found")
        if not self.uses_reference:
            return right("the pattern is found")
        answer = found["answer"]
        if answer is None:
            return wrong("the group answer caught nothing")
        return right("the same text") if normal(answer) == normal(task.reference or "") else wrong("another text")

    def _search(self, text: str) -> dict[str, Any] | None:
        """What the child process found; None if it was late."""
        if self._matcher is None:
            self._matcher = Matcher()
        found = self._matcher.ask(
            {"pattern": self._pattern, "full": self._full, "text": text, "seconds": self._seconds}, self._seconds
        )
        if found is None:
            self._matcher = None
            self._hangs.late(self._seconds)
        else:
            self._hangs.in_time()
        return found


class Matcher:
    """The child process. It ends when its input closes, when it is late, and when this object goes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",  # JSON with every other character escaped
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        self._stdin = stdin
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = threading.Thread(target=_pass_on, args=(stdout, self._lines), daemon=True)
        reader.start()
        self._end = weakref.finalize(self, _end, self._process, reader)
        if self._reply(_START_SECONDS) is None:
            raise RewardError("The process for regular expressions did not start", seen=f"{sys.executable} {_CHILD}")

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """The answer; None if it did not come within `seconds` (the process is gone then)."""
        try:
            self._stdin.write(json.dumps(request) + "\n")
            self._stdin.flush()
        except OSError as failure:
            raise RewardError("The process for regular expressions ended by itself", seen=repr(failure)) from failure
        reply: dict[str, Any] | None = self._reply(seconds)
        if reply is None:
            self._end()
        return reply

    def _reply(self, seconds: float) -> Any:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            return None
        return json.loads(line) if line else None


def _pass_on(lines: IO[str], to: queue.SimpleQueue[str]) -> None:
    for line in lines:
        to.put(line)
    to.put("")


def _end(process: subprocess.Popen[str], reader: threading.Thread) -> None:
    process.kill()
    process.wait()
    reader.join()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
