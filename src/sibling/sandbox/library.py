"""What an interpreter reads while a program runs: the standard library, shared libraries, time zones, a few devices."""

from __future__ import annotations

import os
import shutil
import sys

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SHARED = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_SMALL = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
_PACKAGES = ("site-packages", "dist-packages")
_UNUSED = (*_PACKAGES, "test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pydoc_data")


def readable() -> list[str]:
    """Paths to be readable, all of which exist: `sys.path` of an interpreter without packages, and shared libraries."""
    library = os.path.dirname(os.__file__)
    found = [path for path in sys.path if path and os.path.exists(path) and not path.startswith(library + os.sep)]
    if library not in found:
        found.append(library)
    for folder in (*_SHARED, os.path.join(sys.base_prefix, "lib")):
        found += _with_libraries(folder)
    found += [path for path in _SMALL if os.path.exists(path)]
    return list(dict.fromkeys(found))


def hidden() -> list[str]:
    """Directories below the readable ones that hold installed packages, not the standard library."""
    library = os.path.dirname(os.__file__)
    return [path for name in _PACKAGES if os.path.isdir(path := os.path.join(library, name))]


def links() -> dict[str, str]:
    """Directories of shared libraries that are symbolic links here, such as /lib to usr/lib."""
    return {path: os.readlink(path) for path in _SHARED if os.path.islink(path)}


def shadow(folder: str) -> None:
    """Let another user read the standard library where it lies in a closed directory, such as root's home.

    Its files are linked (copied on another file system) into `folder`, and this interpreter then imports from there.
    """
    library = os.path.dirname(os.__file__)
    if _open_to_all(library):
        return
    target = os.path.join(folder, "library")
    shutil.copytree(library, target, ignore=lambda _, names: _unused(names), copy_function=_link)
    here = os.path.dirname(library)
    for path in [path for path in sys.path if path.startswith(here)]:
        sys.path[sys.path.index(path)] = target + path.removeprefix(library) if path.startswith(library) else target
    for module in list(sys.modules.values()):
        paths = getattr(module, "__path__", None)
        if isinstance(paths, list):
            paths[:] = [target + path.removeprefix(library) if path.startswith(library) else path for path in paths]
    os.__file__ = os.path.join(target, "os.py")
    sys.path_importer_cache.clear()


def _open_to_all(path: str) -> bool:
    while os.stat(path).st_mode & 0o005 == 0o005:
        if path == "/":
            return True
        path = os.path.dirname(path)
    return False


def _unused(names: list[str]) -> list[str]:
    return [name for name in names if name in _UNUSED or name.startswith("config-")]


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _with_libraries(folder: str) -> list[str]:
    if os.path.islink(folder) or not os.path.isdir(folder):
        return []
    machine = os.path.join(folder, f"{os.uname().machine}-linux-gnu")
    if os.path.isdir(machine):
        return [machine]
    if any(name.startswith(("libc.so", "libffi", "ld-", "libc.musl")) for name in os.listdir(folder)):
        return [folder]
    return []
