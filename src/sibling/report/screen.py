"""What the live display shows: the state of a run, and how it is laid out on a terminal of 60 to 200 columns.

Completions and prompts are untrusted: they pass through `text.clean` and only ever become `rich.text.Text`,
never markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sibling.report.siblings import Group, Sibling
from sibling.report.text import clean, duration, last_user_text, number, one_line, percent, quantity, signed
from sibling.stats import StepStats

SPARKS = "▁▂▃▄▅▆▇█"
SHOWN_SIBLINGS = 8
STYLES = {"right": "bright_blue", "wrong": "yellow"}
PHASES = {
    "load": "loading the model",
    "evaluate": "evaluating",
    "sample": "sampling",
    "score": "scoring",
    "learn": "updating",
    "save": "saving",
}
"""A phase as the pipeline names it -> in a person's words."""

_RECENT = 10  # steps whose time predicts the time left


@dataclass
class Screen:
    """All that is on the screen. `rewards` and `seconds` are by step; a step done again replaces what followed it."""

    title: str = ""
    phase: str = "starting"
    detail: str = ""
    step: int = 0
    total: int = 0
    rewards: dict[int, float] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    stats: StepStats | None = None
    held_out: float | None = None
    group: Group | None = None

    def add(self, stats: StepStats, total: int, group: Group | None) -> None:
        """A step ended."""
        self.step, self.total, self.stats = stats.step, total, stats
        self.group = group or self.group
        for name, kept in (("reward_mean", self.rewards), ("seconds_step", self.seconds)):
            for later in [step for step in kept if step >= stats.step]:
                del kept[later]
            value = stats.get(name)
            if value is not None:
                kept[stats.step] = value
        held_out = stats.get("held_out_accuracy")
        self.held_out = held_out if held_out is not None else self.held_out

    def evaluated(self, summary: Mapping[str, Any]) -> None:
        """An evaluation ended."""
        accuracy = summary.get("greedy_accuracy")
        self.held_out = accuracy if accuracy is not None else self.held_out

    def time_left(self) -> float | None:
        """Seconds until the last step, from the mean time of the latest steps; None before the first."""
        recent = list(self.seconds.values())[-_RECENT:]
        return (self.total - self.step) * sum(recent) / len(recent) if recent and self.total else None


