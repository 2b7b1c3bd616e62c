"""How much one program may use, and the part of it that the kernel's resource limits hold.

Covered: processor time, address space, size of a file, open files, core dumps, locked memory, message queues (each a
process); the number of processes and threads (of one user: see `processes`).
Not covered: memory of all processes together (`contained` bounds it, through a cgroup) and the sum of all files
(bounded from `isolated` on, where the temp directory is a file system of its own). Wall time and output are held by
the server.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass

SPARE = 256 << 20  # address space that is reserved and never touched: heaps of threads, mapped libraries


@dataclass(frozen=True)
class Limits:
    """The most that one program may use.

    Arguments: wall time in `seconds`; `cpu_seconds` of a process, rounded up to whole ones; `memory` in bytes, of a
    process (of all together at `contained`); `processes` and threads at once, the first among them; `file_bytes` in
    one file (and, from `isolated` on, in all files); `output_bytes` on standard output and standard error together;
    `open_files` of a process.
    """

    seconds: float = 5.0
    cpu_seconds: float = 5.0
    memory: int = 512 << 20
    processes: int = 8
    file_bytes: int = 16 << 20
    output_bytes: int = 1 << 20
    open_files: int = 64


def hold(limits: Limits, *, space: int, users: int) -> None:
    """Give this process and all it starts the limits; nothing can raise them again without privilege.

    Arguments: `space`, bytes of address space that are taken before the program starts; `users`, processes of the
    same user that are not the program's (they count as well).
    """
    import resource

    wanted = {
        "RLIMIT_CPU": math.ceil(limits.cpu_seconds),
        "RLIMIT_AS": limits.memory + space,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NPROC": limits.processes + users,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_RTPRIO": 0,
        "RLIMIT_SIGPENDING": 256,
        "RLIMIT_STACK": 8 << 20,
    }
    for name, value in wanted.items():
        which = getattr(resource, name, None)  # not every system has all of them
        if which is None or (name == "RLIMIT_AS" and sys.platform == "darwin"):  # there it cannot be set
            continue
        _, hard = resource.getrlimit(which)
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (least, least))


def space_used() -> int:
    """Address space of this process in bytes, with the spare that a program needs beside what it asks for."""
    try:
        with open("/proc/self/statm", "rb") as numbers:
            return int(numbers.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + SPARE
    except OSError:
        return 4 << 30


def others_of_user() -> int:
    """Other processes and threads of this user: with no user namespace they count towards the limit of each program.

    For root the answer is 0, because the limit does not hold for root.
    """
    count, uid = 0, str(os.geteuid())
    if uid == "0":
        return 0
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:  # no such file system
        return 1 << 20
    for name in names:
        try:
            with open(f"/proc/{name}/status") as lines:  # not the owner of the directory: that is root for some
                fields = dict(line.split(":", 1) for line in lines if line.startswith(("Uid:", "Threads:")))
        except (OSError, ValueError):  # it has ended
            continue
        count += int(fields["Threads"]) if fields["Uid"].split()[0] == uid else 0
    return max(0, count - 1)
