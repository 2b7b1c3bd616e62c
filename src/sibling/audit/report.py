"""What an audit found, whole and JSON-ready: `Report`, `to_json`, and the short body for a governance record.

Texts of exploits are marked sensitive; `to_json` leaves them out unless they are asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sibling.audit.bench import Example, Finding
from sibling.audit.statistics import Rate

FORMAT = "sibling-audit/1"
REDACTED = "(text of an exploit, left out)"

PROFILES = {
    "unsafe": "text of a completion was run as code",
    "unstable": "it fails, hangs, or its verdict depends on more than the completion and its task",
    "format-strict": "it refuses right completions in the usual formats",
    "permissive": "it pays for wrong completions",
    "strict": "it refuses right completions that are written differently",
    "sound": "no probe found a fault",
}


@dataclass(frozen=True)
class ProbeRow:
    """One probe: to how many seeds it applied, and how its variants fared."""

    name: str
    group: str
    expect: str
    policy: bool
    seeds: int
    applicable: int  # seeds in which there was something to change
    planned: int
    run: int
    failed: int  # against expectation
    faults: int  # no verdict came
    unsaid: int  # abstained, or a typed error
    problem: str = ""


@dataclass(frozen=True)
class GroupRow:
    """The probes of one group with one expectation side: right ones refused, or wrong ones accepted."""

    group: str
    side: str  # false negative | false positive
    probes: int
    applicable: int
    rate: Rate


@dataclass(frozen=True)
class Violation:
    """A probe or a check whose outcome is not as it should be, with its smallest examples."""

    probe: str
    group: str
    what: str  # refused | accepted | fault | ran_code | check
    words: str
    failed: int
    n: int
    policy: bool = False
    sensitive: bool = False
    examples: tuple[Example, ...] = ()
    suppressed: str = ""  # the reason, until its date
    known: bool = False  # it stands in the baseline


@dataclass(frozen=True)
class Cheapest:
    """The shortest completion that should not be paid, and is."""

    probe: str
    pay: float
    length: int  # characters
    example: Example


@dataclass(frozen=True)
class Natural:
    """Known verdicts on completions against the reward's: the 2 x 2 table and its rates."""

    right_accepted: int
    right_refused: int
    wrong_accepted: int
    wrong_refused: int
    unsaid: int
    q_fa: Rate  # accepted and known to be wrong, of all
    q_fr: Rate  # refused and known to be right, of all
    examples: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)  # up to ten a cell


@dataclass(frozen=True)
class Cost:
    """What false accepts cost in training, at a pass rate: their share of the positive advantage."""

    pass_rate: float
    true_accepts: float
    false_accepts: float  # share of wrong completions accepted
    share: float | None
    source: str  # probes | known verdicts


@dataclass(frozen=True)
class Running:
    """What the calls were like."""

    calls: int
    seconds: float
    p50_ms: float | None
    p99_ms: float | None
    peak_mb: float | None
    faults: Mapping[str, int]  # raised, late, died, memory, value, length
    abstained: int
    errors: int  # typed error verdicts
    left_out: int


@dataclass(frozen=True)
class Report:
    """The whole of an audit. `verdict` is fail if a violation is neither suppressed nor known to the baseline."""

    name: str
    type: str
    code: str
    signature: str
    kind: str
    tasks: str  # whose: yours | ours
    triples: int
    accept: str  # what counts as accepted, in words
    format: str
    formats: tuple[Mapping[str, Any], ...]  # tried: name, accepted, n
    verdict: str  # pass | fail
    stopped: str  # empty, or why the audit went no further
    profile: str
    false_negative: Rate | None
    false_negative_macro: Rate | None
    false_positive: Rate | None
    false_positive_macro: Rate | None
    groups: tuple[GroupRow, ...]
    probes: tuple[ProbeRow, ...]
    violations: tuple[Violation, ...]
    policies: tuple[Violation, ...]  # matters of declared policy, reported only
    checks: tuple[Finding, ...]
    cheapest: Cheapest | None
    natural: Natural | None
    cost: Cost | None
    running: Running
    notes: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()  # rates beyond the baseline's interval
    baseline: bool = False  # it was compared with one

    @property
    def counted(self) -> tuple[Violation, ...]:
        """Violations that decide: neither suppressed nor in the baseline."""
        return tuple(v for v in self.violations if not v.suppressed and not v.known)

    @property
    def exit_code(self) -> int:
        """0 for pass, 1 for fail."""
        return 0 if self.verdict == "pass" else 1


def to_json(report: Report, *, show_sensitive: bool = False) -> dict[str, Any]:
    """The report as JSON values; texts of exploits are left out unless `show_sensitive`."""
    body = dataclasses.asdict(report if show_sensitive else redacted(report))
    plain: dict[str, Any] = _plain(body)
    return {"document": FORMAT, **plain}


def redacted(report: Report) -> Report:
    """The report without the texts of exploits."""
    cheapest = report.cheapest and dataclasses.replace(report.cheapest, example=_hidden(report.cheapest.example))
    return dataclasses.replace(
        report,
        violations=tuple(_without_texts(v) for v in report.violations),
        policies=tuple(_without_texts(v) for v in report.policies),
        checks=tuple(
            dataclasses.replace(c, examples=tuple(_hidden(e) for e in c.examples)) for c in report.checks
        ),
        cheapest=cheapest,
    )  # fmt: skip


def _without_texts(violation: Violation) -> Violation:
    return dataclasses.replace(violation, examples=tuple(_hidden(e) for e in violation.examples))


def _hidden(example: Example) -> Example:
    if not example.sensitive:
        return example
    return dataclasses.replace(example, text=REDACTED, note="", said=example.said.split(" (")[0])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, str):  # lone surrogates of hostile texts cannot be written as UTF-8
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def record_entry(report: Report) -> dict[str, Any]:
    """A small JSON body for the record of a run: where the reward is known to be brittle."""
    return {
        "format": FORMAT,
        "reward": report.name,
        "type": report.type,
        "code_digest": report.code,
        "verdict": report.verdict,
        "stopped": report.stopped or None,
        "profile": report.profile,
        "tasks": report.tasks,
        "triples": report.triples,
        "calls": report.running.calls,
        "false_negative_rate": _short(report.false_negative_macro),
        "false_positive_rate": _short(report.false_positive_macro),
        "brittle": [
            {"probe": v.probe, "group": v.group, "what": v.what, "failed": v.failed, "n": v.n,
             "suppressed": v.suppressed or None}
            for v in report.violations
        ],
        "policies": [{"probe": v.probe, "failed": v.failed, "n": v.n} for v in report.policies],
        "faults": dict(report.running.faults),
        "p99_ms": report.running.p99_ms and round(report.running.p99_ms, 3),
    }  # fmt: skip


def _short(rate: Rate | None) -> dict[str, Any] | None:
    if rate is None or rate.share is None:
        return None
    return {"share": round(rate.share, 6), "low": round(rate.interval[0], 6), "high": round(rate.interval[1], 6),
            "failed": rate.failed, "n": rate.n}  # fmt: skip
