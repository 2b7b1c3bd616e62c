"""Tries each means of confinement for real, in a process of its own and children of it. Run by `sibling.sandbox.probe`.

`python -P -s -S keeper.py try FOLDER` prints one JSON object: for each means, an empty string or why it does not work.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable

from sibling.sandbox import calls, cgroups, landlock, namespaces, privileges, seccomp
from sibling.sandbox.limits import Limits, hold, space_used

_SECONDS = 20


def everything(folder: str) -> None:
    """Try all and print the result."""
    means: dict[str, Callable[[], None]] = {
        "limits": _limits,
        "seccomp": _seccomp,
        "landlock": _landlock,
        "namespaces": lambda: _namespaces(folder),
        "cgroups": _cgroups,
    }
    print(json.dumps({name: _tried(attempt) for name, attempt in means.items()}))


def _tried(attempt: Callable[[], None]) -> str:
    """Why it failed, in a child that may never come back; empty if it worked."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        word = "the trial ended early"
        try:
            signal.alarm(_SECONDS)
            attempt()
            word = ""
        except Exception as failure:
            word = f"{type(failure).__name__}: {failure}"
        finally:
            os.write(write, b"." + word.encode()[:500])
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said[1:].decode() if said else "the kernel killed the trial"


def _limits() -> None:
    hold(Limits(), space=space_used(), users=1 << 16)
    try:
        bytearray(2 << 30)
    except MemoryError:
        return
    if sys.platform == "linux":
        raise OSError("the limit of address space does not hold")


def _denied(what: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except PermissionError:
        return
    except OSError as failure:
        raise OSError(f"{what} failed for another reason: {failure}") from failure
    raise OSError(f"{what} was not denied")


def _seccomp() -> None:
    privileges.drop()
    seccomp.put_on(seccomp.build(alone=False))
    _denied("making a socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    _denied("signalling another process", lambda: os.kill(os.getppid(), 0))
    for each in socket.socketpair():
        each.close()
    os.kill(os.getpid(), 0)


def _landlock() -> None:
    abi = landlock.version()
    privileges.drop()
    landlock.confine(["/dev"], ["/dev/null"], abi)
    with open("/dev/null", "w"):
        _denied("reading the password file", lambda: os.open("/etc/passwd", os.O_RDONLY))


def _namespaces(folder: str) -> None:
    home = namespaces.home()
    namespaces.enter(folder, namespaces.high_id())
    pid = os.fork()
    code = 1
    if pid:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            raise OSError(status, os.strerror(status) if status > 1 else "the private root is not as it should be")
        return
    try:
        os.close(namespaces.own_processes())
        namespaces.private(home, 1 << 20)
        privileges.drop()
        with open(f"{home}/own", "w") as file:
            file.write("x")
        good = os.getpid() == 1 and os.geteuid() == 65534 and not os.path.exists("/etc/passwd")
        code = 0 if good and os.path.exists("/dev/null") else 1
    except OSError as failure:
        code = failure.errno or 1
    finally:
        os._exit(code)


def _cgroups() -> None:
    place = cgroups.make(f"sibling-trial-{os.getpid()}", None)
    try:
        groups = cgroups.Groups(place)
        name = groups.new(Limits(), 0)
        pid = os.fork()
        if not pid:
            code = 1
            with contextlib.suppress(OSError):
                groups.join()
                groups.enter(name)
                code = 0
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        groups.end(name)
    finally:
        cgroups.remove(place)
    if code:
        raise OSError("a process could not be moved into a new cgroup")


__all__ = ["calls", "everything"]
