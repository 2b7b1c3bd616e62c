"""Processes that a program left behind: where no pid namespace ends them, they are found as our children and killed.

The server (and its keeper) is a subreaper: a process whose parent ends becomes its child, however it was detached. So
every child that is not a running program is a stray. Not covered: a program that forks faster than it is killed,
where no limit of processes holds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

_SUBREAPER = 36
_SECONDS = 2.0


def adopt() -> None:
    """Make this process the parent of every descendant that loses its own."""
    if sys.platform == "linux":
        from sibling.sandbox import calls

        with contextlib.suppress(OSError):
            calls.prctl(_SUBREAPER, 1)


def end(known: set[int]) -> None:
    """Kill and reap all children of this process but the known ones, and what they leave in turn."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        found = [pid for pid in children() if pid not in known]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pid in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def children() -> list[int]:
    """The process ids of this process's children; none where the system does not tell."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as names:
            return [int(name) for name in names.read().split()]
    except OSError:
        return _by_parent(me)


def _by_parent(parent: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as line:
                    if int(line.read().rpartition(b")")[2].split()[1]) == parent:
                        found.append(int(name))
    return found
