"""sibling: Group Relative Policy Optimization that is exact, fast, watchful and accountable.

    from sibling import load_recipe, train
    result = train(load_recipe("recipes/tiny.yaml"))

`train` and `resume` need the extra `train` (PyTorch); everything else works without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sibling.batch import Completion, Status, Verdict
from sibling.config import Recipe, load_recipe, parse_recipe
from sibling.errors import SiblingError
from sibling.tasks.task import Task

if TYPE_CHECKING:
    from sibling.pipeline.run import RunResult, resume, train

__all__ = [
    "Completion",
    "Recipe",
    "RunResult",
    "SiblingError",
    "Status",
    "Task",
    "Verdict",
    "load_recipe",
    "parse_recipe",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch only when it is asked for."""
    if name in ("RunResult", "resume", "train"):
        from sibling.pipeline import run

        return getattr(run, name)
    raise AttributeError(f"module 'sibling' has no attribute {name!r}")
