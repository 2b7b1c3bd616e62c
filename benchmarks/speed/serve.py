"""The worker's side: commands come in as lines of JSON on stdin, answers go out as lines of JSON on stdout.

Runs inside the peers' environments too, so it needs nothing but the standard library. Libraries print what they
like: what they write to stdout is sent to stderr, and answers go through a copy of the real stdout.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Command = Callable[..., Mapping[str, Any]]


class Channel:
    """Reads commands and writes answers. Make it before anything prints."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def receive(self) -> dict[str, Any] | None:
        """The next command, or None when there will be no more."""
        line = sys.stdin.readline()
        return dict(json.loads(line)) if line.strip() else None

    def answer(self, body: Mapping[str, Any]) -> None:
        """One answer; the peak resident memory of this process so far goes with it."""
        self._out.write(json.dumps({**body, "peak_bytes": peak_bytes(), "cpu_seconds": cpu_seconds()}) + "\n")
        self._out.flush()


def serve(channel: Channel, commands: Mapping[str, Command], ready: Mapping[str, Any]) -> None:
    """Say what was loaded, then do what is asked until stdin ends. A failure is an answer, not the end."""
    channel.answer(ready)
    while (asked := channel.receive()) is not None:
        try:
            channel.answer(commands[asked.pop("do")](**asked))
        except Exception as error:
            traceback.print_exc()
            channel.answer({"error": told(error)})


def told(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:400]


def settings() -> dict[str, Any]:
    """What the worker is to load: the first argument, JSON."""
    return dict(json.loads(sys.argv[1]))


def peak_bytes() -> int:
    """Peak resident memory of this process (VmHWM); 0 where the system does not say."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def cpu_seconds() -> float:
    """Processor time of this process and of the children it has waited for, all threads."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
