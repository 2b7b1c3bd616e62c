"""The rewards of a recipe, bound and called: one verdict a reward a completion, and the weighted total.

A reward that fails gives `error` and one that declines gives `abstain`; neither has a score, so neither can
enter the total as a 0. What becomes of such a completion is the recipe's policy, applied by whoever collects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sibling.batch import Completion, Finish, Status, Verdict
from sibling.config import RewardConfig
from sibling.errors import RunError
from sibling.maths.noise import backward_rewards
from sibling.rewards.binding import Scorers, Surroundings, as_stated, bind, said_of
from sibling.rewards.callables import TrlReward
from sibling.rewards.learned import Learned, Probabilities
from sibling.rewards.regex import Regex
from sibling.rewards.verdicts import Reward
from sibling.tasks.task import Task


class Grader:
    """All rewards of a recipe. `base` is the recipe's folder; `max_tokens` the default of `overlong.max_length`.

    `scorers` loads what is behind a reward model. Raises `RequestError` for a reward that cannot be loaded or called:
    a module that does not import, a missing name, the wrong arity, a pattern that does not compile, impossible
    lengths, a package or a sandbox that is not there.
    """

    def __init__(
        self, rewards: tuple[RewardConfig, ...], *, base: Path, max_tokens: int, scorers: Scorers | None = None
    ) -> None:
        around = Surroundings(base, max_tokens, scorers)
        self._bound = tuple(bind(config, around) for config in rewards)
        self.names = tuple(b.name for b in self._bound)
        self.weights = tuple(b.weight for b in self._bound)

    def describe(self) -> list[dict[str, Any]]:
        """Name, type, weight, options and code digest of each reward, for the record."""
        return [
            {
                "name": b.name,
                "type": b.config.type,
                "weight": b.weight,
                "code_digest": b.code,
                "options": {**b.config.model_dump(mode="json", exclude={"name", "type", "weight"}), **b.facts},
            }
            for b in self._bound
        ]

    def grade_early(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> dict[int, list[Verdict]]:
        """Place of a reward -> its N verdicts, for the rewards that may see some completions before the others.

        Not among them: those with TRL's signature, which are given a whole step at once, and those that need torch.
        """
        return {
            place: b.reward.grade(tasks, completions)
            for place, b in enumerate(self._bound)
            if not isinstance(b.reward, TrlReward | Learned) and b.config.type != "reward_model"
        }

    def grade(
        self,
        tasks: Sequence[Task],
        completions: Sequence[Completion],
        early: Mapping[int, list[Verdict]] | None = None,
    ) -> list[tuple[Verdict, ...]]:
        """R verdicts for each of N completions; `tasks[i]` is the task of `completions[i]`.

        `early` holds what `grade_early` said of the same completions. Raises `RewardError` when a reward hung three
        times in a row.
        """
        if len(tasks) != len(completions):
            raise RunError(
                "Every completion needs its task", seen=f"{len(tasks)} tasks, {len(completions)} completions"
            )
        known = early or {}
        columns = [
            known[place] if place in known else b.reward.grade(tasks, completions)
            for place, b in enumerate(self._bound)
        ]
        columns = [_corrected(b.config, column) for b, column in zip(self._bound, columns, strict=True)]
        for place, reward in self._learned():
            columns[place] = reward.grade_beside(tasks, completions, columns[self.names.index(reward.labels)])
        return list(zip(*columns, strict=True)) if tasks else []

    @contextmanager
    def attached(self, model: Probabilities) -> Iterator[None]:
        """Let `model` judge for the recipe's learned reward inside; outside, that reward abstains."""
        learned = self._learned()
        if not learned:
            raise RunError("There is no learned reward to attach a model to", seen=", ".join(self.names))
        for _, reward in learned:
            reward.model = model
        try:
            yield
        finally:
            for _, reward in learned:
                reward.model = None

    def _learned(self) -> list[tuple[int, Learned]]:
        return [(place, b.reward) for place, b in enumerate(self._bound) if isinstance(b.reward, Learned)]

    def problems(self, tasks: Sequence[Task]) -> list[tuple[str, Task, str]]:
        """(reward, task, why in words) of each task that a reward says it cannot grade, whatever the completion."""
        return self._said(tasks, "problem_with")

    def cautions(self, tasks: Sequence[Task]) -> list[tuple[str, Task, str]]:
        """(reward, task, how in words) of each task that a reward can grade only weakly: tests that prove little."""
        return self._said(tasks, "warning_for")

    def _said(
        self, tasks: Sequence[Task], method: Literal["problem_with", "warning_for"]
    ) -> list[tuple[str, Task, str]]:
        found = ((b.name, task, said_of(b.reward, task, method)) for task in tasks for b in self._bound)
        return [(name, task, why) for name, task, why in found if why is not None]

    def statistics(self) -> dict[str, dict[str, Any]]:
        """What rewards count by themselves (calls, cost, disagreements), by the name of the reward."""
        tellers = {b.name: getattr(b.reward, "statistics", None) for b in self._bound}
        return {name: tell() for name, tell in tellers.items() if tell is not None}

    def check_references(self, tasks: Sequence[Task]) -> dict[str, dict[str, int]]:
        """How each reward that judges by the reference takes completions that state the reference and nothing else.

        For each such reward: `n` tasks with a reference, of which `accepted`, `refused`, `error`, `abstain`.
        A regular expression that wants something around its answer is not found in a bare reference: that
        counts as `abstain`, because it says nothing about the comparison.
        """
        stated = [task for task in tasks if task.reference is not None]
        return {b.name: _check(b.reward, stated) for b in self._bound if b.reward.uses_reference}


def total_reward(verdicts: Sequence[Verdict], weights: Sequence[float]) -> float | None:
    """Sum of weight x score over the verdicts that have a score; None when none has one."""
    scores = [w * v.score for v, w in zip(verdicts, weights, strict=True) if v.score is not None]
    return sum(scores) if scores else None


def _corrected(config: RewardConfig, verdicts: list[Verdict]) -> list[Verdict]:
    """The scores less the reward's known error rates (`maths.noise.backward_rewards`); errors and abstentions stay."""
    if not config.false_accept and not config.false_refuse:
        return verdicts
    scores = np.array([np.nan if v.score is None else v.score for v in verdicts], dtype=np.float64)
    fixed = backward_rewards(scores, config.false_accept, config.false_refuse)
    return [v if v.score is None else replace(v, score=float(x)) for v, x in zip(verdicts, fixed, strict=True)]


def _check(reward: Reward, tasks: Sequence[Task]) -> dict[str, int]:
    counts = {"n": len(tasks), "accepted": 0, "refused": 0, "error": 0, "abstain": 0}
    completions = [stating(as_stated(reward, task.reference or "")) for task in tasks]
    names = {Status.right: "accepted", Status.wrong: "refused", Status.error: "error", Status.abstain: "abstain"}
    for completion, verdict in zip(completions, reward.grade(tasks, completions), strict=True):
        name = names[verdict.status]
        if name == "refused" and isinstance(reward, Regex) and not reward.states(completion.text):
            name = "abstain"
        counts[name] += 1
    return counts


def stating(text: str) -> Completion:
    """A completion that says `text`, with one stand-in token."""
    return Completion(np.zeros(1, np.int64), np.zeros(1, np.float32), Finish.eos, text)
