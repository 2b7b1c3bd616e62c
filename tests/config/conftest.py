"""Recipes whose sections are sound but whose combination nobody has judged yet: what the rules are tried on."""

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from sibling.config import Recipe, parse_recipe

PLAIN: dict[str, Any] = {
    "name": "plain",
    "steps": 30,
    "task": {"type": "jsonl", "path": "prompts.jsonl"},
    "rewards": [{"type": "final_number"}],
}
"""A recipe that no rule minds, with a task that every row can use."""


@functools.cache
def _plain() -> Recipe:
    return parse_recipe(PLAIN)


@functools.cache
def _reader(section: str) -> TypeAdapter[Any]:
    return TypeAdapter(Recipe.model_fields[section].annotation)


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """{"objective.kl.beta": 1} as {"objective": {"kl": {"beta": 1}}}; an objective without a type is the default."""
    data: dict[str, Any] = {}
    for key, value in dotted.items():
        *parents, last = key.split(".")
        node = data
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value
    if "objective" in data:
        data["objective"].setdefault("type", "dapo")
    return data


@pytest.fixture(scope="session")
def unchecked() -> Callable[[Mapping[str, Any]], Recipe]:
    """The plain recipe with dotted changes; each section is validated, their combination is not."""

    def build(dotted: Mapping[str, Any]) -> Recipe:
        sections = {name: _reader(name).validate_python(value) for name, value in nested(dotted).items()}
        return _plain().model_copy(update=sections)

    return build


@pytest.fixture(scope="session")
def checked() -> Callable[[Mapping[str, Any]], Recipe]:
    """The plain recipe with dotted changes, read as any recipe is."""
    return lambda dotted: parse_recipe(PLAIN | nested(dotted))


@pytest.fixture(scope="session")
def knob_paths() -> frozenset[str]:
    """The paths of all knobs as a person writes them, without the types of unions, and the sections they are in."""
    listed = (Path(__file__).parents[1] / "knobs.txt").read_text(encoding="utf-8").split()
    paths = {re.sub(r"\[\w+\]", "", path) for path in listed}
    return frozenset(paths | {path.rpartition(".")[0] for path in paths})
