"""The sentences and numbers of a report, for every rendering: rates, intervals, untrusted texts made visible.

Texts of completions are untrusted, and odd characters are often the point: `visible` writes each control, format or
surrogate character as an escape, so that it can neither steer a terminal nor hide.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from sibling.audit.bench import Example
from sibling.audit.report import PROFILES, Cheapest, Cost, Report, Violation
from sibling.audit.statistics import Rate

SIDES = {"false negative": "right, refused", "false positive": "wrong, accepted"}


def visible(text: str, most: int = 160) -> str:
    """`text` on one line, cut in the middle beyond `most` characters."""
    if len(text) > most:
        keep = (most - 20) // 2
        text = f"{text[:keep]}\u2026({len(text) - 2 * keep:,} more)\u2026{text[-keep:]}"
    return "".join(_shown(c) for c in text) or "(nothing)"


def _shown(c: str) -> str:
    if c == "\n":
        return "\\n"
    if c == "\t":
        return "\\t"
    if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or (c.isspace() and c != " "):
        code = ord(c)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    return c


def percent(share: float | None) -> str:
    """A share in percent, with the places that matter."""
    if share is None:
        return "none"
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %" if value >= 0.1 else f"{value:.2g} %"


def between(rate: Rate) -> str:
    """The interval, in percent."""
    return f"{percent(rate.interval[0])[:-2]} to {percent(rate.interval[1])}"


def rate_line(rate: Rate | None, failed: str) -> str:
    """A rate with its interval, and at no failure the rule of three."""
    if rate is None or rate.share is None:
        return "nothing was tried"
    counts = f"{rate.failed:,} of {rate.n:,} {failed}"
    if rate.rule_of_three is not None and rate.rule_of_three_triples is not None:
        return (
            f"none of {rate.n:,} {failed}; at most {percent(rate.rule_of_three)} (3/n), or "
            f"{percent(rate.rule_of_three_triples)} if the probes of a triple fail together"
        )
    return f"{percent(rate.share)} ({between(rate)}), {counts}"


def headline(report: Report) -> str:
    """The verdict in one sentence."""
    words = "; ".join(PROFILES[p] for p in report.profile.split(", ") if p in PROFILES)
    return f"{visible(report.name, 60)}: {report.verdict}, {report.profile} ({words})"


def facts(report: Report) -> list[str]:
    """What was audited, and how."""
    run = report.running
    out = [
        f"{report.triples} of {'your' if report.tasks == 'yours' else 'our built-in'} tasks"
        + (f" ({report.kind})" if report.kind else ""),
        f"{run.calls:,} calls in {run.seconds:.1f} s",
    ]
    if run.p50_ms is not None and run.p99_ms is not None:
        out.append(f"latency p50 {run.p50_ms:.3g} ms, p99 {run.p99_ms:.3g} ms")
    if run.peak_mb is not None:
        out.append(f"peak memory {run.peak_mb:.0f} MB")
    if report.format:
        out.append(f"completion format: {report.format}")
    if report.accept:
        out.append(f"accepted: {report.accept}")
    out.append(f"called as {report.signature}")
    return out


def troubles(report: Report) -> str:
    """Faults, abstentions and what was left out; empty if there were none."""
    run = report.running
    parts = [f"{count:,} {name}" for name, count in run.faults.items()]
    parts += [
        f"{count:,} {name}" for name, count in (("abstained", run.abstained), ("typed errors", run.errors)) if count
    ]
    if run.left_out:
        parts.append(f"{run.left_out:,} left out for want of time or after too many hangs")
    return ", ".join(parts)


def violation_line(v: Violation) -> str:
    """A violation in one line."""
    if v.what == "check":
        return f"{v.probe} ({v.group}): {v.words}"
    return f"{v.probe} ({v.group}): {v.words}, {v.failed:,} of {v.n:,}"


def flags(v: Violation) -> str:
    """Why it does not decide, if it does not."""
    return f"suppressed: {v.suppressed}" if v.suppressed else "in the baseline" if v.known else ""


def example_line(e: Example, most: int = 160) -> str:
    """An example in one line."""
    wanted = f" for the reference {visible(e.reference, 40)}" if e.reference is not None else ""
    return f"{visible(e.text, most)}{wanted}: {e.said}"


def cheapest_line(c: Cheapest) -> str:
    """The cheapest exploit in a sentence."""
    return f"{c.length} characters pay {c.pay:g} ({c.probe}): {visible(c.example.text, 100)}"


def cost_line(c: Cost) -> str:
    """What false accepts cost, in a sentence."""
    source = "from known verdicts" if c.source == "known verdicts" else "if the policy wrote the probes, an upper guess"
    return (
        f"{percent(c.share)} of the positive advantage goes to wrong completions at a pass rate of "
        f"{percent(c.pass_rate)} ({source})"
    )


def formats_line(report: Report) -> list[str]:
    """How each format fared, the best first."""
    tried = sorted(report.formats, key=lambda f: -int(f["accepted"]))
    return [f"{f['name']}: {f['accepted']} of {f['n']}" + (f" ({f['said']})" if f["said"] else "") for f in tried]


def ordered(violations: Sequence[Violation]) -> list[Violation]:
    """What decides first; then by kind, and the most frequent first."""
    rank = {"ran_code": 0, "fault": 1, "check": 2, "accepted": 3, "refused": 4}
    return sorted(violations, key=lambda v: (bool(v.suppressed or v.known), rank[v.what], -v.failed / max(1, v.n)))
