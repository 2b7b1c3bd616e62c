"""One program in the fork server: how it is started, what is caught of it, and how it becomes a result.

What a program prints goes from its pipe to an unnamed file without passing through the server's memory (where the
system can), because the next program is a copy of that memory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from sibling.sandbox import wire
from sibling.sandbox.limits import Limits

OUT_OF_MEMORY = 251  # exit code of a program whose `main` ended in a MemoryError
_CHUNK = 1 << 16
_EARLY = "the process ended before it was confined"
_READY, _STATUS = b"ready", 4  # what the child says; the size of the status that follows


class Catch:
    """What one stream of a program gave: a pipe to read and an unnamed file that holds it."""

    def __init__(self) -> None:
        self.source, self.inlet = os.pipe()
        os.set_blocking(self.source, False)
        self.file = unnamed_file("output")
        self.size = 0

    def take(self, room: int) -> int | None:
        """Move at most `room` bytes; how many (0: the end), or None if there is nothing yet."""
        try:
            moved = _move(self.source, self.file, min(room, _CHUNK))
        except BlockingIOError:
            return None
        self.size += moved
        return moved

    def close(self) -> None:
        """Close what is still open."""
        for fd in (self.source, self.inlet, self.file):
            close(fd)
        self.source = self.inlet = self.file = -1


@dataclass
class Program:
    """A running program as the server sees it."""

    talk: socket.socket  # to the caller: its end means that the program is not wanted any more
    limits: Limits
    slot: int
    folder: str = ""  # its temp directory, if it has none of its own
    group: str = ""  # its cgroup
    output: tuple[Catch, ...] = ()
    ready: int = -1  # read end: the program's own word that it is confined, or why not
    pid: int = 0
    started: float = 0.0
    how: str = ""  # why it was killed, if it was

    @property
    def deadline(self) -> float:
        """When it has to be killed, on the monotonic clock."""
        return self.started + self.limits.seconds

    def read(self, catch: Catch) -> bool:
        """Take what the stream has now. Returns whether there may be more."""
        while True:
            room = self.limits.output_bytes - sum(each.size for each in self.output)
            moved = catch.take(room + 1)
            if moved is None:
                return True
            if not moved:
                return False
            if moved > room:
                self.how = self.how or "output"
                return False

    def tell(self, message: dict[str, Any]) -> None:
        """Send the result with both outputs to the caller, if it still listens."""
        with contextlib.suppress(OSError):
            self.talk.settimeout(5.0)
            wire.send(self.talk, message, [each.file for each in self.output])

    def word(self) -> tuple[str, int | None]:
        """Empty if the program was confined and started, else why not; and its status, if its first process told it."""
        try:
            said = os.read(self.ready, 8192)
        except OSError:
            said = b""
        if not said.startswith(_READY):
            return said.decode("utf-8", "replace") or _EARLY, None
        rest = said[len(_READY) :]
        return "", int.from_bytes(rest, "little") if len(rest) == _STATUS else None

    def close(self) -> None:
        """Let go of everything but the processes."""
        for each in self.output:
            each.close()
        close(self.ready)
        self.ready = -1
        self.talk.close()
        self.sweep()

    def sweep(self) -> None:
        """Remove its temp directory. Links in it are not followed."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = ""


def result(program: Program, status: int, usage: Any, *, starved: bool, peak: int | None) -> dict[str, Any]:
    """The message that says how a program ended.

    Arguments: its wait `status` and resource `usage`; `starved`, whether the kernel killed it for memory; `peak`
    memory in bytes of all its processes, if a cgroup counted it.
    """
    failed, told = program.word()
    code = os.waitstatus_to_exitcode(status if told is None else told)
    number = -code if code < 0 else None
    how = program.how or ("exited" if number is None else "signalled")
    busy = usage.ru_utime + usage.ru_stime
    if not program.how and number in (signal.SIGKILL, signal.SIGXCPU) and busy > program.limits.cpu_seconds - 0.5:
        how = "timeout"
    if not program.how and (starved or code == OUT_OF_MEMORY):
        how = "memory"
    if how not in ("exited", "signalled") or program.how:
        failed = failed.removesuffix(_EARLY)  # it was ended while it was being confined
    alone = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "how": how,
        "code": code if how == "exited" else None,
        "signal": number,
        "seconds": time.monotonic() - program.started,
        "peak": max(peak or 0, alone),
        "failed": failed,
    }


def close(fd: int) -> None:
    """Close a descriptor if it is one."""
    if fd >= 0:
        os.close(fd)


def unnamed_file(name: str) -> int:
    """A new file without a name, in memory where the system can."""
    if sys.platform == "linux":
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _move(source: int, to: int, most: int) -> int:
    if hasattr(os, "splice"):
        return os.splice(source, to, most, flags=os.SPLICE_F_NONBLOCK)
    return os.write(to, os.read(source, most))
