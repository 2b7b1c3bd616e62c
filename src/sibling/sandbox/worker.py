"""The process behind `sandbox.workers`: calls one of our own functions with JSON values, one call a line.

Started as `python -m sibling.sandbox.worker MODULE FUNCTION MEGABYTES`. The function takes and returns JSON values.
What it prints goes nowhere: standard output belongs to the answers. Where the system has alarms the process also
ends itself, in case its parent was killed while it computes.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from typing import Any, TextIO


def main(module: str, function: str, megabytes: int) -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    sys.setrecursionlimit(20_000)
    call = getattr(importlib.import_module(module), function)
    if megabytes:
        _cap_memory(megabytes)
    _say(answers, json.dumps("ready"))
    alarm = getattr(signal, "alarm", lambda seconds: None)  # its default action ends the process
    for line in sys.stdin:
        request = json.loads(line)
        alarm(int(request["seconds"]) + 2)
        _say(answers, _reply(call, request["value"]))
        alarm(0)


def _reply(call: Any, value: Any) -> str:
    try:
        return json.dumps({"value": call(value)})
    except Exception as failure:  # one failed call is an answer, a value that is not JSON too; the process goes on
        return json.dumps({"raised": type(failure).__name__, "message": str(failure)[:300]})


def _say(answers: TextIO, line: str) -> None:
    answers.write(line + "\n")
    answers.flush()


def _cap_memory(megabytes: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not every system has or allows it
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
