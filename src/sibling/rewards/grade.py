"""The rewards of a recipe, bound and called: one verdict a reward a completion, and the weighted total.

A reward that fails gives `error` and one that declines gives `abstain`; neither has a score, so neither can
enter the total as a 0. What becomes of such a completion is the recipe's policy, applied by whoever collects.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sibling import plugins
from sibling.batch import Completion, Finish, Status, Verdict
from sibling.canonical import file_digest
from sibling.config import (
    CallableReward,
    ExactMatchReward,
    FinalNumberReward,
    FormatTagsReward,
    GymReward,
    LearnedReward,
    OverlongReward,
    RegexReward,
    RewardConfig,
    StepMatchReward,
)
from sibling.errors import RunError
from sibling.rewards.answers import ExactMatch, FinalNumber
from sibling.rewards.callables import TaskReward, TrlReward
from sibling.rewards.format import FormatTags
from sibling.rewards.gym import Gym
from sibling.rewards.learned import Learned, Probabilities
from sibling.rewards.length import Overlong
from sibling.rewards.regex import Regex
from sibling.rewards.steps import StepMatch
from sibling.rewards.verdicts import Judge, Reward, raised
from sibling.tasks.gym import package_version
from sibling.tasks.task import Task


class Each:
    """A `Judge` of single completions as a `Reward` of many."""

    def __init__(self, judge: Judge) -> None:
        self.judge, self.uses_reference = judge, judge.uses_reference

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion."""
        return [self._one(task, completion) for task, completion in zip(tasks, completions, strict=True)]

    def _one(self, task: Task, completion: Completion) -> Verdict:
        start = time.perf_counter()
        try:
            verdict = self.judge.judge(task, completion)
        except Exception as failure:  # a fault of ours on odd text is an error of this sample, never a score
            verdict = raised(failure)
        return dataclasses.replace(verdict, seconds=time.perf_counter() - start)


@dataclass(frozen=True)
class Bound:
    """One reward of the recipe, ready to be called."""

    name: str
    weight: float
    config: RewardConfig
    reward: Reward
    code: str  # digest of the source file that decides
    facts: dict[str, Any]  # what the options leave open: a default taken from elsewhere, a package's version


class Grader:
    """All rewards of a recipe. `base` is the recipe's folder; `max_tokens` the default of `overlong.max_length`.

    Raises `RequestError` for a reward that cannot be loaded or called: a module that does not import, a missing
    name, the wrong arity, a pattern that does not compile, impossible lengths.
    """

    def __init__(self, rewards: tuple[RewardConfig, ...], *, base: Path, max_tokens: int) -> None:
        self._bound = tuple(_bind(config, base, max_tokens) for config in rewards)
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

        Not among them: those with TRL's signature, which are given a whole step at once, and the learned reward.
        """
        return {
            place: b.reward.grade(tasks, completions)
            for place, b in enumerate(self._bound)
            if not isinstance(b.reward, TrlReward | Learned)
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


def _check(reward: Reward, tasks: Sequence[Task]) -> dict[str, int]:
    counts = {"n": len(tasks), "accepted": 0, "refused": 0, "error": 0, "abstain": 0}
    completions = [stating(task.reference or "") for task in tasks]
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


def _bind(config: RewardConfig, base: Path, max_tokens: int) -> Bound:
    name = config.name or config.type
    facts: dict[str, Any] = {}
    if isinstance(config, CallableReward):
        plugin = plugins.load(config.target, base=base)
        kind = TrlReward if config.signature == "trl" else TaskReward
        return Bound(name, config.weight, config, kind(name, plugin.call, config.timeout), plugin.code, facts)
    reward: Reward
    match config:
        case FinalNumberReward():
            decides: Any = FinalNumber(config.tolerance)
            reward = Each(decides)
        case ExactMatchReward():
            decides = ExactMatch(ignore_case=config.ignore_case, strip=config.strip)
            reward = Each(decides)
        case FormatTagsReward():
            decides = FormatTags(config.tags, strict=config.strict)
            reward = Each(decides)
        case OverlongReward():
            facts = {"max_length": config.max_length or max_tokens}
            decides = Overlong(facts["max_length"], config.cache)
            reward = Each(decides)
        case StepMatchReward():
            decides = StepMatch(config.separator)
            reward = Each(decides)
        case LearnedReward():
            reward = decides = Learned(config.labels)
        case RegexReward():
            reward = decides = Regex(name, config.pattern, full=config.full)
        case GymReward():
            facts = {"package": f"reasoning-gym {package_version()}"}
            reward = decides = Gym(name)
    return Bound(name, config.weight, config, reward, _source_digest(decides), facts)


def _source_digest(value: object) -> str:
    path = sys.modules[type(value).__module__].__file__
    assert path is not None
    return file_digest(Path(path))
