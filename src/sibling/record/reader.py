"""Reading events.jsonl: the log as it is, and its effective view. Safe on hostile input and beside a live writer.

The *effective* view leaves out what a resume threw away: a `run.resumed` from step m supersedes the step-scoped
events of earlier segments whose step is greater than m. Those events stay in the log.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sibling.errors import RecordError
from sibling.record.chain import Line, is_json, link_faults, read_line
from sibling.record.events import GENESIS, STEP_SCOPED, Event
from sibling.record.files import explain

EVENTS_NAME = "events.jsonl"
MAX_LOG_BYTES = 2 << 30


@dataclass(frozen=True)
class Log:
    """The lines of a log, in order. `size` is the number of bytes in complete lines; `torn_bytes` follow them."""

    directory: Path
    lines: tuple[Line, ...]
    size: int
    torn_bytes: int

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Every line that is an event, superseded ones included."""
        return tuple(line.event for line in self.lines if line.event is not None)

    @property
    def head(self) -> str:
        """Digest of the last complete line: the value to keep elsewhere. The genesis value for an empty log."""
        return self.lines[-1].digest if self.lines else GENESIS

    @property
    def segment(self) -> int:
        """Number of the last segment."""
        return self.events[-1].seg if self.events else 0

    @cached_property
    def _views(self) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
        kept: list[Event] = []
        gone: list[Event] = []
        for event in self.events:
            if event.type == "run.resumed":
                gone += [e for e in kept if _superseded(e, event)]
                kept = [e for e in kept if not _superseded(e, event)]
            kept.append(event)
        return tuple(kept), tuple(gone)

    def effective(self) -> tuple[Event, ...]:
        """The events that count, in order."""
        return self._views[0]

    def superseded(self) -> tuple[Event, ...]:
        """The events that a resume threw away, in order."""
        return self._views[1]

    def of(self, type: str) -> tuple[Event, ...]:
        """The effective events of one type, in order."""
        return tuple(e for e in self.effective() if e.type == type)

    def opened(self) -> Event | None:
        """run.opened, or None."""
        return next(iter(self.of("run.opened")), None)

    def closed(self) -> Event | None:
        """run.closed, or None while the run is open (or open again after a failure)."""
        last = self.events[-1] if self.events else None
        return last if last is not None and last.type == "run.closed" else None

    def steps(self) -> tuple[Event, ...]:
        """update.applied of each effective step, in order."""
        return self.of("update.applied")

    def rollouts(self) -> tuple[Event, ...]:
        """rollout.batch of each effective step, in order."""
        return self.of("rollout.batch")

    def latest_step(self) -> int:
        """The last effective step that was applied; 0 before the first."""
        return max((e.step or 0 for e in self.steps()), default=0)

    def evaluations(self) -> dict[str, Event]:
        """Label -> eval.completed, in order; the last one counts where a label occurs twice."""
        return {str(e.body.get("label")): e for e in self.of("eval.completed")}

    def checkpoints(self) -> tuple[Event, ...]:
        """checkpoint.saved of each effective checkpoint that was not deleted, by step."""
        kept: dict[int, Event] = {}
        for event in self.effective():
            if event.type == "checkpoint.saved" and event.step is not None:
                kept[event.step] = event
            elif event.type == "checkpoint.deleted" and event.step is not None:
                kept.pop(event.step, None)
        return tuple(kept[step] for step in sorted(kept))

    def last_checkpoint(self) -> Event | None:
        """checkpoint.saved of the latest checkpoint there is, or None."""
        return self.checkpoints()[-1] if self.checkpoints() else None

    def previous_segment(self) -> dict[str, Any]:
        """What a run.resumed that comes next says of the segment before it: its number of events, and the head."""
        return {"size": sum(e.seg == self.segment for e in self.events), "head": self.head}

    def discarded(self, from_step: int) -> dict[str, int]:
        """What a resume from `from_step` throws away: effective events, and applied steps."""
        events = [e for e in self.effective() if _after(e, from_step)]
        return {"events": len(events), "steps": len({e.step for e in events if e.type == "update.applied"})}

    def only(self, numbers: Iterable[int]) -> Log:
        """The log of these line numbers alone."""
        wanted = set(numbers)
        return Log(self.directory, tuple(line for line in self.lines if line.number in wanted), self.size, 0)

    def first(self, count: int) -> Log:
        """The log of the first `count` lines alone."""
        return Log(self.directory, self.lines[:count], self.size, 0)

    def faults(self) -> list[tuple[Line, str, str]]:
        """(line, code, sentence) for each line that is no event or does not follow the line before it."""
        run = self.events[0].run if self.events else ""
        found: list[tuple[Line, str, str]] = []
        prev = GENESIS
        for seq, line in enumerate(self.lines):
            if line.event is None:
                found.append((line, line.code or "CANON", line.fault or "the line is no event"))
            found += [(line, code, sentence) for code, sentence in link_faults(line, seq, prev, run)]
            prev = line.digest
        return found

    def require_sound(self) -> Log:
        """This log, if every line is an event linked to the one before; `RecordError` names the first fault."""
        faults = self.faults()
        if faults:
            line, code, sentence = faults[0]
            raise RecordError(
                f"The record is damaged at {EVENTS_NAME}:{line.number} ({code}): {sentence}",
                do=f"Run `sibling verify {self.directory}` to see all of it; a damaged record is not continued",
            )
        return self

    def follow(self) -> Log:
        """The log with the lines that were appended since it was read. Reads it afresh if it has become shorter."""
        path = self.directory / EVENTS_NAME
        data = _read(path, self.size)
        return read_log(self.directory) if data is None else _extended(self, data)


