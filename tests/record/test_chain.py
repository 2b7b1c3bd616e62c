from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RecordError
from sibling.record.chain import MAX_DEPTH, MAX_LINE_BYTES, build, canonical_form, is_json, link_faults, read_line
from sibling.record.events import GENESIS, Event

T = "2026-01-31T09:30:00.000Z"


def event(seq: int = 0, prev: str = GENESIS, **body: object) -> Event:
    return build(run="r", seg=0, seq=seq, t=T, type="diagnosis.noted", prev=prev, body=body)


def test_a_line_by_hand() -> None:
    wanted = (
        '{"actor":"trainer","body":{"a":1,"b":"é"},"prev":"sha256:' + "0" * 64 + '","run":"r","seg":0,"seq":0,'
        f'"t":"{T}","type":"diagnosis.noted","v":1}}'
    ).encode()
    made = event(b="é", a=1.0)
    assert made.raw == wanted and canonical_form(wanted) == wanted
    line = read_line(1, wanted)
    assert line.event == made and line.digest == "sha256:" + hashlib.sha256(wanted).hexdigest()


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()))
def test_what_is_built_is_read_back_and_canonical(body: dict[str, object]) -> None:
    try:
        made = event(content=body)
    except RecordError:
        return  # half a surrogate pair
    line = read_line(1, made.raw)
    assert line.event is not None and line.event.body["content"] == body
    assert canonical_form(made.raw) == made.raw


def test_links() -> None:
    first = event()
    line = read_line(1, first.raw)
    second = read_line(2, event(1, line.digest).raw)
    assert link_faults(line, 0, GENESIS, "r") == link_faults(second, 1, line.digest, "r") == []
    assert [code for code, _ in link_faults(second, 2, line.digest, "r")] == ["SEQ"]
    assert [code for code, _ in link_faults(second, 1, GENESIS, "r")] == ["LINK"]
    assert [code for code, _ in link_faults(second, 1, line.digest, "other")] == ["LINK"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "CANON"),
        (b"[]", "CANON"),
        (b"{", "CANON"),
        (b'{"a":NaN}', "CANON"),
        (b"\xff", "CANON"),
        (b"[" * 10_000, "CANON"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "CANON"),
        (b"9" * 5000, "CANON"),
        (b'"' + b"x" * MAX_LINE_BYTES + b'"', "CANON"),
        (b"{}", "FIELD"),
    ],
)
def test_hostile_lines_are_faults_in_words(raw: bytes, code: str) -> None:
    line = read_line(7, raw)
    assert line.event is None and line.code == code and line.fault
    assert len(line.fault) < 250
    assert link_faults(line, 0, GENESIS, "r") == []


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_read_without_an_exception(raw: bytes) -> None:
    line = read_line(1, raw)
    assert (line.event is None) == (line.fault is not None)
    is_json(raw), canonical_form(raw)


def test_canonical_form_tells_other_spellings_apart() -> None:
    raw = event(a=1).raw
    for other in (raw + b" ", raw.replace(b'"a":1', b'"a":1.0'), raw.replace(b'"a":1', b'"a":0,"a":1')):
        assert json.loads(other) == json.loads(raw)
        assert canonical_form(other) == raw != other
    assert canonical_form(b'{"a":1e999}') is None


def test_too_deep_a_body_is_not_written() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(RecordError, match="levels"):
        event(a=deep)
