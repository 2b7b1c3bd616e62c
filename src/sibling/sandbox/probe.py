"""What this machine can do to hold a program: each means is tried for real, in a process of its own, once a process."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sibling.errors import RequestError
from sibling.sandbox.levels import Level

_SECONDS = 60.0
_NAMES = {
    "limits": "resource limits",
    "seccomp": "seccomp filter of system calls",
    "landlock": "Landlock",
    "namespaces": "namespaces with a private root",
    "cgroups": "cgroup limits of memory and processes",
}
_NEEDS = {
    Level.limits: ("limits",),
    Level.filtered: ("limits", "seccomp", "landlock"),
    Level.isolated: ("limits", "seccomp", "namespaces"),
    Level.contained: ("limits", "seccomp", "namespaces", "cgroups"),
}


@dataclass(frozen=True)
class Probe:
    """The strongest level that works here, and a sentence for each means: it works, or why not."""

    level: Level
    words: tuple[str, ...]


def probe() -> Probe:
    """Try every means for real; the first result is kept for the life of this process. Takes about 0.1 s."""
    failures = _tried()
    words = tuple(f"{_NAMES[name]}: {f'no ({why})' if why else 'works'}" for name, why in failures.items())
    working = [level for level, needs in _NEEDS.items() if not any(failures[each] for each in needs)]
    return Probe(max(working, default=Level.none), words)


def missing(level: Level) -> str:
    """Why the level does not work here, in the probe's words; empty if it does."""
    failures = _tried()
    return "; ".join(f"{_NAMES[each]}: no ({failures[each]})" for each in _NEEDS.get(level, ()) if failures[each])


def require(minimum: str | Level) -> Level:
    """The level to use: the strongest that works. Raises `RequestError` if that is below `minimum`."""
    least = Level[minimum] if isinstance(minimum, str) else minimum
    found = probe()
    if found.level < least:
        raise RequestError(
            "Programs cannot be held as strongly as asked on this machine",
            seen=f"level `{found.level.name}`; " + "; ".join(found.words),
            wanted=f"level `{least.name}`",
            do="Allow the missing means (a container may need another setting) or ask for a weaker level.",
        )
    return found.level


@functools.cache
def _tried() -> dict[str, str]:
    if not hasattr(os, "fork"):
        return dict.fromkeys(_NAMES, "this system cannot fork processes")
    with tempfile.TemporaryDirectory(prefix="sibling-probe-") as folder:
        command = [sys.executable, "-P", "-s", "-S", "-B", str(Path(__file__).with_name("keeper.py")), "try", folder]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, env={}, timeout=_SECONDS, check=True
            )
        except subprocess.SubprocessError as failure:
            said = getattr(failure, "stderr", b"") or b""
            return dict.fromkeys(_NAMES, f"the trial failed: {failure} {said.decode(errors='replace')[-300:]}")
        result: dict[str, str] = json.loads(done.stdout)
        return result
