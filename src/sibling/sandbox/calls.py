"""System calls for which the standard library has no function, called by number on x86-64 and 64-bit ARM.

Nothing here is looked up late: a process that was just forked calls these with everything already loaded.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

_X86 = {
    "clone": 56, "ptrace": 101, "capset": 126, "prctl": 157, "pivot_root": 155, "mount": 165, "umount2": 166,
    "unshare": 272, "setns": 308, "keyctl": 250, "seccomp": 317, "mount_setattr": 442,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446,
}  # fmt: skip
_ARM = {
    "clone": 220, "ptrace": 117, "capset": 91, "prctl": 167, "pivot_root": 41, "mount": 40, "umount2": 39,
    "unshare": 97, "setns": 268, "keyctl": 219, "seccomp": 277, "mount_setattr": 442,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446,
}  # fmt: skip

MACHINE = platform.machine() if sys.platform == "linux" and sys.maxsize > 2**32 else ""
NUMBERS: dict[str, int] = {"x86_64": _X86, "aarch64": _ARM}.get(MACHINE, {})
KNOWN = bool(NUMBERS)  # whether system calls can be made here at all

_library = ctypes.PyDLL(None, use_errno=True) if KNOWN else None  # PyDLL: the interpreter's lock is kept


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Call the kernel. Returns its result; raises `OSError` with the name of the call."""
    if _library is None:
        raise OSError(38, "system calls are known on Linux with x86-64 or 64-bit ARM only", name)
    values = [
        ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) if isinstance(a, bytes) else a for a in arguments
    ]
    result: int = _syscall(ctypes.c_long(NUMBERS[name]), *values)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


def prctl(option: int, *arguments: int) -> int:
    """One operation on this process; missing arguments are 0."""
    return call("prctl", option, *arguments, *[0] * (4 - len(arguments)))


if _library is not None:
    _syscall = _library.syscall
    _syscall.restype = ctypes.c_long
