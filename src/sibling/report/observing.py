"""Observers: who is told what a run does. A base class of no-ops, and a fan-out that shields the run.

The pipeline calls these methods; it never depends on what they do. An observer that raises is told off
once on standard error and left out from then on: a display or a tracker must never hurt a run.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from sibling.batch import Prompt, Row
from sibling.stats import StepStats


class BaseObserver:
    """Does nothing at every point. Displays and trackers override what they care about."""

    def phase(self, name: str, detail: str = "") -> None:
        """A new phase of the run begins, load, evaluate, sample, score, learn or save."""

    def progress(self, what: str, done: int, total: int, tokens: int) -> None:
        """`done` of `total` items of `what` are finished; `tokens` drawn so far in this phase."""

    def step(self, stats: StepStats, total: int, prompt: Prompt | None, rows: Sequence[Row]) -> None:
        """A step ended. `total` steps in the run; `rows` are the siblings of `prompt`, one group to look at."""

    def finding(self, code: str, severity: str, sentence: str, advice: str) -> None:
        """A diagnosis: `severity` is notice, warning or error."""

    def evaluated(self, label: str, summary: Mapping[str, Any]) -> None:
        """An evaluation ended; `label` is before, step-000010 or after."""

    def closed(self, summary: Mapping[str, Any]) -> None:
        """The run ended."""

    def close(self) -> None:
        """Let go of the terminal or the connection; safe to call twice."""


class Observers(BaseObserver):
    """Hands each call to several observers; one that raises is named on standard error and dropped.

    Used as a context manager, it closes them all at the end, also after an error.
    """

    def __init__(self, *observers: BaseObserver) -> None:
        self._observers = list(observers)

    def __enter__(self) -> Observers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, method: str, *arguments: Any) -> None:
        for observer in list(self._observers):
            try:
                getattr(observer, method)(*arguments)
            except Exception as error:  # whatever a display or tracker raises, the run goes on
                self._observers.remove(observer)
                with contextlib.suppress(Exception):
                    observer.close()
                print(
                    f"{type(observer).__name__} failed and is off from here; the run goes on "
                    f"({type(error).__name__}: {error})",
                    file=sys.stderr,
                    flush=True,
                )

    def phase(self, name: str, detail: str = "") -> None:
        """See `BaseObserver`."""
        self._tell("phase", name, detail)

    def progress(self, what: str, done: int, total: int, tokens: int) -> None:
        """See `BaseObserver`."""
        self._tell("progress", what, done, total, tokens)

    def step(self, stats: StepStats, total: int, prompt: Prompt | None, rows: Sequence[Row]) -> None:
        """See `BaseObserver`."""
        self._tell("step", stats, total, prompt, rows)

    def finding(self, code: str, severity: str, sentence: str, advice: str) -> None:
        """See `BaseObserver`."""
        self._tell("finding", code, severity, sentence, advice)

    def evaluated(self, label: str, summary: Mapping[str, Any]) -> None:
        """See `BaseObserver`."""
        self._tell("evaluated", label, summary)

    def closed(self, summary: Mapping[str, Any]) -> None:
        """See `BaseObserver`."""
        self._tell("closed", summary)

    def close(self) -> None:
        """See `BaseObserver`."""
        self._tell("close")
