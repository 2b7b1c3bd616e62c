"""Small runs whose advantages are made of more than rewards: steps, a critic's values, a KL, several rewards.

Their rows are put together by the code that trains, from scripted completions and drawn numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from run_directory import WEIGHTS, Run, prompts_of, recipe, rows_of

from sibling.batch import Batch, Completion, Fate, Finish, Measured, Row, StepScore
from sibling.rollout.assemble import Estimate, Group, assemble


@dataclass(frozen=True)
class Kind:
    """An objective and what its advantages are made of."""

    objective: Mapping[str, Any]
    kl_beta: float = 0.0  # of the KL in the reward
    critic: bool = False
    steps: bool = False
    filters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sections(self) -> dict[str, Any]:
        """Of the recipe."""
        scored = {"rewards": [{"type": "step_match", "name": "right"}, SHORT]} if self.steps else {}
        return {"objective": self.objective, "filters": self.filters, **scored}


SHORT = {"type": "overlong", "name": "short", "cache": 2, "weight": 0.5}
"""The second reward of the recipe."""


def _penalised(type: str, **more: Any) -> dict[str, Any]:
    return {"type": type, "kl": {"beta": 0.1, "placement": "reward"}, **more}


KINDS: Mapping[str, Kind] = {
    "process": Kind({"type": "grpo_process"}, steps=True),
    "process, truncated masked": Kind({"type": "grpo_process"}, steps=True, filters={"mask_truncated": True}),
    "critic": Kind({"type": "ppo"}, critic=True),
    "critic and KL": Kind(_penalised("ppo"), kl_beta=0.1, critic=True),
    "discounted critic": Kind(
        _penalised("ppo", advantage={"gamma": 0.99, "lam": 0.9, "whiten": "none"}), kl_beta=0.07, critic=True
    ),
    "KL at tokens": Kind(_penalised("reinforce_pp"), kl_beta=0.1),
    "KL of completions": Kind(_penalised("rloo"), kl_beta=0.1),
    "KL of completions, truncated masked": Kind(_penalised("rloo"), kl_beta=0.1, filters={"mask_truncated": True}),
    "rewards to go": Kind({"type": "reinforce_pp_baseline"}),
    "several rewards": Kind({"type": "gdpo"}),
    "no baseline": Kind({"type": "reinforce"}),
    "lengths": Kind({"type": "opo"}),
    "dead groups": Kind({"type": "gpg"}),
}
"""Name -> kind."""


def decode(ids: Sequence[int]) -> str:
    """A letter a token."""
    return "".join(chr(97 + i % 26) for i in ids)


def token_rows(kind: Kind, step: int) -> list[Row]:
    """The completions of `rows_of`, one of each group truncated, with the advantages of the kind."""
    random = np.random.default_rng(100 + step)
    groups: list[Group] = []
    for row in rows_of(step):
        if row.sibling == 0:
            groups.append(Group(row.prompt, 0, [], [], np.zeros(0), []))
        group, text = groups[-1], decode(row.completion.token_ids.tolist())
        finish = Finish.length if row.sibling == 2 else Finish.eos
        own = row.completion
        group.completions.append(Completion(own.token_ids, own.logprobs, finish, text))
        first, *others = row.verdicts
        if kind.steps and first.score is not None:
            scored = (StepScore(1, float(random.integers(0, 3))), StepScore(len(text), float(random.integers(0, 3))))
            first = replace(first, steps=scored)
        group.verdicts.append((first, *others))
        group.rewards = np.append(group.rewards, np.nan if row.reward is None else row.reward)
        group.fates.append(Fate.reward_error if row.reward is None else None)

    def measure(batch: Batch) -> Measured:
        def drawn() -> tuple[Any, ...]:
            return tuple(random.normal(size=len(c)).astype(np.float32) for c in batch.completions)

        return Measured(kl=drawn() if kind.kl_beta else None, values=drawn() if kind.critic else None)

    advantage = recipe(**kind.sections).objective.advantage
    estimate = Estimate(
        advantage.type,
        advantage.model_dump(exclude={"type", "critic"}),
        kind.kl_beta,
        decode if kind.steps else None,
    )
    masked = bool(kind.filters.get("mask_truncated", False))
    return assemble(groups, prompts_of(step), estimate, measure, WEIGHTS, mask_truncated=masked)[0]


def token_run(directory: Path, kind: Kind, steps: int = 2) -> Path:
    """A finished run of this kind."""
    run = Run(directory, steps, kind.sections, kind.kl_beta).open()
    for step in range(1, steps + 1):
        run.step(step, lambda _, at=step: token_rows(kind, at))  # type: ignore[misc]  # a default binds the step
    return run.finish()
