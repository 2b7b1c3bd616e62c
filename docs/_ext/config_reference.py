"""Sphinx extension: fill the reference tables from the code, so that no page can fall behind it.

In a page, `<!-- config-reference -->` becomes one table for each section of a recipe, read from the
pydantic fields of `sibling.config`; `<!-- quantities -->` becomes the table of `sibling.stats.QUANTITIES`;
`<!-- combinations -->` becomes the tables of combinations that are refused and warned of, `sibling.config.RULES`.

A section that comes in several types has one table of what all of them take; the table of a type has what it
adds, and the defaults it changes.
"""

from __future__ import annotations

import types
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import sibling.config
import sibling.stats
from sibling.config import Recipe
from sibling.config.legal import table
from sibling.stats import QUANTITIES

if TYPE_CHECKING:  # the tests read these tables without Sphinx
    from sphinx.application import Sphinx

_YAML = {"None": "null", "True": "true", "False": "false"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    for marker, (text, module) in MARKERS.items():
        comment = f"<!-- {marker} -->"
        if comment in source[0]:
            source[0] = source[0].replace(comment, text())
            for origin in (Path(__file__), *Path(str(module.__file__)).parent.glob("*.py")):
                app.env.note_dependency(str(origin.resolve()), docname=docname)


def quantities() -> str:
    """The statistics of a step as a Markdown table."""
    rows = [
        f"| `{name}` | {q.unit} | {_cell(q.definition)} | {'yes' if q.wall_clock else ''} |"
        for name, q in QUANTITIES.items()
    ]
    return "\n".join(["| name | unit | definition | depends on the clock |", "|---|---|---|---|", *rows])


def combinations() -> str:
    """The rules of combination as two Markdown tables: what is refused, what is warned of."""
    parts = []
    for happens in ("refused", "warned of"):
        rows = [f"| {name} | {_cell(why)} | {_cell(do)} |" for name, verdict, why, do in table() if verdict == happens]
        parts.append("\n".join([f"| {happens} | because | do |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def config_reference() -> str:
    """Every knob of a recipe as Markdown: a heading and a table for each section and each variant of a union."""
    blocks: dict[str, list[str]] = {}
    _describe(Recipe, "", 2, blocks)
    return "\n\n".join(line for block in blocks.values() for line in block)


MARKERS = {
    "config-reference": (config_reference, sibling.config),
    "combinations": (combinations, sibling.config),
    "quantities": (quantities, sibling.stats),
}
"""Comment in a page -> what takes its place, and the module or package it is read from."""


def _describe(section: type[BaseModel], path: str, level: int, blocks: dict[str, list[str]]) -> None:
    """Add the block of one section, then those of the sections inside it."""
    title = _title(section, path)
    blocks[title] = [f"{'#' * min(level, 4)} {title}", (section.__doc__ or "").strip(), _table(section.model_fields)]
    _below(section.model_fields, path, level, blocks)


def _below(fields: dict[str, FieldInfo], path: str, level: int, blocks: dict[str, list[str]]) -> None:
    for name, field in fields.items():
        below = f"{path}.{name}" if path else name
        below += "[]" if get_origin(field.annotation) is tuple else ""
        options = sections(field.annotation)
        if path and set(options) <= _REWARDS:
            continue  # rewards inside a reward: they are described where a recipe names its own
        if len(options) > 1:
            _describe_union(options, below, level + 1 if path else level, blocks)
        elif options:
            _describe(options[0], below, level + 1 if path else level, blocks)


def _describe_union(options: list[type[BaseModel]], path: str, level: int, blocks: dict[str, list[str]]) -> None:
    """The block of what all types take, then for each type what it adds or changes."""
    common = _shared(options)
    if common:
        title = f"`{path}`"
        defaults = {name: _default(field) for name, field in common.items()}
        mixed = [n for n in common if len({_default(o.model_fields[n]) for o in options}) > 1]
        defaults |= {name: f"{defaults[name]}, or the type's own" for name in mixed}
        text = f"It comes in {len(options)} types, chosen by `type`, which all take:"
        blocks[title] = [f"{'#' * min(level, 4)} {title}", text, _table(common, defaults)]
        _below(common, path, level, blocks)
    for option in options:
        own = {n: f for n, f in option.model_fields.items() if n not in common}
        changed = {n: f for n, f in option.model_fields.items() if n in common and _default(f) != _default(common[n])}
        title = _title(option, path)
        text = _table(own | changed) if common else _table(own)
        blocks[title] = [f"{'#' * min(level + bool(common), 4)} {title}", (option.__doc__ or "").strip(), text]
        _below(own, path, level, blocks)


def _shared(options: list[type[BaseModel]]) -> dict[str, FieldInfo]:
    """The fields that all types take alike, each with the default that most of them have."""
    fields = {}
    for name in options[0].model_fields:
        found = [o.model_fields[name] for o in options if name in o.model_fields]
        alike = len(found) == len(options) and len({(str(f.annotation), str(f.metadata)) for f in found}) == 1
        if name != "type" and alike:
            usual, _ = Counter(map(_default, found)).most_common(1)[0]
            fields[name] = next(f for f in found if _default(f) == usual)
    return fields


def _title(section: type[BaseModel], path: str) -> str:
    if not path:
        return "The recipe"
    tag = section.model_fields.get("type")
    return f"`{path}`" if tag is None else f"`{path}`, type `{tag.default}`"


def _table(fields: dict[str, FieldInfo], defaults: dict[str, str] | None = None) -> str:
    rows = [
        f"| `{name}` | {_type(field)} | {(defaults or {}).get(name) or _default(field)} | {_meaning(field)} |"
        for name, field in fields.items()
        if name != "type"
    ]
    if not rows:
        return "It has no knobs of its own."
    return "\n".join(["| name | type | default | range and meaning |", "|---|---|---|---|", *rows])


def _meaning(field: FieldInfo) -> str:
    parts = [_range(field), _cell(field.description or "")]
    return "; ".join(p for p in parts if p)


def _type(field: FieldInfo) -> str:
    return _words(field.annotation)


def _words(annotation: Any) -> str:
    """An annotation in a reader's words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "null"
    if annotation in (int, float, str, bool):
        return {int: "integer", float: "number", str: "text", bool: "true or false"}[annotation]
    if origin is Literal:
        return " or ".join(f"`{a}`" for a in arguments)
    if inside := sections(annotation):
        variants = "section" if len(inside) == 1 else f"one of {len(inside)} types"
        return f"list, each {variants}" if origin is tuple else variants
    if origin in (Union, types.UnionType):
        return " or ".join(_words(a) for a in arguments)
    if origin is tuple:
        many = arguments[-1] is Ellipsis
        return f"list of {_words(arguments[0])}" if many else f"list of {len(arguments)}, each {_words(arguments[0])}"
    if origin is dict:
        return "mapping"
    return str(annotation)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "empty"
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        tag = getattr(field.default, "type", None)
        own = type(field.default).model_fields
        departures = [f"`{n}: {_plain(v)}`" for n, v in field.default if n != "type" and v != own[n].default]
        return ", ".join([f"type `{tag}`", *departures] if tag else departures) or "as below"
    if field.default == ():
        return "empty"
    if isinstance(field.default, tuple):
        return ", ".join(f"`{v}`" for v in field.default)
    return f"`{_plain(field.default)}`"


def _plain(value: object) -> object:
    return _YAML.get(str(value), value)


def _range(field: FieldInfo) -> str:
    """The limits a value must keep, such as `>= 1, < 5`."""
    limits = []
    for item in field.metadata:
        if isinstance(item, annotated_types.Ge):
            limits.append(f"≥ {item.ge}")
        elif isinstance(item, annotated_types.Gt):
            limits.append(f"> {item.gt}")
        elif isinstance(item, annotated_types.Le):
            limits.append(f"≤ {item.le}")
        elif isinstance(item, annotated_types.Lt):
            limits.append(f"< {item.lt}")
        elif isinstance(item, annotated_types.MinLen):
            limits.append("at least one" if item.min_length == 1 else f"at least {item.min_length}")
    return ", ".join(limits)


def sections(annotation: Any) -> list[type[BaseModel]]:
    """The config sections an annotation can hold, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [s for a in get_args(annotation) for s in sections(a)]


def _cell(text: str) -> str:
    """`text` inside a Markdown table: markup characters that are meant as themselves are escaped."""
    for mark in ("|", "<", "*"):
        text = text.replace(mark, "\\" + mark)
    return text


_REWARDS = set(sections(Recipe.model_fields["rewards"].annotation))
