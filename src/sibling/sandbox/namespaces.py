"""Namespaces and a private root, from raw system calls; works for root and, where the system allows it, for anybody.

`enter` is done once by the server. As root: the root file system is built while it still has the rights, then the
process becomes a high user id that nobody else has and enters a user namespace in which only that id exists. As
another user: the user namespace comes first. In both cases the server then holds capabilities over its own namespaces
and none over the machine. `private` is done by each program: a mount namespace with its own /tmp, then a user
namespace of its own in which nobody is mapped, so that it is `nobody` to itself, counts its processes apart, and has
no rights over the mounts that it sees.

Covered: no file but those of `library` (read-only), no /proc, no /sys, no device but the five harmless ones, no
network interface, not even loopback; other processes are not visible. Not covered: the clock, the kernel's version,
the processors, load and total memory.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from sibling.sandbox import calls, library, privileges

NEW_MOUNT, NEW_CGROUP, NEW_UTS, NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
_ONCE = NEW_MOUNT | NEW_CGROUP | NEW_UTS | NEW_IPC | NEW_PID | NEW_NET

_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_EXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_RECURSIVE, _PRIVATE = 16384, 1 << 18
_DETACH = 2
_HERE, _ALL_BELOW = -100, 0x8000  # AT_FDCWD, AT_RECURSIVE
_KEEP_CAPABILITIES = 0x04  # securebits: SECBIT_NO_SETUID_FIXUP
_SECUREBITS, _DUMPABLE = 28, 4
_HIGH = 0x70000000


def high_id() -> int | None:
    """As root: the first of 256 user ids that are this process's alone; None for another user, or root of one id.

    They lie above those of people, services and usual containers, or at the end of those that a container has.
    """
    if os.geteuid() != 0:
        return None
    with open("/proc/self/uid_map") as lines:
        return _ids([(int(line.split()[0]), int(line.split()[2])) for line in lines], os.getpid())


def _ids(ranges: list[tuple[int, int]], pid: int) -> int | None:
    """256 ids among the ranges (first, count) that a user namespace has, by the process id."""
    wanted = _HIGH + (pid << 8)
    first, count = max(ranges, key=lambda each: each[1])
    if any(start <= wanted and wanted + 256 <= start + many for start, many in ranges):
        return wanted
    if count < 1 << 15:
        return None
    return first + count - 256 * (2 + pid % 32)


def enter(folder: str, uid: int | None) -> None:
    """Leave the machine's namespaces; the new process namespace begins with the next child.

    Arguments: an empty directory to build the root on; as root, the user id to become. Raises `OSError`.
    """
    root = os.path.join(folder, "root")
    os.mkdir(root)
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    try:
        if uid is not None and _may_mount():
            _build_root(root)
            _become(uid)
            _own_users(proc)
            calls.call("unshare", _ONCE)
        else:
            if uid is not None:  # root in a container that may not mount: do as another user does
                os.chown(folder, uid, uid)
                privileges.become(uid)
            _own_users(proc)
            calls.call("unshare", _ONCE)
            _build_root(root)
    finally:
        os.close(proc)
    socket.sethostname("sandbox")
    calls.prctl(_DUMPABLE, 0)


def private(folder: str, size: int) -> None:
    """In a program: an empty temp directory of `size` bytes, then a user namespace in which it is nobody.

    Raises `OSError`.
    """
    calls.call("unshare", NEW_MOUNT)
    flags = _NO_SETUID | _NO_DEVICES | _NO_EXEC
    calls.call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", flags, f"size={size},nr_inodes=4096,mode=700".encode())
    calls.call("unshare", NEW_USER)


def home() -> str:
    """The temp directory of a program: /tmp, or another name where the standard library lies below it."""
    return "/scratch" if any(path.startswith("/tmp/") for path in library.readable()) else "/tmp"


def _may_mount() -> bool:
    try:
        calls.call("unshare", NEW_MOUNT)
    except PermissionError:
        return False
    return True


def _become(uid: int) -> None:
    """Change to another user and keep the capabilities until the user namespace takes them."""
    calls.prctl(_SECUREBITS, _KEEP_CAPABILITIES)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _own_users(proc: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    calls.call("unshare", NEW_USER)
    calls.prctl(_DUMPABLE, 1)  # or the maps below would belong to root
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        file = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
    calls.prctl(_DUMPABLE, 0)
    if os.geteuid() != 0:
        raise OSError(1, "the user namespace has no user", "uid_map")


def _build_root(root: str) -> None:
    calls.call("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)  # nothing done here is seen outside
    calls.call("mount", b"tmpfs", os.fsencode(root), b"tmpfs", _NO_SETUID | _NO_DEVICES, b"size=1m,mode=755")
    for path in library.readable():
        _bind(path, root)
    for path in library.hidden():
        calls.call(
            "mount", b"tmpfs", os.fsencode(root + path), b"tmpfs", _READ_ONLY | _NO_SETUID | _NO_DEVICES, b"size=4k"
        )
    for path, target in library.links().items():
        with contextlib.suppress(FileExistsError):
            os.symlink(target, root + path)
    for device in library.DEVICES:
        _bind(device, root, device=True)
    os.mkdir(root + home())
    os.symlink(home(), root + "/dev/shm")
    os.chdir(root)
    calls.call("pivot_root", b".", b".")  # the old root now lies over the new one
    calls.call("umount2", b".", _DETACH)
    os.chdir("/")
    flags = _REMOUNT | _BIND | _READ_ONLY | _NO_SETUID | _NO_DEVICES
    calls.call("mount", None, b"/", None, flags, None)


def _bind(path: str, root: str, *, device: bool = False) -> None:
    """Show `path` below the new root, read-only."""
    target = root + path
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    if os.path.isdir(path):
        os.makedirs(target, mode=0o755, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    try:
        calls.call("mount", os.fsencode(os.path.realpath(path)), os.fsencode(target), None, _BIND | _RECURSIVE, None)
    except OSError as failure:  # the user that it runs as may not go there
        raise OSError(failure.errno, f"{failure.strerror} in showing {path}") from failure
    flags = _NO_SETUID | _NO_EXEC if device else _READ_ONLY | _NO_SETUID | _NO_DEVICES
    try:  # with everything that is mounted below it; the bits are the same as those of `mount`
        calls.call("mount_setattr", _HERE, os.fsencode(target), _ALL_BELOW, struct.pack("<4Q", flags, 0, 0, 0), 32)
    except OSError:  # before Linux 5.12
        kept = os.statvfs(target).f_flag & (_NO_DEVICES | _NO_EXEC)  # in a user namespace these cannot be dropped
        calls.call("mount", None, os.fsencode(target), None, _REMOUNT | _BIND | flags | kept, None)


def own_processes() -> int:
    """A descriptor of this process, whose process namespace is come back to after each fork into a new one."""
    return os.pidfd_open(os.getpid())
