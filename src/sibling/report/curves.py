"""Which curves a report shows, and each as a figure: caption, legend with readouts, plot, data for hovering."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from sibling.report.gather import Body, RunView
from sibling.report.plots import Line, Points, line_chart, smooth, stacked_chart, thin
from sibling.report.text import NARROW, clean, number, percent
from sibling.stats import QUANTITIES

SMOOTH_FROM = 24  # steps from which a running mean is drawn over the faint raw curve
LOG_SPAN = 30.0  # positive values that span more than this factor get a logarithmic axis


@dataclass(frozen=True)
class Curve:
    """One statistic of a chart: its key in the series, its name in the legend, its colour."""

    key: str
    name: str
    colour: str = "c1"


@dataclass(frozen=True)
class Chart:
    """A figure: `unit` is written in the caption, `note` says what is drawn when the names do not."""

    title: str
    unit: str
    curves: Sequence[Curve]
    note: str = ""
    share: bool = False
    floor: float | None = None
    ceiling: float | None = None
    log: bool = False
    smoothed: bool = True


CHARTS: tuple[Chart, ...] = (
    Chart("Completion length", "tokens", [Curve("completion_length_mean", "mean")], floor=0.0),
    Chart("Entropy", "nats/token", [Curve("entropy", "mean", "c3")], floor=0.0),
    Chart("KL to the reference", "nats/token", [Curve("kl", "estimate", "c5")]),
    Chart(
        "Sampler\N{EN DASH}learner gap",
        "nats/token",
        [Curve("sampler_gap_mean", "mean", "c1"), Curve("sampler_gap_max", "largest", "c4")],
        log=True,
        smoothed=False,
    ),
    Chart(
        "Clipped tokens",
        "share",
        [Curve("clip_low_share", "below", "c2"), Curve("clip_high_share", "above", "c1")],
        share=True,
        floor=0.0,
    ),
    Chart("Critic", "share", [Curve("explained_variance", "explained variance", "c3")], ceiling=1.0),
    Chart("Value loss", "score^2", [Curve("value_loss", "loss", "c4")], floor=0.0),
    Chart("Sampler correction", "weight", [Curve("sampler_weight_mean", "mean weight", "c2")]),
    Chart("Gradient norm", "before clipping", [Curve("grad_norm", "norm", "c5")], floor=0.0),
    Chart("Learning rate", "1/step", [Curve("learning_rate", "rate", "c6")], floor=0.0, smoothed=False),
    Chart(
        "Speed",
        "tokens/s",
        [Curve("sampled_tokens_per_second", "sampled", "c1"), Curve("trained_tokens_per_second", "trained", "c2")],
        floor=0.0,
    ),
    Chart(
        "Share of the roofline",
        "share",
        [Curve("sampling_roofline_share", "sampling", "c1"), Curve("learning_roofline_share", "learning", "c2")],
        note="useful matrix products only",
        share=True,
        floor=0.0,
    ),
    Chart(
        "Verdicts without a score",
        "share",
        [Curve("error_share", "error", "c4"), Curve("abstain_share", "abstain", "c6")],
        share=True,
        floor=0.0,
    ),
)

BY_OUTCOME = (
    Chart(
        "Mean length",
        "tokens",
        [Curve("length_right_mean", "right", "right"), Curve("length_wrong_mean", "wrong", "wrong")],
        floor=0.0,
    ),
    Chart("Truncated", "share", [Curve("truncated_share", "at max_tokens", "c5")], share=True, floor=0.0),
)

GROUP_LAYERS = (
    Curve("live_groups", "live", "c1"),
    Curve("dead_groups_all_right", "dead, all right", "c3"),
    Curve("dead_groups_all_wrong", "dead, all wrong", "c2"),
)

_ONLY_WHEN_IT_VARIES = ("Verdicts without a score", "Learning rate")  # a flat line says nothing worth a figure

# Most objectives have none of the first three, and of a tiny model no speed is measured: nothing is missing.
_WHERE_THERE_IS_ONE = ("Critic", "Value loss", "Sampler correction", "Share of the roofline")


def figures(view: RunView) -> tuple[list[str], list[str]]:
    """The figures of the section Curves, and the names of the statistics this run has no value of."""
    steps = (0.0, float(max(view.done, 1)))
    shown = [_reward(view, steps), _accuracy(view, steps)]
    shown += [figure(view, chart, steps) for chart in CHARTS[:2]]
    shown.append(_groups(view, steps))
    shown += [figure(view, chart, steps) for chart in CHARTS[2:]]
    missing = [c.title for c in CHARTS if not any(view.series.get(k.key) for k in c.curves)]
    missing = [m for m in missing if m not in _ONLY_WHEN_IT_VARIES + _WHERE_THERE_IS_ONE]
    return [f for f in shown if f], missing


def figure(view: RunView, chart: Chart, steps: tuple[float, float]) -> str:
    """One chart of plain statistics; empty when there is nothing to draw."""
    series = [(c, thin(view.series[c.key])) for c in chart.curves if view.series.get(c.key)]
    values = [y for _, points in series for _, y in points]
    if not values or (chart.title in _ONLY_WHEN_IT_VARIES and min(values) == max(values)):
        return ""
    log = chart.log and min(values) > 0 and max(values) / min(values) > LOG_SPAN
    label = _short_percent if chart.share else _short
    lines = [line for curve, points in series for line in _drawn(curve, points, chart.smoothed)]
    svg = line_chart(
        lines,
        steps=steps,
        label=label,
        log=log,
        floor=None if log else chart.floor,
        ceiling=chart.ceiling,
        title=chart.title,
    )
    write = percent if chart.share else number
    note = ", ".join(n for n in (chart.note, "log scale" if log else "") if n)
    return _figure(chart.title, chart.unit, note, [(c, p, write) for c, p in series], svg, steps=steps)


def _reward(view: RunView, steps: tuple[float, float]) -> str:
    names = [k for k in sorted(view.series) if k.startswith("reward:")]
    curves = [Curve("reward_mean", "total" if len(names) > 1 else "mean")]
    if len(names) > 1:
        curves += [Curve(k, clean(k.removeprefix("reward:")), f"c{2 + i % 5}") for i, k in enumerate(names[:5])]
    return figure(view, Chart("Reward", "score a completion", curves), steps)


def _accuracy(view: RunView, steps: tuple[float, float]) -> str:
    """Training accuracy as a curve, held-out greedy accuracy as points with their intervals."""
    train = thin(view.series.get("accuracy", []))
    held = {float(e["step"]): e["summary"] for e in view.evaluations if _greedy(e) is not None}
    points = [(step, float(summary["greedy_accuracy"])) for step, summary in sorted(held.items())]
    intervals = [_pair(held[step].get("greedy_interval")) for step, _ in points]
    if not train and not points:
        return ""
    lines = list(_drawn(Curve("accuracy", "sampled"), train, True)) if train else []
    shown: list[tuple[Curve, Points, Callable[[float], str]]] = []
    if train:
        shown.append((Curve("accuracy", "training"), train, percent))
    if points:
        lines.append(Line("held-out", points, "c2", "dots", intervals))
        shown.append((Curve("held_out", "held-out", "c2"), points, percent))
    svg = line_chart(lines, steps=steps, label=_short_percent, floor=0.0, ceiling=1.0, title="Accuracy")
    return _figure("Accuracy", "share right", "training sampled, held-out greedy", shown, svg, steps=steps)


def _groups(view: RunView, steps: tuple[float, float]) -> str:
    by_step = [dict(view.series.get(c.key, [])) for c in GROUP_LAYERS]
    common = sorted(set.intersection(*(set(layer) for layer in by_step)))
    if not common:
        return ""
    layers = [(c, thin([(s, layer[s]) for s in common])) for c, layer in zip(GROUP_LAYERS, by_step, strict=True)]
    svg = stacked_chart([Line(c.name, p, c.colour) for c, p in layers], steps=steps, label=_short, title="Groups")
    return _figure("Groups", "a step", "dead: all rewards equal", [(c, p, _short) for c, p in layers], svg, steps=steps)


def _drawn(curve: Curve, points: Points, smoothed: bool) -> list[Line]:
    if not smoothed or len(points) < SMOOTH_FROM:
        return [Line(curve.name, points, curve.colour)]
    window = max(5, len(points) // 20 | 1)
    return [
        Line(curve.name, points, curve.colour, "faint"),
        Line(curve.name, smooth(points, window), curve.colour),
    ]


def _figure(
    title: str,
    unit: str,
    note: str,
    series: Sequence[tuple[Curve, Points, Callable[[float], str]]],
    svg: str,
    *,
    steps: tuple[float, float],
) -> str:
    legend = "".join(
        f'<span class="key"><i class="{curve.colour}"></i>{escape(curve.name)} '
        f"<output>{escape(write(points[-1][1]))}</output></span>"
        for curve, points, write in series
    )
    data = {
        "steps": steps,
        "series": [{"x": [x for x, _ in p], "label": [write(y) for _, y in p]} for _, p, write in series],
    }
    tip = "; ".join(f"{c.name}: {QUANTITIES[c.key].definition}" for c, _, _ in series if c.key in QUANTITIES)
    note = f"<small>{escape(note)}</small>" if note else ""
    return (
        f'<figure class="chart" data-points="{escape(json.dumps(data, separators=(",", ":")))}">'
        f'<figcaption title="{escape(tip)}"><b>{escape(title)}</b> <span class="unit">{escape(unit)}</span>{note}'
        f'<div class="legend">{legend}</div></figcaption>{svg}</figure>'
    )


def _short(value: float) -> str:
    """A tick: no more digits than it needs."""
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e\N{MINUS SIGN}").replace("e-", "e\N{MINUS SIGN}")
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _short_percent(share: float) -> str:
    return f"{100 * share:g}{NARROW}%"


def _greedy(event: Body) -> float | None:
    value = (event.get("summary") or {}).get("greedy_accuracy")
    return float(value) if value is not None else None


def _pair(value: Sequence[float] | None) -> tuple[float, float] | None:
    return (float(value[0]), float(value[1])) if value is not None else None
