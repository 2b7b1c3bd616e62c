"""Inline SVG: line charts, stacked step areas, an interval plot and a strip of scores. No libraries.

Every function takes numbers and gives SVG text. Colours come from CSS classes (`c1` to `c6`, `right`,
`wrong`), so light and dark are the style sheet's matter. Text in a plot is made of numbers and of names
written in this package; `escape` guards it all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 360.0, 176.0
LEFT, RIGHT, TOP, BOTTOM = 42.0, 10.0, 8.0, 20.0  # margins of the plot area

Points = Sequence[tuple[float, float]]
Format = Callable[[float], str]


@dataclass(frozen=True)
class Line:
    """One curve. `points` are (step, value), by step; `intervals` are (low, high) for each point, if known."""

    name: str
    points: Points
    colour: str = "c1"
    kind: str = "line"  # line | faint | dots
    intervals: Sequence[tuple[float, float] | None] = ()


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic scale from values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of `value`, kept inside the plot."""
        low, high, v = (
            (math.log10(x) for x in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        share = (v - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) inside [low, high], about `about` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def smooth(points: Points, window: int) -> list[tuple[float, float]]:
    """Centred running mean over up to `window` points; at the ends over those there are."""
    half = window // 2
    out = []
    for i, (x, _) in enumerate(points):
        near = [y for _, y in points[max(0, i - half) : i + half + 1]]
        out.append((x, sum(near) / len(near)))
    return out


def thin(points: Points, most: int = 600) -> list[tuple[float, float]]:
    """At most `most` points: neighbours are averaged, in equal buckets."""
    size = math.ceil(len(points) / most) if points else 1
    buckets = [points[i : i + size] for i in range(0, len(points), size)]
    return [(b[len(b) // 2][0], sum(y for _, y in b) / len(b)) for b in buckets] if size > 1 else list(points)


def line_chart(
    lines: Sequence[Line], *, steps: tuple[float, float], label: Format, log: bool = False, floor: float | None = None,
    ceiling: float | None = None, whole: bool = False, title: str = "",
) -> str:  # fmt: skip
    """Curves over steps. `floor` and `ceiling` pin the value axis; `label` writes a tick; `whole`: integer ticks."""
    axis = value_axis(_reach(lines), log=log, floor=floor, ceiling=ceiling)
    x = Axis(steps[0], steps[1], LEFT, WIDTH - RIGHT)
    marks = log_ticks(axis) if log else ticks(axis.low, axis.high)
    marks = [m for m in marks if not whole or float(m).is_integer()]
    body = _grid(axis, marks, label) + _step_axis(x)
    body += "".join(_curve(line, x, axis) for line in lines)
    return _svg(body, title)


def stacked_chart(layers: Sequence[Line], *, steps: tuple[float, float], label: Format, title: str = "") -> str:
    """Counts by kind, one column a step, the first layer at the bottom. Layers share their steps."""
    totals = [sum(layer.points[i][1] for layer in layers) for i in range(len(layers[0].points))]
    axis = value_axis([0.0, *totals], floor=0.0)
    x = Axis(steps[0], steps[1], LEFT, WIDTH - RIGHT)
    marks = [m for m in ticks(axis.low, axis.high) if float(m).is_integer()]
    base = [0.0] * len(totals)
    body = _grid(axis, marks, label) + _step_axis(x)
    for layer in layers:
        top = [b + p[1] for b, p in zip(base, layer.points, strict=True)]
        body += f'<path class="area {escape(layer.colour)}" d="{_columns(layer.points, base, top, x=x, y=axis)}"/>'
        base = top
    return _svg(body, title)


def interval_plot(rows: Sequence[tuple[float, tuple[float, float] | None, str]], title: str = "") -> str:
    """Shares in 0..1 as dots with their intervals on one 0 to 100 % scale; a row is (share, interval, class)."""
    width, height = 200.0, 8.0 + 14.0 * len(rows)
    x = Axis(0.0, 1.0, 6.0, width - 6.0)
    body = "".join(f'<line class="grid" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="0" y2="{height}"/>' for v in (0, 0.5, 1))
    for i, (share, interval, colour) in enumerate(rows):
        y = 11.0 + 14.0 * i
        if interval is not None:
            low, high = (f"{x(v):.1f}" for v in interval)
            body += f'<line class="whisker {colour}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        body += f'<circle class="dot {colour}" cx="{x(share):.1f}" cy="{y}" r="4.5"/>'
    return (
        f'<svg class="interval" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">{body}</svg>'
    )


def value_axis(
    values: Sequence[float], *, log: bool = False, floor: float | None = None, ceiling: float | None = None
) -> Axis:
    """A value axis that holds `values` with a little air, its ends at round numbers where it is linear."""
    low, high = min(values), max(values)
    if log:
        low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        return Axis(low, high if high > low else low * 10, HEIGHT - BOTTOM, TOP, log=True)
    low = low if floor is None else min(floor, low)
    high = high if ceiling is None else max(ceiling, high)
    if high <= low:  # one value: put it in the middle
        air = abs(high) * 0.5 or 0.5
        low, high = (low, high + 2 * air) if floor is not None and low >= floor else (low - air, high + air)
    air = 0.04 * (high - low)
    low = low if low == floor else low - air
    high = high if high == ceiling else high + air
    return Axis(low, high, HEIGHT - BOTTOM, TOP)


def log_ticks(axis: Axis) -> list[float]:
    """Powers of ten within a logarithmic axis, at most five."""
    first, last = round(math.log10(axis.low)), round(math.log10(axis.high))
    stride = max(1, math.ceil((last - first) / 4))
    return [10.0**e for e in range(first, last + 1, stride)]


def _reach(lines: Sequence[Line]) -> list[float]:
    values = [y for line in lines for _, y in line.points]
    return values + [v for line in lines for pair in line.intervals if pair is not None for v in pair]


def _svg(body: str, title: str) -> str:
    cross = f'<line class="cross" x1="0" x2="0" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    cross += f'<text class="at" x="0" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle"></text>'
    box = f"0 0 {WIDTH:g} {HEIGHT:g}"
    return f'<svg class="plot" viewBox="{box}" role="img" aria-label="{escape(title)}">{body}{cross}</svg>'


def _grid(axis: Axis, marks: Sequence[float], label: Format) -> str:
    out = ""
    for mark in marks:
        y = axis(mark)
        out += f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        out += f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{escape(label(mark))}</text>'
    return out


def _step_axis(x: Axis) -> str:
    y = HEIGHT - BOTTOM
    out = f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
    for mark in ticks(x.low, x.high, 5):
        if float(mark).is_integer():
            out += f'<text class="tick" x="{x(mark):.1f}" y="{y + 14}" text-anchor="middle">{mark:,.0f}</text>'
    return out


def _curve(line: Line, x: Axis, y: Axis) -> str:
    points = [(x(a), y(b)) for a, b in line.points]
    colour = escape(line.colour)
    out = "".join(
        f'<line class="whisker {colour}" x1="{p[0]:.1f}" x2="{p[0]:.1f}" y1="{y(pair[0]):.1f}" y2="{y(pair[1]):.1f}"/>'
        for p, pair in zip(points, line.intervals, strict=False)
        if pair is not None
    )
    kind = {"line": "curve", "faint": "faint", "dots": "joined"}[line.kind]
    for piece in unbroken(line.points) if line.kind != "dots" else [line.points]:
        pixels = [f"{x(a):.1f} {y(b):.1f}" for a, b in piece]
        if len(pixels) > 1:
            out += f'<path class="{kind} {colour}" d="M{"L".join(pixels)}"/>'
        elif line.kind != "dots":
            out += _dot(x(piece[0][0]), y(piece[0][1]), 3.0, colour)
    return out + ("".join(_dot(a, b, 3.4, colour) for a, b in points) if line.kind == "dots" else "")


def unbroken(points: Points) -> list[Points]:
    """The points in runs without a missing step: a curve is not drawn across steps that have no value."""
    if not points:
        return []
    steps = [b[0] - a[0] for a, b in pairwise(points)]
    usual = sorted(steps)[len(steps) // 4] if steps else 1.0
    runs, start = [], 0
    for i, step in enumerate(steps, start=1):
        if step > 1.5 * usual:
            runs.append(points[start:i])
            start = i
    return [*runs, points[start:]]


def _dot(x: float, y: float, radius: float, colour: str) -> str:
    return f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _columns(points: Points, base: Sequence[float], top: Sequence[float], *, x: Axis, y: Axis) -> str:
    """One closed rectangle a step, ending at its step; a hairline gap between them where there is room."""
    out = ""
    width = points[1][0] - points[0][0] if len(points) > 1 else 1.0  # steps a column stands for
    for i, (step, _) in enumerate(points):
        if top[i] <= base[i]:
            continue
        a, b = x(step - width), x(step)
        b -= 0.8 if b - a > 4 else 0.0
        out += f"M{a:.1f} {y(base[i]):.1f}H{b:.1f}V{y(top[i]):.1f}H{a:.1f}Z"
    return out
