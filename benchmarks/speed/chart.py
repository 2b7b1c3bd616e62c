"""Charts from the results alone, as small SVG files written by hand; lines are drawn by the claims' own writer."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from claims.figure import COLOURS, Chart, Series, svg, ticks

from speed.results import column, median

WIDTH, LEFT, RIGHT, TOP, ROW, LEGEND = 680, 190, 20, 14, 34, 24
Bar = tuple[str, list[tuple[str, float]]]
"""What a bar stands for, and its segments: name and length."""


def charts(results: Mapping[str, Any]) -> dict[str, str]:
    """File name -> SVG, for every part that was measured."""
    parts = results.get("parts", {})
    out: dict[str, str] = {}
    step, growth, curves, profile = (parts.get(n, {}) for n in ("step", "growth", "curves", "profile"))
    if "forced" in step:
        out["speed-step.svg"] = bars("Seconds of a step, by phase", "seconds", _phases(step))
    if "update" in profile:
        out["speed-profile.svg"] = bars("Where the time of a step goes", "seconds", _kinds(profile))
    for name, label in (("siblings", "siblings"), ("prompt", "prompt tokens"), ("completion", "completion tokens")):
        if name in growth:
            out[f"speed-growth-{name}.svg"] = svg(_sweep(growth[name], label))
    if curves.get("ours") and curves.get("peer"):
        out["speed-curves.svg"] = svg(_learning(curves))
    return out


def _phases(step: Mapping[str, Any]) -> list[Bar]:
    found: list[Bar] = []
    for case, what in (("forced", "all live"), ("free", "half dead")):
        for side, name in (("peer", "TRL"), ("ours", "sibling")):
            if side in step.get(case, {}):
                values = step[case][side]["values"]
                found.append((f"{name}, {what}", [(k, median(values, k)) for k in ("sampling", "rewards", "update")]))
    return found


def _kinds(profile: Mapping[str, Any]) -> list[Bar]:
    return [
        (phase, [(kind, seconds) for kind, seconds in profile[phase].items() if kind != "whole"])
        for phase in ("sampling", "update")
    ]


def _sweep(points: Sequence[Mapping[str, Any]], label: str) -> Chart:
    at = [math.log2(p["at"]) for p in points]
    series = []
    for key, name in (("seconds", "step"), ("sampling", "sampling"), ("update", "update")):
        every = [column(p["values"], key) for p in points]
        middle = [statistics.median(v) for v in every]
        series.append(Series(name, at, middle, [min(v) for v in every], [max(v) for v in every], dots=True))
    named = [(x, f"{p['at']:,}") for x, p in zip(at, points, strict=True)]
    return Chart(f"Seconds by {label}", label, "seconds", series, ticks=named)


def _learning(curves: Mapping[str, Any]) -> Chart:
    series = []
    for side, name in (("ours", "sibling"), ("peer", "TRL")):
        at = list(zip(*curves[side], strict=True))
        steps = [float(i + 1) for i in range(len(at))]
        means = [statistics.mean(x) for x in at]
        series.append(Series(name, steps, means, [min(x) for x in at], [max(x) for x in at]))
    return Chart("Mean reward by step", "step", "mean reward", series)


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Horizontal stacked bars, their sums at the end, and what the colours stand for."""
    names = list(dict.fromkeys(name for _, segments in rows for name, _ in segments))
    names = [n for n in names if any(v > 0 for _, segments in rows for m, v in segments if m == n)]
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    steps = ticks(0.0, max(sum(v for _, v in segments) for _, segments in rows))
    scale = (WIDTH - LEFT - RIGHT - 60) / steps[-1]
    bottom = TOP + ROW * len(rows)
    places, legend = _legend(names, bottom + 62)
    height = legend + 10
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for tick in steps:
        x = LEFT + tick * scale
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#dddddd"/>')
        out.append(_text(x, bottom + 16, f"{tick:g}", "middle"))
    out.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + 34, unit, "middle"))
    for n, (label, segments) in enumerate(rows):
        y, x = TOP + ROW * n + 6, float(LEFT)
        out.append(_text(LEFT - 8, y + 15, label, "end"))
        for name, value in segments:
            if name in colour:
                out.append(_block(x, y, value * scale, 22, colour[name], f"{label}: {name} {value:.2f} {unit}"))
                x += value * scale
        out.append(_text(x + 6, y + 15, f"{sum(v for _, v in segments):.2f}", "start"))
    for name, (x, y) in places.items():
        out += [_block(x, y - 10, 12, 12, colour[name], name), _text(x + 18, y, name, "start")]
    return "\n".join([*out, "</svg>", ""])


def _legend(names: Sequence[str], first: int) -> tuple[dict[str, tuple[float, int]], int]:
    """Where each name goes, in lines that fit the width; and the last line."""
    places: dict[str, tuple[float, int]] = {}
    x, y = 20.0, first
    for name in names:
        width = 40 + 6.4 * len(name)
        if x + width > WIDTH:
            x, y = 20.0, y + LEGEND
        places[name] = (x, y)
        x += width
    return places, y


def _block(x: float, y: float, width: float, height: float, colour: str, title: str) -> str:
    size = f'width="{max(width, 0.0):.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{colour}"><title>{escape(title)}</title></rect>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222">{escape(text)}</text>'
