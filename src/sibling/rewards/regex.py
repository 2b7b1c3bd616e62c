"""A regular expression over the completion, searched in a process of its own.

The pattern is the recipe author's, the text is not: a pattern that is fine on friendly text can take years on
hostile text, and Python's matcher cannot be interrupted nor does it let another thread run. So the search runs in
a process that is killed when it is late (`sandbox.workers`): that completion gets `error`, and after three in a row the
run stops.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Sequence
from typing import Any

from sibling.batch import Completion, Verdict
from sibling.errors import RequestError
from sibling.rewards.answers import normal
from sibling.rewards.bounded import HangCounter
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.sandbox.workers import Workers
from sibling.tasks.task import Task

SEARCH_SECONDS = 2.0


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
        self._workers = Workers(__name__, search.__name__)
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
            return error(f"the search took longer than {self._seconds:g} s", code="timeout")
        if not found["found"]:
            return wrong("the pattern is not found")
        if not self.uses_reference:
            return right("the pattern is found")
        answer = found["answer"]
        if answer is None:
            return wrong("the group answer caught nothing")
        return right("the same text") if normal(answer) == normal(task.reference or "") else wrong("another text")

    def _search(self, text: str) -> dict[str, Any] | None:
        """What was found; None if the search was late or came to nothing."""
        request = {"pattern": self._pattern, "full": self._full, "text": text}
        answer = self._workers.call(request, self._seconds)
        if answer.failure == "timeout":
            self._hangs.late(self._seconds)
        else:
            self._hangs.in_time()
        found: dict[str, Any] | None = answer.value
        return found


def search(request: dict[str, Any]) -> dict[str, Any]:
    """Whether the pattern is found, and what its group `answer` caught. Called in the worker process."""
    find = re.fullmatch if request["full"] else re.search
    match = find(request["pattern"], request["text"])
    groups = {} if match is None else match.groupdict()
    return {"found": match is not None, "answer": groups.get("answer")}
