"""Algebra in a child process that can be killed: the front of `symbolic_child`.

Only the parsed tree crosses, as JSON; no text of an answer does, except to the second opinion.
"""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

from sibling.errors import RequestError
from sibling.rewards.math.scalar import Decision
from sibling.rewards.math.tree import Node, to_json
from sibling.sandbox.workers import Workers

_MEMORY_MB = 768
_SHARE = 0.8  # of the time allowed: the rest is for reading and comparing here
_KNOWN: dict[str, Decision] = {"equal": "equal", "too_hard": "too_hard", "timeout": "timeout"}


class Symbolic:
    """Two child processes at most, started when first asked. `seconds` bounds all the algebra of one answer."""

    def __init__(self, seconds: float, *, opinion: bool) -> None:
        needed = [("sympy", "verifiers")] + ([("math_verify", "opinions")] if opinion else [])
        for package, extra in needed:
            if importlib.util.find_spec(package) is None:
                raise RequestError(
                    f"The reward math needs {package.replace('_', '-')}, which is not installed",
                    do=f"Run `pip install 'sibling[{extra}]'` and try again",
                )
        self._seconds = seconds * _SHARE
        self._workers = Workers("sibling.rewards.math.symbolic_child", "answer", count=2, memory_mb=_MEMORY_MB)
        self._spent = threading.local()

    def begin(self) -> None:
        """A new answer, with all of its time, in this thread."""
        self._spent.seconds = 0.0

    def decide(self, wanted: Node, given: Node, base: str) -> Decision:
        """Whether two expressions are equal, in what is left of the time."""
        said = self._ask({"wanted": to_json(wanted), "given": to_json(given), "base": base})
        return _KNOWN.get(str(said), "different")

    def opinion(self, wanted: str, given: str) -> bool:
        """What math-verify says of two texts; false if it says nothing in time."""
        return self._ask({"texts": [wanted, given]}) is True

    def _ask(self, request: dict[str, Any]) -> Any:
        left = self._seconds - getattr(self._spent, "seconds", 0.0)
        if left <= 0:
            return "timeout"
        reply = self._workers.call({**request, "seconds": left}, left)
        if reply.failure:
            self._spent.seconds = self._seconds
            return "timeout" if reply.failure == "timeout" else "too_hard"
        said, seconds = reply.value  # of the process that answered: the start of a process does not count
        self._spent.seconds = getattr(self._spent, "seconds", 0.0) + seconds
        return said

    def close(self) -> None:
        """End the processes that are idle."""
        self._workers.close()
