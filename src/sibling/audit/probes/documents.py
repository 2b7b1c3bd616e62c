"""JSON: other ways to write the same value, other values, and text that is no JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sibling.audit.kinds import Seed, Variant
from sibling.audit.probes.build import Maker, wrapped


def parsed(change: Callable[[Seed, Any], Iterable[str]], note: str) -> Maker:
    """A maker that gets the reference as a value; not applicable where it is no JSON."""

    def make(seed: Seed) -> Iterator[Variant]:
        try:
            value = json.loads(seed.answer)
        except (ValueError, RecursionError):
            return
        yield from wrapped(seed, change(seed, value), note)

    return make


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reordered(value[key]) for key in reversed(value)}
    return [_reordered(item) for item in value] if isinstance(value, list) else value


def key_order(seed: Seed, value: Any) -> Iterator[str]:
    """The keys of every object from last to first."""
    turned = json.dumps(_reordered(value), ensure_ascii=False)
    if turned != json.dumps(value, ensure_ascii=False):
        yield turned


def white_space(seed: Seed, value: Any) -> Iterator[str]:
    """Indented by spaces, by tabs, and without any white space."""
    yield json.dumps(value, indent=2, ensure_ascii=False)
    yield json.dumps(value, indent="\t", ensure_ascii=False)
    yield json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def escapes(seed: Seed, value: Any) -> Iterator[str]:
    """Characters written as escapes."""
    plain = json.dumps(value, ensure_ascii=False)
    yield json.dumps(value)
    first = re.search(r'"([A-Za-z])', plain)
    if first:
        yield plain[: first.start(1)] + f"\\u{ord(first[1]):04x}" + plain[first.end(1) :]


def _schema(seed: Seed) -> dict[str, Any]:
    schema = seed.task.columns.get("schema")
    return schema if isinstance(schema, dict) else {}


def required_dropped(seed: Seed, value: Any) -> Iterator[str]:
    """Without a field that the task's schema requires."""
    required = _schema(seed).get("required", ())
    for field in required if isinstance(value, dict) else ():
        if field in value:
            yield json.dumps({key: kept for key, kept in value.items() if key != field})


def wrong_type(seed: Seed, value: Any) -> Iterator[str]:
    """An object where the task's schema asks for a plain value and nothing else."""
    typed = _schema(seed).get("properties", {})
    for field in typed if isinstance(value, dict) and isinstance(typed, dict) else ():
        wanted = typed[field].get("type") if isinstance(typed[field], dict) else None
        if field in value and wanted in ("integer", "number", "string", "boolean"):
            yield json.dumps({**value, field: {"of": ["another", "type"]}})


def field_dropped(seed: Seed, value: Any) -> Iterator[str]:
    """Without one of its fields, which may be optional."""
    for field in list(value)[:3] if isinstance(value, dict) else ():
        yield json.dumps({key: kept for key, kept in value.items() if key != field})


def value_changed(seed: Seed, value: Any) -> Iterator[str]:
    """With another value in one of its fields, which may be free."""
    for field, kept in list(value.items())[:3] if isinstance(value, dict) else ():
        yield json.dumps({**value, field: _another(kept)})
    if not isinstance(value, dict):
        yield json.dumps(_another(value))


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return value + "x" if isinstance(value, str) else [*value, 10007] if isinstance(value, list) else 10007


def not_json(seed: Seed, value: Any) -> Iterator[str]:
    """Text that is no JSON, or more than one value."""
    text = json.dumps(value)
    yield text[:-1] if text[-1] in '}]"' else text + "}"
    yield from (text + " " + text, text + ",", "[" + text, text + " trailing words")
    if isinstance(value, dict) and value:
        yield text[:-1] + ",}"
        yield text.replace('"', "'")
        yield "{" + "/* a comment */" + text[1:]


def duplicate_key(seed: Seed, value: Any) -> Iterator[str]:
    """One key twice, with two values."""
    for field in list(value)[:1] if isinstance(value, dict) else ():
        text, again = json.dumps(value), json.dumps({field: _another(value[field])})
        yield "{" + again[1:-1] + ", " + text[1:]
