"""Rewards beside sampling: a group is graded as soon as its last completion has ended, while others still decode.

One thread grades, one group after another in the order they end, and at last whatever was never begun: a reward is
never called twice at once, and the order of its calls does not depend on how fast it is. What judges a whole step at a
time (a reward with TRL's batch signature) or needs torch (a learned reward) waits for the end.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from sibling.batch import Completion, Verdict
from sibling.rewards.grade import Grader
from sibling.tasks.task import Task

Columns = dict[int, list[Verdict]]

_Job = tuple[Future[Columns], Callable[[], Columns]]


class EarlyGrading:
    """The rewards of one step. Use as a context manager: leaving it drops what was begun and not asked for."""

    def __init__(self, grader: Grader) -> None:
        self.grader = grader
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._begun: dict[int, tuple[Completion, Future[Columns], int]] = {}  # by id; the completion keeps its id alive
        # A daemon, unlike the threads of a pool: a program that is interrupted does not wait for slow rewards to end.
        threading.Thread(target=_serve, args=(self._jobs,), name="rewards", daemon=True).start()

    def __enter__(self) -> EarlyGrading:
        return self

    def __exit__(self, *_: object) -> None:
        for begun in self._begun.values():
            begun[1].cancel()
        self._jobs.put(None)

    def begin(self, task: Task, siblings: Sequence[Completion]) -> None:
        """Grade the completions of a group in the background."""
        self._begin([task] * len(siblings), siblings)

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[tuple[Verdict, ...]]:
        """`Grader.grade`, with what was begun; raises what a reward raised there."""
        late = [i for i, c in enumerate(completions) if id(c) not in self._begun]
        if late:
            self._begin([tasks[i] for i in late], [completions[i] for i in late])
        columns: Columns = {}
        for c in completions:
            _, future, place = self._begun[id(c)]
            for column, verdicts in future.result().items():
                columns.setdefault(column, []).append(verdicts[place])
        return self.grader.grade(tasks, completions, columns)

    def _begin(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> None:
        future: Future[Columns] = Future()
        self._begun |= {id(c): (c, future, place) for place, c in enumerate(completions)}
        self._jobs.put((future, lambda: self.grader.grade_early(tasks, completions)))


def _serve(jobs: queue.SimpleQueue[_Job | None]) -> None:
    while (item := jobs.get()) is not None:
        future, job = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(job())
            except BaseException as failure:  # whatever it is, it is raised where the verdicts are asked for
                future.set_exception(failure)
        del item, future, job  # an idle thread keeps nothing alive
