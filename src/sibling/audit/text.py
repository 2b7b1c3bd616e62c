"""The report as plain text of 80 columns, and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from sibling.audit.report import Report, Violation, redacted
from sibling.audit.wording import (
    SIDES,
    between,
    cheapest_line,
    cost_line,
    example_line,
    facts,
    flags,
    formats_line,
    headline,
    ordered,
    percent,
    rate_line,
    troubles,
    violation_line,
    visible,
)

_WIDTH = 80
_MOST = 15  # violations of a kind in the text; all are in the JSON


def to_text(report: Report, *, show_sensitive: bool = False, most: int = _MOST) -> str:
    """For a terminal: what was found, the worst first. Texts of exploits only if asked for."""
    shown = report if show_sensitive else redacted(report)
    lines = [*_wrapped(headline(shown)), *_wrapped("; ".join(facts(shown)), "  ")]
    if shown.stopped:
        lines += ["", *_wrapped(f"Stopped: {shown.stopped}"), *_items(formats_line(shown))]
        return "\n".join(lines) + "\n"
    lines += ["", *_rates(shown), "", *_groups(shown)]
    lines += _violations("Violations", ordered(shown.violations), most)
    lines += _violations("Matters of policy, reported only", ordered(shown.policies), most)
    if absent := [c.name for c in shown.checks if c.ok is None]:
        lines += ["", *_wrapped(f"Nothing to check: {', '.join(absent)}")]
    if notes := [*shown.worse, *shown.notes]:
        lines += ["", "Notes", *_items(notes)]
    if not show_sensitive and any(v.sensitive for v in (*shown.violations, *shown.policies)):
        lines += ["", *_wrapped("Texts of exploits are left out; --show-sensitive shows them.")]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: str = "", first: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
    ) or [""]


def _items(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in _wrapped(text, "    ", "  - ")]


def _rates(report: Report) -> list[str]:
    rows = [
        ("False negatives", rate_line(report.false_negative_macro, "right ones refused")),
        ("False positives", rate_line(report.false_positive_macro, "wrong ones accepted")),
    ]
    if report.natural is not None:
        n = report.natural
        rows.append(("Known verdicts", f"q_FA {rate_line(n.q_fa, 'accepted and wrong')}"))
        rows.append(("", f"q_FR {rate_line(n.q_fr, 'refused and right')}"))
    if trouble := troubles(report):
        rows.append(("Troubles", trouble))
    if report.cheapest is not None:
        rows.append(("Cheapest exploit", cheapest_line(report.cheapest)))
    if report.cost is not None and report.cost.share is not None:
        rows.append(("Cost", cost_line(report.cost)))
    return [line for name, text in rows for line in _wrapped(text, " " * 18, f"{name:<18}")]


def _groups(report: Report) -> list[str]:
    lines = [f"{'Group':<16}{'':<17}{'failed':>8}{'tried':>8}{'rate':>9}{'95 % interval':>20}"]
    lines += [
        f"{row.group[:15]:<16}{SIDES[row.side]:<17}{row.rate.failed:>8,}{row.rate.n:>8,}"
        f"{percent(row.rate.share):>9}{between(row.rate):>20}"
        for row in report.groups
    ]
    return lines


def _violations(title: str, violations: list[Violation], most: int) -> list[str]:
    if not violations:
        return ["", f"{title}: none"] if title == "Violations" else []
    lines = ["", f"{title} ({len(violations)})"]
    for v in violations[:most]:
        flag = flags(v)
        lines += _wrapped(violation_line(v) + (f" [{flag}]" if flag else ""), "    ", "  - ")
        for example in v.examples[:1]:
            lines += _wrapped(example_line(example), "      ")
    if len(violations) > most:
        lines.append(f"  and {len(violations) - most} more; the JSON and the page hold all of them")
    return lines


# ------------------------------------------------------------------------------------------- Markdown


def to_markdown(report: Report, *, show_sensitive: bool = False) -> str:
    """For a pull request: the same in Markdown, with every violation."""
    shown = report if show_sensitive else redacted(report)
    lines = [f"# Audit of {_cell(shown.name)}: {shown.verdict}", "", _cell(headline(shown)), ""]
    lines += [f"- {_cell(fact)}" for fact in facts(shown)]
    if shown.stopped:
        lines += ["", f"**Stopped:** {shown.stopped}", "", *(f"- {_cell(line)}" for line in formats_line(shown))]
        return "\n".join(lines) + "\n"
    lines += ["", f"- False negatives: {rate_line(shown.false_negative_macro, 'right ones refused')}"]
    lines += [f"- False positives: {rate_line(shown.false_positive_macro, 'wrong ones accepted')}"]
    lines += [f"- Cost: {cost_line(shown.cost)}"] if shown.cost and shown.cost.share is not None else []
    lines += [f"- Troubles: {troubles(shown)}"] if troubles(shown) else []
    lines += ["", "| group | side | failed | tried | rate | 95 % interval |", "|---|---|--:|--:|--:|---|"]
    lines += [
        f"| {r.group} | {SIDES[r.side]} | {r.rate.failed} | {r.rate.n} | {percent(r.rate.share)} | {between(r.rate)} |"
        for r in shown.groups
    ]
    for title, violations in (("Violations", shown.violations), ("Matters of policy", shown.policies)):
        lines += ["", f"## {title} ({len(violations)})", ""]
        lines += [line for v in ordered(violations) for line in _markdown_violation(v)] or ["None."]
    if shown.notes or shown.worse:
        lines += ["", "## Notes", "", *(f"- {_cell(n)}" for n in (*shown.worse, *shown.notes))]
    return "\n".join(lines) + "\n"


def _markdown_violation(v: Violation) -> list[str]:
    flag = flags(v)
    lines = [f"- **{v.probe}** {_cell(violation_line(v).split(' ', 1)[1])}" + (f" _({_cell(flag)})_" if flag else "")]
    for e in v.examples:
        wanted = f", reference {_code(e.reference)}" if e.reference is not None else ""
        lines.append(f"  - {_code(e.text)}{wanted}: {_cell(e.said)}")
    return lines


def _code(text: str) -> str:
    """Untrusted text as a code span: a fence longer than any run of backticks in it."""
    shown = visible(text)
    longest = max((len(run) for run in shown.split() if set(run) == {"`"}), default=0)
    longest = max(longest, max(map(len, "".join(c if c == "`" else " " for c in shown).split()), default=0))
    fence = "`" * (longest + 1)
    return f"{fence} {shown} {fence}"


def _cell(text: str) -> str:
    return "".join("\\" + c if c in "\\`*_<>[]#|" else c for c in visible(text, 400))
