"""Change one thing at a time in the maths and ask the tests: `python benchmarks/mutation/run.py` (or `make mutation`).

One process that forks. Code in functions is swapped inside a pytest session that has collected its tests once; each
mutant runs only the tests that call its function, those of its own module first, then the quickest, up to the first
failure. Tables and defaults run at import, so their mutants start a session of their own. A mutant that takes longer
than a minute of processor time counts as noticed. Writes benchmarks/mutation.json and docs/mutation.md. `--again`
runs only the mutants that survived the last run, `--modules` only those of some modules.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:  # the package is not installed; this file is started by its path
    sys.path.insert(0, str(HERE.parent))

from mutation.operators import Site, mutated, sites  # noqa: E402
from mutation.report import RESULTS, key, write  # noqa: E402

ROOT = HERE.parents[1]
MATHS = ROOT / "src" / "sibling" / "maths"
TESTS = ROOT / "tests" / "maths"
SECONDS = 60
QUIET = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore::pytest.PytestAssertRewriteWarning"]

AT_IMPORT = "at import"
SOURCES: dict[str, str] = {}
Mutant = tuple[str, int, Site]  # module, number of the mutation in it


def main() -> None:
    """Run the mutants and write what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--modules", default="", help="names with commas between; all of them if left out")
    parser.add_argument("--again", action="store_true", help="only the mutants that survived the last run")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.dont_write_bytecode = True
    names = options.modules.split(",") if options.modules else sorted(p.stem for p in MATHS.glob("[a-z]*.py"))
    SOURCES.update((n, (MATHS / f"{n}.py").read_text()) for n in names)  # once: the run takes a while
    mutants = [(n, i, s) for n in names for i, s in enumerate(sites(SOURCES[n]))]
    SOURCES.update((n, (MATHS / f"{n}.py").read_text()) for n in names)  # once: the run takes a while
    mutants = [(n, i, s) for n in names for i, s in enumerate(sites(SOURCES[n]))]
    before = json.loads(RESULTS.read_text()) if (options.again or options.modules) and RESULTS.exists() else {}
    kept = [s for s in before.get("survivors", ()) if s["module"] not in names]
    if options.again:
        alive = {key(s) for s in before["survivors"]}
        mutants = [m for m in mutants if (m[0], m[2].function, m[2].before, m[2].after) in alive]
    started = time.monotonic()
    for heavy in ("torch", "numpy", "hypothesis", "jaxtyping", "beartype"):
        importlib.import_module(heavy)  # once, for all the children
    said = json.loads(forked(Session(mutants).run, seconds=4 * 3600))
    outcomes = [(m, imported(m) if s == AT_IMPORT else s) for m, s in zip(mutants, said, strict=True)]
    write(outcomes, kept, SOURCES.keys() | before.get("modules", {}).keys(), time.monotonic() - started)


def forked(work: Callable[[], str], seconds: int = SECONDS) -> str:
    """What `work` says in a process of its own: text, or "timeout", or "crash" where a signal ended it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # processor time: the machine may be busy
        code = 1
        try:
            os.write(writer, work().encode())
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "timeout" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "crash"
    if os.WEXITSTATUS(status) != 0:
        raise RuntimeError("The mutation run itself failed in a child; its traceback is above")
    return said


def imported(mutant: Mutant) -> str:
    """A mutant of code that runs at import: the module is loaded from its changed source, under all its tests."""
    module, number, _ = mutant
    path = str(MATHS / f"{module}.py")
    source = ast.unparse(mutated(SOURCES[module], number)).encode()

    def work() -> str:
        from jaxtyping._import_hook import _JaxtypingLoader  # the loader the tests install

        read = _JaxtypingLoader.get_data

        def changed(self: Any, place: str) -> bytes:
            if place == path:
                return source
            if place.endswith(".pyc") and f"{os.sep}{module}." in place:
                raise OSError  # no code from before the change
            return bytes(read(self, place))

        setattr(_JaxtypingLoader, "get_data", changed)  # noqa: B010  mypy: the stub's argument has another name
        silence()
        first = [p for p in (TESTS / f"test_{module}.py",) if p.exists()]
        rest = sorted(p for p in TESTS.glob("test_*.py") if p not in first and p.stem not in SLOW)
        seen = First()
        code = pytest.main([*QUIET, "-x", *map(str, first), *map(str, rest)], plugins=[Quick(), seen])
        return "" if code == 0 else seen.name or "collection"

    return forked(work)


SLOW = {"test_light_imports", "test_intervals", "test_likelihood"}  # unless it is their module


def silence() -> None:
    """No output of a child."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


