"""Run a program that is not trusted: start it, talk to it through channels, learn how it ended.

What each level of strength covers, and what it does not, is said in `sibling.sandbox.levels`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sibling.errors import RequestError, RunError
from sibling.sandbox import cgroups, wire
from sibling.sandbox.levels import Level
from sibling.sandbox.limits import Limits
from sibling.sandbox.probe import missing, require
from sibling.sandbox.program import unnamed_file

_START_SECONDS = 60.0
_END_SECONDS = 5.0
_MOST_CHANNELS = 16


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    `how` is `exited` (with `code`), `signalled` (with `signal`; also after `kill`), `timeout` (wall or processor
    time), `memory` (a cgroup killed it, or `main` ended in a MemoryError) or `output` (it wrote more than it may).
    `stdout` and `stderr` are what it wrote up to then, at most `output_bytes`. `seconds` is wall time; `peak_memory`
    is in bytes.
    """

    how: Literal["exited", "signalled", "timeout", "memory", "output"]
    code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    peak_memory: int | None


class Running:
    """A program that was started. It is killed if this object goes before its end."""

    def __init__(self, talk: socket.socket, limits: Limits) -> None:
        self._talk, self._limits = talk, limits
        self._lock = threading.Lock()
        self._ended: Ended | None = None
        self._gone = weakref.finalize(self, talk.close)  # the server sees it and kills the program

    def wait(self) -> Ended:
        """Wait for the end; the time limit bounds it. The same answer every time.

        Raises `RunError` if the program could not be confined (it did not run then) or the server was killed.
        """
        with self._lock:
            if self._ended is None:
                try:
                    got = wire.receive(self._talk)
                except OSError:
                    got = None
                finally:
                    self._gone()
                self._ended = _ended(got, self._limits.output_bytes)
            return self._ended

    def kill(self) -> None:
        """End the program and everything it started. `wait` then says `signalled`, if it had not ended before."""
        with contextlib.suppress(OSError):
            self._talk.shutdown(socket.SHUT_WR)


