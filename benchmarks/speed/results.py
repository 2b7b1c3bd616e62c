"""The results file: one entry a part, merged part by part, so that a call that measures some parts keeps the others."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA = 1


def load(path: Path) -> dict[str, Any]:
    """What was measured before; empty when there is nothing, or it is of another schema."""
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {"schema": SCHEMA, "parts": {}}
    return found if found.get("schema") == SCHEMA else {"schema": SCHEMA, "parts": {}}


def merge(path: Path, name: str, body: Mapping[str, Any], *, quick: bool) -> None:
    """Put one part into the file, with the day it was measured."""
    found = load(path)
    found["parts"][name] = {"measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "quick": quick, **body}
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def column(values: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    """One number of every round."""
    return [float(v[name]) for v in values]


def median(values: Iterable[Mapping[str, Any]], name: str) -> float:
    """The median of one number."""
    return statistics.median(column(values, name))


def rate(values: Iterable[Mapping[str, Any]]) -> list[float]:
    """Tokens a second of every round, of sampling where it was timed apart."""
    return [v["tokens"] / v.get("sampling", v["seconds"]) for v in values]


def ratios(peer: Iterable[Mapping[str, Any]], ours: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    """Peer's seconds over ours, round by round."""
    return [float(p[name]) / max(float(o[name]), 1e-9) for p, o in zip(peer, ours, strict=True)]


def foreign(body: Any) -> list[float]:
    """Every share of the machine that others used, anywhere in a part."""
    if isinstance(body, Mapping):
        own = [float(body["foreign"])] if "foreign" in body else []
        return own + [x for v in body.values() for x in foreign(v)]
    return [x for v in body for x in foreign(v)] if isinstance(body, list) else []
