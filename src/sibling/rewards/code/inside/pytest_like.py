"""What test files in the manner of pytest need of it: a stand-in, found as `pytest` where the tests run.

Covered: raises, approx (numbers, and sequences and dicts of them), fixture (also with `yield`), mark.parametrize,
mark.skip, mark.skipif, param, fail, skip, and the fixtures capsys and tmp_path. Other marks have no effect.
Not covered: conftest files, plugins, indirect or parametrized fixtures, monkeypatch, warnings.
"""

from __future__ import annotations

import asyncio
import cmath
import contextlib
import inspect
import io
import pathlib
import re
import tempfile
import types
from collections.abc import Callable, Iterator
from typing import Any

_NUMBERS = (bool, int, float, complex)


def module() -> types.ModuleType:
    """The stand-in, as a module."""
    made = types.ModuleType("pytest")
    made.__dict__.update(
        raises=raises,
        approx=Approx,
        fixture=fixture,
        mark=Marks(),
        param=param,
        fail=fail,
        skip=skip,
        main=lambda *_: 0,
    )
    return made


class Raised:
    """What `raises` caught."""

    value: BaseException
    type: type[BaseException]

    def match(self, pattern: str) -> bool:
        """Whether the pattern is found in the message."""
        assert re.search(pattern, str(self.value)), "the message does not match"
        return True


def raises(
    expected: Any,
    function: Callable[..., Any] | None = None,
    /,
    *arguments: Any,
    match: str | None = None,
    **named: Any,
) -> Any:
    """A context in which an exception has to come up, or the call of a function in one."""
    if function is None:
        return _raising(expected, match)
    with _raising(expected, match) as caught:
        function(*arguments, **named)
    return caught


@contextlib.contextmanager
def _raising(expected: Any, match: str | None) -> Iterator[Raised]:
    caught = Raised()
    try:
        yield caught
    except expected as failure:
        caught.value, caught.type = failure, type(failure)
        if match is not None:
            caught.match(match)
    else:
        raise AssertionError("nothing was raised")


class Approx:
    """A number, or a sequence or dict of numbers, equal up to a tolerance."""

    __hash__ = None  # type: ignore[assignment]  # as pytest's

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None, nan_ok: bool = False) -> None:
        self._expected, self._rel, self._abs, self._nan_ok = expected, rel, abs, nan_ok

    def __eq__(self, actual: object) -> bool:
        return self._near(self._expected, actual)

    def _near(self, expected: Any, actual: Any) -> bool:
        if isinstance(expected, dict):
            return (
                type(actual) is dict
                and expected.keys() == actual.keys()
                and all(self._near(value, actual[key]) for key, value in expected.items())
            )
        if isinstance(expected, list | tuple):
            pairs = type(actual) is type(expected) and len(actual) == len(expected)
            return pairs and all(self._near(a, b) for a, b in zip(expected, actual, strict=True))
        if type(expected) not in _NUMBERS or type(actual) not in _NUMBERS or isinstance(actual, bool):
            return bool(expected == actual)
        if expected == actual or (self._nan_ok and cmath.isnan(expected) and cmath.isnan(actual)):
            return True
        relative = 1e-6 if self._rel is None and self._abs is None else self._rel or 0.0
        tolerance = max(1e-12 if self._abs is None else self._abs, relative * abs(expected))
        try:
            return bool(abs(expected - actual) <= tolerance < float("inf"))
        except OverflowError:
            return False


class Fixture:
    """A function that makes what a test asks for by name."""

    def __init__(self, function: Callable[..., Any], *, autouse: bool) -> None:
        self.function, self.autouse = function, autouse


def fixture(function: Callable[..., Any] | None = None, *, autouse: bool = False, **_: Any) -> Any:
    """Make a fixture of a function."""
    if function is None:
        return lambda given: Fixture(given, autouse=autouse)
    return Fixture(function, autouse=autouse)


class Param(tuple[Any, ...]):
    """One row of parameters."""


def param(*values: Any, **_: Any) -> Param:
    """One row of parameters."""
    return Param(values)


class Marks:
    """`pytest.mark`: what it says is kept on the function."""

    def parametrize(self, names: Any, rows: Any, **_: Any) -> Callable[[Any], Any]:
        """One test for each row."""
        keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
        table = []
        for row in rows:
            values = tuple(row) if isinstance(row, Param) or len(keys) > 1 else (row,)
            table.append(dict(zip(keys, values, strict=True)))
        return lambda function: _with(function, tables=[table, *getattr(function, "tables", [])])

    def skip(self, function: Any = None, **_: Any) -> Any:
        """Leave the test out, by decision of whoever wrote it."""
        return _with(function, left_out=True) if callable(function) else lambda given: _with(given, left_out=True)

    def skipif(self, condition: Any, **_: Any) -> Any:
        """Leave the test out if the condition holds."""
        return lambda given: _with(given, left_out=bool(condition))

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **_: given[0] if len(given) == 1 and inspect.isroutine(given[0]) else lambda each: each


def _with(function: Any, **notes: Any) -> Any:
    for name, value in notes.items():
        setattr(function, name, value)
    return function


def fail(reason: str = "", **_: Any) -> None:
    """Fail the test."""
    raise AssertionError(reason)


def skip(reason: str = "", **_: Any) -> None:
    """A test that skips itself did not pass."""
    raise AssertionError(f"skipped: {reason}")


class Captured:
    """The fixture capsys: what was printed since it was last read."""

    def __init__(self) -> None:
        self.out = io.StringIO()

    def readouterr(self) -> Any:
        """What was printed, with a second field for standard error (empty)."""
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return types.SimpleNamespace(out=text, err="")


class Surroundings:
    """Values of fixtures for one test, taken down after it."""

    owner: Any = None

    def __init__(self, fixtures: dict[str, Fixture], given: dict[str, Any]) -> None:
        self._fixtures, self._values = fixtures, dict(given)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Surroundings:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def autouse(self) -> None:
        """Make the fixtures that every test gets."""
        for name, each in self._fixtures.items():
            if each.autouse:
                self.value(name)

    def value(self, name: str) -> Any:
        """The value of a fixture or parameter. Raises `LookupError` if there is none of that name."""
        if name not in self._values:
            self._values[name] = self._made(name)
        return self._values[name]

    def _made(self, name: str) -> Any:
        if name == "capsys":
            captured = Captured()
            self._stack.enter_context(contextlib.redirect_stdout(captured.out))
            return captured
        if name == "tmp_path":
            return pathlib.Path(tempfile.mkdtemp())
        if name not in self._fixtures:
            raise LookupError(f"no fixture {name}")
        function = self._fixtures[name].function
        wanted = [each for each in inspect.signature(function).parameters if each not in ("self", "request")]
        first = [self.owner] if "self" in inspect.signature(function).parameters else []
        made = function(*first, **{each: self.value(each) for each in wanted})
        if inspect.isgeneratorfunction(function):
            self._stack.callback(lambda: next(made, None))
            return next(made)
        return made

    def finish(self, outcome: Any) -> None:
        """Run what an `async` test gave."""
        asyncio.run(outcome)
