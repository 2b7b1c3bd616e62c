"""Every kind of instruction, by its name, and what is wrong with a task's list of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from sibling.rewards.instructions import framing, layout, lengths, wording
from sibling.rewards.instructions.ifeval import translated
from sibling.rewards.instructions.kind import Kind

TABLE: dict[str, Kind] = {kind.name: kind for module in (wording, lengths, layout, framing) for kind in module.KINDS}
"""Name -> kind."""

Instruction = tuple[Kind, dict[str, Any]]


def describe() -> list[dict[str, Any]]:
    """Name, one line of description and parameters of every kind, for the documentation."""
    return [
        {
            "name": kind.name,
            "description": kind.words,
            "parameters": [
                {
                    "name": p.name,
                    "shape": p.shape,
                    "description": p.words,
                    "required": p.default is None and not p.optional,
                    "default": p.default,
                }
                for p in kind.parameters
            ],
            "short": kind.short,
        }
        for kind in TABLE.values()
    ]


def instructions_of(columns: Mapping[str, Any]) -> list[Instruction] | str:
    """The kinds that a task asks for, with their parameters; or what is wrong with its columns, in words.

    Column `instructions`: a list of {"type": name, parameter: value}. Without it, the columns `instruction_id_list`
    and `kwargs` as IFEval's data have them are translated.
    """
    if "instructions" in columns:
        asked = columns["instructions"]
    elif "instruction_id_list" in columns:
        asked = translated(columns["instruction_id_list"], columns.get("kwargs"))
        if isinstance(asked, str):
            return asked
    else:
        return "it has no column `instructions`"
    if not isinstance(asked, list | tuple) or not asked:
        return "its column `instructions` has to be a list with something in it"
    found: list[Instruction] = []
    for place, one in enumerate(asked, start=1):
        read = _one(one)
        if isinstance(read, str):
            return f"instruction {place} {read}"
        found.append(read)
    return found


def _one(one: object) -> Instruction | str:
    if not isinstance(one, Mapping) or not isinstance(one.get("type"), str):
        return "is no object with a `type`"
    name = one["type"]
    kind = TABLE.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, TABLE, n=3, cutoff=0.4)
        return f"has the unknown type {name[:40]!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")
    values = {key: value for key, value in one.items() if key != "type"}
    fault = kind.fault(values)
    return f"({name}) {fault}" if fault is not None else (kind, kind.filled(values))
