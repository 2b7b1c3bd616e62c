"""The walls of one server at its level: what is put up once, what for each program, and how it is taken down."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import tempfile
from collections.abc import Callable
from typing import Any

from sibling.sandbox import calls, cgroups, landlock, library, namespaces, privileges, seccomp
from sibling.sandbox.levels import Level
from sibling.sandbox.limits import hold, others_of_user, space_used
from sibling.sandbox.program import Program

_MOST_PROGRAMS = 255  # user ids that a server has to give
_OURS = 1  # processes of ours among those of a program: the first of its namespace
_ONE_HEAP = (-8, 1)  # mallopt(M_ARENA_MAX, 1): threads share a heap, or each would reserve 64 MiB of address space


class Walls:
    """Walls of a level. Arguments: the level, the directory for temp directories, and what the keeper prepared."""

    def __init__(self, level: int, folder: str, prepared: dict[str, Any]) -> None:
        self.level = Level(level)
        self._folder, self._prepared = folder, prepared
        self._space = space_used()
        self._filter = b""
        self._landlock = 0
        self._read: list[str] = []  # what Landlock leaves readable
        self._processes = -1  # descriptor of the server's own process namespace
        self._groups: cgroups.Groups | None = None
        self._home = ""  # of each program, where it is a file system of its own
        self._free: list[int] = list(range(_most_programs(), 0, -1))

    @property
    def sealed(self) -> bool:
        """Whether the end of a program's first process is the end of all it started."""
        return self.level >= Level.isolated

    @property
    def finds_strays(self) -> bool:
        """Whether what a program left behind has to be looked for when it ends."""
        return Level.none < self.level < Level.isolated

    @property
    def _owns_ids(self) -> bool:
        """Whether each program becomes a user of its own, in the machine's sense."""
        return self.level == Level.filtered and self._prepared["uid"] is not None

    def enter(self) -> None:
        """What is done once, before the first fork (and before the server is the first process of its namespace)."""
        if self.level >= Level.filtered:
            self._filter = seccomp.build(alone=self.sealed)
            with contextlib.suppress(OSError):
                self._landlock = landlock.version()
            if not self._landlock and not self.sealed:
                raise OSError(38, "level `filtered` needs Landlock")
        if self._owns_ids:
            os.chmod(self._folder, 0o711)
            library.shadow(self._folder)
        self._read = ["/"] if self.sealed else [*library.readable(), *library.DEVICES]
        if self.sealed:
            if self._prepared["groups"]:
                self._groups = cgroups.Groups(cgroups.Place(**self._prepared["groups"]))
                self._groups.join()
            self._home = namespaces.home()
            namespaces.enter(self._folder, self._prepared["uid"])
            self._folder = ""

    def settle(self) -> None:
        """What is done once, after the server became the first process of its namespace."""
        if self.level >= Level.filtered:
            privileges.hide()
        if self.sealed:
            self._processes = namespaces.own_processes()

    def place(self, program: Program) -> None:
        """Give a new program its slot, and its temp directory and cgroup where it needs them. Raises `OSError`."""
        if not self._free:
            raise OSError(11, "too many programs at once")
        program.slot = self._free.pop()
        if not self.sealed:
            program.folder = tempfile.mkdtemp(prefix="program-", dir=self._folder)
            if self._owns_ids:
                os.chown(program.folder, *[self._prepared["uid"] + program.slot] * 2)
        if self._groups is not None:
            program.group = self._groups.new(program.limits, _OURS)

    def fork(self, child: Callable[[], None]) -> int:
        """Fork; `child` runs in the child and never returns. Returns the child's process id."""
        if self.sealed:
            calls.call("unshare", namespaces.NEW_PID)
        try:
            pid = os.fork()
            if not pid:
                child()
        finally:
            if self.sealed:
                calls.call("setns", self._processes, namespaces.NEW_PID)
        return pid

    def join(self, program: Program) -> None:
        """In the child, first: what needs the server's descriptors."""
        if self._groups is not None:
            self._groups.enter(program.group)

    def confine(self, program: Program) -> None:
        """In the child: everything else that is put around one program."""
        os.setsid()
        home = program.folder or self._home
        if self.sealed:
            namespaces.private(home, program.limits.file_bytes)
        os.environ.clear()
        os.environ.update(HOME=home, TMPDIR=home, LANG="C.UTF-8")
        tempfile.tempdir = home
        os.chdir(home)
        if self.level >= Level.filtered:
            self._narrow(program, home)
        elif self.level >= Level.limits:
            hold(program.limits, space=self._space, users=others_of_user())
        if self.level >= Level.limits:
            _heap()
        if self._filter:
            seccomp.put_on(self._filter)

    def _narrow(self, program: Program, home: str) -> None:
        if self._owns_ids:
            privileges.become(self._prepared["uid"] + program.slot)
        users = _OURS if self.sealed else 0 if self._owns_ids else others_of_user()
        hold(program.limits, space=self._space, users=users)
        privileges.drop()
        if self._landlock:
            landlock.confine(self._read, [home, "/dev/null"], self._landlock)

    def kill(self, program: Program) -> None:
        """End all processes of a program that can be reached at this level."""
        if not self.sealed:
            with contextlib.suppress(OSError):
                os.killpg(program.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.kill(program.pid, signal.SIGKILL)

    def clear(self, program: Program) -> tuple[bool, int | None]:
        """After its end: whether the kernel killed it for memory, and its peak in bytes, if known."""
        if program.slot:
            self._free.append(program.slot)
        if self._groups is None or not program.group:
            return False, None
        return self._groups.end(program.group)


def _most_programs() -> int:
    """How many programs at once leave room for descriptors."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(1, min(_MOST_PROGRAMS, (soft - 64) // 10)) if soft > 0 else _MOST_PROGRAMS


def _heap() -> None:
    if _mallopt is not None:
        _mallopt(*_ONE_HEAP)


_mallopt = getattr(ctypes.PyDLL(None), "mallopt", None) if calls.KNOWN else None
