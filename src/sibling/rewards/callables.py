"""Rewards of your own, in two signatures, sync or async.

`task`: `def score(task: Task, completion: Completion) -> Verdict | float | bool | None`, called once a completion;
coroutines of a batch run side by side.
`trl`: `def reward(prompts, completions, **columns) -> list[float | None]`, called once a batch as TRL's
`GRPOTrainer` does (TRL 1.x): keywords only; `prompts` are texts, or lists of messages where the data gives chat
messages; `completions` are texts, or `[{"role": "assistant", "content": text}]` there; `completion_ids`; every
data column but the prompt as a list. `reference` is added when the data has no column of that name.
`log_extra` and `log_metric` are accepted and what they are given is dropped. `trainer_state` and `environments`
do not exist here; a function that requires them is refused.

A function that raises, is late, or returns something other than numbers gives `error`; None gives `abstain`.
A `Verdict` (the `trl` signature may return some in its list, too) may score steps, for process supervision.
Which calls are given up, and what is not covered: `rewards.bounded`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sibling.batch import Completion, Verdict
from sibling.errors import RequestError
from sibling.rewards.bounded import BoundedWorker, Outcome
from sibling.rewards.verdicts import error, from_value, raised, with_sound_steps
from sibling.tasks.task import Task

_ALWAYS = ("prompts", "completions", "completion_ids")
_NOT_COLUMNS = {"prompt", "completion", *_ALWAYS}
_ABSENT = ("trainer_state", "environments")
_SPREAD = 1.0  # seconds all coroutines of a batch may take beyond the bound on each


class TaskReward:
    """A function of one task and one completion."""

    uses_reference = True

    def __init__(self, name: str, call: Callable[..., Any], timeout: float) -> None:
        check_task_signature(name, call)
        self._call, self._timeout = call, timeout
        self._worker = BoundedWorker(name)
        self._is_async = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion."""
        if self._is_async:
            return self._side_by_side(tasks, completions)
        return [self._one(task, completion) for task, completion in zip(tasks, completions, strict=True)]

    def _one(self, task: Task, completion: Completion) -> Verdict:
        start = time.perf_counter()
        outcome = self._worker.run(lambda: self._call(task, completion), self._timeout)
        return _timed(_failure(outcome, self._timeout) or _verdict(outcome.value, completion), start)

    def _side_by_side(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        async def everyone() -> Outcome:
            pairs = await asyncio.gather(*map(self._one_async, tasks, completions))
            return Outcome([verdict for verdict, _ in pairs], late=bool(pairs) and all(late for _, late in pairs))

        start = time.perf_counter()
        outcome = self._worker.run(everyone, self._timeout + _SPREAD)
        failure = _failure(outcome, self._timeout)
        if failure is None:
            verdicts: list[Verdict] = outcome.value
            return verdicts
        return [_timed(failure, start)] * len(tasks)

    async def _one_async(self, task: Task, completion: Completion) -> tuple[Verdict, bool]:
        """The verdict, and whether the call was late."""
        start = time.perf_counter()
        bound = asyncio.timeout(self._timeout)
        try:
            async with bound:
                verdict = _verdict(await self._call(task, completion), completion)
        except Exception as failure:  # whatever a user's function raises is one failed call
            verdict = _late(self._timeout) if bound.expired() else raised(failure)
        return _timed(verdict, start), bound.expired()


class TrlReward:
    """A function of a batch, called as TRL's GRPOTrainer calls its reward functions."""

    uses_reference = True

    def __init__(self, name: str, call: Callable[..., Any], timeout: float) -> None:
        self._accepts = check_trl_signature(name, call)
        self._name, self._call, self._timeout = name, call, timeout
        self._worker = BoundedWorker(name)

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion; the seconds of the call are shared out evenly."""
        if not tasks:
            return []
        arguments = self._accepts.of(trl_arguments(tasks, completions), self._name)
        start = time.perf_counter()
        outcome = self._worker.run(lambda: self._call(**arguments), self._timeout)
        failure = _failure(outcome, self._timeout)
        verdicts = from_list(outcome.value, len(tasks)) if failure is None else [failure] * len(tasks)
        seconds = (time.perf_counter() - start) / len(tasks)
        sound = [with_sound_steps(v, c.text) for v, c in zip(verdicts, completions, strict=True)]
        return [dataclasses.replace(v, seconds=seconds) for v in sound]


@dataclasses.dataclass(frozen=True)
class Accepts:
    """The keywords a TRL reward takes: those it names (required or not), and any other when `rest`."""

    required: frozenset[str]
    optional: frozenset[str]
    rest: bool

    def of(self, arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The arguments to call with. Raises `RequestError` if a required column is not in the data."""
        if missing := sorted(self.required - set(arguments)):
            columns = sorted(set(arguments) - set(_ALWAYS) - set(_LOGGERS))
            raise RequestError(
                f"The reward {name} requires {missing[0]!r}, which the data does not have",
                seen=f"columns {', '.join(columns)}",
                do="Rename the parameter or the column, or give the parameter a default",
            )
        if self.rest:
            return dict(arguments)
        return {k: v for k, v in arguments.items() if k in self.required | self.optional}


def trl_arguments(tasks: Sequence[Task], completions: Sequence[Completion]) -> dict[str, Any]:
    """Keyword arguments for a TRL reward; every list is aligned with `completions`."""
    prompts, answers = [], []
    for task, completion in zip(tasks, completions, strict=True):
        given = task.columns.get("prompt")
        chat = isinstance(given, list)
        prompts.append([dict(m) for m in task.messages] if chat else given or task.messages[-1]["content"])
        answers.append([{"role": "assistant", "content": completion.text}] if chat else completion.text)
    names = sorted({n for task in tasks for n in task.columns} - _NOT_COLUMNS)
    columns = {n: [task.columns.get(n) for task in tasks] for n in names}
    columns.setdefault("reference", [task.reference for task in tasks])
    ids = [[int(i) for i in c.token_ids] for c in completions]
    return {**_LOGGERS, **columns, "prompts": prompts, "completions": answers, "completion_ids": ids}


def from_list(values: Any, count: int) -> list[Verdict]:
    """Verdicts from what a TRL reward returned; anything but `count` values is an error of all."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        return [error(f"returned a {type(values).__name__}, not a list of {count} numbers")] * count
    try:
        scores = list(values)
    except Exception as failure:  # a lazy iterable runs the user's code here
        return [raised(failure)] * count
    if len(scores) != count:
        return [error(f"returned {len(scores)} scores for {count} completions")] * count
    return [from_value(score) for score in scores]


def check_task_signature(name: str, call: Callable[..., Any]) -> None:
    """Raise `RequestError` unless `call(task, completion)` fits its signature and it is not one of TRL's."""
    try:
        signature = inspect.signature(call)
    except ValueError:
        return  # a builtin without a signature: calling it will tell
    try:
        signature.bind(None, None)
    except TypeError as failure:
        raise _not_a_task_reward(name, f"{getattr(call, '__name__', 'it')}{signature}: {failure}") from failure
    if trl := set(signature.parameters) & set(_ALWAYS):  # it would be handed one task as its list of prompts
        raise _not_a_task_reward(name, f"the parameter {min(trl)!r} of the signature {signature}")


def _not_a_task_reward(name: str, seen: str) -> RequestError:
    return RequestError(
        f"The reward {name} cannot be called with a task and a completion",
        seen=seen,
        wanted="def score(task, completion) -> Verdict | float",
        do="If it is written for TRL (prompts, completions, **columns), set rewards[].signature to trl",
    )


def check_trl_signature(name: str, call: Callable[..., Any]) -> Accepts:
    """The keywords `call` takes. Raises `RequestError` if it cannot be called as TRL does."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except ValueError:
        return Accepts(frozenset(), frozenset(), rest=True)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = frozenset(p.name for p in named if p.default is p.empty)
    optional = frozenset(p.name for p in named) - required
    rest = any(p.kind is p.VAR_KEYWORD for p in parameters)
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
    absent = sorted(required & set(_ABSENT))
    takes_output = rest or bool((required | optional) & set(_ALWAYS))
    if positional or absent or not takes_output:
        raise RequestError(
            f"The reward {name} cannot be called as TRL calls rewards",
            seen=f"the signature {inspect.signature(call)}",
            wanted="def reward(prompts, completions, **columns) -> list[float | None], called with keywords"
            + (f"; {absent[0]} does not exist here" if absent else ""),
            do="If it takes one task and one completion, set rewards[].signature to task",
        )
    return Accepts(required, optional, rest)


def _drop(*_values: Any) -> None:
    """What TRL's log_extra and log_metric are replaced by."""


_LOGGERS: Mapping[str, Any] = {"log_extra": _drop, "log_metric": _drop}


def _verdict(value: Any, completion: Completion) -> Verdict:
    return with_sound_steps(from_value(value), completion.text)


def _failure(outcome: Outcome, seconds: float) -> Verdict | None:
    if outcome.late:
        return _late(seconds)
    return None if outcome.failure is None else raised(outcome.failure)


def _late(seconds: float) -> Verdict:
    return error(f"timed out after {seconds:g} s")


def _timed(verdict: Verdict, start: float) -> Verdict:
    return dataclasses.replace(verdict, seconds=time.perf_counter() - start)
