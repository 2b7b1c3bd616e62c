"""Durable files: written aside, flushed to the disk, then renamed, so that a reader sees all of a file or none.

What is written aside has the name `.<name>.partial` in the same folder. A crash can leave such a leftover; the
next write of the same file replaces it, and verification passes over it.

Covered: a killed process, a full disk, a power cut on a file system that honours fsync. Not covered: disks that
lie about fsync, and two processes writing the same file (the run directory has a lock for that).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sibling.errors import RecordError

_ADVICE = {
    errno.ENOSPC: "Free some space on this disk, then resume the run; nothing recorded so far is lost",
    errno.EDQUOT: "Free some of your disk quota, then resume the run; nothing recorded so far is lost",
    errno.EROFS: "The file system is read-only: choose another run directory with run_dir=PATH",
    errno.EACCES: "Check the permissions, or choose another run directory with run_dir=PATH",
    errno.EPERM: "Check the permissions, or choose another run directory with run_dir=PATH",
}


def is_leftover(name: str) -> bool:
    """Whether a file name is that of a write that never finished."""
    return name.startswith(".") and name.endswith((".partial", ".old"))


def aside(path: Path) -> Path:
    """Where `path` is written before it is renamed."""
    return path.with_name(f".{path.name}.partial")


def explain(what: str, error: OSError) -> RecordError:
    """A `RecordError` that says what failed, the system's reason and what to do."""
    advice = _ADVICE.get(error.errno or 0, "Check the disk and the path, then resume the run")
    return RecordError(what, seen=error.strerror or str(error), do=advice)


def sync_directory(folder: Path) -> None:
    """Flush a folder's entries (names, renames) to the disk; a no-op where the system cannot."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def atomic_write(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that after a crash the file is the old one or the new one, complete.

    Raises `RecordError` with the reason (disk full, read-only, ...); `path` is then untouched.
    """
    partial = aside(path)
    try:
        with partial.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        partial.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise explain(f"Cannot write {path}", error) from error


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Fill a new directory aside; on leaving the block it is flushed and renamed to `path`.

    An existing `path` is replaced: it is moved to `.<name>.old` first and deleted last, so that a crash leaves
    the old directory, the new one, or (between two renames) neither under its name, but never a mixture.
    If the block raises, nothing changes. `OSError` becomes `RecordError` with the reason.
    """
    partial, old = aside(path), path.with_name(f".{path.name}.old")
    try:
        _remove(partial)
        partial.mkdir(parents=True)
        yield partial
        _sync_tree(partial)
        _remove(old)
        if path.exists():
            path.rename(old)
        partial.rename(path)
        sync_directory(path.parent)
        _remove(old)
    except OSError as error:
        _discard(partial)
        raise explain(f"Cannot write {path}", error) from error
    except BaseException:
        _discard(partial)
        raise


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _discard(folder: Path) -> None:
    with contextlib.suppress(OSError):
        _remove(folder)


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            with (Path(parent) / name).open("rb") as f:
                os.fsync(f.fileno())
        sync_directory(Path(parent))
