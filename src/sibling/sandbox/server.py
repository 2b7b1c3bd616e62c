"""The fork server: one warm, single-threaded interpreter that forks a child per program and watches over it.

It holds no secret: its environment is empty, its memory has the entries (the caller's own files) and the standard
library; payloads and outputs pass it by as descriptors. It reads nothing that a program wrote but the few bytes that
say whether it was confined.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sibling.sandbox import calls, inside, strays, wire
from sibling.sandbox.limits import Limits
from sibling.sandbox.program import Catch, Program, close, result
from sibling.sandbox.walls import Walls

_PARENT_DEATH = 1
_LEAST_FDS = 2  # of a request: the socket to the caller and the payload

Main = Callable[[bytes, list[socket.socket]], object]


class Server:
    """Starts programs on request and tells how they ended. Arguments: the caller's socket and the walls to put up."""

    def __init__(self, control: socket.socket, walls: Walls, entries: dict[str, Main]) -> None:
        self._control, self._walls, self._entries = control, walls, entries
        self._selector = selectors.DefaultSelector()
        self._programs: dict[int, Program] = {}
        self._open = True

    def serve(self) -> None:
        """Until the caller closes its side or SIGTERM comes; then every program is ended."""
        woken, wake = os.pipe()
        for fd in (woken, wake):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        self._selector.register(self._control, selectors.EVENT_READ, self._request)
        self._selector.register(woken, selectors.EVENT_READ, lambda: _empty(woken))
        while self._open:
            for key, _ in self._selector.select(self._patience()):
                key.data()
            self._kill_late()
            self._reap()
        for program in list(self._programs.values()):
            program.how = program.how or "signalled"
            self._kill(program)
        while self._programs:
            self._reap(wait=True)
        strays.end(set())

    def _stop(self, *_: object) -> None:
        self._open = False

    def _patience(self) -> float | None:
        waits = [program.deadline for program in self._programs.values() if not program.how]
        return max(0.0, min(waits) - time.monotonic()) if waits else None

    def _request(self) -> None:
        try:
            got = wire.receive(self._control)
        except OSError:
            got = None
        if got is None:
            self._open = False
            return
        message, fds = got
        if len(fds) < _LEAST_FDS:  # more came than may be open
            for fd in fds:
                os.close(fd)
            return
        program = Program(socket.socket(fileno=fds[0]), Limits(**message["limits"]), 0)
        try:
            self._start(program, message["entry"], fds[1:])
        except Exception as failure:  # the caller is told; the server goes on for the others
            with contextlib.suppress(OSError):
                wire.send(program.talk, {"failed": f"{type(failure).__name__}: {failure}"})
            program.close()
            self._walls.clear(program)
        for fd in fds[1:]:
            os.close(fd)

    def _start(self, program: Program, entry: str, fds: list[int]) -> None:
        self._walls.place(program)
        program.output = (Catch(), Catch())
        program.ready, said = os.pipe()
        os.set_blocking(program.ready, False)
        orders = inside.Orders(
            entry=entry,
            main=self._entries[entry],
            join=lambda: self._walls.join(program),
            confine=lambda: self._walls.confine(program),
            first=self._walls.sealed,
            payload=fds[0],
            out=program.output[0].inlet,
            err=program.output[1].inlet,
            word=said,
            channels=tuple(fds[1:]),
        )
        try:
            program.pid = self._walls.fork(lambda: inside.obey(orders))
        finally:
            os.close(said)
        self._watch(program)

    def _watch(self, program: Program) -> None:
        program.started = time.monotonic()
        for catch in program.output:
            close(catch.inlet)
            catch.inlet = -1
            self._selector.register(catch.source, selectors.EVENT_READ, self._reader(program, catch))
        self._selector.register(program.talk, selectors.EVENT_READ, lambda: self._unwanted(program))
        self._programs[program.pid] = program

    def _reader(self, program: Program, catch: Catch) -> Callable[[], None]:
        def read() -> None:
            if catch.source in self._selector.get_map() and not program.read(catch):
                self._selector.unregister(catch.source)
                if program.how:
                    self._kill(program)

        return read

    def _unwanted(self, program: Program) -> None:
        if program.pid in self._programs:
            self._selector.unregister(program.talk)
            program.how = program.how or "signalled"
            self._kill(program)

    def _kill_late(self) -> None:
        now = time.monotonic()
        for program in self._programs.values():
            if not program.how and now >= program.deadline:
                program.how = "timeout"
                self._kill(program)

    def _kill(self, program: Program) -> None:
        self._walls.kill(program)

    def _reap(self, *, wait: bool = False) -> None:
        """Finish the programs that have ended; `wait` for at least one process to end."""
        while True:
            try:
                pid, status, usage = self._next(wait)
            except ChildProcessError:
                return
            if not pid:
                return
            wait = False
            if pid in self._programs:
                self._finish(self._programs.pop(pid), status, usage)

    def _next(self, wait: bool) -> tuple[int, int, Any]:
        """Reap one child that has ended, if there is one; what is left of its group is killed."""
        flags = 0 if wait else os.WNOHANG
        if hasattr(os, "waitid"):  # while it is not reaped, its number cannot be another's
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | flags)
            if found is None:
                return 0, 0, None
            if found.si_pid in self._programs:
                self._walls.kill(self._programs[found.si_pid])
            return os.wait4(found.si_pid, 0)
        pid, status, usage = os.wait4(-1, flags)
        if pid in self._programs:
            self._walls.kill(self._programs[pid])
        return pid, status, usage

    def _finish(self, program: Program, status: int, usage: Any) -> None:
        if self._walls.finds_strays:
            strays.end(set(self._programs))
        for catch in program.output:
            if catch.source in self._selector.get_map():
                self._selector.unregister(catch.source)
                program.read(catch)
        if program.talk in self._selector.get_map():
            self._selector.unregister(program.talk)
        starved, peak = self._walls.clear(program)
        program.sweep()
        program.tell(result(program, status, usage, starved=starved, peak=peak))
        program.close()


def load(entries: Sequence[str], preload: Sequence[str]) -> dict[str, Main]:
    """Import the entries (files) and the modules to have ready. Raises whatever they raise."""
    mains = {}
    for path in entries:
        name = Path(path).stem
        spec = importlib.util.spec_from_file_location(f"sandboxed_{name}", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        mains[name] = module.main
    for each in preload:
        importlib.import_module(each)
    return mains


def run(control: socket.socket, order: dict[str, Any]) -> None:
    """The server's life: load, confine itself, say `ready`, serve."""
    try:
        entries = load(order["entries"], order["preload"])
        walls = Walls(order["level"], order["folder"], order["walls"])
        walls.enter()
    except BaseException as failure:
        wire.send(control, {"failed": f"{type(failure).__name__}: {failure}"})
        raise
    if walls.sealed:
        _be_first(control)
    walls.settle()
    gc.collect()
    gc.freeze()  # collections in the children leave these pages shared
    wire.send(control, {"failed": ""})
    Server(control, walls, entries).serve()


def _be_first(control: socket.socket) -> None:
    """Go on as the first process of the new process namespace: its end is the end of everything in there."""
    pid = os.fork()
    if pid:
        control.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        calls.prctl(_PARENT_DEATH, signal.SIGTERM)  # becoming another user has cleared it
        os.waitpid(pid, 0)
        os._exit(0)
    calls.prctl(_PARENT_DEATH, signal.SIGKILL)


def _empty(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 512):
            pass
