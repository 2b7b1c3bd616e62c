"""Displays of a running run: a live screen on a terminal, one plain line a step elsewhere.

Both are observers (observing.py). Whatever goes wrong while drawing is swallowed here: a display shows less
then, and the run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from sibling.batch import Prompt, Row
from sibling.report.observing import BaseObserver
from sibling.report.outcome import summary_sentence
from sibling.report.screen import PHASES, Screen, groups_in_words, layout
from sibling.report.siblings import Group, group_of_rows
from sibling.report.text import clean, count, duration, number, one_line, plain, quantity
from sibling.stats import StepStats

_LINE = (  # statistic -> its name in a plain line
    ("reward_mean", "reward"),
    ("accuracy", "accuracy"),
    ("held_out_accuracy", "held-out"),
    ("completion_length_mean", "length"),
    ("entropy", "entropy"),
    ("kl", "kl"),
    ("sampled_tokens_per_second", "sampled"),
    ("trained_tokens_per_second", "trained"),
    ("seconds_step", "took"),
)


class Display(BaseObserver):
    """What the live and the plain display share: the state of the run, and steps given as statistics and a group."""

    def __init__(self, console: Console, title: str = "") -> None:
        self.console = console
        self.screen = Screen(title=title)

    def step(self, stats: StepStats, total: int, prompt: Prompt | None, rows: Sequence[Row]) -> None:
        """See `BaseObserver`."""
        self.show_step(stats, total, group_of_rows(stats.step, prompt, rows) if prompt is not None and rows else None)

    def show_step(self, stats: StepStats, total: int, group: Group | None) -> None:
        """A step ended, its group given as it is shown; this is what `sibling watch` calls."""
        self.screen.add(stats, total, group)

    def evaluated(self, label: str, summary: Mapping[str, Any]) -> None:
        """See `BaseObserver`."""
        self.screen.evaluated(summary)


class LiveDisplay(Display):
    """A screen that redraws itself in place, about four times a second. `close` leaves the last state standing."""

    def __init__(self, console: Console, title: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, title)
        self._clock = clock
        self._began = clock()
        self._live: Live | None = None

    def phase(self, name: str, detail: str = "") -> None:
        """See `BaseObserver`."""
        self.screen.phase, self.screen.detail = name, detail
        self._began = self._clock()
        self._start()

    def progress(self, what: str, done: int, total: int, tokens: int) -> None:
        """See `BaseObserver`."""
        drawn = f", {count(tokens, 'token')}" if tokens else ""
        self.screen.detail = f"{done} of {count(total, 'completion')}{drawn}"
        self._start()

    def show_step(self, stats: StepStats, total: int, group: Group | None) -> None:
        """See `Display`."""
        super().show_step(stats, total, group)
        self._start()

    def finding(self, code: str, severity: str, sentence: str, advice: str) -> None:
        """Shown above the screen, where it scrolls away like a log line."""
        style = {"error": "red", "warning": "yellow"}.get(severity, "dim")
        self.console.print(Text.assemble((f"{severity}: ", style), one_line(sentence), (f" {one_line(advice)}", "dim")))

    def evaluated(self, label: str, summary: Mapping[str, Any]) -> None:
        """See `BaseObserver`."""
        super().evaluated(label, summary)
        self.console.print(Text(summary_sentence(label, summary)))

    def closed(self, summary: Mapping[str, Any]) -> None:
        """See `BaseObserver`."""
        self.screen.phase, self.screen.detail = "done", ""
        self.close()

    def close(self) -> None:
        """Stop drawing and give the terminal back."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _start(self) -> None:
        if self._live is None:
            self._live = Live(get_renderable=self._draw, console=self.console, refresh_per_second=4)
            self._live.start()

    def _draw(self) -> RenderableType:
        try:
            return layout(self.screen, self.console.width)
        except Exception as error:  # drawn in a thread of rich: nothing there may end the run
            return Text(f"the display failed: {type(error).__name__}", "dim")


class PlainDisplay(Display):
    """One line a step, flushed, without colour or control characters: for logs, pipes and notebooks."""

    def __init__(self, console: Console, title: str = "") -> None:
        super().__init__(console, title)
        self._phases: set[str] = set()

    def phase(self, name: str, detail: str = "") -> None:
        """Told once each, and only before the first step."""
        if self.screen.step == 0 and name not in self._phases:
            self._phases.add(name)
            words = PHASES.get(name, name)
            self._say(f"{words}  {detail}" if detail else words)

    def show_step(self, stats: StepStats, total: int, group: Group | None) -> None:
        """See `Display`."""
        super().show_step(stats, total, group)
        self._say(step_line(self.screen, stats, total))

    def finding(self, code: str, severity: str, sentence: str, advice: str) -> None:
        """See `BaseObserver`."""
        self._say(f"{severity}: {sentence} {advice}")

    def evaluated(self, label: str, summary: Mapping[str, Any]) -> None:
        """See `BaseObserver`."""
        super().evaluated(label, summary)
        self._say(summary_sentence(label, summary))

    def closed(self, summary: Mapping[str, Any]) -> None:
        """See `BaseObserver`."""
        self._say(f"done  {count(self.screen.step, 'step')}")

    def _say(self, text: str) -> None:
        file = self.console.file
        file.write(plain(clean(text).replace("\n", " | "), getattr(file, "encoding", None)) + "\n")
        file.flush()


def step_line(screen: Screen, stats: StepStats, total: int) -> str:
    """A step on one line: what was not measured is left out."""
    parts = [f"step {stats.step}/{total}"]
    for name, word in _LINE:
        value = stats.get(name)
        if value is not None:
            parts.append(f"{word} {quantity(name, value) if name != 'reward_mean' else number(value)}")
    groups = groups_in_words(stats)
    parts += [f"groups {groups}"] if groups else []
    left = screen.time_left()
    parts += [f"left {duration(left)}"] if left else []
    return "  ".join(parts)


def choose_display(console: Console, title: str = "") -> Display:
    """The live display on a terminal that can move its cursor and shows UTF-8, else the plain one."""
    moves = console.is_terminal and not console.is_dumb_terminal
    if moves and console.encoding.lower().replace("-", "").startswith("utf"):
        return LiveDisplay(console, title)
    return PlainDisplay(console, title)
