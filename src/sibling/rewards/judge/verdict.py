"""A judge's reply as an opinion: one small JSON object of exactly the form asked for, or nothing.

Accepted: {"id": nonce of the question, "verdict": "accept" or "refuse", "reason": text}, alone or in one code fence,
after the judge's own thought if that ends with `</think>`. Refused: more than 8,000 characters, other keys, keys twice,
other types, another nonce, text around the object. A verdict copied from the answer does not hold the nonce.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_MOST_CHARACTERS = 8_000
_MOST_REASON = 200


@dataclass(frozen=True)
class Opinion:
    """What one judge says of one answer."""

    accept: bool
    reason: str  # one line, printable, at most 200 characters


def read(reply: str | None, nonce: str) -> Opinion | None:
    """The opinion in `reply`, or None if it is not of the form asked for."""
    if reply is None or len(reply) > _MOST_CHARACTERS:
        return None
    text = _without_fence(reply.rpartition("</think>")[2].strip())
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.keys() != {"id", "verdict", "reason"}:
        return None
    if found["id"] != nonce or found["verdict"] not in ("accept", "refuse") or not isinstance(found["reason"], str):
        return None
    return Opinion(found["verdict"] == "accept", one_line(found["reason"]))


def one_line(text: str) -> str:
    """`text` cut and cleaned for a table: printable characters on one line."""
    flat = " ".join(text[: 4 * _MOST_REASON].split())
    return "".join(c for c in flat if c.isprintable())[:_MOST_REASON]


def _without_fence(text: str) -> str:
    if text.startswith("```") and text.endswith("```") and len(text) >= 6:
        first, _, rest = text[3:-3].partition("\n")
        return rest if first.strip() in ("", "json") else text
    return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [k for k, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError("a key stands twice")
    return dict(pairs)
