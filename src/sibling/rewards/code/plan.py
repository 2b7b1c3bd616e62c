"""What a task's columns ask for, checked before anything runs.

Columns, whichever is there first: `io`, a list of {"stdin", "stdout"}: the completion is a whole program, run once a
case; `tests` (or `test`) with `entry_point` where it defines `check(candidate)`, as HumanEval does; `tests` otherwise:
a file of unittest or pytest; `asserts` (or `test_list`), a list of statements, as MBPP has. Beside them: `setup` (or
`test_setup_code`, `test_imports`), run before the tests; `prompt_code` (or `prompt`, where it is code), the header
that the completion may continue; `module`, the name by which the tests import the program, beside the usual ones.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

MODULES = (
    "solution", "main", "candidate", "submission", "program", "answer", "implementation", "my_module", "your_module",
    "your_code",
)  # fmt: skip
_MOST_CHARACTERS = 1_000_000
_MOST_TESTS = 10_000
_QUIET = threading.Lock()  # filters of warnings belong to the whole process
_BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Plan:
    """The tests of one task."""

    kind: Literal["check", "asserts", "file", "io"]
    entry_point: str = ""
    header: str = ""  # code of the prompt that the completion may continue
    helpers: str = ""  # what of it is finished: it belongs to the tests, not to the program
    setup: str = ""
    tests: str = ""
    asserts: tuple[str, ...] = ()
    cases: tuple[tuple[str, str], ...] = ()
    modules: tuple[str, ...] = MODULES
    names: frozenset[str] = frozenset()  # what the tests take from the program

    def order(self, *, share: bool) -> dict[str, Any]:
        """What the tester is told, as JSON."""
        names = ("kind", "entry_point", "helpers", "setup", "tests", "asserts", "modules")
        return {**{name: getattr(self, name) for name in names}, "share": share}


def plan_of(columns: Mapping[str, Any]) -> Plan | str:
    """The plan, or in words why there is none."""
    if columns.get("io") is not None:
        return _of_cases(columns["io"])
    tests = _first(columns, "tests", "test")
    asserts = _first(columns, "asserts", "test_list")
    if tests is None and asserts is None:
        return "it has none of the columns `tests`, `asserts` and `io`"
    if tests is None and (not isinstance(asserts, list | tuple) or not all(isinstance(each, str) for each in asserts)):
        return "its column `asserts` is not a list of statements"
    setup = _first(columns, "setup", "test_setup_code", "test_imports")
    texts = {
        "tests": tests or "",
        "entry_point": columns.get("entry_point") or "",
        "setup": "\n".join(setup) if isinstance(setup, list | tuple) and _texts(setup) else setup or "",
        "prompt_code": _first(columns, "prompt_code", "prompt") or "",
        "module": columns.get("module") or "",
    }
    wrong = next((name for name, value in texts.items() if not isinstance(value, str)), None)
    if wrong == "prompt_code":
        texts[wrong] = ""  # a prompt may be a list of messages
    elif wrong:
        return f"its column `{wrong}` is not text"
    return _of_tests(*texts.values(), tuple(asserts or ()) if tests is None else ())


def _first(columns: Mapping[str, Any], *names: str) -> Any:
    return next((columns[name] for name in names if columns.get(name) is not None), None)


def _texts(values: Any) -> bool:
    return all(isinstance(each, str) for each in values)


def _of_cases(rows: Any) -> Plan | str:
    if not isinstance(rows, list | tuple) or not rows or len(rows) > _MOST_TESTS:
        return f"its column `io` is not a list of 1 to {_MOST_TESTS} cases"
    cases = []
    for row in rows:
        given, expected = (row.get("stdin", ""), row.get("stdout")) if isinstance(row, Mapping) else (None, None)
        if not isinstance(given, str) or not isinstance(expected, str):
            return 'its column `io` is not a list of {"stdin", "stdout"} with text in each'
        cases.append((given, expected))
    if not any(expected.strip() for _, expected in cases):
        return "no case of its column `io` expects any output, so that a program that does nothing would pass"
    return Plan("io", cases=tuple(cases))


@functools.lru_cache(maxsize=2048)
def _of_tests(
    tests: str, entry_point: str, setup: str, prompt: str, module: str, asserts: tuple[str, ...]
) -> Plan | str:
    kind: Literal["check", "asserts", "file"] = "asserts" if asserts else "file"
    if len(tests) + len(setup) + sum(map(len, asserts)) > _MOST_CHARACTERS or len(asserts) > _MOST_TESTS:
        return f"its tests have more than {_MOST_CHARACTERS:,} characters or {_MOST_TESTS:,} statements"
    if not (tests.strip() or any(each.strip() for each in asserts)):
        return "its tests are empty"
    trees = []
    for name, text in [("tests", tests), ("setup", setup), *(("asserts", each) for each in asserts)]:
        tree = _parsed(text)
        if isinstance(tree, str):
            return f"its column `{name}` does not compile: {tree}"
        trees.append(tree)
    if kind != "asserts" and entry_point and "check" in _functions(trees[0]):
        kind = "check"
    modules = (*MODULES, *([module] if module else []))
    absent = sorted(set(_imported(trees)) - {*modules, "pytest", "__future__"} - sys.stdlib_module_names)
    if absent:
        return (
            f"its tests import `{absent[0]}`, which is not in the standard library (the program is imported as "
            f"`solution`; a column `module` names another way)"
        )
    header, helpers = _header(prompt, entry_point)
    taken = _taken(trees, modules) - _functions(_tree(helpers))
    names = frozenset([entry_point] if entry_point else taken)
    return Plan(kind, entry_point, header, helpers, setup, tests, asserts, (), modules, names | taken)


def _parsed(text: str) -> ast.Module | str:
    try:
        with _QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes in tests
            tree = ast.parse(text)
            compile(text, "tests.py", "exec", dont_inherit=True)
    except _BROKEN as failure:
        line = getattr(failure, "lineno", None)
        return f"{type(failure).__name__}" + (f", line {line}" if line else "")
    return tree


def _tree(text: str) -> ast.Module:
    tree = _parsed(text)
    return ast.Module([], []) if isinstance(tree, str) else tree


def _functions(tree: ast.Module) -> set[str]:
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _imported(trees: list[ast.Module]) -> Iterator[str]:
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (each.name.partition(".")[0] for each in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield (node.module or "").partition(".")[0] or "." * node.level


def _taken(trees: list[ast.Module], modules: tuple[str, ...]) -> set[str]:
    """Names that the tests use and that neither they nor Python define."""
    used: set[str] = set()
    bound: set[str] = set(vars(builtins)) | sys.stdlib_module_names
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                bound.add(node.name)
            elif isinstance(node, ast.ImportFrom) and node.module in modules:
                used |= {each.name for each in node.names} - {"*"}
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {(each.asname or each.name).partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ExceptHandler) and node.name:
                bound.add(node.name)
    return used - bound - {"pytest", "__name__", "__file__"}


def _header(prompt: str, entry_point: str) -> tuple[str, str]:
    """The prompt as code that a completion may continue, and what of it is finished; empty if it is no such code."""
    tree = _parsed(prompt) if entry_point and len(prompt) <= _MOST_CHARACTERS else ""
    if isinstance(tree, str) or entry_point not in _functions(tree):
        return "", ""
    finished = [node for node in tree.body if not _is_stub(node) and getattr(node, "name", "") != entry_point]
    return prompt, "\n".join(ast.unparse(node) for node in finished)


def _is_stub(node: ast.stmt) -> bool:
    """Whether it does nothing: a docstring, or a function of nothing but that, `pass` or `...`."""
    if isinstance(node, ast.Expr):
        return True
    body = getattr(node, "body", None)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or not isinstance(body, list):
        return False
    return all(isinstance(each, ast.Pass) or _is_stub(each) for each in body)
