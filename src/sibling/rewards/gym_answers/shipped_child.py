"""The process in which the package's own scorers run, so that what they hang on or fail on is not ours."""

from __future__ import annotations

import math
from typing import Any

from sibling.errors import TaskError
from sibling.tasks import gym


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """`{"columns"}` makes the prompt again and gives `{"fault"}`, in words; with "answer" it gives `{"score"}` too.

    A score that is None is one the scorer failed on, or that is no number.
    """
    columns = request["columns"]
    try:
        gym.remake(columns)
    except (TaskError, ArithmeticError, LookupError, TypeError, ValueError) as failure:
        return {"fault": f"its prompt cannot be made again: {type(failure).__name__}: {failure}", "score": None}
    if "answer" not in request:
        return {"fault": "", "score": None}
    try:
        score = gym.score(columns, request["answer"])
    except Exception as failure:  # whatever a scorer that is not ours trips over in an answer
        return {"fault": "", "score": None, "reason": f"{type(failure).__name__}: {failure}"[:200]}
    return {"fault": "", "score": score if math.isfinite(score) else None, "reason": f"it gave {score}"}