def sparkline(values: Sequence[float], width: int) -> str:
    """The whole history in at most `width` characters; neighbours are averaged. Flat histories sit in the middle."""
    if not values or width < 1:
        return ""
    columns = min(width, len(values))
    bounds = [i * len(values) // columns for i in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    low, high = min(means), max(means)
    if high <= low:
        return SPARKS[3] * columns
    return "".join(SPARKS[round((m - low) / (high - low) * (len(SPARKS) - 1))] for m in means)


def layout(screen: Screen, width: int) -> RenderableType:
    """The screen as one renderable for a terminal `width` columns wide."""
    parts: list[RenderableType] = [_head(screen), _bar(screen, width)]
    if screen.stats is not None:
        parts += [_reward(screen, width), _numbers(screen, screen.stats, 3 if width >= 100 else 2)]
    if screen.group is not None and screen.group.siblings:
        parts.append(_group(screen.group, width))
    return Stack(*parts)


def _cut(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _two_ended(left: Text, right: Text) -> Table:
    row = Table.grid(expand=True, padding=(0, 2))
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    row.add_column(justify="right", no_wrap=True)
    row.add_row(left, right)
    return row


def _head(screen: Screen) -> Table:
    left = Text.assemble(("sibling  ", "bold"), (one_line(screen.title), "bold cyan"))
    at = f"step {screen.step} of {screen.total}" if screen.total else "before the first step"
    return _two_ended(left, Text(at, "bold"))


def _bar(screen: Screen, width: int) -> Table:
    left = Text.assemble(
        (one_line(PHASES.get(screen.phase, screen.phase)), ""),
        (f"  {one_line(screen.detail)}" if screen.detail else "", "dim"),
    )
    seconds = screen.time_left()
    right = Text(f"{duration(seconds)} left" if seconds else "", "dim")
    grid = Table.grid(expand=True, padding=(0, 2))
    grid.add_column(width=max(12, width // 4))
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(ProgressBar(total=max(1, screen.total), completed=screen.step), left, right)
    return grid


def _reward(screen: Screen, width: int) -> Text:
    value = screen.stats.get("reward_mean") if screen.stats else None
    out = Text.assemble(("reward  ", "dim"), (number(value) if value is not None else "none", "bold"), "  ")
    return _cut(out.append(sparkline(list(screen.rewards.values()), width - len(out) - 1), "bright_blue"))


def _numbers(screen: Screen, stats: StepStats, columns: int) -> Table:
    accuracy = _value(stats, "accuracy")
    cells = [
        ("accuracy", accuracy),
        ("held-out", percent(screen.held_out) if screen.held_out is not None else None),
        ("length", _value(stats, "completion_length_mean")),
        ("entropy", _value(stats, "entropy")),
        ("groups", groups_in_words(stats)),
        ("sampled", _value(stats, "sampled_tokens_per_second")),
        ("trained", _value(stats, "trained_tokens_per_second")),
        ("step", _value(stats, "seconds_step")),
        ("gap", _value(stats, "sampler_gap_mean")),
    ]
    known = [(name, value) for name, value in cells if value is not None]
    grid = Table.grid(expand=True, padding=(0, 2))
    for _ in range(columns):
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for i in range(0, len(known), columns):
        row = [Text.assemble((f"{name:<8}  ", "dim"), value) for name, value in known[i : i + columns]]
        grid.add_row(*row, *[Text("")] * (columns - len(row)))
    return grid


def _value(stats: StepStats, name: str) -> str | None:
    value = stats.get(name)
    return quantity(name, value) if value is not None else None


def groups_in_words(stats: StepStats) -> str | None:
    """`6 live, 2 all right`; None when the step says nothing of its groups."""
    names = (("live_groups", "live"), ("dead_groups_all_right", "all right"), ("dead_groups_all_wrong", "all wrong"))
    known = [(value, words) for name, words in names if (value := stats.get(name)) is not None]
    return ", ".join(f"{value:.0f} {words}" for value, words in known if value or words == "live") or None


def _group(group: Group, width: int) -> Stack:
    asked = _cut(Text(one_line(last_user_text(group.prompt_text)), "bold"))
    rule = Rule(Text(f"siblings of step {group.step}: reward, advantage, tokens", "dim"), style="dim", align="left")
    return Stack(rule, asked, *[_cut(line) for line in sibling_lines(group.siblings)])


def sibling_lines(siblings: Sequence[Sibling], most: int = SHOWN_SIBLINGS) -> list[Text]:
    """One line a sibling, best first; of more than `most`, the best and the worst half."""
    if len(siblings) <= most:
        return [sibling_line(s) for s in siblings]
    best, worst = siblings[: (most + 1) // 2], siblings[len(siblings) - most // 2 :]
    between = Text(f"{len(siblings) - most} more between", "dim")
    return [*map(sibling_line, best), between, *map(sibling_line, worst)]


def sibling_line(sibling: Sibling) -> Text:
    """Reward, advantage, length and text of one sibling, coloured by the verdict of the first reward."""
    status = sibling.status[0] if sibling.status else ""
    reward = number(sibling.reward) if sibling.reward is not None else "none"
    return Text.assemble(
        (f"{reward:>6} ", STYLES.get(status, "dim")),
        (f"{signed(sibling.advantage):>6} ", ""),
        (f"{sibling.length:>5}{'+' if sibling.finish == 'length' else ' '} ", "dim"),
        (one_line(clean(sibling.text)) or "(empty)", ""),
    )
