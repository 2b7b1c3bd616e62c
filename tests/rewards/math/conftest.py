"""One verifier with the defaults for all of these tests, and a short way to ask it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from sibling.batch import Completion, Finish, Verdict
from sibling.config.rewards import MathReward
from sibling.rewards.math.reward import Math
from sibling.tasks.task import Task

Judging = Callable[..., Verdict]


@pytest.fixture(scope="session")
def judging() -> Iterator[Judging]:
    """`judging(reference, text, prompt="", **options)`: the verdict, with time enough on a busy machine."""
    made: dict[str, Math] = {}

    def judge(reference: str | None, text: str, prompt: str = "", **options: Any) -> Verdict:
        key = repr(sorted(options.items()))
        if key not in made:
            made[key] = Math(MathReward(**{"seconds": 20, **options}))
        messages = ({"role": "user", "content": prompt},) if prompt else ()
        completion = Completion(np.zeros(1, np.int64), np.zeros(1, np.float32), Finish.eos, text)
        return made[key].judge(Task("task", messages, reference), completion)

    yield judge
    for reward in made.values():
        reward.close()
