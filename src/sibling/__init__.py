"""sibling: Group Relative Policy Optimization that is exact, fast, watchful and accountable.

    from sibling import load_recipe, train
    result = train(load_recipe("recipes/tiny.yaml"))

`train` and `resume` need the extra `train` (PyTorch); everything else works without it. Names are imported when they
are first asked for, so that worker processes and plugins pay for what they use alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sibling.batch import Completion, Status, Verdict
    from sibling.config import Recipe, load_recipe, parse_recipe
    from sibling.errors import SiblingError
    from sibling.pipeline.run import RunResult, resume, train
    from sibling.tasks.task import Task

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

_HOMES = {
    "sibling.batch": ("Completion", "Status", "Verdict"),
    "sibling.config": ("Recipe", "load_recipe", "parse_recipe"),
    "sibling.errors": ("SiblingError",),
    "sibling.pipeline.run": ("RunResult", "resume", "train"),
    "sibling.tasks.task": ("Task",),
}


def __getattr__(name: str) -> Any:
    """The public names, from where they live."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'sibling' has no attribute {name!r}")
