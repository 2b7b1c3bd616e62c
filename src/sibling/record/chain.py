"""The hash chain: building a line, reading a line, and the links between lines. Pure functions, no I/O.

A line is one RFC 8785 canonical JSON object. `prev` of line n is SHA-256 over the bytes of line n - 1 without
its newline (64 zeros for the first), so a change to any line breaks the link of the next one. The last line has
no successor: its digest, the *head*, has to be kept elsewhere to notice a change there.

Reading is safe on hostile bytes: long lines, deep nesting, huge numbers, duplicate keys and invalid UTF-8 give
a fault in words, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

from sibling.canonical import canonical_json, sha256
from sibling.errors import RecordError, SiblingError
from sibling.record.events import ACTOR, ENVELOPE, SCHEMA_VERSION, Event

MAX_LINE_BYTES = 16 << 20
MAX_DEPTH = 32


@dataclass(frozen=True)
class Line:
    """One complete line: its number (from 1), its bytes without newline, and the event or the fault it gave."""

    number: int
    raw: bytes
    event: Event | None
    code: str | None = None  # of findings.CODES, when there is no event
    fault: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the line's bytes."""
        return sha256(self.raw)


def build(*, run: str, seg: int, seq: int, t: str, type: str, prev: str, body: Mapping[str, Any]) -> Event:
    """The event with its canonical line in `raw`; the caller has checked the fields of the body.

    Raises `RecordError` for what canonical JSON cannot carry (NaN, integers beyond 2^53, other types).
    """
    envelope = {
        "v": SCHEMA_VERSION,
        "run": run,
        "seg": seg,
        "seq": seq,
        "t": t,
        "type": type,
        "prev": prev,
        "actor": ACTOR,
        "body": dict(body),
    }
    if fault := ENVELOPE(envelope):
        raise RecordError(f"The envelope of {type} cannot be recorded", seen=fault)
    try:
        raw = canonical_json(envelope)
    except SiblingError as error:
        raise RecordError(f"The body of {type} cannot be recorded", seen=f"{error}") from error
    line = read_line(0, raw)  # what is written must be what is read: the same caps, the same checks
    if line.event is None:
        raise RecordError(f"The event {type} cannot be recorded", seen=line.fault)
    return line.event


def read_line(number: int, raw: bytes) -> Line:
    """The event of a line, or the code and words of the fault. Canonical form is left to `canonical_form`."""
    if len(raw) > MAX_LINE_BYTES:
        return Line(number, raw, None, "CANON", f"the line has {len(raw)} bytes, more than {MAX_LINE_BYTES}")
    try:
        value = json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return Line(number, raw, None, "CANON", f"the line is not JSON ({_first_line(error)})")
    if not isinstance(value, dict) or _depth_exceeds(value, MAX_DEPTH):
        return Line(number, raw, None, "CANON", f"the line is not a JSON object of at most {MAX_DEPTH} levels")
    if fault := ENVELOPE(value):
        return Line(number, raw, None, "FIELD", f"the envelope {fault}" if fault.startswith("lacks") else fault)
    known = {k: value[k] for k in ("v", "run", "seg", "seq", "t", "type", "prev", "actor")}
    return Line(number, raw, Event(**known, body=MappingProxyType(value["body"]), raw=raw))


def is_json(raw: bytes) -> bool:
    """Whether the bytes are one JSON object: what a torn line is not."""
    try:
        return isinstance(json.loads(raw, parse_constant=_refuse), dict)
    except (ValueError, RecursionError):
        return False


def canonical_form(raw: bytes) -> bytes | None:
    """The line re-encoded, equal to `raw` if the line is canonical; None if it holds what canonical JSON cannot."""
    try:
        return canonical_json(json.loads(raw))
    except (SiblingError, ValueError, RecursionError):
        return None


def link_faults(line: Line, seq: int, prev: str, run: str) -> list[tuple[str, str]]:
    """(code, sentence) for each way the line fails to be number `seq` of `run` after the line with digest `prev`."""
    event = line.event
    if event is None:
        return []
    faults = []
    if event.seq != seq:
        faults.append(("SEQ", f"seq is {event.seq}, wanted {seq}"))
    if event.prev != prev:
        faults.append(("LINK", f"prev is not the digest of the line before it (seen {event.prev}, wanted {prev})"))
    if event.run != run:
        faults.append(("LINK", f"the line belongs to run {event.run[:60]!r}, the first line to run {run[:60]!r}"))
    return faults


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _depth_exceeds(value: Any, limit: int) -> bool:
    """Iterative, so that the nesting of the value cannot exhaust the stack."""
    layer = [value]
    for _ in range(limit):
        layer = [v for x in layer for v in (x.values() if isinstance(x, dict) else x) if isinstance(v, dict | list)]
        if not layer:
            return False
    return True
