"""A recipe for runs of a second, whose reward a random tiny model sometimes earns. Used by the tests beside it."""

from pathlib import Path
from typing import Any

from sibling.config import Recipe, parse_recipe

REWARD = "def score(task, completion):\n    return float(ord(completion.text[:1] or '!') % 2 == 0)\n"


def small_recipe(folder: Path, **changes: Any) -> Recipe:
    """A run of three steps in `folder`/run; `changes` replace top-level sections."""
    (folder / "reward.py").write_text(REWARD)
    return parse_recipe(
        {
            "name": "small",
            "run_dir": str(folder / "run"),
            "steps": 3,
            "model": {"type": "tiny"},
            "task": {"type": "largest_number", "count": 3, "digits": 1},
            "audit": {"triples": 0},
            "rewards": [{"type": "callable", "target": "reward.py:score", "name": "even"}],
            "sampling": {"prompts_per_step": 2, "group_size": 4, "max_tokens": 6},
            "learner": {"compute_dtype": "float32", "optimizer": {"learning_rate": 3e-3}},
            "evaluation": {"prompts": 3, "samples": 1},
            "checkpoints": {"every": 1},
            **changes,
        }
    )
