"""The report as one self-contained HTML page.

Covered: every text of the audit is escaped and made visible, the page loads nothing, and its content policy lets
only its own style sheet in (by its digest). Writing twice gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from sibling.audit.bench import Example, Finding
from sibling.audit.report import Natural, Report, Violation, redacted
from sibling.audit.statistics import Rate
from sibling.audit.wording import (
    SIDES,
    between,
    cheapest_line,
    cost_line,
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

_LONG = 600  # characters of an example


def to_html(report: Report, *, show_sensitive: bool = False) -> str:
    """The page as text. Texts of exploits only if asked for."""
    shown = report if show_sensitive else redacted(report)
    style = files("sibling.audit").joinpath("style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'"
    body = [_head(shown), *([_stopped(shown)] if shown.stopped else _found(shown))]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Audit of {_text(shown.name)} \N{MIDDLE DOT} sibling</title><style>{style}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _text(value: object, most: int = _LONG) -> str:
    return escape(visible(str(value), most))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{body}</section>" if body else ""


def _head(report: Report) -> str:
    words = headline(report).split(": ", 1)[1]
    line = "".join(f"<span>{_text(fact)}</span>" for fact in facts(report))
    lead = words.split(" (", 1)[1].rstrip(")").capitalize()
    return (
        f'<header><p class="brand">sibling <span>reward audit</span></p><h1>{_text(report.name)}</h1>'
        f'<p class="lead">{_text(lead)}.</p><p class="meta"><span class="tag {report.verdict}">{report.verdict}</span>'
        f'<span class="tag">{_text(report.profile)}</span>{line}</p></header>'
    )


def _stopped(report: Report) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in formats_line(report))
    tried = f"<p>Right completions accepted, by format:</p><ul>{items}</ul>" if items else ""
    return _section("The audit stopped", f"<p>{_text(report.stopped)}</p>{tried}")


def _found(report: Report) -> list[str]:
    return [
        _section("Rates", _rates(report)),
        _section(f"Violations ({len(report.violations)})", _violations(report.violations)),
        _section("By group", _groups(report)),
        _section("Known verdicts", _natural(report.natural) if report.natural else ""),
        _section(f"Matters of policy, reported only ({len(report.policies)})" if report.policies else "",
                 _violations(report.policies) if report.policies else ""),
        _section("Checks of several completions", _checks(report.checks)),
        _section("Probes", _probes(report)),
        _section("Notes", "".join(f"<p>{_text(n)}</p>" for n in (*report.worse, *report.notes))),
    ]  # fmt: skip


def _rates(report: Report) -> str:
    rows = [
        ("False negatives", report.false_negative_macro, "right completions refused"),
        ("False positives", report.false_positive_macro, "wrong completions accepted"),
    ]
    table = "".join(
        f"<tr><th>{name}</th><td class=number>{percent(rate.share)}</td><td>{_bar(rate)}</td>"
        f"<td>{_text(rate_line(rate, words))}</td></tr>"
        for name, rate, words in rows
        if rate is not None
    )
    lines = [cheapest_line(report.cheapest)] if report.cheapest else []
    lines += [cost_line(report.cost)] if report.cost and report.cost.share is not None else []
    lines += [troubles(report)] if troubles(report) else []
    more = "".join(f"<p>{_text(line)}</p>" for line in lines)
    note = (
        "Means over probe groups, so that many variants of one probe decide nothing. The 95 % intervals count "
        "triples, not probes: probes made from one triple fail together."
    )
    return f'<table>{table}</table>{more}<p class="quiet">{note}</p>'


def _bar(rate: Rate) -> str:
    """The share and its interval on a line from 0 to 1."""
    if rate.share is None:
        return ""
    low, high = (max(0.0, min(1.0, x)) * 200 for x in rate.interval)
    return (
        '<svg class="bar" viewBox="0 0 200 10" role="img"><rect class="ground" x="0" y="4" width="200" height="2"/>'
        f'<rect class="range" x="{low:.1f}" y="3" width="{max(1.0, high - low):.1f}" height="4"/>'
        f'<circle cx="{rate.share * 200:.1f}" cy="5" r="3.5"/></svg>'
    )


def _violations(violations: Sequence[Violation]) -> str:
    return "".join(_violation(v) for v in ordered(violations)) or '<p class="quiet">None.</p>'


def _violation(v: Violation) -> str:
    flag = flags(v)
    mark = f' <span class="tag">{_text(flag)}</span>' if flag else ""
    examples = "".join(_example(e) for e in v.examples)
    kind = "quietly" if flag or v.policy else v.what
    return f'<article class="{kind}"><h3>{_text(violation_line(v))}{mark}</h3>{examples}</article>'


def _example(e: Example) -> str:
    wanted = f' <span class="quiet">reference</span> <code>{_text(e.reference, 120)}</code>' if e.reference else ""
    note = f' <span class="quiet">{_text(e.note, 120)}</span>' if e.note else ""
    return f'<p class="example"><code>{_text(e.text)}</code><br><b>{_text(e.said, 200)}</b>{wanted}{note}</p>'


def _groups(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{_text(r.group)}</td><td>{SIDES[r.side]}</td><td class=number>{r.probes}</td>"
        f"<td class=number>{r.rate.failed:,}</td><td class=number>{r.rate.n:,}</td>"
        f"<td class=number>{percent(r.rate.share)}</td><td>{_bar(r.rate)}</td><td>{between(r.rate)}</td></tr>"
        for r in report.groups
    )
    head = "".join(f"<th>{h}</th>" for h in ("group", "side", "probes", "failed", "tried", "rate", "", "95 %"))
    return f"<table><thead><tr>{head}</tr></thead>{rows}</table>" if rows else ""


def _natural(n: Natural) -> str:
    cells = (("right", n.right_accepted, n.right_refused), ("wrong", n.wrong_accepted, n.wrong_refused))
    rows = "".join(f"<tr><th>known to be {k}</th><td class=number>{a:,}</td><td class=number>{r:,}</td></tr>"
                   for k, a, r in cells)  # fmt: skip
    rates = (
        f"<p>q_FA {_text(rate_line(n.q_fa, 'accepted and wrong'))}</p>"
        f"<p>q_FR {_text(rate_line(n.q_fr, 'refused and right'))}</p>"
    )
    examples = "".join(
        f"<details><summary>{_text(cell)}: examples</summary>{''.join(map(_example, found))}</details>"
        for cell, found in n.examples.items()
        if cell in ("right, refused", "wrong, accepted", "unsaid")
    )
    return f"<table><thead><tr><th></th><th>accepted</th><th>refused</th></tr></thead>{rows}</table>{rates}{examples}"


def _checks(checks: Sequence[Finding]) -> str:
    words = {True: "as it should be", False: "not as it should be", None: "nothing to check"}
    rows = "".join(f"<tr><td>{_text(c.name)}</td><td>{words[c.ok]}</td><td>{_text(c.words)}</td></tr>" for c in checks)
    return f"<table>{rows}</table>" if rows else ""


def _probes(report: Report) -> str:
    head = ("probe", "group", "expected", "seeds", "applicable", "run", "against", "no verdict", "abstained")
    rows = "".join(
        f"<tr><td>{_text(p.name)}</td><td>{_text(p.group)}</td><td>{p.expect}{' (policy)' if p.policy else ''}</td>"
        + "".join(f"<td class=number>{n:,}</td>" for n in (p.seeds, p.applicable, p.run, p.failed, p.faults, p.unsaid))
        + "</tr>"
        for p in report.probes
    )
    table = f"<table><thead><tr>{''.join(f'<th>{h}</th>' for h in head)}</tr></thead>{rows}</table>"
    return f"<details><summary>{len(report.probes)} probes</summary>{table}</details>" if rows else ""
