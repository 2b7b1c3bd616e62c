"""One self-contained HTML page about a run, from its record alone: `write_report`.

Covered: every text of the run is escaped and stripped of control characters, the page loads nothing, and
its content policy lets only its own style sheet and script run (by their digests). Not covered: the page
repeats the record and does not verify it; `sibling verify` does. Writing twice gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
from html import escape
from importlib.resources import files
from pathlib import Path

import yaml

from sibling.errors import RecordError, RunError
from sibling.report import tables
from sibling.report.curves import BY_OUTCOME, figure, figures
from sibling.report.gather import RunView, gather
from sibling.report.outcome import sentence
from sibling.report.siblings import Group, Sibling, showcase
from sibling.report.text import clean, count, duration, last_user_text, number, signed

_LONG = 700  # characters of a completion shown before the rest folds away


def write_report(run_directory: Path) -> Path:
    """Write report.html into the run directory and return its path.

    Raises `RecordError` when the directory holds no record, `RunError` when the page cannot be written.
    """
    view = gather(run_directory)
    try:
        page = render(view).encode("utf-8")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:  # summaries are free-form maps
        raise RecordError(
            f"The record of {run_directory} holds a value that a report cannot show",
            seen=f"{type(error).__name__}: {error}",
            do=f"See what `sibling verify {run_directory}` says of it",
        ) from error
    path = run_directory / "report.html"
    aside = path.with_suffix(".html.partial")
    try:
        aside.write_bytes(page)
        os.replace(aside, path)
    except OSError as error:
        raise RunError(
            "The report cannot be written",
            seen=f"{path}: {error.strerror or error}",
            wanted="a run directory that can be written to, on a disk with space left",
        ) from error
    return path


def render(view: RunView) -> str:
    """The page as text."""
    style, script = (files("sibling.report").joinpath(n).read_text(encoding="utf-8") for n in ("style.css", "hover.js"))
    policy = f"default-src 'none'; style-src {_allowed(style)}; script-src {_allowed(script)}; base-uri 'none'"
    parts = [
        _head(view),
        _section("Before and after", tables.before_after(view)),
        _curves(view),
        _lengths(view),
        _siblings(view),
        _section("Findings", tables.findings(view)),
        _section("Account", tables.account(view)),
        _section("Objective", tables.objective(view)),
        _section("Environment", tables.environment(view)),
        _section("Configuration", _configuration(view)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{_text(view.name)} \N{MIDDLE DOT} sibling</title><style>{style}</style></head>"
        f"<body><main>{''.join(parts)}</main><script>{script}</script></body></html>\n"
    )


def _allowed(source: str) -> str:
    digest = base64.b64encode(hashlib.sha256(source.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _text(value: object) -> str:
    return escape(clean(str(value)))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _head(view: RunView) -> str:
    facts = []
    policy = next((m for m in view.models if m.get("role") == "policy"), None)
    if policy is not None:
        size = policy.get("parameters")
        facts.append(f"{policy.get('architecture')}{f', {number(size / 1e6)} M weights' if size else ''}")
    facts.append(str((view.opened.get("objective") or {}).get("type") or "objective unknown"))
    facts.append(f"seed {view.opened.get('seed')}")
    facts.append(f"{view.done} of {count(view.planned, 'step')}" if view.planned else count(view.done, "step"))
    if view.seconds is not None:
        facts.append(duration(view.seconds))
    facts.append(view.started[:16].replace("T", " ") + " UTC")
    lead = sentence(view).replace("Held-out", "Held\N{NON-BREAKING HYPHEN}out")
    status = view.status if view.status in ("finished", "failed", "interrupted") else "unfinished"
    line = "".join(f"<span>{_text(f)}</span>" for f in facts)
    return (
        f'<header><p class="brand">sibling <span>GRPO run</span></p><h1>{_text(view.name)}</h1>'
        f'<p class="lead">{_text(lead)}</p>'
        f'<p class="meta"><span class="tag {status}">{status}</span>{line}</p></header>'
    )


def _curves(view: RunView) -> str:
    shown, missing = figures(view)
    if not shown:
        return _section("Curves", '<p class="quiet">No step has been completed, so there is nothing to draw.</p>')
    absent = f'<p class="quiet">Not measured in this run: {_text(", ".join(missing))}.</p>' if missing else ""
    return _section("Curves", f'<div class="charts">{"".join(shown)}</div>{absent}')


def _lengths(view: RunView) -> str:
    steps = (0.0, float(max(view.done, 1)))
    shown = [figure(view, chart, steps) for chart in BY_OUTCOME]
    if not any(shown):
        return ""
    text = (
        "Right and wrong are the verdicts of the first reward. When wrong completions grow while right ones keep their "
        "length, or right ones grow without getting better, the objective or the reward pays for length, not for the "
        "answer."
    )
    return _section("Length by outcome", f'<div class="charts">{"".join(shown)}<p class="quiet aside">{text}</p></div>')


def _siblings(view: RunView) -> str:
    groups = showcase(view)
    if not groups:
        return _section("Siblings", '<p class="quiet">No live group is on record, so no two siblings differ.</p>')
    note = "The best and the worst sibling of the group with the widest spread of rewards, early, midway and late."
    return _section("Siblings", f'<p class="quiet">{note}</p>' + "".join(_group(label, g) for label, g in groups))


def _group(label: str, group: Group) -> str:
    best, worst = group.scored[0], group.scored[-1]
    reference = f'<span class="quiet">reference</span> <code>{_text(group.reference)}</code>' if group.reference else ""
    strip = "".join(f"<i class={_outcome(s)!r} title={_reward(s)!r}></i>".replace("'", '"') for s in group.siblings)
    return (
        f'<article class="group"><h3>{label}, step {group.step}</h3>'
        f"<blockquote>{_folded(last_user_text(group.prompt_text), 400)}</blockquote>"
        f'<p class="strip">{reference}<span class="squares" aria-label="siblings, best first">{strip}</span>'
        f'<span class="quiet">{len(group.siblings)} siblings</span></p>'
        f'<div class="pair">{_sibling("best", best)}{_sibling("worst", worst)}</div></article>'
    )


def _sibling(role: str, s: Sibling) -> str:
    reasons = "; ".join(dict.fromkeys(r for r in s.reason if r))
    reason = f'<p class="quiet">{_text(reasons)}</p>' if reasons else ""
    ended = "truncated" if s.finish == "length" else f"ended by {s.finish}"
    return (
        f'<div class="sibling {_outcome(s)}"><p class="scores"><span><b>{_reward(s)}</b> reward</span> '
        f"<span><b>{signed(s.advantage)}</b> advantage</span> <span><b>{s.length}</b> tokens, {_text(ended)}</span>"
        f'<span class="role">{role}</span></p><div class="said">{_folded(s.text, _LONG)}</div>{reason}</div>'
    )


def _outcome(s: Sibling) -> str:
    """CSS class by the verdict of the first reward."""
    status = s.status[0] if s.status else ""
    return status if status in ("right", "wrong") else "unscored"


def _reward(s: Sibling) -> str:
    return number(s.reward) if s.reward is not None else "none"


def _folded(text: str, most: int) -> str:
    """Text with its line breaks; what is beyond `most` characters folds away."""
    text = clean(text).strip("\n")
    if not text.strip():
        return '<span class="quiet">(empty)</span>'
    if len(text) <= most:
        return f'<p class="text">{escape(text)}</p>'
    more = count(len(text) - most, "more character")
    return (
        f'<p class="text">{escape(text[:most])}\N{HORIZONTAL ELLIPSIS}</p><details><summary>{more}</summary>'
        f'<p class="text">{escape(text[most:])}</p></details>'
    )


def _configuration(view: RunView) -> str:
    out = ""
    asked = view.directory / "recipe.yaml"
    if asked.is_file():
        text = clean(asked.read_text(encoding="utf-8", errors="replace"))
        out += f"<details><summary>What was asked: recipe.yaml</summary><pre>{escape(text)}</pre></details>"
    if view.recipe:
        used = clean(yaml.safe_dump(dict(view.recipe), sort_keys=False, allow_unicode=True, width=100))
        out += f"<details><summary>Every value used: resolved.json</summary><pre>{escape(used)}</pre></details>"
    return out
