"""The tables of a report as HTML: before and after, findings, the account of the record, environment, config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sibling.report.gather import Body, RunView
from sibling.report.objectives import equation_lines
from sibling.report.outcome import Interval, Measure, confidence, held_out, measures
from sibling.report.plots import interval_plot
from sibling.report.text import clean, count, number, percent, percent_interval, points, points_interval

FATES = {
    "dead_group": "all rewards of the group equal",
    "refilled": "group replaced by a live one",
    "reward_error": "a reward failed",
    "reward_abstain": "a reward declined",
    "group_dropped": "a sibling's reward failed or declined",
    "too_few_scores": "fewer than two siblings with a score",
    "truncated": "truncated (overlong filtering)",
}


def before_after(view: RunView) -> str:
    """Held-out measures before and after, with intervals, the paired difference, and prompts won and lost."""
    found = measures(view)
    if not found:
        return '<p class="quiet">This run has no evaluation on held-out prompts.</p>'
    paired = any(m.wins is not None for m in found)
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in (
            "",
            "before",
            "after",
            "0\N{EN DASH}100 %",
            "change (points)",
            *(("won / lost",) if paired else ()),
        )
    )
    rows = "".join(_measure_row(m, paired) for m in found)
    n = held_out(view)
    on = f" on {count(n, 'held-out prompt')} that training never sees" if n else ""
    note = f"Small figures are {percent(confidence(view))} intervals{on}."
    if paired:
        note += " Won: prompts that do better after than before; lost: prompts that do worse."
    return (
        f'<table class="measures"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="quiet">{escape(note)}</p>'
    )


def _measure_row(m: Measure, paired: bool) -> str:
    dots = [
        (share, bounds, colour)
        for share, bounds, colour in ((m.before, m.before_interval, "c6"), (m.after, m.after_interval, "c1"))
        if share is not None
    ]
    change = _with_interval(
        points(m.difference) if m.difference is not None else None, points_interval(m.interval) if m.interval else None
    )
    cells = [
        _cell("before", _share(m.before, m.before_interval)),
        _cell(
            "after",
            f"<strong>{_share(m.after, m.after_interval)}</strong>" if m.after is not None else _share(None, None),
        ),
        f'<td class="picture">{interval_plot(dots, m.name)}</td>',
        _cell("change", change),
    ]
    if paired:
        won = f"{m.wins} / {m.losses}" if m.wins is not None else None
        p = f"p = {number(m.p_value)}" if m.p_value is not None and m.p_value >= 1e-4 else "p < 0.0001"
        small = p if m.p_value is not None else None
        cells.append(_cell("won / lost", _with_interval(won, small)) if won is not None else "<td></td>")
    return f'<tr><th scope="row">{escape(m.name)}</th>{"".join(cells)}</tr>'


def _cell(label: str, html: str) -> str:
    return f'<td data-label="{escape(label)}">{html}</td>'


def _share(value: float | None, bounds: Interval | None) -> str:
    return _with_interval(
        percent(value) if value is not None else None, percent_interval(bounds) if bounds is not None else None
    )


def _with_interval(value: str | None, small: str | None) -> str:
    if value is None:
        return '<span class="absent">not measured</span>'
    return f"{escape(value)} <small>{escape(small)}</small>" if small else escape(value)


def findings(view: RunView) -> str:
    """What the run's own diagnosis noted, most serious first."""
    if not view.findings:
        return '<p class="quiet">Nothing was noted.</p>'
    items = "".join(_finding(body) for body in view.findings)
    return f'<ul class="findings">{items}</ul>'


def _finding(body: Body) -> str:
    severity = str(body.get("severity", "notice"))
    step = body.get("step")
    times = f", {body['times']} times" if body.get("times", 1) > 1 else ""
    where = f"step {step}{times}" if step is not None else f"before the first step{times}"
    level = severity if severity in ("notice", "warning", "error") else "notice"
    return (
        f'<li class="{level}"><span class="tag">{escape(severity)}</span><div><p>{_text(body.get("sentence"))}</p>'
        f'<p class="quiet">{_text(body.get("advice"))}</p>'
        f'<p class="quiet"><code>{_text(body.get("code"))}</code>, {escape(where)}</p></div></li>'
    )


