"""The scorer of the reasoning-gym family that made the prompt.

The answer handed to it is what stands in the last `<answer>...</answer>` of the completion, or else the whole
completion without surrounding white space. Families give full marks as 1.0 and may give partial ones: the score
is kept as it is, and only full marks are `right`. Scorers read untrusted text, some with a computer algebra
system, so they run under a time bound; see `rewards.bounded` for what that does not cover.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence

from sibling.batch import Completion, Verdict
from sibling.rewards.bounded import BoundedWorker
from sibling.rewards.verdicts import abstain, error, raised, right, wrong
from sibling.tasks import gym
from sibling.tasks.task import Task

_SECONDS = 30.0
_FULL_MARKS = 1.0 - 1e-9


class Gym:
    """Score of the family's own scorer; abstains on prompts that no family made."""

    uses_reference = True

    def __init__(self, name: str, seconds: float = _SECONDS) -> None:
        self._worker, self._seconds = BoundedWorker(name), seconds

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion."""
        verdicts = []
        for task, completion in zip(tasks, completions, strict=True):
            start = time.perf_counter()
            verdict = self._judge(task, completion)
            verdicts.append(dataclasses.replace(verdict, seconds=time.perf_counter() - start))
        return verdicts

    def _judge(self, task: Task, completion: Completion) -> Verdict:
        if "gym" not in task.columns:
            return abstain("no reasoning-gym family made this prompt")
        outcome = self._worker.run(lambda: gym.score(task.columns, stated_answer(completion.text)), self._seconds)
        if outcome.late:
            return error(f"timed out after {self._seconds:g} s")
        if outcome.failure is not None:
            return raised(outcome.failure)
        score = float(outcome.value)
        if not math.isfinite(score):
            return error(f"the family's scorer returned {score}")
        return right("full marks", score) if score >= _FULL_MARKS else wrong("not full marks", score)


def stated_answer(text: str) -> str:
    """What stands in the last `<answer>...</answer>`, or all of the text; without white space around it."""
    before, opening, inside = text.rpartition("<answer>")
    del before
    answer, closing, _ = inside.partition("</answer>")
    return answer.strip() if opening and closing else text.strip()
