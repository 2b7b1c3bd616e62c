"""The one writer of a run's record: lock, append, flush. Only the pipeline imports this module.

Rule 1: one process writes (see lock.py). A second writer is refused and told which process holds the lock.
Rule 2: an event is checked (fields, order) before a byte of it is written; a refused event changes nothing.
Rule 3: fsync policy: every event is one line, appended and fsynced before `write` returns. An event that was
        returned survives a kill and a power cut; at most the line being written can be torn. Measured cost is a
        few milliseconds an event, some five events a step.
Rule 4: when a write fails (disk full), the file is cut back to its last complete line, so the log stays valid.
Rule 5: nothing is repaired silently: a torn line found on opening blocks writing until `repair_tail` is called,
        and the number of bytes it cut belongs in run.resumed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sibling.canonical import sha256
from sibling.errors import RecordError
from sibling.record import chain
from sibling.record.events import Event, body_fault
from sibling.record.files import explain, sync_directory
from sibling.record.lifecycle import START, Position, advance
from sibling.record.lock import DirectoryLock
from sibling.record.reader import EVENTS_NAME, Log, read_log

Clock = Callable[[], datetime]
"""Now, with a time zone."""


def utc_now() -> datetime:
    """The system clock."""
    return datetime.now(UTC)


class RecordWriter:
    """Appends events to `<directory>/events.jsonl`; continues the chain that is there.

    `segment` is 0 for a new log; for an existing one its last segment, or the next one when the first event
    written will be run.resumed. Use as a context manager, or call `close`.

    Raises `RecordError` when the directory is missing, in use, read-only, holds another run, or its log is damaged
    (a torn last line apart: see `torn_bytes`).
    """

    def __init__(self, directory: Path, run_id: str, *, segment: int, clock: Clock = utc_now) -> None:
        self._path = directory / EVENTS_NAME
        self._run, self._segment, self._clock = run_id, segment, clock
        self._fd = -1
        self._turn = threading.Lock()
        self._lock = DirectoryLock(directory)
        try:
            self._fd = self._open()
            log = read_log(directory).require_sound()
            self._at = self._replayed(log)
        except BaseException:
            self.close()
            raise
        self._size, self._seq, self._head = log.size, len(log.lines), log.head
        self._torn = log.torn_bytes

    @property
    def run(self) -> str:
        """The run's id."""
        return self._run

    @property
    def head(self) -> str:
        """Digest of the last line written; the genesis value for an empty log."""
        return self._head

    @property
    def seq(self) -> int:
        """Sequence number of the next event: how many there are."""
        return self._seq

    @property
    def torn_bytes(self) -> int:
        """Bytes of an incomplete last line that is still in the file."""
        return self._torn

    def write(self, type: str, body: Mapping[str, Any]) -> Event:
        """Append one event and flush it to the disk.

        Threads take turns. Raises `RecordError` when a field is missing, when the event may not come here, or when the
        disk refuses it; the log is then as it was before.
        """
        with self._turn:
            return self._write(type, body)

    def _write(self, type: str, body: Mapping[str, Any]) -> Event:
        self._require_writable()
        if fault := body_fault(type, body):
            raise RecordError(f"The body of {type} cannot be recorded", seen=fault)
        at = advance(self._at, type, self._segment, body)
        moment = self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = chain.build(
            run=self._run, seg=self._segment, seq=self._seq, t=moment, type=type, prev=self._head, body=body
        )
        self._append(event.raw + b"\n")
        self._at, self._seq, self._head = at, self._seq + 1, sha256(event.raw)
        return event

    def repair_tail(self) -> int:
        """Cut an incomplete last line, and nothing else; the number of bytes cut (0 if the log ends well)."""
        cut, self._torn = self._torn, 0
        if cut:
            try:
                os.ftruncate(self._fd, self._size)
                os.fsync(self._fd)
            except OSError as error:
                self._torn = cut
                raise explain(f"Cannot repair the last line of {self._path}", error) from error
        return cut

    def close(self) -> None:
        """Close the file and release the lock. Harmless when called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> int:
        new = not self._path.exists()
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            if new:
                sync_directory(self._path.parent)
        except OSError as error:
            raise explain(f"Cannot open {self._path} for writing", error) from error
        return fd

    def _replayed(self, log: Log) -> Position:
        """Where the run stands after the events that are there; refuses another run or a segment out of order."""
        at = START
        for event in log.events:
            if fault := body_fault(event.type, event.body):
                raise RecordError(f"{self._path}:{event.seq + 1} is not a valid {event.type}", seen=fault)
            at = advance(at, event.type, event.seg, event.body)
        other = next((e.run for e in log.events if e.run != self._run), None)
        if other is not None:
            raise RecordError(
                f"{self._path.parent} holds the record of another run",
                seen=f"run {other}",
                wanted=f"run {self._run}",
                do="Choose another directory with run_dir=PATH",
            )
        legal = (at.segment, at.segment + 1) if log.events else (0,)
        if self._segment not in legal:
            raise RecordError("A log cannot be continued in this segment", seen=self._segment, wanted=legal)
        return at

    def _require_writable(self) -> None:
        if self._fd < 0:
            raise RecordError(f"{self._path} has been closed")
        if self._torn:
            raise RecordError(
                f"The last line of {self._path} is incomplete",
                seen=f"{self._torn} bytes after the last complete line",
                do="Call repair_tail() and record how many bytes it cut",
            )
        status = os.fstat(self._fd)
        if status.st_size != self._size or status.st_nlink == 0:
            raise RecordError(
                f"{self._path} was changed by somebody else while the run was writing it",
                seen=f"{status.st_size} bytes" if status.st_nlink else "the file was deleted",
                wanted=f"{self._size} bytes",
                do="Stop what else writes there; `sibling verify` says what can still be trusted",
            )

    def _append(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._fd, left) :]
            os.fsync(self._fd)
        except OSError as error:
            self._cut_back()
            raise explain(f"Cannot write to {self._path}", error) from error
        except BaseException:  # an interrupt between two system calls
            self._cut_back()
            raise
        self._size += len(data)

    def _cut_back(self) -> None:
        # If even this fails, the torn line stays; it is found and reported when the log is opened again.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
