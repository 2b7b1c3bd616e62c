"""The learned reward as the grader sees it: the probabilities of a reward model that lives elsewhere.

The model is trained during a run, with torch (learner.reward_model); here it is a plain callable. It is attached
while a step is collected. At any other time, in evaluations above all, the reward abstains: a reward that changes
as the run goes on cannot compare a model with what it was before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Completion, Status, Verdict
from sibling.errors import RunError
from sibling.rewards.verdicts import abstain
from sibling.tasks.task import Task

Probabilities = Callable[[Sequence[Task], Sequence[Completion], Sequence[Verdict]], NDArray[np.float64]]
"""(tasks, completions, verdicts of the reward that gives the labels) -> [N] probabilities in [0, 1] of right.

The verdicts are there to learn from, before the first completions are scored.
"""


class Learned:
    """Score p, the probability that the reward named `labels` says right; right if p > 1/2."""

    uses_reference = False

    def __init__(self, labels: str) -> None:
        self.labels = labels
        self.model: Probabilities | None = None

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """Abstentions: without the verdicts that are its labels there is nothing to go by."""
        del tasks
        return [abstain("a learned reward judges while a run trains only")] * len(completions)

    def grade_beside(
        self, tasks: Sequence[Task], completions: Sequence[Completion], labels: Sequence[Verdict]
    ) -> list[Verdict]:
        """One verdict a completion, by the model attached; the seconds are shared out evenly.

        Raises `RunError` for probabilities that are none, and whatever the model raises.
        """
        if self.model is None or not completions:
            return self.grade(tasks, completions)
        start = time.perf_counter()
        found = self.model(tasks, completions, labels)
        outside = int((~((found >= 0) & (found <= 1))).sum())  # NaN is outside as well
        if found.shape != (len(completions),) or outside:
            raise RunError(
                "A reward model gave something other than probabilities",
                seen=f"shape {found.shape}, {outside} outside [0, 1]",
                wanted=f"{len(completions)} numbers in [0, 1]",
            )
        seconds = (time.perf_counter() - start) / len(completions)
        reason = "the reward model's probability of right"
        return [Verdict(Status.right if p > 0.5 else Status.wrong, float(p), reason, seconds) for p in found]
