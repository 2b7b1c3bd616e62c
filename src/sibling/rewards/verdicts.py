"""What a reward is, verdicts in short, and how a plain value from a user's function becomes a verdict.

What is not a finite number never becomes a 0: None is an abstention; NaN, infinity, text and other types are
errors. A plain number above 0 is `right`, any other is `wrong`; the number itself is the score either way.
A `Verdict` may carry the scores of steps; steps that do not lie in the completion's text are an error.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from sibling.batch import Completion, Status, StepScore, Verdict
from sibling.tasks.task import Task

_REASON_LENGTH = 300


class Judge(Protocol):
    """A verifier of single completions: pure, quick, and not expected to fail."""

    uses_reference: bool  # it compares with the reference, so its verdict on the reference itself is a check

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        ...


class Reward(Protocol):
    """A verifier of many completions at once; a failure is a verdict, not an exception."""

    uses_reference: bool

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion, in order, with the seconds it took.

        Raises `RewardError` if it hung too often in a row, `RequestError` if it cannot be called on these tasks.
        """
        ...


Span = tuple[int, int]
"""Characters of the completion's text, from and up to."""


def right(reason: str = "", score: float = 1.0, *, code: str = "", span: Span | None = None) -> Verdict:
    """The completion is what was asked for. `code`: the reason as one word; `span`: what was taken for the answer."""
    return Verdict(Status.right, score, reason[:_REASON_LENGTH], code=code, span=span)


def wrong(reason: str, score: float = 0.0, *, code: str = "", span: Span | None = None) -> Verdict:
    """It is not."""
    return Verdict(Status.wrong, score, reason[:_REASON_LENGTH], code=code, span=span)


def abstain(reason: str, *, code: str = "", span: Span | None = None) -> Verdict:
    """The reward declines: there is nothing to judge by. No score."""
    return Verdict(Status.abstain, None, reason[:_REASON_LENGTH], code=code, span=span)


def error(reason: str, *, code: str = "", span: Span | None = None) -> Verdict:
    """The reward failed. No score."""
    return Verdict(Status.error, None, reason[:_REASON_LENGTH], code=code, span=span)


def raised(exception: BaseException) -> Verdict:
    """The reward failed by raising."""
    return error(f"raised {type(exception).__name__}: {' '.join(str(exception).split())}")


def from_value(value: Any) -> Verdict:
    """A user's return value as a verdict: a `Verdict` as it is, None abstains, a finite number is the score."""
    if isinstance(value, Verdict):
        return value
    if value is None:
        return abstain("returned None")
    if isinstance(value, str | bytes):
        return error(f"returned {value[:40]!r}, not a number")
    try:
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        return error(f"returned a {type(value).__name__}, not a number")
    if not math.isfinite(score):
        return error(f"returned {score}")
    return right("score above 0", score) if score > 0 else wrong("score not above 0", score)


def with_sound_steps(verdict: Verdict, text: str) -> Verdict:
    """`verdict` if its steps, where it has any, lie in `text` one after another; else an error.

    A step's `end` counts characters of `text`, from 1 to its length (to 1 if it is empty), and each step ends after
    the one before it. Scores are finite, and a verdict without a score has no steps.
    """
    try:
        steps = tuple(StepScore(operator.index(s.end), float(s.score)) for s in verdict.steps)
    except (TypeError, ValueError, OverflowError, AttributeError) as failure:
        return error(f"returned steps that are not StepScore(end, score): {failure}")
    fault = _step_fault(steps, max(1, len(text)))
    if fault is None and steps and verdict.score is None:
        fault = "the verdict itself has no score"
    return replace(verdict, steps=steps) if fault is None else error(f"returned steps that cannot be used: {fault}")


def _step_fault(steps: Sequence[StepScore], most: int) -> str | None:
    before = 0
    for number, step in enumerate(steps, start=1):
        if not before < step.end <= most:
            return f"step {number} ends at character {step.end}, not within {before + 1} to {most}"
        if not math.isfinite(step.score):
            return f"step {number} scores {step.score}"
        before = step.end
    return None
