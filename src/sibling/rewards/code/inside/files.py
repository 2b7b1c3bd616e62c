"""Tests found in a test file: classes of unittest, and functions and classes in the manner of pytest."""

from __future__ import annotations

import inspect
import itertools
import types
import unittest
from collections.abc import Callable, Iterator
from typing import Any

from sibling.rewards.code.inside import pytest_like

Test = tuple[str, Callable[[], object]]


def tests_of(space: dict[str, Any]) -> list[Test]:
    """(name, test) of everything in a module's namespace that is a test, in the order of the file."""
    fixtures = {name: value for name, value in space.items() if isinstance(value, pytest_like.Fixture)}
    found: list[Test] = []
    for name, value in space.items():
        if type(value) is types.FunctionType and name.startswith("test"):
            found += _cases(name, value, fixtures)
        elif isinstance(value, type) and issubclass(value, unittest.TestCase):
            found += _of_unittest(value)
        elif isinstance(value, type) and name.startswith("Test"):
            found += _of_class(value, fixtures)
    return found


class _Result(unittest.TestResult):
    """Keeps the exception of the first thing that was not a success."""

    problem: BaseException | None = None

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        self.problem = self.problem or err[1]

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self.problem = self.problem or err[1]

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            self.problem = self.problem or err[1]

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        self.problem = self.problem or AssertionError("skipped")

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        self.problem = self.problem or AssertionError("an unexpected success")


def _of_unittest(kind: type[unittest.TestCase]) -> Iterator[Test]:
    for name in unittest.TestLoader().getTestCaseNames(kind):
        if getattr(kind, "__unittest_skip__", False) or getattr(getattr(kind, name), "__unittest_skip__", False):
            continue  # by decision of whoever wrote the tests

        def run(name: str = name) -> None:
            result = _Result()
            unittest.TestSuite([kind(name)]).run(result)
            if result.problem is not None:
                raise result.problem
            if not result.testsRun:
                raise AssertionError("it did not run")

        yield f"{kind.__name__}.{name}", run


def _of_class(kind: type, fixtures: dict[str, Any]) -> Iterator[Test]:
    inside = {**fixtures, **{name: f for name, f in vars(kind).items() if isinstance(f, pytest_like.Fixture)}}
    for name in vars(kind):
        if name.startswith("test") and callable(getattr(kind, name)):
            yield from _cases(name, getattr(kind, name), inside, kind)


def _cases(name: str, function: Callable[..., Any], fixtures: dict[str, Any], kind: type | None = None) -> list[Test]:
    """One test for each combination of parameters."""
    if getattr(function, "left_out", False) or getattr(kind, "left_out", False):
        return []
    tables = [*getattr(function, "tables", []), *getattr(kind, "tables", [])]
    found: list[Test] = []
    for place, rows in enumerate(itertools.product(*tables)):
        given = {key: value for row in rows for key, value in row.items()}
        label = f"{name}[{place}]" if tables else name
        found.append((f"{kind.__name__}.{label}" if kind else label, _one(function, given, fixtures, kind)))
    return found


def _one(
    function: Callable[..., Any], given: dict[str, Any], fixtures: dict[str, Any], kind: type | None
) -> Callable[[], object]:
    def run() -> None:
        with pytest_like.Surroundings(fixtures, given) as around:
            first = [] if kind is None else [kind()]
            for each in first:
                getattr(each, "setup_method", lambda *_: None)(*[function] * _wanted(each, "setup_method"))
            around.owner = first[0] if first else None
            try:
                around.autouse()
                named = {name: around.value(name) for name in _parameters(function, skip=len(first))}
                outcome = function(*first, **named)
                if inspect.iscoroutine(outcome):
                    around.finish(outcome)
            finally:
                for each in first:
                    getattr(each, "teardown_method", lambda *_: None)(*[function] * _wanted(each, "teardown_method"))

    return run


def _parameters(function: Callable[..., Any], *, skip: int) -> list[str]:
    found = list(inspect.signature(function).parameters.values())[skip:]
    return [each.name for each in found if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]


def _wanted(owner: Any, name: str) -> int:
    method = getattr(owner, name, None)
    return len(inspect.signature(method).parameters) if method is not None else 0
