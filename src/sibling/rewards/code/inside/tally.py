"""The tests counted: how many there are, how many passed, and what the first failure was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sibling.rewards.code.inside.link import GoneError, Link
from sibling.rewards.code.inside.remote import UnsupportedError

_MOST_WORD = 80


class StopError(BaseException):
    """One failure is enough."""


class Tally:
    """Counts the tests. Arguments: the link to the program; whether to stop at the first failure."""

    def __init__(self, link: Link, *, stop: bool) -> None:
        self._link, self._stop = link, stop
        self.expected = 0  # tests there are, where that is known before they run
        self.passed = self.run = 0
        self.missing: set[str] = set()  # names that the tests wanted and the program does not define
        self.fault = ""  # what is wrong with the tests
        self.first: dict[str, Any] | None = None

    def attempt(self, name: str, test: Callable[[], object]) -> None:
        """Run one test. Raises `StopError` if it failed and that is enough, or the program is gone."""
        failure: BaseException | None = None
        try:
            test()
        except StopError:
            raise
        except BaseException as raised:
            failure = raised
        self.note(name, failure)

    def note(self, name: str, failure: BaseException | None) -> None:
        """Count one test that passed, or failed with `failure`. Raises `StopError` as `attempt` does."""
        link = self._link
        if failure is None and link.why:
            failure = GoneError(link.why)
        if failure is None and link.failed_inside:
            failure = AssertionError()
        link.failed_inside = False
        self.run += 1
        if failure is None:
            self.passed += 1
            return
        self.failed(name, failure)
        if self._stop or link.why or self.fault:
            raise StopError

    def failed(self, name: str, failure: BaseException) -> None:
        """Keep what the first failure was."""
        if isinstance(failure, StopError):
            return
        untouched = not self._link.requests and not self.missing and not self._link.why
        if isinstance(failure, UnsupportedError):
            self.fault = self.fault or str(failure)
        elif untouched:
            self.fault = self.fault or f"{name} raised {_word(failure)} before the program was called"
        if self.first is None:
            self.first = {"test": name, "line": _line(failure), "code": self._code(failure), "type": _word(failure)}

    def _code(self, failure: BaseException) -> str:
        if isinstance(failure, GoneError):
            return self._link.why
        if isinstance(failure, NameError | ImportError | AttributeError) and self.missing:
            return "missing_name"
        if isinstance(failure, AssertionError):
            return "failed_test"
        return (
            "exit" if isinstance(failure, SystemExit) else "memory" if isinstance(failure, MemoryError) else "exception"
        )

    def unloaded(self, failure: BaseException) -> None:
        """The program could not be loaded."""
        codes = {SyntaxError: "syntax_error", SystemExit: "exit", MemoryError: "memory", GoneError: self._link.why}
        code = next((word for kind, word in codes.items() if isinstance(failure, kind)), "exception")
        self.first = {"test": "loading the program", "line": 0, "code": code, "type": _word(failure)}

    def without(self, name: str) -> None:
        """The program does not define what the tests are of."""
        self.first = {"test": name, "line": 0, "code": "missing_name", "type": "NameError"}

    def told(self) -> dict[str, Any]:
        """The outcome as JSON."""
        fault = self.fault or self._link.unsupported
        total = max(self.expected, self.run)
        if not fault and self.first is None and not self._link.requests:
            fault = "the tests never call the program"
        return {
            "passed": self.passed,
            "total": total,
            "first": self.first,
            "missing": sorted(name[:_MOST_WORD] for name in self.missing)[:3],
            "fault": fault[:300],
        }


def _word(failure: BaseException) -> str:
    return type(failure).__name__[:_MOST_WORD]


def _line(failure: BaseException) -> int:
    """The line of the tests at which it came up; 0 if none is known."""
    line, trace = 0, failure.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
