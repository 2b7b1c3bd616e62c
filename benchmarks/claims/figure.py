"""Line charts as small SVG files, written by hand: axes, one line a series, a band where there is an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

Place = Callable[[float], float]
WIDTH, HEIGHT = 680, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 190, 16, 44
# Told apart by colour-blind readers (Okabe and Ito, 2008), dark enough on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9", "#555555")


@dataclass(frozen=True)
class Series:
    """A line; `low` and `high` draw a band; `dots` marks its points, `dashed` breaks the line."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dots: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure. `ticks` replaces the numbers under the x axis: (place, text)."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    ticks: Sequence[tuple[float, str]] | None = None
    floor: float | None = 0.0


def svg(chart: Chart) -> str:
    """The chart as an SVG document with a white ground, legible on light and dark pages."""
    xs = [x for s in chart.series for x in s.x]
    ys = [y for s in chart.series for column in (s.y, s.low or (), s.high or ()) for y in column]
    x_low, x_high = min(xs), max(xs)
    steps = ticks(min(ys) if chart.floor is None else min(chart.floor, *ys), max(ys))
    y_low, y_high = steps[0], steps[-1]

    def px(x: float) -> float:
        return LEFT + (x - x_low) / ((x_high - x_low) or 1.0) * (WIDTH - LEFT - RIGHT)

    def py(y: float) -> float:
        return HEIGHT - BOTTOM - (y - y_low) / ((y_high - y_low) or 1.0) * (HEIGHT - TOP - BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for y in steps:
        out.append(_line(LEFT, py(y), WIDTH - RIGHT, py(y), "#dddddd"))
        out.append(_text(LEFT - 6, py(y) + 4, f"{y:g}", "end"))
    for x, label in chart.ticks or [(x, f"{x:g}") for x in ticks(x_low, x_high) if x_low <= x <= x_high]:
        out.append(_line(px(x), HEIGHT - BOTTOM, px(x), HEIGHT - BOTTOM + 4, "#444444"))
        out.append(_text(px(x), HEIGHT - BOTTOM + 17, label, "middle"))
    out.append(_line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#444444"))
    out.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, chart.x_label, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(
        f'<text x="14" y="{middle:.1f}" text-anchor="middle" fill="#222222" '
        f'transform="rotate(-90 14 {middle:.1f})">{escape(chart.y_label)}</text>'
    )
    for i, series in enumerate(chart.series):
        out += _series(series, COLOURS[i % len(COLOURS)], px, py)
        y = TOP + 14 + 20 * i
        dash = ' stroke-dasharray="5 4"' if series.dashed else ""
        out.append(
            f'<line x1="{WIDTH - RIGHT + 12}" y1="{y}" x2="{WIDTH - RIGHT + 34}" y2="{y}" '
            f'stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="2"{dash}/>'
        )
        out.append(_text(WIDTH - RIGHT + 40, y + 4, series.name, "start"))
    return "\n".join([*out, "</svg>", ""])


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers that cover [low, high]."""
    span = (high - low) or abs(high) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if span / (unit * m) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def _series(series: Series, colour: str, px: Place, py: Place) -> list[str]:
    out = []
    if series.low is not None and series.high is not None:
        top = [f"{px(x):.1f},{py(y):.1f}" for x, y in zip(series.x, series.high, strict=True)]
        bottom = [f"{px(x):.1f},{py(y):.1f}" for x, y in zip(series.x, series.low, strict=True)]
        out.append(f'<polygon points="{" ".join(top + bottom[::-1])}" fill="{colour}" fill-opacity="0.15"/>')
    points = [(px(x), py(y)) for x, y in zip(series.x, series.y, strict=True)]
    dash = ' stroke-dasharray="5 4"' if series.dashed else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
    if series.dots:
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    return out


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222">{escape(text)}</text>'
