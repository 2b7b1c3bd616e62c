"""Process rewards by comparison: each step of a completion against the same step of the reference.

A step ends with the separator after it, or with the text. Steps cover the text without gaps: parts that are blank
(two separators in a row, an empty first or last line) are no steps of their own and belong to the step before them,
or to the first one. Runs of white space count as one space, and around a step they do not count.
Not covered: steps in another order, a step skipped (all after it are compared with the wrong one), and steps that
say the same in other words.
"""

from __future__ import annotations

from sibling.batch import Completion, Status, StepScore, Verdict
from sibling.rewards.verdicts import abstain, error
from sibling.tasks.task import Task


class StepMatch:
    """Process reward (as in 2402.03300 sec. 4.1.3): x_j = 1 if step j equals the reference's step j, else 0.

    The total is sum_j x_j over the number of steps of the reference, in [0, 1]. Right if all are right and there are
    as many; steps past the reference's last are wrong. No reference: abstain. A completion without a step is one wrong
    step, so that to say nothing costs what a wrong step costs.
    """

    uses_reference = True

    def __init__(self, separator: str) -> None:
        self._separator = separator

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion, with the score of each step."""
        if task.reference is None:
            return abstain("the task has no reference")
        wanted = [normal(s) for s, _ in split_steps(task.reference, self._separator)]
        if not wanted:
            return error("the reference has no step")
        seen = split_steps(completion.text, self._separator)
        if not seen:
            nothing = StepScore(max(1, len(completion.text)), 0.0)
            return Verdict(Status.wrong, 0.0, "no step", steps=(nothing,))
        hits = [j < len(wanted) and normal(step) == wanted[j] for j, (step, _) in enumerate(seen)]
        steps = tuple(StepScore(end, float(hit)) for hit, (_, end) in zip(hits, seen, strict=True))
        status = Status.right if all(hits) and len(seen) == len(wanted) else Status.wrong
        return Verdict(status, sum(hits) / len(wanted), _reason(hits, len(wanted)), steps=steps)


def split_steps(text: str, separator: str) -> list[tuple[str, int]]:
    """(step, end) of each step of `text`; `end` counts the characters up to and including it and its separator.

    The last end is the length of the text; text that is blank has no step.

    >>> split_steps("one\\n\\ntwo\\n", "\\n")
    [('one', 5), ('two', 9)]
    """
    steps: list[tuple[str, int]] = []
    start = 0
    for part in text.split(separator):
        end = min(start + len(part) + len(separator), len(text))
        if part.strip():
            steps.append((part, end))
        elif steps:
            steps[-1] = (steps[-1][0], end)
        start = end
    return steps


def normal(step: str) -> str:
    """`step` as it is compared: runs of white space are one space, none stand around it."""
    return " ".join(step.split())


def _reason(hits: list[bool], wanted: int) -> str:
    if not all(hits):
        return f"step {hits.index(False) + 1} differs"
    return "every step is the reference's" if len(hits) == wanted else f"{len(hits)} of {wanted} steps, all right"
