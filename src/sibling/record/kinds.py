"""Kinds of values in an event's body: small checks that compose; each answers None or the fault in words.

A check never raises, whatever JSON value it is given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], str | None]
"""JSON value -> None, or what is wrong with it."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def anything(value: Any) -> str | None:
    """Any JSON value."""
    return None


def text(value: Any) -> str | None:
    """A string."""
    return None if isinstance(value, str) else _wanted("a string", value)


def flag(value: Any) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else _wanted("true or false", value)


def whole(value: Any) -> str | None:
    """A whole number of 0 or more."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if good else _wanted("a whole number of 0 or more", value)


def number(value: Any) -> str | None:
    """A finite number."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return None if good else _wanted("a finite number", value)


def digest(value: Any) -> str | None:
    """`sha256:` and 64 hexadecimal digits."""
    good = isinstance(value, str) and _DIGEST.fullmatch(value)
    return None if good else _wanted("a digest 'sha256:' + 64 hexadecimal digits", value)


def one_of(*values: str) -> Check:
    """One of these strings."""
    return lambda value: (
        None if isinstance(value, str) and value in values else _wanted(f"one of {', '.join(values)}", value)
    )


def optional(check: Check) -> Check:
    """Null (unknown), or what `check` takes. The key itself must be there."""
    return lambda value: None if value is None else check(value)


def list_of(check: Check) -> Check:
    """A list whose elements all pass `check`."""

    def inner(value: Any) -> str | None:
        if not isinstance(value, list):
            return _wanted("a list", value)
        return next((f"[{i}] {fault}" for i, v in enumerate(value) if (fault := check(v))), None)

    return inner


def map_of(check: Check) -> Check:
    """An object whose values all pass `check`."""

    def inner(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return _wanted("an object", value)
        return next((f"{_short(k)}: {fault}" for k, v in value.items() if (fault := check(v))), None)

    return inner


def record(**fields: Check) -> Check:
    """An object with at least these keys, each passing its check; further keys are left alone."""

    def inner(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return _wanted("an object", value)
        for name, check in fields.items():
            if name not in value:
                return f"lacks {name!r}"
            if fault := check(value[name]):
                return f"{name}: {fault}"
        return None

    return inner


def _wanted(kind: str, value: Any) -> str:
    return f"is {_short(value)}, wanted {kind}"


def _short(value: Any) -> str:
    """A value for a message: short, on one line, whatever it is."""
    if isinstance(value, Mapping | list):
        return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
