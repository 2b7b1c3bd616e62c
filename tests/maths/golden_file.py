"""The golden document of the tests, and ways to change one of its cases."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "golden" / "objectives.json"

Change = Callable[[dict[str, Any]], object]


@cache
def document() -> dict[str, Any]:
    """The file as it is; nobody changes it in place."""
    read: dict[str, Any] = json.loads(FILE.read_text())
    return read


def only(case_id: str, change: Change = lambda case: None) -> dict[str, Any]:
    """A document with one case, changed."""
    case = copy.deepcopy(next(c for c in document()["cases"] if c["id"] == case_id))
    change(case)
    return {"schema_version": 1, "cases": [case]}


def policy_cases() -> list[dict[str, Any]]:
    """The cases of whole optimizer steps."""
    return [c for c in document()["cases"] if c["kind"] == "policy_loss"]


def setting(part: str, **values: object) -> Change:
    """Other settings in one part of the case."""
    return lambda case: case[part].update(values)


def every(**values: object) -> Change:
    """Other columns in every sequence."""
    return lambda case: [s.update(values) for s in case["sequences"]]


def row(key: str, value: object, index: int = 0) -> Change:
    """Another number in a row of a case of rows."""
    return lambda case: case["rows"][index].update({key: value})
