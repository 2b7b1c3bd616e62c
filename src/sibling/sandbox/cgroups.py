"""Control groups, version 1 or 2, whichever is writable: one group per program, removed when the program has ended.

The keeper makes one directory per sandbox server inside the cgroup it is in itself (never above it, and it changes no
group that it did not make). Each program gets a group in there with a limit of memory and one of processes.
Covered: memory of all processes of a program together, files in its /tmp included; processes and threads; peak memory.
Not covered: processor shares, disk traffic. Version 2 needs a cgroup whose controllers `memory` and `pids` are handed
down.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sibling.sandbox.limits import Limits

_WANTED = ("memory", "pids")
_SERVER = "server"  # version 2: the server's own group, so that it may move its children within the directory
_PATIENCE = 0.5  # seconds until a group whose processes have ended can be removed


@dataclass(frozen=True)
class Place:
    """Directories of one sandbox server: one a controller in version 1, the same one for both in version 2."""

    version: int
    memory: str
    pids: str

    @property
    def folders(self) -> list[str]:
        """Each directory once."""
        return list(dict.fromkeys((self.memory, self.pids)))

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def name_of(keeper: int) -> str:
    """The name of a server's directories, by the process id of its keeper."""
    return f"sibling-sandbox-{keeper}"


def make(name: str, owner: int | None) -> Place:
    """Make the directories of a server, owned by the user id `owner` if given. Raises `OSError` saying why not."""
    mine = mounts()
    try:
        if set(_WANTED) <= mine.keys():
            memory = _new(mine["memory"], name)
            try:
                pids = _new(mine["pids"], name)
            except OSError:
                _remove(memory, None)
                raise
            place = Place(1, memory, pids)
        elif "" in mine:
            folder = _new_version_2(mine[""], name)
            place = Place(2, folder, folder)
        else:
            raise OSError(2, "no cgroup file system is mounted with the controllers memory and pids")
    except OSError as failure:
        raise OSError(failure.errno, f"{failure.strerror}: {failure.filename or 'cgroup'}") from failure
    try:
        if owner is not None:
            _hand_over(place, owner)
    except OSError:
        remove(place)
        raise
    return place


def _hand_over(place: Place, owner: int) -> None:
    for folder in place.folders:
        for path in (folder, f"{folder}/cgroup.procs", f"{folder}/{_SERVER}", f"{folder}/{_SERVER}/cgroup.procs"):
            with contextlib.suppress(FileNotFoundError):
                os.chown(path, owner, owner)


def remove(place: Place) -> None:
    """Remove the directories of a server whose processes have all ended, and what is left in them."""
    for folder in place.folders:
        with contextlib.suppress(OSError):
            for child in os.scandir(folder):
                if child.is_dir(follow_symlinks=False):
                    _remove(child.path, None)
        _remove(folder, None)


def sweep(name: str) -> None:
    """Remove the directories of a server whose keeper was killed before it could."""
    found = mounts()
    for parent in {*found.values(), *(os.path.dirname(path) for path in found.values())}:
        folder = os.path.join(parent, name)
        if os.path.isdir(folder):
            remove(Place(1, folder, folder))


class Groups:
    """Groups of programs below the directories of a server, reached through descriptors that outlive a new root."""

    def __init__(self, place: Place) -> None:
        self._version = place.version
        self._memory = os.open(place.memory, os.O_PATH | os.O_DIRECTORY)
        self._pids = os.open(place.pids, os.O_PATH | os.O_DIRECTORY)
        self._count = 0

    def join(self) -> None:
        """Version 2: move this process, the server, into the directory (while it still has the right to)."""
        if self._version == 2:
            _write(self._memory, f"{_SERVER}/cgroup.procs", "0")

    def new(self, limits: Limits, extra: int) -> str:
        """Make a group with the limits; `extra` processes are ours. Returns its name. Raises `OSError`."""
        self._count += 1
        name = f"p{self._count}"
        for folder in self._each():
            os.mkdir(name, 0o755, dir_fd=folder)
        if self._version == 1:
            _write(self._memory, f"{name}/memory.limit_in_bytes", str(limits.memory))
            with contextlib.suppress(OSError):  # no accounting of swap
                _write(self._memory, f"{name}/memory.memsw.limit_in_bytes", str(limits.memory))
        else:
            _write(self._memory, f"{name}/memory.max", str(limits.memory))
            with contextlib.suppress(OSError):
                _write(self._memory, f"{name}/memory.swap.max", "0")
            with contextlib.suppress(OSError):
                _write(self._memory, f"{name}/memory.oom.group", "1")
        _write(self._pids, f"{name}/pids.max", str(limits.processes + extra))
        return name

    def enter(self, name: str) -> None:
        """Move the calling process into a group. Raises `OSError`."""
        for folder in self._each():
            _write(folder, f"{name}/cgroup.procs", "0")

    def end(self, name: str) -> tuple[bool, int | None]:
        """Remove a group whose processes have ended. Returns whether memory killed one, and the peak in bytes."""
        events = "memory.oom_control" if self._version == 1 else "memory.events"
        peak = "memory.max_usage_in_bytes" if self._version == 1 else "memory.peak"
        lines = dict(line.split()[:2] for line in _read(self._memory, f"{name}/{events}").splitlines() if " " in line)
        most = _read(self._memory, f"{name}/{peak}").strip()
        for folder in self._each():
            _remove(name, folder)
        return lines.get("oom_kill", "0") != "0", int(most) if most.isdigit() else None

    def _each(self) -> list[int]:
        return [self._memory, self._pids] if self._version == 1 else [self._memory]


def mounts() -> dict[str, str]:
    """By controller (empty for version 2): the directory of the cgroup that this process is in."""
    mine = {}
    if not os.path.exists("/proc/self/cgroup"):
        return {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            mine[controller] = path
    found: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, point = before.split(" ")[3:5]
        names = [""] if kind == "cgroup2" else [each for each in _WANTED if each in options.split(",")]
        for name in names if kind in ("cgroup", "cgroup2") else ():
            inside = os.path.relpath(mine.get(name, "/"), root)
            folder = os.path.normpath(os.path.join(point, "" if inside.startswith("..") else inside))
            if name in mine and os.path.isdir(folder):
                found[name] = folder
    return found


def _new(parent: str, name: str) -> str:
    folder = os.path.join(parent, name)
    os.mkdir(folder, 0o755)
    return folder


def _new_version_2(parent: str, name: str) -> str:
    """In the group of this process or beside it, where the controllers are handed down; with the server's own group."""
    tried = [parent, os.path.dirname(parent)] if os.path.exists(f"{parent}/cgroup.type") else [parent]
    for place in tried:
        handed = Path(place, "cgroup.subtree_control").read_text().split()
        if set(_WANTED) <= set(handed):
            folder = _new(place, name)
            try:
                Path(folder, "cgroup.subtree_control").write_text("+memory +pids")
                _new(folder, _SERVER)
            except OSError:
                _remove(folder, None)
                raise
            return folder
    raise OSError(95, "the controllers memory and pids are not handed down to the cgroup of this process", parent)


def _write(folder: int, name: str, text: str) -> None:
    file = os.open(name, os.O_WRONLY, dir_fd=folder)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _read(folder: int, name: str) -> str:
    try:
        file = os.open(name, os.O_RDONLY, dir_fd=folder)
    except OSError:
        return ""
    try:
        return os.read(file, 4096).decode()
    finally:
        os.close(file)


def _remove(path: str, folder: int | None) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            os.rmdir(path, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.002)
        else:
            return