def read_log(directory: Path) -> Log:
    """Read `<directory>/events.jsonl`. Damaged lines become faults of the log, a torn last line is counted.

    Raises `RecordError` only when there is no such file, it cannot be read, or it is larger than `MAX_LOG_BYTES`.
    """
    data = _read(directory / EVENTS_NAME, 0)
    return _extended(Log(directory, (), 0, 0), data or b"")


def _extended(log: Log, data: bytes) -> Log:
    """`log` followed by the complete lines of `data`; the rest, or a last line that is not JSON, is torn."""
    *complete, rest = data.split(b"\n")
    torn = len(rest)
    if complete and not rest and not is_json(complete[-1]):
        torn = len(complete.pop()) + 1
    first = len(log.lines) + 1
    lines = tuple(read_line(number, raw) for number, raw in enumerate(complete, first))
    size = log.size + sum(len(raw) + 1 for raw in complete)
    return Log(log.directory, log.lines + lines, size, torn)


def _read(path: Path, start: int) -> bytes | None:
    """The file's bytes from `start`; None if it is shorter than that."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO in place of the file must not hang the reader
    except FileNotFoundError as error:
        raise RecordError(f"{path.parent} holds no record", wanted=f"a file {EVENTS_NAME} in it") from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with os.fdopen(fd, "rb") as f:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_LOG_BYTES:
            raise RecordError(
                f"{path} cannot be a record",
                seen=f"{status.st_size} bytes" if stat.S_ISREG(status.st_mode) else "not a regular file",
                wanted=f"a regular file of at most {MAX_LOG_BYTES} bytes",
            )
        if status.st_size < start:
            return None
        f.seek(start)
        return f.read(MAX_LOG_BYTES)


def _unreadable(path: Path, error: OSError | ValueError) -> RecordError:
    if isinstance(error, OSError):
        return explain(f"Cannot read {path}", error)
    return RecordError(f"Cannot read {str(path)!r}", seen=str(error))


def _superseded(event: Event, resumed: Event) -> bool:
    back = resumed.body.get("from_step")
    return isinstance(back, int) and _after(event, back)  # all that came before it is of an earlier segment


def _after(event: Event, step: int) -> bool:
    return event.type in STEP_SCOPED and event.step is not None and event.step > step
