"""JSON read strictly and within bounds: what is not one plain JSON value is refused, with the reason as one word.

Covered: duplicate names of an object (also when written with different escapes), NaN and Infinity, numbers too long
or too large to compute with, nesting deeper than 64, texts over one million characters, anything around the value.
Depth is found by a linear scan before the parser sees the text, because a recursive parser on deep nesting can take
the process with it. Numbers are exact: an integral value is an int, any other a Decimal, so that 0.1 is 0.1.
Not covered: a byte-order mark (refused), comments and trailing commas (refused: they are not JSON).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

MOST_CHARACTERS = 1_000_000
MOST_DEPTH = 64
MOST_DIGITS = 400  # characters of one number, and the largest power of ten either way

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)  # every branch runs in linear time


class NotJsonError(ValueError):
    """The text is not one JSON value within the bounds. `code` is the reason as one word."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def parse(text: str) -> Any:
    """The value `text` states; white space around it is allowed and nothing else is.

    Numbers come back as int where they are integral (1.0 and 1e2 too), else as Decimal. Raises `NotJsonError`, with the
    codes no_answer, too_long, too_deep, duplicate_key, not_finite, number_too_big, unreadable.

    >>> parse('{"a": [1.0, 0.5]}')
    {'a': [1, Decimal('0.5')]}
    """
    if len(text) > MOST_CHARACTERS:
        raise NotJsonError("too_long", f"the text is longer than {MOST_CHARACTERS} characters")
    if not text.strip():
        raise NotJsonError("no_answer", "there is no text")
    _check_depth(text)
    try:
        return json.loads(
            text, object_pairs_hook=_members, parse_constant=_not_finite, parse_int=_integer, parse_float=_decimal
        )
    except json.JSONDecodeError as failure:
        raise NotJsonError("unreadable", f"not JSON: {failure.msg} at character {failure.pos + 1}") from failure


def same(one: Any, other: Any) -> bool:
    """Whether two parsed values are the same JSON value: order of names is nothing, 1 is 1.0, true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    return type(one) is type(other) and bool(one == other)


def _check_depth(text: str) -> None:
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        mark = found.group()
        if mark in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise NotJsonError("too_deep", f"nested deeper than {MOST_DEPTH}")
        elif mark in "]}":
            depth -= 1


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
    raise NotJsonError("duplicate_key", f"the name {twice[:40]!r} occurs twice in one object")


def _not_finite(written: str) -> NoReturn:
    raise NotJsonError("not_finite", f"{written} is not a JSON number")


def _integer(written: str) -> int:
    if len(written) > MOST_DIGITS:
        raise NotJsonError("number_too_big", f"a number of more than {MOST_DIGITS} characters")
    return int(written)


def _decimal(written: str) -> int | Decimal:
    if len(written) > MOST_DIGITS:
        raise NotJsonError("number_too_big", f"a number of more than {MOST_DIGITS} characters")
    try:
        value = Decimal(written)
    except InvalidOperation:  # an exponent beyond what Decimal can hold
        raise NotJsonError("number_too_big", f"the number {written[:40]} is out of range") from None
    if not value:
        return 0
    if abs(value.adjusted()) > MOST_DIGITS:
        raise NotJsonError("number_too_big", f"the number {written[:40]} is out of range")
    return int(value) if value == value.to_integral_value() else value
