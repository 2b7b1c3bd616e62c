from __future__ import annotations

import re
from pathlib import Path

from sibling.record.events import BODIES
from sibling.record.findings import CODES, Findings
from sibling.record.lifecycle import TRANSITIONS

PAGE = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")


def test_errors_are_counted_and_notices_are_not() -> None:
    findings = Findings()
    findings.add("LINK", "a", "b")
    findings.add("UNCLOSED", "a", "b", severity="notice")
    assert findings.errors() == 1
    assert [(f.code, f.severity) for f in findings.all()] == [("LINK", "error"), ("UNCLOSED", "notice")]


def test_the_first_fifty_of_a_code_are_kept_and_the_rest_counted() -> None:
    findings = Findings()
    for n in range(120):
        findings.add("SEQ", str(n), "s")
    assert findings.errors() == 120
    assert len(findings.all()) == 51
    assert findings.all()[-1].sentence == "and 70 more of this kind"


def test_the_page_has_every_code_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([A-Z]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert rows == dict(CODES)


def test_the_page_has_every_event() -> None:
    rows = set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", PAGE, re.MULTILINE))
    assert rows == set(BODIES)


def test_the_page_has_the_table_of_legal_orders() -> None:
    for state, row in TRANSITIONS.items():
        moves = ", ".join(f"{type} → {to.value}" if to is not state else type for type, to in row.items())
        assert f"| {state.value} | {moves} |" in PAGE
