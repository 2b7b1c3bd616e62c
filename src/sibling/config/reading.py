"""Reading a recipe: YAML, dotted overrides (`sampling.group_size=8`), and faults in words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from sibling.config.rewards import RewardConfig
from sibling.config.run import Recipe
from sibling.config.section import Section
from sibling.errors import RequestError


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe and apply `key=value` overrides, values read as YAML.

    Raises `RequestError` for a missing file, malformed YAML, unknown keys (with the nearest valid name),
    wrong types and illegal combinations.
    """
    if not path.is_file():
        raise RequestError(
            f"The recipe {path} does not exist",
            wanted="a YAML file",
            do="The recipes that ship with the project are under recipes/",
        )
    try:
        data = _read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"The recipe {path} is not valid YAML", seen=" ".join(str(error).split())) from error
    if not isinstance(data, dict):
        raise RequestError(
            f"The recipe {path} is not a mapping", seen=type(data).__name__, wanted="keys such as name, steps, task"
        )
    data.setdefault("name", path.stem)
    for item in sorted(overrides, key=_turn):
        _override(data, item)
    return parse_recipe(data, source=str(path))


def parse_recipe(data: dict[str, Any], *, source: str = "the recipe") -> Recipe:
    """Validate `data` as a recipe; a `RequestError` names the first faults in words."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RequestError(f"{source} is not a valid recipe: " + "; ".join(_faults(error))) from error


def parse_reward(name: str, options: Sequence[str] = ()) -> RewardConfig:
    """The section of one reward from its type, or from `module:name` or `file.py:name`, and `key=value` options.

    Raises `RequestError` for an unknown type (with the nearest known one) and for options it does not take.
    """
    own = {"type": "callable", "target": name} if ":" in name else {"type": name}
    data: dict[str, Any] = {"rewards": [own]}
    for item in options:
        _override(data, f"rewards.0.{item}")
    try:
        return _REWARD.validate_python(data["rewards"][0])
    except ValidationError as error:
        faults = "; ".join(_faults(error, at=("rewards", 0)))
        raise RequestError(f"{name} is not a reward as asked for: {faults}") from error


_REWARD: TypeAdapter[RewardConfig] = TypeAdapter(RewardConfig)


class _Loader(yaml.SafeLoader):
    """YAML as people write recipes: 2e-5 is a number (YAML 1.1 reads text), and a key given twice is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _read_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


_DEFAULT_TYPES = {"model": "embedded", "objective": "dapo", "finetune": "full"}
"""The type of a section that an override brings into being; the defaults of `Recipe`, held to them by a test."""


def _turn(item: str) -> tuple[bool, int]:
    """Types first, outer ones before inner ones: a new type clears the fields of the old one."""
    *parents, last = item.partition("=")[0].split(".")
    return (False, len(parents)) if last == "type" else (True, 0)


def _override(data: dict[str, Any], item: str) -> None:
    key, eq, text = item.partition("=")
    if not eq or not key:
        raise RequestError("An override must be key=value", seen=repr(item), wanted="for example sampling.group_size=8")
    try:
        value = _read_yaml(text) if text else None
    except yaml.YAMLError as error:
        raise RequestError(f"The value of the override {key} is not valid YAML", seen=repr(text)) from error
    node: Any = data
    *parents, last = key.split(".")
    for part in parents:
        if isinstance(node, list):
            node = _element(node, part, key)
            continue
        child = node.get(part)
        if child is None:
            default = _DEFAULT_TYPES.get(part)
            child = node[part] = {"type": default} if default else {}
        if not isinstance(child, dict | list):
            raise RequestError(f"The override {key} goes through {part!r}, which is a value", seen=repr(child))
        node = child
    if isinstance(node, list):
        _element(node, last, key)
        node[int(last)] = value
    elif last == "type" and node.get("type") not in (None, value):
        node.clear()
        node["type"] = value
    else:
        node[last] = value


def _element(items: list[Any], part: str, key: str) -> Any:
    if not part.isdigit() or int(part) >= len(items):
        raise RequestError(
            f"The override {key} names no element of its list", seen=repr(part), wanted=f"0 to {len(items) - 1}"
        )
    return items[int(part)]


def _faults(error: ValidationError, at: tuple[str | int, ...] = ()) -> list[str]:
    """One sentence a fault, most useful first, at most five. `at`: where in a recipe the section stands."""
    lines = []
    # An element that is refused is left out, so pydantic then finds the list too short as well: one fault, not two.
    faults = [f for f in error.errors() if not (f["type"] == "too_short" and f["input"])]
    for fault in faults[:5]:
        place = (*at, *fault["loc"])
        where = _where(place).removeprefix("".join(f"{part}." for part in at))
        if fault["type"] == "extra_forbidden":
            known = _known_keys(place[:-1])
            near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
            lines.append(f"unknown key {where!r}; {hint}")
        elif fault["type"] == "value_error":
            text = str(fault["ctx"]["error"]) if "ctx" in fault else fault["msg"]
            lines.append(f"{where}: {text}" if fault["loc"] else text)
        elif fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
            names = [str(_tag(option)) for option in _walk(place)[0]]
            seen = fault.get("ctx", {}).get("tag")
            near = difflib.get_close_matches(str(seen), names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            is_what = f"{where}.type is {seen!r}" if seen is not None else f"{where!r} has no type"
            lines.append(f"{is_what}, wanted one of {', '.join(names)}{hint}")
        elif fault["type"] in ("model_attributes_type", "model_type"):
            lines.append(f"{where!r} is {fault['input']!r}, wanted a section, with {_section_of(fault['loc'], where)}")
        elif fault["type"] == "missing":
            lines.append(f"{where!r} is missing and has no default")
        else:
            lines.append(f"{where!r} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}")
    return lines


def _section_of(location: tuple[str | int, ...], where: str) -> str:
    """What a section at `location` has: a type, or its keys."""
    names = [str(tag) for option in _walk(location)[0] if (tag := _tag(option)) is not None]
    return f"{where}.type as one of {', '.join(names)}" if names else f"keys {', '.join(_known_keys(location))}"


def _where(location: tuple[str | int, ...]) -> str:
    return ".".join(_walk(location)[1]) or "the recipe"


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """The keys valid at `location`."""
    return sorted({name for option in _walk(location)[0] for name in option.model_fields})


def _walk(location: tuple[str | int, ...]) -> tuple[list[type[Section]], list[str]]:
    """Follow a pydantic location from `Recipe`: the sections reached, and the path without union tags."""
    options: list[type[Section]] = [Recipe]
    path: list[str] = []
    for part in location:
        tagged = [o for o in options if _tag(o) == part]
        if tagged and not any(part in o.model_fields for o in options):
            options = tagged
            continue
        path.append(str(part))
        if not isinstance(part, int):
            fields = [o.model_fields[part].annotation for o in options if part in o.model_fields]
            options = [s for annotation in fields for s in _sections(annotation)]
    return options, path


def _sections(annotation: Any) -> list[type[Section]]:
    """The config sections an annotation can hold."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [s for a in get_args(annotation) for s in _sections(a)]


def _tag(section: type[Section]) -> str | None:
    field = section.model_fields.get("type")
    return field.default if field is not None else None