class First:
    """The first test that failed."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember it."""
        if report.failed and not self.name:
            self.name = report.nodeid


class Quick:
    """Hypothesis without its database, its shrinking and its randomness."""

    def pytest_configure(self, config: pytest.Config) -> None:
        """Before the tests are read."""
        from hypothesis import Phase, settings

        quick = settings(database=None, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
        settings.register_profile("mutation", quick)
        settings.load_profile("mutation")


class Session:
    """Mutants of functions, in one pytest session: the code is swapped in a fork and the function's tests run."""

    def __init__(self, mutants: Sequence[Mutant]) -> None:
        self.mutants = mutants
        self.said: list[str] = []

    def run(self) -> str:
        """For each mutant the test that noticed, "timeout", "crash", nothing, or `AT_IMPORT`; as JSON."""
        if any(site.function for _, _, site in self.mutants):
            pytest.main([*QUIET, "--capture=no", str(TESTS)], plugins=[Quick(), self])
            return json.dumps(self.said)
        return json.dumps([AT_IMPORT] * len(self.mutants))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of running the tests."""
        calls = self._calls(session)
        for done, mutant in enumerate(self.mutants):
            tests = calls.get(f"{mutant[0]}:{mutant[2].function}", [])
            self.said.append(forked(lambda: self._noticed(session, mutant, tests)) if tests else AT_IMPORT)  # noqa: B023
            if not self.said[-1] or self.said[-1] in ("timeout", "crash"):
                print(done, mutant[0], self.said[-1] or "survived", mutant[2], file=sys.stderr, flush=True)
        return True

    def _calls(self, session: pytest.Session) -> dict[str, list[int]]:
        """Function -> positions of the tests that call it, those of its own module first, then the quickest."""
        path = Path(tempfile.mkstemp(suffix=".json")[1])

        def work() -> str:
            silence()
            found = []
            for item in session.items:
                started, seen = time.perf_counter(), set[str]()
                assert not _run(item, seen), item.nodeid
                found.append((time.perf_counter() - started, sorted(seen)))
            path.write_text(json.dumps(found))
            return "done"

        assert forked(work, seconds=900) == "done", "the tests must pass before anything is changed"
        found = json.loads(path.read_text())
        path.unlink()
        calls: dict[str, list[tuple[bool, float, int]]] = {}
        for position, (seconds, functions) in enumerate(found):
            own = session.items[position].path.stem.removeprefix("test_")
            for function in functions:
                calls.setdefault(function, []).append((function.split(":")[0] != own, seconds, position))
        # A function of which only what it made is called (a lambda in a table) did its work at import.
        return {f: [p for *_, p in sorted(rows)] for f, rows in calls.items() if f"{f}!" in calls}

    def _noticed(self, session: pytest.Session, mutant: Mutant, tests: Sequence[int]) -> str:
        module, number, site = mutant
        tree = compile(mutated(SOURCES[module], number), module, "exec", dont_inherit=True)
        _function(module, site.function).__code__ = _code(tree, site.function)
        silence()
        return next((session.items[i].nodeid for i in tests if _run(session.items[i])), "")


def _run(item: pytest.Item, seen: set[str] | None = None) -> bool:
    """Whether the test fails; `seen` collects the maths functions it calls."""
    from _pytest.runner import runtestprotocol

    def note(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and seen is not None and code.co_filename.startswith(str(MATHS)):
            name = f"{Path(code.co_filename).stem}:{code.co_qualname}"
            seen.update((name.split(".<locals>", maxsplit=1)[0], f"{name}!"))

    if seen is not None:
        sys.setprofile(note)
    reports = runtestprotocol(item, nextitem=None, log=False)
    sys.setprofile(None)
    return any(r.failed for r in reports)


def _function(module: str, name: str) -> FunctionType:
    found: Any = importlib.import_module(f"sibling.maths.{module}")
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    getter: Any = found.fget if isinstance(found, property) else found
    found = inspect.unwrap(getter)
    assert isinstance(found, FunctionType)
    return found


def _code(code: CodeType, name: str) -> CodeType:
    for part in name.split("."):
        code = [c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == part][-1]  # the last overload
    return code


if __name__ == "__main__":
    main()
