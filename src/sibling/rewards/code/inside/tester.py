"""The tests' side: it holds the tests and the only end of the channel over which a verdict can be given.

The order names the form of the tests: `check` (a function `check(candidate)`), `asserts` (one statement each) or
`file` (unittest classes and pytest functions). Names that the tests use and nobody else defines are asked of the
program, and come as data or as `remote` objects; builtins, modules and names that the tests define themselves never
come from it.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import io
import json
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

from sibling.rewards.code.inside import files, pytest_like
from sibling.rewards.code.inside.link import Link
from sibling.rewards.code.inside.tally import Tally

MODULE = "solution"


def main(payload: bytes, channels: list[socket.socket]) -> None:
    """Run the tests of the payload (JSON) against the program behind the first channel; tell the second what came."""
    order = json.loads(payload)
    sys.stdout = sys.stderr = Sink()
    link = Link(channels[0])
    tally = Tally(link, stop=not order["share"])
    try:
        Tests(order, link, tally).run()
    except BaseException as failure:
        tally.failed("the tests", failure)
    channels[1].sendall(json.dumps(tally.told()).encode())


class Sink(io.StringIO):
    """Where the tests print to; nothing is kept."""

    def write(self, text: str) -> int:
        """Forget it."""
        return len(text)


class Tests:
    """The tests of one order."""

    def __init__(self, order: dict[str, Any], link: Link, tally: Tally) -> None:
        self._order, self._link, self._tally = order, link, tally
        self._entry: str = order["entry_point"]
        self._space: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}

    def run(self) -> None:
        """All of them, into the tally."""
        order = self._order
        parts = [order["helpers"], order["setup"], order["tests"], *order["asserts"]]
        trees = [ast.parse(part) for part in parts]
        try:
            self._link.loaded()
        except BaseException as failure:
            self._tally.unloaded(failure)
            return
        self._run(order["helpers"])
        self._names(trees)
        self._modules()
        self._run(order["setup"])
        getattr(self, f"_{order['kind']}")(trees[2])

    def _run(self, text: str) -> None:
        _execute(compile(text, "tests.py", "exec", dont_inherit=True, optimize=0), self._space)

    def _names(self, trees: list[ast.Module]) -> None:
        """Define what the tests use, do not define, and have not among the builtins."""
        used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
        bases = {
            node.value.id
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        if self._entry:
            used.add(self._entry)
        for name in sorted(used - defined(trees) | {self._entry} - {""}):
            if name != self._entry and (hasattr(builtins, name) or name in self._space):
                continue
            if name in sys.stdlib_module_names and name in bases and name != self._entry:
                self._space[name] = importlib.import_module(name)
                continue
            try:
                self._space[name] = self._link.named(name)
            except KeyError:
                self._tally.missing.add(name)

    def _modules(self) -> None:
        """Let `from solution import f` and `import pytest` find ours."""
        stand_in = Solution(self._link, self._tally)
        for name in self._order["modules"]:
            sys.modules[name] = stand_in
        sys.modules["pytest"] = pytest_like.module()

    def _check(self, tree: ast.Module) -> None:
        if self._entry in self._tally.missing:
            self._tally.without(self._entry)
            return
        if self._order["share"]:
            tree = split_check(tree)
        self._space["__test__"] = self._tally.note
        code = compile(ast.fix_missing_locations(tree), "tests.py", "exec", dont_inherit=True, optimize=0)
        _execute(code, self._space)
        check = self._space["check"]
        if not self._order["share"]:
            self._tally.attempt("check", lambda: check(self._space[self._entry]))
            return
        self._tally.expected = sum(1 for node in ast.walk(tree) if isinstance(node, ast.Try) and hasattr(node, "ours"))
        try:
            check(self._space[self._entry])
        except Exception as failure:
            self._tally.failed("check", failure)

    def _asserts(self, tree: ast.Module) -> None:
        _execute(compile(tree, "tests.py", "exec", dont_inherit=True, optimize=0), self._space)
        codes = [compile(t, "tests.py", "exec", dont_inherit=True, optimize=0) for t in self._order["asserts"]]
        self._tally.expected = len(codes)
        for place, code in enumerate(codes):
            self._tally.attempt(f"assert {place + 1}", _executing(code, self._space))

    def _file(self, tree: ast.Module) -> None:
        code = compile(tree, "tests.py", "exec", dont_inherit=True, optimize=0)
        module = types.ModuleType("tests")
        module.__dict__.update({**self._space, "__name__": "tests"})
        sys.modules["tests"] = module
        before = set(module.__dict__)
        _execute(code, module.__dict__)
        found = files.tests_of({k: v for k, v in module.__dict__.items() if k not in before})
        self._tally.expected = len(found)
        if not found:
            self._tally.attempt("the file", lambda: None)
        for name, test in found:
            self._tally.attempt(name, test)


class Solution(types.ModuleType):
    """The program as a module that the tests may import from."""

    def __init__(self, link: Link, tally: Tally) -> None:
        super().__init__(MODULE)
        self.__dict__.update(_link=link, _tally=tally, __all__=[])  # `import *`: the tester has defined what is used

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._link.named(name)
        except KeyError:
            self._tally.missing.add(name)
            raise AttributeError(f"the program does not define {name}") from None


def defined(trees: list[ast.Module]) -> set[str]:
    """Names that the tests bind anywhere themselves."""
    found: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                found.add(node.id)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.add((node.asname or node.name).partition(".")[0])
    return found


def split_check(tree: ast.Module) -> ast.Module:
    """Make each statement of `check` that asserts something a test of its own, so that the share can be counted."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            node.body = [_alone(place, each) for place, each in enumerate(node.body)]
    return tree


def _alone(place: int, statement: ast.stmt) -> ast.stmt:
    if not any(isinstance(node, ast.Assert) for node in ast.walk(statement)):
        return statement
    (wrapped,) = ast.parse(
        f"try:\n    pass\nexcept Exception as __failure__:\n    __test__('check, statement {place + 1}', __failure__)\n"
        f"else:\n    __test__('check, statement {place + 1}', None)\n"
    ).body
    assert isinstance(wrapped, ast.Try)
    wrapped.body = [statement]
    wrapped.ours = True  # type: ignore[attr-defined]  # our mark on a node
    return wrapped


def _execute(code: types.CodeType, space: dict[str, Any]) -> None:
    exec(code, space)  # noqa: S102  the tests, in a process that is there for them


def _executing(code: types.CodeType, space: dict[str, Any]) -> Callable[[], None]:
    return lambda: _execute(code, space)
