"""How a reward function wants to be called, found out from its parameters, and calling it that way.

`task`: `f(task, completion)`; `trl`: `f(prompts, completions, **columns) -> list`; `verl`:
`f(data_source, solution_str, ground_truth, extra_info)`; `roles`: each parameter is known by its name, as in
`f(completion, reference)` or `f(prompt, response, answer)`; `pair` and `pair_reversed`: two parameters whose names
say nothing, taken as (completion, reference) or (reference, completion), which only a trial can decide.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sibling.batch import Completion
from sibling.errors import RequestError
from sibling.rewards.callables import check_trl_signature, trl_arguments
from sibling.tasks.task import Task

_ROLES = {
    "prompt": ("prompt", "question", "query", "problem", "instruction"),
    "completion": (
        "completion", "response", "output", "prediction", "pred", "solution_str", "model_output", "generated", "text",
        "candidate", "submission", "predicted", "completion_text", "model_answer", "reply",
    ),
    "reference": (
        "reference", "gold", "ground_truth", "truth", "target", "label", "expected", "answer", "solution", "ref",
        "correct", "correct_answer", "gold_answer", "gt", "oracle", "want",
    ),
    "task": ("task", "entry", "example", "row", "item"),
}  # fmt: skip
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}
_ANSWER_AS_COMPLETION = {"answer"}  # with an entry, a gold or a truth beside it, `answer` is what the model said
_VERL = {"data_source", "solution_str", "ground_truth", "extra_info"}

SIGNATURES = ("task", "trl", "verl", "roles", "pair", "pair_reversed")


@dataclass(frozen=True)
class Manner:
    """How to call: the signature's name, the role of each parameter in order, and whether the names decided it."""

    signature: str
    roles: tuple[tuple[str, str], ...] = ()  # (parameter, role)
    sure: bool = True

    @property
    def words(self) -> str:
        """The signature as a person writes it."""
        written = {
            "task": "(task, completion)",
            "trl": "(prompts, completions, **columns)",
            "verl": "(data_source, solution_str, ground_truth, extra_info)",
            "pair": "(completion, reference), by position",
            "pair_reversed": "(reference, completion), by position",
        }
        return written.get(
            self.signature, "(" + ", ".join(n if n == role else f"{n}: the {role}" for n, role in self.roles) + ")"
        )


def manner_of(call: Callable[..., Any], wanted: str = "auto") -> Manner:
    """How `call` wants to be called. Raises `RequestError` when nothing fits."""
    if wanted in ("task", "trl", "verl", "pair", "pair_reversed"):
        return Manner(wanted)
    if wanted == "plain":
        return Manner("pair")
    if wanted != "auto":
        raise RequestError(
            "A signature is not known", seen=wanted, wanted=f"auto, plain or one of {', '.join(SIGNATURES)}"
        )
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (ValueError, TypeError):
        return Manner("pair", sure=False)  # a builtin: only a trial can tell
    return _from_parameters(call, parameters)


def _from_parameters(call: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> Manner:
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    names = {p.name for p in named}
    if {"completions"} & names or (not named and parameters):
        return Manner("trl")
    if {"solution_str", "ground_truth"} <= names:
        return Manner("verl")
    required = [p for p in named if p.default is p.empty]
    if _takes_task(required):
        return Manner("task")
    if roles := _roles(required):
        return Manner("roles", roles)
    if len(required) == 2 and all(p.kind is not p.KEYWORD_ONLY for p in required):
        return Manner("pair", sure=False)
    raise RequestError(
        "It cannot be told how this reward wants to be called",
        seen=f"{getattr(call, '__name__', 'it')}{inspect.signature(call)}",
        wanted="(task, completion), (prompts, completions, **columns), (data_source, solution_str, ground_truth, "
        "extra_info) or (completion, reference)",
        do="Write a function of (completion, reference) that calls it, and audit that",
    )


def _takes_task(required: Sequence[inspect.Parameter]) -> bool:
    """Two parameters of which the first is our `Task` by annotation, or both are named as ours are."""
    if len(required) != 2:
        return False
    first, second = required
    annotated = getattr(first.annotation, "__name__", first.annotation)
    return annotated in ("Task", "sibling.tasks.task.Task") or (first.name, second.name) == ("task", "completion")


def _roles(required: Sequence[inspect.Parameter]) -> tuple[tuple[str, str], ...] | None:
    """The role of each required parameter, if all are known by name and a completion is among them."""
    roles = [(p.name, _ROLE_OF.get(p.name, "")) for p in required]
    if "completion" not in [role for _, role in roles] and len(roles) > 1:
        roles = [(name, "completion" if name in _ANSWER_AS_COMPLETION else role) for name, role in roles]
    found = [role for _, role in roles]
    if "" in found or found.count("completion") != 1 or len(set(found)) != len(found):
        return None
    if any(p.kind is p.POSITIONAL_ONLY for p in required):
        return None
    return tuple(roles)


def call_one(manner: Manner, call: Callable[..., Any], task: Task, completion: Completion) -> Any:
    """What the reward returns for one completion; a list of one for `trl`."""
    if manner.signature == "trl":
        values = call_many(call, [task], [completion])
        return (
            values[0] if isinstance(values, Sequence) and not isinstance(values, str) and len(values) == 1 else values
        )
    return _awaited(_called(manner, call, task, completion))


def _called(manner: Manner, call: Callable[..., Any], task: Task, completion: Completion) -> Any:
    text, reference = completion.text, task.reference
    match manner.signature:
        case "task":
            return call(task, completion)
        case "verl":
            extra = task.columns.get("extra_info", {})
            return call(task.columns.get("data_source", "audit"), text, reference, extra)
        case "pair":
            return call(text, reference)
        case "pair_reversed":
            return call(reference, text)
    values = {
        "prompt": task.messages[-1]["content"] if task.messages else "",
        "completion": text,
        "reference": reference,
        "task": {**task.columns, "question": task.messages[-1]["content"], "answer": reference},
    }
    return call(**{name: values[role] for name, role in manner.roles})


def call_many(call: Callable[..., Any], tasks: Sequence[Task], completions: Sequence[Completion]) -> Any:
    """What a reward with TRL's signature returns for a batch. Required columns the data lacks get the reference."""
    accepts = check_trl_signature(getattr(call, "__name__", "the reward"), call)
    arguments: dict[str, Any] = trl_arguments(tasks, completions)
    for name in accepts.required - set(arguments):
        arguments[name] = [task.reference for task in tasks]
    return _awaited(call(**accepts.of(arguments, "the reward")))


def assumed_columns(call: Callable[..., Any], tasks: Sequence[Task], completions: Sequence[Completion]) -> list[str]:
    """Columns a TRL reward requires that the data lacks, and which are therefore given the reference."""
    accepts = check_trl_signature(getattr(call, "__name__", "the reward"), call)
    return sorted(accepts.required - set(trl_arguments(tasks, completions)))


def _awaited(value: Any) -> Any:
    return asyncio.run(_wait(value)) if inspect.isawaitable(value) else value


async def _wait(value: Any) -> Any:
    return await value
