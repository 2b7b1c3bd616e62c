"""One short run of the real pipeline in a process of its own; prints processor time and peak memory as JSON.

Started by `critic.py`: `python critic_probe.py RECIPE.json`. The peak is the largest resident set up to the end of
the last step, before anything is saved, less what the interpreter and the libraries had taken before the model.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from sibling.config import load_recipe
from sibling.pipeline.measure import peak_memory
from sibling.pipeline.observer import Observer
from sibling.pipeline.run import train
from sibling.stats import StepStats


class Watch(Observer):
    """Notes the processor time at which the phases of a step begin, and the peak when it ends."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.sampling: list[float] = []
        self.learning: list[float] = []
        self.peak = 0.0

    def phase(self, name: str, detail: str = "") -> None:
        """The first of its kind in a step counts: there is one round of sampling."""
        self.at.setdefault(name, time.process_time())

    def step(self, stats: StepStats, total: int, prompt: Any, rows: Sequence[Any]) -> None:
        """Sampling ends where scoring begins; scoring, values, advantages and updates are learning."""
        self.sampling.append(self.at["score"] - self.at["sample"])
        self.learning.append(time.process_time() - self.at["score"])
        self.at.clear()
        self.peak = peak_memory()


def letters(prompts: Any, completions: Sequence[str], **columns: Any) -> list[float]:
    """Share of lower-case letters: differs between siblings of a random model, so that no group is dead."""
    return [sum(c.islower() for c in text) / max(len(text), 1) for text in completions]


def main() -> None:
    """Run the recipe and print what it took; the first step is a warm-up."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    base, watch = peak_memory(), Watch()
    path = Path(sys.argv[1])
    train(load_recipe(path, []), base=path.parent, observer=watch)
    print(
        json.dumps(
            {
                "memory": watch.peak - base,
                "sampling": sum(watch.sampling[1:]) / len(watch.sampling[1:]),
                "learning": sum(watch.learning[1:]) / len(watch.learning[1:]),
                "cpu_seconds": time.process_time(),
            }
        )
    )


if __name__ == "__main__":
    main()
