"""What stands around a run on the command line: its display and trackers, and the last words when it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sibling.config import Recipe, parse_recipe
from sibling.errors import SiblingError
from sibling.report.gather import gather
from sibling.report.live import choose_display
from sibling.report.observing import BaseObserver, Observers
from sibling.report.outcome import sentence, speed_sentence
from sibling.report.page import write_report
from sibling.report.paragraph import complain, filled
from sibling.report.trackers import open_trackers


def attend(recipe: Recipe | None) -> Observers:
    """The display and the trackers of a run, to be closed together. Raises `RequestError` for a missing tracker."""
    return Observers(
        choose_display(Console(), recipe.name if recipe else ""), *(open_trackers(recipe) if recipe else ())
    )


def recorded_recipe(directory: Path) -> Recipe | None:
    """The recipe of a run; None where it cannot be read, of which a resume itself says more."""
    try:
        return parse_recipe(json.loads((directory / "resolved.json").read_bytes()))
    except (OSError, ValueError, SiblingError):
        return None


class ProgressOnly(BaseObserver):
    """Shows phases and progress on standard error, where a command prints its result on standard output."""

    def __init__(self) -> None:
        self._display = choose_display(Console(stderr=True))

    def phase(self, name: str, detail: str = "") -> None:
        """See `BaseObserver`."""
        self._display.phase(name, detail)

    def progress(self, what: str, done: int, total: int, tokens: int) -> None:
        """See `BaseObserver`."""
        self._display.progress(what, done, total, tokens)

    def close(self) -> None:
        """See `BaseObserver`."""
        self._display.close()


def farewell(directory: Path, summary: Mapping[str, Any]) -> int:
    """Say what came of a run, write its report, name the commands that come next; the exit code.

    `summary` is that of the run's result; status `interrupted` gives 130, or 143 for SIGTERM.
    """
    view = gather(directory)
    for said in filter(None, (sentence(view), speed_sentence(view))):
        print(filled(said))
    try:
        print(f"report  {write_report(directory)}")
    except SiblingError as error:  # the run itself is done and recorded
        complain(str(error), "The report is missing: ")
    if summary.get("status") == "interrupted":
        print(f"next    sibling resume {directory}", flush=True)
        return 143 if summary.get("cause") == "SIGTERM" else 130
    print(f"next    sibling samples {directory}\n        sibling verify {directory}", flush=True)
    return 0
