"""What a reward is, verdicts in short, and how a plain value from a user's function becomes a verdict.

What is not a finite number never becomes a 0: None is an abstention; NaN, infinity, text and other types are
errors. A plain number above 0 is `right`, any other is `wrong`; the number itself is the score either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from sibling.batch import Completion, Status, Verdict
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


def right(reason: str = "", score: float = 1.0) -> Verdict:
    """The completion is what was asked for."""
    return Verdict(Status.right, score, reason)


def wrong(reason: str, score: float = 0.0) -> Verdict:
    """It is not."""
    return Verdict(Status.wrong, score, reason)


def abstain(reason: str) -> Verdict:
    """The reward declines: there is nothing to judge by. No score."""
    return Verdict(Status.abstain, None, reason)


def error(reason: str) -> Verdict:
    """The reward failed. No score."""
    return Verdict(Status.error, None, reason[:_REASON_LENGTH])


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
