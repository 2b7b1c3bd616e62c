"""What a run tells whoever looks on: displays and trackers implement the methods they care for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from sibling.batch import Prompt, Row
from sibling.stats import StepStats


class Observer:
    """Listens to a run. Every method does nothing; a failure in one never hurts the run."""

    def phase(self, name: str, detail: str = "") -> None:
        """A phase begins: load, evaluate, sample, score, learn, save."""

    def progress(self, what: str, done: int, total: int, tokens: int) -> None:
        """`done` of `total` completions are finished in this phase, `tokens` drawn so far."""

    def step(self, stats: StepStats, total: int, prompt: Prompt | None, rows: Sequence[Row]) -> None:
        """A step of `total` is done; `rows` are the siblings of `prompt`, one group worth a look."""

    def finding(self, code: str, severity: str, sentence: str, advice: str) -> None:
        """Something worth telling was seen."""

    def evaluated(self, label: str, summary: Mapping[str, Any]) -> None:
        """An evaluation is done."""

    def closed(self, summary: Mapping[str, Any]) -> None:
        """The run has ended."""


class Shielded:
    """Tells an observer; what goes wrong there is not the run's business."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer or Observer()

    def tell(self, what: str, *values: Any) -> None:
        """Call the observer's method `what`."""
        with contextlib.suppress(Exception):
            getattr(self._observer, what)(*values)
