"""Soft overlong punishment (DAPO, 2503.14476 eq. 13), in tokens.

    R(y) = 0                                 if |y| <= L_max - L_cache
           (L_max - L_cache - |y|) / L_cache if L_max - L_cache < |y| <= L_max
           -1                                if |y| > L_max

|y| counts every token drawn, the end-of-sequence token included.
"""

from __future__ import annotations

from sibling.batch import Completion, Verdict
from sibling.errors import RequestError
from sibling.rewards.verdicts import right, wrong
from sibling.tasks.task import Task


def punishment(length: int, max_length: int, cache: int) -> float:
    """R(y) for |y| = `length`, L_max = `max_length`, L_cache = `cache`; in [-1, 0]."""
    return max(-1.0, min(0.0, (max_length - cache - length) / cache))


class Overlong:
    """Right with score 0 while nothing is taken off; otherwise wrong with the (negative) punishment as score."""

    uses_reference = False

    def __init__(self, max_length: int, cache: int) -> None:
        if cache > max_length:
            raise RequestError(
                "overlong punishes from the first token",
                seen=f"cache {cache}, max_length {max_length}",
                wanted="a cache of at most max_length",
                do="Lower rewards[].cache",
            )
        self._max_length, self._cache = max_length, cache

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        del task
        length = len(completion.token_ids)
        score = punishment(length, self._max_length, self._cache)
        if score == 0:
            return right("short enough", 0.0)
        return wrong(f"{length} tokens", score)