def account(view: RunView) -> str:
    """The verification line: what was generated, what became of it, and the head of the chain."""
    counts = view.counts
    generated, trained, rejected = counts["generated"], counts["trained"], counts["rejected"]
    balanced = generated == trained + sum(rejected.values())
    lines = [("generated", generated, ""), ("trained", trained, "")]
    lines += [(fate, n, FATES.get(fate, "")) for fate, n in sorted(rejected.items(), key=lambda x: -x[1]) if n]
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td class="number">{n:,}</td>'
        f'<td class="bar">{_bar(n, generated)}</td><td class="quiet">{escape(why)}</td></tr>'
        for name, n, why in lines
    )
    verdict = "generated = trained + rejected" if balanced else "generated differs from trained + rejected"
    resumed = f", resumed {count(view.resumes, 'time')}" if view.resumes else ""
    return (
        f'<table class="account"><tbody>{rows}</tbody></table>'
        f'<p><span class="tag {"ok" if balanced else "error"}">{"balanced" if balanced else "NOT balanced"}</span> '
        f"Completions: {verdict}.</p>"
        f"<p>Chain head after {count(view.events, 'event')}{escape(resumed)}: "
        f'<code class="digest">{escape(view.head)}</code>. This page repeats the record and does not check it; '
        f"<code>sibling verify {_text(view.directory)}</code> does.</p>"
    )


def _bar(n: int, whole: int) -> str:
    width = 100 * n / whole if whole else 0
    return (
        f'<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="c1" width="{width:.2f}" height="6"/></svg>'
    )


def objective(view: RunView) -> str:
    """The objective: its equation, its paper and the values chosen."""
    facts = dict(view.opened.get("objective") or {})
    equation, paper, name, explanation = (facts.pop(k, None) for k in ("equation", "paper", "type", "explanation"))
    out = f"<p><b>{_text(name)}</b>{f', {_text(paper)}' if paper else ''}</p>"
    if equation:
        out += f'<pre class="equation">{_text(chr(10).join(equation_lines(str(equation))))}</pre>'
    if explanation:
        out += f"<details><summary>What this run minimises, in full</summary><pre>{_text(explanation)}</pre></details>"
    chosen = {**facts, **{k: v for k, v in (view.recipe.get("objective") or {}).items() if k != "type"}}
    return out + facts_table(flat(chosen))


def environment(view: RunView) -> str:
    """Machine, versions, code, model and data, as the run noted them."""
    opened = view.opened
    code = opened.get("code") or {}
    git = code.get("git") or {}
    facts: dict[str, Any] = {"sibling": code.get("version")}
    if git:
        facts["commit"] = f"{git.get('commit')}{' (with uncommitted changes)' if git.get('dirty') else ''}"
    facts |= {"code digest": opened.get("code_digest"), "recipe digest": opened.get("recipe_digest")}
    facts |= {name: _brief(name, value) for name, value in (opened.get("environment") or {}).items()}
    for model in view.models:
        role = model.get("role", "model")
        facts |= {
            f"{role}.{k}": model.get(k) for k in ("architecture", "parameters", "compute_dtype", "licence", "digest")
        }
    if view.data:
        facts |= {"data": _brief("data", view.data.get("source")), "held-out prompts": view.data.get("held_out")}
    return facts_table(facts)


def _brief(name: str, value: Any) -> Any:
    """One line for one part of the environment: `torch 2.13.0, numpy 2.4.6`."""
    if name == "memory" and isinstance(value, int):
        return f"{number(value / 1e9)} GB"
    if not isinstance(value, Mapping):
        return value
    known = {k: v for k, v in flat(value).items() if v not in (None, "", [], {})}
    return ", ".join(f"{k} {_plain(v)}" for k, v in known.items()) or None


def facts_table(facts: Mapping[str, Any]) -> str:
    """Name and value rows; what is unknown is left out."""
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(_plain(value))}</td></tr>'
        for name, value in facts.items()
        if value is not None
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>' if rows else ""


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested maps as dotted names."""
    out: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            out |= flat(item, name + ".")
        elif isinstance(item, list) and item and all(isinstance(i, Mapping) for i in item):
            for i, element in enumerate(item):
                out |= flat(element, f"{name}.{i}.")
        else:
            out[name] = item
    return out


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_plain(v) for v in value) or "none"
    return str(value)


def _text(value: object) -> str:
    return escape(clean(str(value if value is not None else "")))
