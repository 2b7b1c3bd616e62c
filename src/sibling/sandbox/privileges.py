"""Give up every privilege of this process for good: capabilities, ways to gain them, being looked at, shared keys."""

from __future__ import annotations

import contextlib
import os
import struct

from sibling.sandbox import calls

_DUMPABLE, _BOUNDING, _SECUREBITS, _NO_NEW, _AMBIENT = 4, 24, 28, 38, 47
_CLEAR_ALL = 4
_NO_ROOT_LOCKED = 0x2F | 0xC0  # root gets nothing, no fix-up, no keeping, no raising of ambient ones; each locked
_VERSION = 0x20080522
_JOIN_SESSION = 1
_MOST = 64


def become(uid: int) -> None:
    """As root: change to a user and group id for good, without other groups. Raises `OSError`."""
    bound()  # while it is allowed
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def bound() -> None:
    """Empty the set of capabilities that could be gained and make user id 0 mean nothing, as far as it is allowed."""
    with contextlib.suppress(OSError):  # EPERM without capabilities: then there are none to bound
        for capability in range(_MOST):
            calls.prctl(_BOUNDING, capability)  # EINVAL after the last one
    with contextlib.suppress(OSError):
        calls.prctl(_SECUREBITS, _NO_ROOT_LOCKED)


def hide() -> None:
    """Keep the memory and the environment of this process from others of the same user: make it not dumpable."""
    calls.prctl(_DUMPABLE, 0)


def drop() -> None:
    """Empty all five sets of capabilities; set `no_new_privs`; be not dumpable; have a keyring of its own.

    Raises `OSError` if a privilege that this process has cannot be given up.
    """
    bound()
    with contextlib.suppress(OSError):
        calls.prctl(_AMBIENT, _CLEAR_ALL)
    calls.prctl(_NO_NEW, 1)
    calls.call("capset", struct.pack("<Ii", _VERSION, 0), bytes(24))
    hide()
    with contextlib.suppress(OSError):  # ENOSYS: a kernel without keyrings
        calls.call("keyctl", _JOIN_SESSION, None)
