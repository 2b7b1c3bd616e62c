"""`verify_run`: everything that can be checked of a run directory, offline, without torch, on untrusted bytes.

Covered: any change to the log except to its last line; any change to a file that the log lists; completions added,
removed or swapped; counts, rewards, advantages and fates that do not follow from the scores; a policy history with
a gap; steps replayed otherwise after a resume. With a `head` kept elsewhere, the last line and a log rewritten as a
whole are covered too.

Not covered: verdicts that were false when they were recorded (the verifier's code is not run again), a run that
never took place, and, without a kept head, a log rewritten from the start with all its hashes. Sample files are
opened by the Parquet reader of pyarrow, which has to be trusted with hostile bytes.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sibling.record.audit import Audit
from sibling.record.check_files import (
    check_checkpoints,
    check_evaluations,
    check_model,
    check_recipe,
    check_unlisted,
)
from sibling.record.check_log import check_closed, check_head, check_lines, check_order, check_resumes
from sibling.record.check_policy import check_policy, check_replay
from sibling.record.check_samples import check_samples
from sibling.record.findings import Finding, Findings
from sibling.record.reader import Log, read_log

_CHECKS = (
    check_resumes,
    check_recipe,
    check_samples,
    check_policy,
    check_replay,
    check_checkpoints,
    check_evaluations,
    check_model,
    check_unlisted,
    check_closed,
)


@dataclass(frozen=True)
class VerifyReport:
    """The outcome: `ok` if no finding is an error; what was found; the numbers of what was looked at."""

    ok: bool
    findings: list[Finding]
    facts: dict[str, Any] = field(default_factory=dict)


def verify_run(directory: Path, head: str | None = None) -> VerifyReport:
    """Check the record in `directory`; with `head`, also that a digest kept elsewhere belongs to this log.

    Never writes and runs nothing of the record. Raises `RecordError` only when there is no readable events.jsonl;
    whatever is wrong in it or beside it becomes a finding.
    """
    log = read_log(directory)
    findings = Findings()
    sound = check_lines(log, findings)
    audit = Audit(directory, sound, findings, _facts(log, sound))
    if len(sound.lines) == len(log.lines):
        check_order(audit)
    if head is not None:
        check_head(audit, log, head)
    for check in _CHECKS:
        check(audit)
    return VerifyReport(findings.errors() == 0, findings.all(), audit.facts)


def _facts(log: Log, sound: Log) -> dict[str, Any]:
    opened, closed = sound.opened(), sound.closed()
    return {
        "run": opened.run if opened else None,
        "name": opened.body["name"] if opened else None,
        "status": closed.body["status"] if closed else "open",
        "events": len(log.lines),
        "segments": len({e.seg for e in sound.events}),
        "superseded_events": len(sound.superseded()),
        "steps": sound.latest_step(),
        "head": log.head,
    }


def render(report: VerifyReport, *, width: int = 80) -> str:
    """The report as text: the verdict first, findings by severity, what was looked at, the head to keep."""
    facts = report.facts
    errors = [f for f in report.findings if f.severity == "error"]
    notices = [f for f in report.findings if f.severity == "notice"]
    verdict = "The record is consistent." if report.ok else "The record is NOT consistent."
    lines = [verdict, ""]
    lines += [_wrapped(f"{f.code}  {f.where}: {f.sentence}", width) for f in errors]
    lines += [_wrapped(f"notice {f.code}  {f.where}: {f.sentence}", width) for f in notices]
    lines += [""] if report.findings else []
    lines += [_wrapped(sentence, width) for sentence in _sentences(facts)]
    return "\n".join(
        [*lines, "", "Keep this head elsewhere; with it, any later change shows:", f"  {facts['head']}", ""]
    )


def _sentences(facts: dict[str, Any]) -> list[str]:
    rejected = ", ".join(f"{n} {fate}" for fate, n in facts["rejected"].items()) or "none"
    sentences = [
        f"Log: {facts['events']} events in {facts['segments']} segment(s), {facts['steps']} steps, "
        f"status {facts['status']}; {facts['superseded_events']} events superseded by resumes, "
        f"{facts['events_replayed']} of them compared with their replay.",
        f"Balance: {facts['generated']} generated = {facts['trained']} trained + rejected ({rejected}).",
        f"Recomputed from {facts['sample_files']} sample files: {facts['rewards_recomputed']} rewards, "
        f"{facts['advantages_recomputed']} advantages ({facts['bit_equal']} bit-equal).",
        f"Files: {facts['checkpoints']} checkpoints and {facts['evaluations']} evaluations.",
    ]
    if "events_after_head" in facts:
        sentences.append(f"The head you kept is in this log; {facts['events_after_head']} events came after it.")
    return sentences


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
