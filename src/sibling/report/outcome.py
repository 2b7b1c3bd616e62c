"""What came of a run, in one sentence, and the measures before and after that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sibling.report.gather import RunView
from sibling.report.text import count, number, percent, points, points_interval

Interval = tuple[float, float]

MEASURES = (
    ("greedy", "greedy_accuracy", "Greedy accuracy"),
    ("mean_at_k", "mean_at_k", "mean@{k}"),
    ("pass_at_k", "pass_at_k", "pass@{k}"),
)


@dataclass(frozen=True)
class Measure:
    """One held-out measure, shares in 0..1; what was not measured is None."""

    name: str
    before: float | None
    before_interval: Interval | None
    after: float | None
    after_interval: Interval | None
    difference: float | None
    interval: Interval | None  # of the paired difference
    wins: int | None  # prompts wrong before and right after
    losses: int | None
    p_value: float | None


def measures(view: RunView) -> list[Measure]:
    """The measures this run has, before or after. Paired figures come from evaluation/compare.json alone."""
    before, after = (((view.evaluation(label) or {}).get("summary") or {}) for label in ("before", "after"))
    compared = view.comparison or {}
    found = []
    for key, field, title in MEASURES:
        paired = compared.get(key) or {}
        first = paired.get("before", before.get(field))
        last = paired.get("after", after.get(field))
        if first is None and last is None:
            continue
        found.append(
            Measure(
                name=title.format(k=after.get("k") or before.get("k") or "k"),
                before=first,
                before_interval=interval(before.get(_interval_field(field))),
                after=last,
                after_interval=interval(after.get(_interval_field(field))),
                difference=paired.get("difference", _difference(first, last)),
                interval=interval(paired.get("interval")),
                wins=paired.get("wins"),
                losses=paired.get("losses"),
                p_value=paired.get("p_value"),
            )
        )
    return found


def confidence(view: RunView) -> float:
    """The confidence level of the intervals, as recorded; 0.95 is the default of a recipe."""
    for source in (view.comparison or {}, *((e.get("summary") or {}) for e in view.evaluations)):
        if source.get("confidence"):
            return float(source["confidence"])
    return 0.95


def held_out(view: RunView) -> int | None:
    """Number of held-out prompts evaluated."""
    n = (view.comparison or {}).get("n")
    for event in view.evaluations if n is None else ():
        n = (event.get("summary") or {}).get("n", n)
    return n


def sentence(view: RunView) -> str:
    """The outcome in one sentence, whatever state the run is in."""
    found = measures(view)
    greedy = next((m for m in found if m.name == "Greedy accuracy"), None)
    if greedy is not None and greedy.before is not None and greedy.after is not None:
        return _change(view, greedy.before, greedy.after, greedy)
    if greedy is not None and greedy.before is not None and view.done:
        return f"{_progress(view)} Held-out accuracy was {percent(greedy.before)} before training."
    if greedy is not None and greedy.before is not None:
        return f"Held-out accuracy is {percent(greedy.before)} before training; no step has been completed yet."
    return _progress(view) if view.done else "No step has been completed."


def _change(view: RunView, before: float, after: float, measure: Measure) -> str:
    steps = count(view.done, "step")
    difference = measure.difference if measure.difference is not None else after - before
    bounds = f"{percent(confidence(view))} interval {points_interval(measure.interval)}" if measure.interval else ""
    if difference == 0:
        return f"Held-out accuracy stayed at {percent(before)}{f' ({bounds} points)' if bounds else ''} over {steps}."
    sure = measure.interval is None or measure.interval[0] > 0 or measure.interval[1] < 0
    verb = ("rose" if difference > 0 else "fell") if sure else "went"
    change = f"{points(difference)} points" + (f", {bounds}" if bounds else "")
    doubt = "" if sure else "; the interval includes no change at all"
    return f"Held-out accuracy {verb} from {percent(before)} to {percent(after)} ({change}) in {steps}{doubt}."


def _progress(view: RunView) -> str:
    """Where a run without both evaluations stands, from its training rewards."""
    at = f"After {view.done} of {count(view.planned, 'step')}" if view.planned else f"After {count(view.done, 'step')}"
    rewards = [value for _, value in view.series.get("reward_mean", [])]
    if not rewards:
        return f"{at}, no reward has been recorded."
    few = max(1, min(5, len(rewards) // 4))
    first, last = sum(rewards[:few]) / few, sum(rewards[-few:]) / few
    if len(rewards) == 1:
        return f"{at}, the mean training reward is {number(last)}."
    return f"{at}, the mean training reward went from {number(first)} to {number(last)}."


def speed_sentence(view: RunView) -> str | None:
    """How near to the machine's own limits the phases ran, median over the steps; None where it was not measured."""
    found = []
    for phase in ("sampling", "learning"):
        shares = [value for _, value in view.series.get(f"{phase}_roofline_share", [])]
        if shares:
            found.append(f"{phase} at {percent(median(shares))}")
    if not found:
        return None
    return f"Speed: {' and '.join(found)} of this machine's roofline (useful products only, median of the steps)."


def interval(value: Sequence[float] | None) -> Interval | None:
    """A pair out of JSON."""
    return (float(value[0]), float(value[1])) if value is not None else None


def _interval_field(field: str) -> str:
    return "greedy_interval" if field == "greedy_accuracy" else f"{field}_interval"


def _difference(before: float | None, after: float | None) -> float | None:
    return after - before if before is not None and after is not None else None


def summary_sentence(label: str, summary: Mapping[str, Any]) -> str:
    """One evaluation in one line, for displays."""
    accuracy, n, bounds = summary.get("greedy_accuracy"), summary.get("n"), interval(summary.get("greedy_interval"))
    if accuracy is None:
        return f"evaluation {label}: no prompt could be scored"
    text = f"evaluation {label}: greedy accuracy {percent(accuracy)}"
    if bounds is not None:
        text += f" ({percent(bounds[0])} to {percent(bounds[1])})"
    for field, title in (("mean_at_k", "mean"), ("pass_at_k", "pass")):
        if summary.get(field) is not None:
            text += f", {title}@{summary.get('k')} {percent(summary[field])}"
    return text + (f" on {count(n, 'held-out prompt')}" if n else "")
