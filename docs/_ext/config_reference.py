"""Sphinx extension: fill the reference tables from the code, so that no page can fall behind it.

In a page, `<!-- config-reference -->` becomes one table for each section of a recipe, read from the
pydantic fields of `sibling.config`; `<!-- quantities -->` becomes the table of `sibling.stats.QUANTITIES`.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import sibling.config
import sibling.stats
from sibling.config import Recipe
from sibling.stats import QUANTITIES

if TYPE_CHECKING:  # the tests read these tables without Sphinx
    from sphinx.application import Sphinx

MARKERS = ("config-reference", "quantities")
_YAML = {"None": "null", "True": "true", "False": "false"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    for marker, text, module in (
        (MARKERS[0], config_reference, sibling.config),
        (MARKERS[1], quantities, sibling.stats),
    ):
        comment = f"<!-- {marker} -->"
        if comment in source[0]:
            source[0] = source[0].replace(comment, text())
            for origin in (__file__, module.__file__):
                app.env.note_dependency(str(Path(str(origin)).resolve()), docname=docname)


def quantities() -> str:
    """The statistics of a step as a Markdown table."""
    rows = [
        f"| `{name}` | {q.unit} | {_cell(q.definition)} | {'yes' if q.wall_clock else ''} |"
        for name, q in QUANTITIES.items()
    ]
    return "\n".join(["| name | unit | definition | depends on the clock |", "|---|---|---|---|", *rows])


def config_reference() -> str:
    """Every knob of a recipe as Markdown: a heading and a table for each section and each variant of a union."""
    blocks: dict[str, list[str]] = {}
    _describe(Recipe, "", 2, blocks)
    return "\n\n".join(line for block in blocks.values() for line in block)


def _describe(section: type[BaseModel], path: str, level: int, blocks: dict[str, list[str]]) -> None:
    """Add the block of one section, then those of the sections inside it; variants may share one (`objective.kl`)."""
    title = _title(section, path)
    if title in blocks:
        return
    blocks[title] = [f"{'#' * min(level, 4)} {title}", (section.__doc__ or "").strip(), _table(section)]
    for name, field in section.model_fields.items():
        below = f"{path}.{name}" if path else name
        below += "[]" if get_origin(field.annotation) is tuple else ""
        for option in sections(field.annotation):
            _describe(option, below, level + 1 if path else level, blocks)


def _title(section: type[BaseModel], path: str) -> str:
    if not path:
        return "The recipe"
    tag = section.model_fields.get("type")
    return f"`{path}`" if tag is None else f"`{path}`, type `{tag.default}`"


def _table(section: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_type(field)} | {_default(field)} | {_meaning(field)} |"
        for name, field in section.model_fields.items()
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
        return f"type `{tag}`" if tag else "as below"
    if field.default == ():
        return "empty"
    if isinstance(field.default, tuple):
        return ", ".join(f"`{v}`" for v in field.default)
    return f"`{_YAML.get(str(field.default), field.default)}`"


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
