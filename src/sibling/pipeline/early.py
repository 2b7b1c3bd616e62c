"""Rewards beside sampling: a group is graded as soon as its last completion has ended, while others still decode.

One thread grades, one group after another in the order they end, so a reward is never called twice at once. What
judges a whole step at a time (a reward with TRL's batch signature) or needs torch (a learned reward) waits for the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sibling.batch import Completion, Verdict
from sibling.rewards.grade import Grader
from sibling.tasks.task import Task

Columns = dict[int, list[Verdict]]


class EarlyGrading:
    """The rewards of one step. Use as a context manager: leaving it drops what was begun and not asked for."""

    def __init__(self, grader: Grader) -> None:
        self.grader = grader
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rewards")
        self._begun: dict[int, tuple[Completion, Future[Columns], int]] = {}  # by id; the completion keeps its id alive

    def __enter__(self) -> EarlyGrading:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def begin(self, task: Task, siblings: Sequence[Completion]) -> None:
        """Grade the completions of a group in the background."""
        future = self._pool.submit(self.grader.grade_early, [task] * len(siblings), siblings)
        self._begun |= {id(c): (c, future, place) for place, c in enumerate(siblings)}

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[tuple[Verdict, ...]]:
        """`Grader.grade`, with what was begun; raises what a reward raised there."""
        late = [i for i, c in enumerate(completions) if id(c) not in self._begun]
        rest = self.grader.grade_early([tasks[i] for i in late], [completions[i] for i in late])
        columns: Columns = {column: [] for column in rest}
        taken = 0
        for c in completions:
            begun = self._begun.get(id(c))
            found, place = (begun[1].result(), begun[2]) if begun else (rest, taken)
            taken += begun is None
            for column, verdicts in columns.items():
                verdicts.append(found[column][place])
        return self.grader.grade(tasks, completions, columns)
