"""What the keeper does: prepare, start the server, wait for its end or the caller's, clean up."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import time

from sibling.sandbox import calls, cgroups, namespaces, server, strays, wire
from sibling.sandbox.levels import Level

_PARENT_DEATH = 1
_GRACE = 1.0  # seconds a server has to end its programs by itself


def keep(descriptor: int, parent: int) -> int:
    """Keep one server until it or the caller ends. Returns the exit code.

    Arguments: the descriptor of the caller's socket, the caller's process id.
    """
    control = socket.socket(fileno=descriptor)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the caller's end is the sign to end
    first = wire.receive(control)
    if first is None:
        return 0
    order = first[0]
    strays.adopt()
    uid = namespaces.high_id() if calls.KNOWN else None
    groups = None
    try:
        if order["level"] >= Level.contained:
            groups = cgroups.make(cgroups.name_of(os.getpid()), uid)
    except OSError as failure:
        wire.send(control, {"failed": f"cgroups: {failure}"})
        return 1
    order["walls"] = {"uid": uid, "groups": groups and groups.plain()}
    pid = os.fork()
    if not pid:
        _serve(control, order)
    control.close()
    try:
        _watch(pid, parent)
    finally:
        strays.end(set())
        shutil.rmtree(order["folder"], ignore_errors=True)
        if groups is not None:
            cgroups.remove(groups)
    return 0


def _serve(control: socket.socket, order: dict[str, object]) -> None:
    code = 1
    try:
        strays.adopt()
        if calls.KNOWN:
            calls.prctl(_PARENT_DEATH, signal.SIGTERM)  # should the keeper be killed
        server.run(control, order)
        code = 0
    except Exception as failure:
        print(f"{type(failure).__name__}: {failure}", file=sys.stderr)
    finally:
        os._exit(code)


def _watch(server_pid: int, parent: int) -> None:
    """Wait for the server's end; end it when the caller is gone."""
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            _watch_events(server_pid, parent)
            return
    while os.getppid() == parent:
        if os.waitpid(server_pid, os.WNOHANG)[0]:
            return
        time.sleep(0.1)
    _end(server_pid)


def _watch_events(server_pid: int, parent: int) -> None:
    of_server, of_parent = os.pidfd_open(server_pid), os.pidfd_open(parent)
    poll = select.poll()
    poll.register(of_server, select.POLLIN)
    poll.register(of_parent, select.POLLIN)
    if os.getppid() == parent:
        ended = [fd for fd, _ in poll.poll()]
        if of_server in ended:
            os.waitpid(server_pid, 0)
            return
    _end(server_pid)


def _end(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + _GRACE
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
