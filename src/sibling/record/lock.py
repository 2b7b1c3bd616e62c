"""One writer a run directory: an exclusive advisory lock (flock) on the file `lock`, with the holder's pid in it.

The system drops the lock when the process ends, however it ends, so a killed run never has to be unlocked by
hand; the file itself stays. Forked children do not keep the lock. Covered: processes of one machine. Not
covered: machines that share the directory over a network file system without flock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import weakref
from pathlib import Path

from sibling.errors import RecordError
from sibling.record.files import explain

LOCK_NAME = "lock"


class DirectoryLock:
    """Holds the lock from construction to `release()`. `RecordError` says which process holds it otherwise."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_NAME
        self._fd = -1
        fd = self._open()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise self._refusal() from error
            raise explain(f"Cannot lock {self._path}", error) from error
        self._fd = fd
        _held.add(self)

    def _open(self) -> int:
        if not self._path.parent.is_dir():
            raise RecordError(f"The run directory {self._path.parent} does not exist", do="Create it first")
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise explain(f"Cannot open {self._path}", error) from error

    def _refusal(self) -> RecordError:
        pid = _pid(self._path)
        return RecordError(
            f"The run directory {self._path.parent} is in use by another process",
            seen=f"process {pid} holds {self._path}" if pid else f"{self._path} is held",
            wanted="one writer at a time",
            do="Wait for it to end, follow it with `sibling watch`, or train into another directory with run_dir=PATH",
        )

    def release(self) -> None:
        """Give the lock back. Harmless when called twice."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        _held.discard(self)


_held: weakref.WeakSet[DirectoryLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    # flock belongs to the open file, which a fork shares: without this, a worker that outlives a killed
    # trainer would keep the directory locked. Closing a duplicate does not release the parent's lock.
    for lock in list(_held):
        lock._close()


os.register_at_fork(after_in_child=_forget_in_child)


def holder(directory: Path) -> int | None:
    """The pid that holds the directory's lock now; 0 if it is held by an unknown process; None if it is free."""
    path = directory / LOCK_NAME
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _pid(path) or 0
    finally:
        os.close(fd)
    return None


def _pid(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_bytes()[:20])
    return None
