"""Landlock: files (and TCP, signals, abstract sockets where the kernel has it) denied but for the paths named.

Covered, by version of the kernel's interface: 1 opening, creating and removing files; 2 moving between directories; 3
truncating; 4 TCP bind and connect; 5 commands to devices; 6 abstract sockets and signals to processes outside.
Not covered: looking up paths, attributes (stat, chmod, chown, times), UDP, sockets bound to a path, and what is open
already.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from sibling.sandbox import calls

_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_REMOVE, _MAKE = (1 << 4) | (1 << 5), (1 << 7) | (1 << 8) | (1 << 10) | (1 << 12)  # directories, files, fifos, links
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_PATH = 1
_QUIET = 1  # what is denied is not written to the system's audit log: a program could flood it


def version() -> int:
    """The version of the interface. Raises `OSError` if the kernel has none or it is turned off."""
    return calls.call("landlock_create_ruleset", None, 0, 1)


def confine(read: Iterable[str], write: Iterable[str], abi: int) -> None:
    """Leave this process the files below `read` for reading and below `write` for writing; needs `no_new_privs`.

    Paths that do not exist are passed over. Raises `OSError`.
    """
    bits = 13 if abi < 2 else 14 if abi < 3 else 15 if abi < 5 else 16
    handled = (1 << bits) - 1
    attributes = struct.pack("<Q", handled)
    if abi >= 4:
        attributes += struct.pack("<Q", 3)
    if abi >= 6:
        attributes += struct.pack("<Q", 3)
    rules = calls.call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for path in read:
            _allow(rules, path, _READ_FILE | _READ_DIR)
        for path in write:
            wanted = _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE | _MAKE | _REFER | _TRUNCATE
            _allow(rules, path, wanted & handled)
        calls.call("landlock_restrict_self", rules, _QUIET if abi >= 7 else 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _READ_FILE | _WRITE_FILE | _TRUNCATE
        calls.call("landlock_add_rule", rules, _PATH, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)
