"""`sibling watch`: follow the record of a run that another process writes, on the same display.

Only complete lines of events.jsonl are read; nothing is locked or written, so watching cannot disturb a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sibling.errors import RunError
from sibling.record.events import Event, body_fault
from sibling.record.reader import read_log
from sibling.report.gather import Body
from sibling.report.live import Display
from sibling.report.siblings import Group, read_groups, samples_file
from sibling.stats import QUANTITIES, StepStats


def watch(directory: Path, display: Display, *, poll: float = 0.5, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show the run until its record is closed. `poll` is in seconds. Ctrl-C ends it quietly.

    Raises `RecordError` when the directory holds no record.
    """
    follower = _Follower(directory, display)
    log = read_log(directory)
    seen = 0
    try:
        while True:
            if len(log.lines) < seen:
                seen = 0  # the file was replaced by a shorter one
            follower.tell([line.event for line in log.lines[seen:] if line.event is not None])
            seen = len(log.lines)
            if log.closed() is not None:
                return
            sleep(poll)
            log = log.follow()
    except KeyboardInterrupt:
        return
    finally:
        display.close()


class _Follower:
    """Turns events into what a display is told."""

    def __init__(self, directory: Path, display: Display) -> None:
        self._directory, self._display = directory, display
        self._total = 0
        self._rollout: Body | None = None

    def tell(self, events: Iterable[Event]) -> None:
        """Show new events; siblings are read from disk for the newest step only."""
        events = [e for e in events if body_fault(e.type, e.body) is None]
        newest = max((e.seq for e in events if e.type == "update.applied"), default=-1)
        for event in events:
            self._one(event, newest=event.seq == newest)

    def _one(self, event: Event, *, newest: bool) -> None:
        body, display = event.body, self._display
        match event.type:
            case "run.opened":
                self._total = body["steps"]
                display.screen.title = body["name"]
                display.phase("load")
            case "rollout.batch":
                self._rollout = body
                display.phase("learn", f"step {body['step']}")
            case "update.applied":
                self._step(body, newest)
                display.phase("sample", f"step {body['step'] + 1}") if body["step"] < self._total else None
            case "diagnosis.noted":
                display.finding(body["code"], body["severity"], body["sentence"], body["advice"])
            case "eval.completed":
                display.evaluated(body["label"], body["summary"])
            case "run.interrupted":
                display.phase("interrupted", f"after step {body['step']}; waiting for a resume")
            case "run.resumed":
                display.phase("resumed", f"from step {body['from_step']}")
            case "run.closed":
                display.closed(body["summary"])

    def _step(self, body: Body, newest: bool) -> None:
        values = {**body["stats"], **body["wall"]}
        known = {k: float(v) for k, v in values.items() if k in QUANTITIES}  # a newer version may record more
        self._display.show_step(StepStats(body["step"], known), self._total, self._group() if newest else None)

    def _group(self) -> Group | None:
        """The group of the latest rollout with the widest spread of rewards."""
        if self._rollout is None:
            return None
        try:
            groups = read_groups(samples_file(self._directory, self._rollout))
        except RunError:
            return None
        return max(groups, key=lambda g: g.spread, default=None)
