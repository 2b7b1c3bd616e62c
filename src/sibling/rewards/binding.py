"""From a reward's section of the recipe to the verifier itself: a table of builders, one line a type.

Heavy packages are imported by the builder that needs them, so that a recipe pays for its own rewards only. A builder
raises `RequestError` for what cannot work: a package, a sandbox or a program that is not there, a pattern that does
not compile, a function that cannot be called.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from sibling import plugins
from sibling.batch import Completion, Verdict
from sibling.canonical import digest, file_digest
from sibling.config import (
    CallableReward,
    EnsembleReward,
    JudgeReward,
    ModelReward,
    OverlongReward,
    RewardConfig,
    RuleConfig,
)
from sibling.errors import RequestError
from sibling.rewards.answers import ExactMatch, FinalNumber
from sibling.rewards.callables import TaskReward, TrlReward
from sibling.rewards.format import FormatTags
from sibling.rewards.gym import Gym
from sibling.rewards.learned import Learned
from sibling.rewards.length import Overlong
from sibling.rewards.regex import Regex
from sibling.rewards.steps import StepMatch
from sibling.rewards.verdicts import Judge, Reward, raised
from sibling.tasks.gym import package_version
from sibling.tasks.task import Task

Scorers = Callable[[ModelReward, Path], Any]
"""(section, base folder) -> the callable behind a reward model; it needs torch, so it comes from above."""


@dataclass(frozen=True)
class Bound:
    """One reward of the recipe, ready to be called."""

    name: str
    weight: float
    config: RewardConfig
    reward: Reward
    code: str  # digest of the source that decides
    facts: dict[str, Any]  # what the options leave open: a default taken from elsewhere, a package's version


@dataclass(frozen=True)
class Surroundings:
    """What builders may need beside their own section."""

    base: Path
    max_tokens: int
    scorers: Scorers | None = None


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


def bind(config: RewardConfig, around: Surroundings) -> Bound:
    """The verifier that `config` asks for."""
    name = config.name or config.type
    if isinstance(config, CallableReward):
        plugin = plugins.load(config.target, base=around.base)
        kind = TrlReward if config.signature == "trl" else TaskReward
        return Bound(name, config.weight, config, kind(name, plugin.call, config.timeout), plugin.code, {})
    decides = _BUILDERS[config.type](config, around)
    reward = decides if hasattr(decides, "grade") else Each(decides)
    return Bound(name, config.weight, config, reward, _source_digest(decides), _facts(config, around, decides))


def said_of(reward: Reward, task: Task, method: Literal["problem_with", "warning_for"]) -> str | None:
    """What the verifier says of a task beforehand: why it cannot be graded, or how weakly. None: nothing."""
    tell = getattr(_inside(reward), method, None)
    return None if tell is None else tell(task)


def as_stated(reward: Reward, reference: str) -> str:
    """A completion that states the reference and nothing else, the way the verifier wants answers."""
    state = getattr(_inside(reward), "stating", None)
    return reference if state is None else str(state(reference))


def _inside(reward: Reward) -> Any:
    return reward.judge if isinstance(reward, Each) else reward


def _rule(config: RuleConfig | None, around: Surroundings) -> Reward | None:
    return None if config is None else bind(config, around).reward


def _ensemble(config: EnsembleReward, around: Surroundings) -> Any:
    from sibling.rewards.ensemble import Ensemble

    judge = None if config.judge is None else bind(config.judge, around).reward
    return Ensemble(config, bind(config.rule, around).reward, _rule(config.appeal, around), judge)


def _judge(config: JudgeReward, around: Surroundings) -> Any:
    from sibling.rewards.judge import LanguageJudge

    if config.cache is None:
        return LanguageJudge(config)
    return LanguageJudge(config.model_copy(update={"cache": str(around.base / Path(config.cache).expanduser())}))


def _reward_model(config: ModelReward, around: Surroundings) -> Any:
    from sibling.rewards.reward_model import Scored

    if around.scorers is None:
        raise RequestError(
            "A reward model needs torch, and is not loaded here",
            seen=f"rewards[].type reward_model, {config.path}",
            do="Judge with it in a run: `sibling train` or `sibling eval`",
        )
    return Scored(config, around.scorers(config, around.base))


def _named(module: str, name: str) -> Callable[[Any, Surroundings], Any]:
    """The builder of a verifier that takes its section and nothing else; its module is imported when it is built."""

    def build(config: Any, _: Surroundings) -> Any:
        return getattr(importlib.import_module(f"sibling.rewards.{module}"), name)(config)

    return build


_BUILDERS: Mapping[str, Callable[[Any, Surroundings], Any]] = MappingProxyType(
    {
        "final_number": lambda c, _: FinalNumber(c.tolerance),
        "exact_match": lambda c, _: ExactMatch(ignore_case=c.ignore_case, strip=c.strip),
        "format_tags": lambda c, _: FormatTags(c.tags, strict=c.strict, non_empty=c.non_empty),
        "overlong": lambda c, around: Overlong(c.max_length or around.max_tokens, c.cache),
        "step_match": lambda c, _: StepMatch(c.separator),
        "learned": lambda c, _: Learned(c.labels),
        "regex": lambda c, _: Regex(c.name or c.type, c.pattern, full=c.full),
        "reasoning_gym": lambda c, _: Gym(c.name or c.type),
        "math": _named("math.reward", "Math"),
        "code": _named("code.reward", "Code"),
        "json": _named("json_value", "JsonValue"),
        "choice": _named("choice", "Choice"),
        "quantity": _named("quantity", "Quantity"),
        "instructions": _named("instructions", "Instructions"),
        "language": _named("language", "Language"),
        "sql": _named("sql", "Sql"),
        "solver": _named("solver", "Solver"),
        "lean": _named("lean", "Lean"),
        "judge": _judge,
        "reward_model": _reward_model,
        "ensemble": _ensemble,
    }
)


def _facts(config: RewardConfig, around: Surroundings, decides: object) -> dict[str, Any]:
    """What the record keeps beside the options: `facts()` of the verifier, where it has one, says the rest."""
    facts: dict[str, Any] = {}
    if isinstance(config, OverlongReward):
        facts["max_length"] = config.max_length or around.max_tokens
    if config.type == "reasoning_gym":
        facts["package"] = f"reasoning-gym {package_version()}"
    tell = getattr(decides, "facts", None)
    return {**facts, **(tell() if tell is not None else {})}


def _source_digest(value: object) -> str:
    """Digest of all the code that decides: the verifier's module or package, and what it names of this package's
    rewards and sandbox, in imports or as the module of a worker process, and so on from there.
    """
    folder = Path(__file__).parent.parent
    found: set[Path] = set()
    waiting = _files_of(type(value).__module__, folder)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            for name in _NAMED.findall(path.read_text(encoding="utf-8")):
                waiting |= _files_of(name, folder)
    return digest({path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(found)})


_NAMED = re.compile(r"sibling\.(?:rewards|sandbox)(?:\.\w+)+")


def _files_of(name: str, folder: Path) -> set[Path]:
    """The files of a module by its full name: of a package, or of a module in one, all that lie in the package."""
    parts = name.split(".")[1:]
    inside = folder.joinpath(*parts[:2])
    if inside.is_dir() and parts[0] == "rewards":
        return set(inside.rglob("*.py"))
    path = folder.joinpath(*parts).with_suffix(".py")
    return {path} if path.is_file() else set()