class Sandbox:
    """Fork servers, each of which starts a program in a few milliseconds, confined before any of its code runs.

    An entry is a standalone file, with the standard library alone, that defines `main(payload: bytes, channels:
    list[socket.socket]) -> None`; programs name it by its stem. Entries and the modules of `preload` are imported
    once, before any program.

    Arguments: the `entries`; the least strength that will do (`minimum`), or exactly the `level` to use; modules to
    `preload`; how many `servers` share the work (one can start about a hundred programs a second). Safe to use from
    many threads. The servers end with `close`, with this object, or with this process, however it ends.
    Raises `RequestError` if this machine does not allow the level or an entry cannot be loaded.
    """

    level: Level  # the level in use
    restarts: int  # servers that were found dead and replaced

    def __init__(
        self,
        entries: Sequence[Path],
        *,
        minimum: Level | str = "isolated",
        level: Level | None = None,
        preload: Sequence[str] = (),
        servers: int = 1,
    ) -> None:
        self.level = require(minimum) if level is None else level
        if missing(self.level):
            raise RequestError("This level of the sandbox does not work on this machine", seen=missing(self.level))
        self._order = {
            "level": int(self.level),
            "entries": [str(Path(entry).resolve()) for entry in entries],
            "preload": list(preload),
            "folder": _place(self.level),
        }
        self._names = {Path(entry).stem for entry in entries}
        self._lock = threading.Lock()
        self._turn = 0
        self.restarts = 0
        self._servers: list[_Server] = []
        self._end = weakref.finalize(self, _end_all, self._servers, os.getpid())
        for _ in range(servers):
            self._servers.append(_Server(self._order))

    def start(
        self, entry: str, payload: bytes, *, limits: Limits = Limits(), channels: Sequence[socket.socket] = ()
    ) -> Running:
        """Start a program: `main(payload, channels)` of the entry, confined.

        Arguments: the stem of the entry's file, the payload, the limits, and connected stream sockets of the Unix
        family that the program gets; the caller's copies stay open and are the caller's to close. Raises
        `RequestError` for an unknown entry or an unfit channel, `RunError` if the server cannot be reached.
        """
        self._check(entry, channels)
        file = unnamed_file("payload")
        ours, theirs = socket.socketpair()
        try:
            _write(file, payload)
            fds = [theirs.fileno(), file, *(channel.fileno() for channel in channels)]
            with self._lock:
                self._send({"entry": entry, "limits": asdict(limits)}, fds)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(file)
        return Running(ours, limits)

    def _send(self, message: dict[str, Any], fds: Sequence[int]) -> None:
        """Hand a request to the next server; one that is gone is replaced, once."""
        self._turn = (self._turn + 1) % len(self._servers)
        try:
            self._servers[self._turn].send(message, fds)
        except OSError:
            self._servers[self._turn].end()
            self._servers[self._turn] = _Server(self._order)
            self.restarts += 1
            self._servers[self._turn].send(message, fds)

    def _check(self, entry: str, channels: Sequence[socket.socket]) -> None:
        if not self._end.alive:
            raise RunError("The sandbox was closed", do="Start programs before `close`.")
        if entry not in self._names:
            raise RequestError("No such entry", seen=entry, wanted=", ".join(sorted(self._names)))
        kinds = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
        for channel in channels:
            if channel.family != socket.AF_UNIX or channel.type not in kinds:
                raise RequestError("A channel must be a connected stream socket of the Unix family", seen=channel)
        if len(channels) > _MOST_CHANNELS:
            raise RequestError("Too many channels", seen=len(channels), wanted=f"at most {_MOST_CHANNELS}")

    def close(self) -> None:
        """End the servers and every program that still runs."""
        self._end()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server:
    def __init__(self, order: dict[str, Any]) -> None:
        self._folder = tempfile.mkdtemp(prefix="sibling-sandbox-", dir=order["folder"])
        self._control, theirs = socket.socketpair()
        keeper = Path(__file__).with_name("keeper.py")
        with theirs:
            command = [
                sys.executable,
                "-P",
                "-s",
                "-S",
                "-B",
                "-X",
                "utf8",
                str(keeper),
                str(theirs.fileno()),
                str(os.getpid()),
            ]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"PYTHONHASHSEED": "0"},  # nothing of ours; the same order of sets in every run
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            self._control.settimeout(_START_SECONDS)
            wire.send(self._control, order | {"folder": self._folder})
            got = wire.receive(self._control)
            self._control.settimeout(None)
        except OSError as failure:
            got = ({"failed": str(failure)}, [])
        failed = "it ended at once" if got is None else got[0]["failed"]
        if failed:
            self.end()
            raise RequestError(
                "The sandbox's server did not start", seen=failed, do="Check that its entries can be imported."
            )

    def send(self, message: dict[str, Any], fds: Sequence[int]) -> None:
        """Hand over a request. Raises `OSError` if the server is gone."""
        wire.send(self._control, message, fds)

    def end(self) -> None:
        self._control.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode:  # the keeper was killed and could not clean up
            cgroups.sweep(cgroups.name_of(self._process.pid))
        shutil.rmtree(self._folder, ignore_errors=True)


def _place(level: Level) -> str:
    """Where temp directories are made: as usual, unless a program that is another user could not go there."""
    usual = tempfile.gettempdir()
    if level != Level.filtered or os.geteuid() != 0:
        return usual
    return next((place for place in (usual, "/tmp", "/var/tmp") if _reachable(place)), usual)


def _reachable(path: str) -> bool:
    parents = [Path(path).resolve(), *Path(path).resolve().parents]
    return all(each.exists() and each.stat().st_mode & 0o001 for each in parents)


def _end_all(servers: list[_Server], owner: int) -> None:
    if os.getpid() == owner:  # not in a child that was forked from us
        while servers:
            servers.pop().end()


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    os.lseek(file, 0, os.SEEK_SET)


def _ended(got: tuple[dict[str, Any], list[int]] | None, most: int) -> Ended:
    if got is None:
        raise RunError("The sandbox's server ended while a program ran", do="Make a new sandbox.")
    message, fds = got
    try:
        if message["failed"]:
            raise RunError("The program was not started because it could not be confined", seen=message["failed"])
        out, err = (os.pread(fd, most, 0) for fd in fds)
    finally:
        for fd in fds:
            os.close(fd)
    return Ended(
        message["how"],
        message["code"],
        message["signal"],
        out,
        err[: most - len(out)],
        message["seconds"],
        message["peak"],
    )
