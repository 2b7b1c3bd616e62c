"""Rollouts from a script: what a sibling says is what the rewards make of it, one letter a reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sibling.batch import Completion, Prompt, Row, Status, Verdict
from sibling.config import DapoObjective, DynamicSampling, FailurePolicy, Filters, ObjectiveConfig
from sibling.rollout.assemble import Estimate
from sibling.rollout.collect import Rollout, collect
from sibling.rollout.engine import GroupRequest, SamplingParams
from sibling.rollout.scripted import ScriptedEngine
from sibling.tasks.task import Task

MAX_TOKENS = 6
EOS = 0
LONG = "_" * MAX_TOKENS
"""Put after the letters of a sibling, it makes the completion too long, so it is truncated."""

VERDICTS = {
    "1": Verdict(Status.right, 1.0),
    "h": Verdict(Status.right, 0.5),
    "0": Verdict(Status.wrong, 0.0),
    "-": Verdict(Status.wrong, -1.0),
    "?": Verdict(Status.abstain, None, "nothing to judge by"),
    "!": Verdict(Status.error, None, "it raised"),
}
"""Letter -> verdict."""

Script = Callable[[int, int], str]
"""(number of the prompt within the step, sibling) -> the letters it says, one a reward."""


def prompt_at(index: int) -> tuple[Task, Prompt]:
    task = Task(f"t{index}", ({"role": "user", "content": str(index)},), None)
    return task, Prompt(task.id, str(index), np.arange(2 + index % 3), None)


def encode(text: str) -> list[int]:
    return [ord(c) for c in text]


def grade(rewards: int) -> Callable[[Sequence[Task], Sequence[Completion]], list[tuple[Verdict, ...]]]:
    return lambda tasks, completions: [tuple(VERDICTS[c.text[r]] for r in range(rewards)) for c in completions]


def estimate_of(objective: ObjectiveConfig) -> Estimate:
    """How the objective's advantages are made, of rewards alone."""
    return Estimate(objective.advantage.type, objective.advantage.model_dump(exclude={"type", "critic"}))


def roll(script: Script | Sequence[str], *, siblings: int | None = None, dynamic: int = 0, **options: Any) -> Rollout:
    """Collect one step from `script`, or from rows of space-separated siblings, one string a prompt.

    `dynamic`: rounds of dynamic sampling, 0 for off. The other options are those of `collect`.
    """
    if not callable(script):
        table = [line.split() for line in script]
        size = siblings or len(table[0])
        options.setdefault("prompts_per_step", len(table))
        say: Script = lambda prompt, sibling: table[prompt][sibling]  # noqa: E731  one of two sources of one callable
    else:
        say, size = script, siblings or 4
    letters = len(say(0, 0).rstrip("_"))
    engine = ScriptedEngine(lambda key, sibling: say(int(key[1:]), sibling), encode, EOS)

    def sample(prompts: Sequence[Prompt], _: int) -> list[list[Completion]]:
        requests = [GroupRequest(p.id, p.token_ids, size) for p in prompts]
        return engine.generate(requests, SamplingParams(MAX_TOKENS), lambda *_: np.zeros(MAX_TOKENS))

    return collect(
        prompt_at,
        sample,
        options.pop("grade", grade(letters)),
        prompts_per_step=options.pop("prompts_per_step", 2),
        weights=options.pop("weights", [1.0] * letters),
        reward_names=[f"r{i}" for i in range(letters)],
        filters=Filters(
            dynamic_sampling=DynamicSampling(enabled=dynamic > 0, max_rounds=max(dynamic, 1)),
            mask_truncated=options.pop("mask_truncated", False),
        ),
        policy=FailurePolicy(**options.pop("policy", {})),
        estimate=estimate_of(options.pop("objective", DapoObjective())),
        **options,
    )


def fates(rollout: Rollout, prompt: int) -> list[str]:
    return [r.fate.value for r in rollout.rows if r.prompt == prompt]


def group(rollout: Rollout, prompt: int) -> list[Row]:
    return [r for r in rollout.rows if r.prompt == prompt]
