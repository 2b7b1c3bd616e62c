"""Checks of the log itself: lines, links, fields, order, resumes, the kept head.

Rule 1: each line is one canonical JSON object (CANON) with a full envelope and body (FIELD).
Rule 2: seq counts from 0 (SEQ); prev is the digest of the line before; one run id throughout (LINK).
Rule 3: the order of events is legal (ORDER, see lifecycle.py); looked at only if every line is a sound event.
Rule 4: the last line is complete (TORN).
Rule 5: what run.resumed says of the segment before it, and of what it threw away, is true (LINK, BALANCE).
Rule 6: a head that was kept elsewhere is the digest of a line of this log (LINK).
"""

from __future__ import annotations

from sibling.errors import RecordError
from sibling.record.audit import Audit, line_of, shown
from sibling.record.chain import Line, canonical_form
from sibling.record.events import Event, body_fault
from sibling.record.findings import Findings
from sibling.record.lifecycle import START, advance
from sibling.record.reader import EVENTS_NAME, Log


def check_lines(log: Log, findings: Findings) -> Log:
    """Rules 1, 2 and 4. Returns the log of the sound events alone, which the further checks may trust in form."""
    faulty = set()
    for line, code, sentence in log.faults():
        findings.add(code, _where(line), sentence)
        if line.event is None:
            faulty.add(line.number)
    for line in log.lines:
        if line.event is None:
            continue
        form = canonical_form(line.raw)
        if form != line.raw:
            findings.add("CANON", _where(line), "the line is JSON, but not in canonical form (RFC 8785)")
        if form is None:
            faulty.add(line.number)
        if fault := body_fault(line.event.type, line.event.body):
            findings.add("FIELD", _where(line), f"{shown(line.event.type)}: {shown(fault)}")
            faulty.add(line.number)
    if log.torn_bytes:
        sentence = f"{log.torn_bytes} bytes of an incomplete line; `sibling resume` cuts them and says so"
        findings.add("TORN", f"{EVENTS_NAME}:{len(log.lines) + 1}", sentence)
    if not log.lines:
        findings.add("FIELD", EVENTS_NAME, "the log holds no event")
    return log.only(line.number for line in log.lines if line.number not in faulty)


def check_order(audit: Audit) -> None:
    """Rule 3. Stops at the first event out of place: what follows it has no defined order."""
    at = START
    for event in audit.log.events:
        try:
            at = advance(at, event.type, event.seg, event.body)
        except RecordError as error:
            audit.findings.add("ORDER", line_of(event), f"{error} Later events were not checked for order.")
            return


def check_resumes(audit: Audit) -> None:
    """Rule 5."""
    for place, event in enumerate(audit.log.events):
        if event.type != "run.resumed" or place == 0:
            continue
        before = audit.log.first(place)
        if event.body["previous_segment"] != before.previous_segment():
            sentence = f"the segment before it is {before.previous_segment()}, not as recorded"
            audit.findings.add("LINK", line_of(event), sentence)
        discarded = before.discarded(event.body["from_step"])
        if event.body["discarded"] != discarded:
            audit.findings.add("BALANCE", line_of(event), f"the resume discarded {discarded}, not as recorded")
        _check_origin(audit, event, before)


def _check_origin(audit: Audit, event: Event, before: Log) -> None:
    origin = next((c for c in before.checkpoints() if c.step == event.body["from_step"]), None)
    recorded = event.body["checkpoint_digest"]
    if recorded is not None and (origin is None or origin.body["digest"] != recorded):
        audit.findings.add("POLICY", line_of(event), f"no checkpoint of step {event.body['from_step']} has its digest")


def check_head(audit: Audit, log: Log, head: str) -> None:
    """Rule 6. A head kept while the run went on is found further up; the facts say how many lines came after it."""
    digests = [line.digest for line in log.lines]
    if head not in digests:
        audit.findings.add(
            "LINK", EVENTS_NAME, f"no line has the head that was kept ({shown(head)}): the log was rewritten or cut"
        )
        return
    audit.facts["events_after_head"] = len(digests) - 1 - digests.index(head)


def check_closed(audit: Audit) -> None:
    """Note a run that is not finished; a notice, since a run may be going on, or have been cut short honestly."""
    if audit.log.closed() is None:
        sentence = "the log does not end with run.closed: the run goes on, was cut short, or its end was removed"
        audit.findings.add("UNCLOSED", EVENTS_NAME, sentence, severity="notice")


def _where(line: Line) -> str:
    return f"{EVENTS_NAME}:{line.number}"
