"""The child's side of the fork: confine this process, then run `main` of the entry, then end. It never returns.

Everything that cannot be done is told through the pipe `ready` and ends the process: `main` runs confined as asked,
or not at all.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sibling.sandbox.program import OUT_OF_MEMORY

_FRAMES = 30  # of ours, below the program's
_PAYLOAD, _WORD = 3, 4  # descriptors after standard input, output and error; then come the channels


@dataclass(frozen=True)
class Orders:
    """What the child is to do: walls to put up, descriptors to keep, and the function to run.

    `join` is called with the server's descriptors still there, `confine` without. `first`: the child is the first
    process of its namespace and forks the program, so that signals mean to the program what they mean elsewhere.
    """

    entry: str
    main: Callable[[bytes, list[socket.socket]], object]
    join: Callable[[], None]
    confine: Callable[[], None]
    first: bool
    payload: int
    out: int
    err: int
    word: int
    channels: Sequence[int]


def obey(orders: Orders) -> None:
    """Become the program."""
    code, word = 1, orders.word
    try:
        try:
            orders.join()
            _own_descriptors(orders)
            word = _WORD
            _plain_process()
            orders.confine()
            os.write(word, b"ready")
            if orders.first:
                _stay(len(orders.channels))
        except BaseException as failure:
            os.write(word, f"{type(failure).__name__}: {failure}"[:4000].encode())
            os._exit(1)
        os.close(word)
        code = _run(orders)
    finally:
        os._exit(code)


def _stay(channels: int) -> None:
    """Go on in a child; here, as the first process, wait for its end, tell its status and end, and with it all else."""
    pid = os.fork()
    if not pid:
        return
    for fd in (0, 1, 2, _PAYLOAD, *range(_WORD + 1, _WORD + 1 + channels)):
        os.close(fd)
    while True:
        ended, status = os.wait()
        if ended == pid:
            os.write(_WORD, status.to_bytes(4, "little"))
            os._exit(0)


def _own_descriptors(orders: Orders) -> None:
    """Lay out 0, 1, 2, the payload at 3, the word to the server at 4, then the channels; close all else."""
    import fcntl  # not on every system that has to be able to import this module

    null = os.open("/dev/null", os.O_RDONLY)
    wanted = [null, orders.out, orders.err, orders.payload, orders.word, *orders.channels]
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, len(wanted)) for fd in wanted]  # out of the way, so that none is overwritten
    for place, fd in enumerate(high):
        os.dup2(fd, place, inheritable=False)
    os.closerange(len(high), os.sysconf("SC_OPEN_MAX"))


def _given(channels: int) -> tuple[bytes, list[socket.socket]]:
    with os.fdopen(_PAYLOAD, "rb") as file:
        payload = file.read()
    sockets = [socket.socket(fileno=_WORD + 1 + place) for place in range(channels)]
    for each in sockets:
        each.setblocking(True)  # the mode belongs to the socket, and the caller may have set a time-out
    return payload, sockets


def _plain_process() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)


def _run(orders: Orders) -> int:
    code = 0
    sys.argv[:], sys.orig_argv[:] = [orders.entry], [orders.entry]
    sys.setrecursionlimit(sys.getrecursionlimit() + _FRAMES)
    try:
        orders.main(*_given(len(orders.channels)))
    except SystemExit as leaving:
        code = _exit_code(leaving.code)
    except MemoryError:
        code = OUT_OF_MEMORY
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # it may have closed or replaced them
            code = code or 1
    return code


def _exit_code(code: Any) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1
