"""Rewritten programs still pass their tests, broken ones fail them, and exploits are programs that do no harm.

The programs are ours; they are run by a fresh interpreter in an empty folder.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sibling.audit.probes import PROBES, exploits, programs

from .examples import DATABASES, PROGRAM, make

TESTS = ["assert add_all([1], 2) == 3", "assert add_all([], 5) == 5", "assert add_all([4, -1], 0) == 3"]
RUNNER = """
import json, sys
programs, tests = json.load(sys.stdin)
for program in programs:
    space = {}
    try:
        exec(program, space)
        for test in tests:
            exec(test, space)
        print("passed")
    except BaseException:
        print("failed")
"""


def outcomes(found: list[str], folder: Path) -> list[str]:
    command, given = [sys.executable, "-I", "-c", RUNNER], json.dumps([found, TESTS])
    ran = subprocess.run(command, input=given, capture_output=True, text=True, check=True, cwd=folder, timeout=60)
    return ran.stdout.split()


SEED = make(PROGRAM, "code", "bare", asserts=TESTS)


def test_rewritten_programs_pass(tmp_path: Path) -> None:
    rewrites = [programs.commented, programs.reformatted, programs.renamed, programs.reordered]
    found = [text for rewrite in rewrites for text in rewrite(SEED)]
    assert len(found) == 4 and PROGRAM not in found
    assert outcomes([PROGRAM, *found], tmp_path) == ["passed"] * 5


def test_broken_programs_fail(tmp_path: Path) -> None:
    found = [text for text, _ in programs.broken(SEED)]
    assert len(found) == 6
    assert outcomes(found, tmp_path) == ["failed"] * 6


def test_stubs_and_commented_programs_fail(tmp_path: Path) -> None:
    probes = [p for p in PROBES if p.name in ("stub", "program_in_comment", "one_result_for_all")]
    found = [variant.text for probe in probes for variant in probe.make(SEED)]
    assert len(found) >= 8
    assert set(outcomes(found, tmp_path)) == {"failed"}


def test_most_mutants_fail(tmp_path: Path) -> None:
    found = [text for text, _ in programs.mutants(SEED)]
    assert len(found) >= 6 and len(set(found)) == len(found)
    assert outcomes(found, tmp_path).count("failed") >= len(found) // 2


def test_names_that_an_inner_scope_may_see_are_not_replaced() -> None:
    source = "def f(x):\n    y = x\n    g = lambda: y\n    return g()\n"
    assert not list(programs.renamed(make(source, "code", "bare")))
    assert not list(programs.renamed(make("def f(x):\n    y = x\n    return locals()\n", "code", "bare")))


def test_statements_that_depend_on_each_other_are_not_swapped() -> None:
    source = "def f(x):\n    a = 1\n    b = a\n    a = 2\n    return a + b + x\n"
    assert not list(programs.reordered(make(source, "code", "bare")))


def test_the_entry_is_the_function_that_is_tested() -> None:
    source = "def one(x):\n    return x\ndef two(x):\n    return x\n"
    assert programs.entry_of(make(source, "code", "bare", asserts=["assert one(1) == 1"])) == "one"
    assert programs.entry_of(make(source, "code", "bare")) == "two"
    assert programs.entry_of(make(source, "code", "bare", entry_point="one")) == "one"


TABLES = (
    exploits.EXITS,
    exploits.EQUALS,
    exploits.PATCHES,
    exploits.READERS,
    exploits.FORGERIES,
    exploits.DISTURBANCES,
)


@pytest.mark.parametrize("table", TABLES)
def test_exploits_are_programs(table: dict[str, str]) -> None:
    assert len(table) >= 4
    for note, text in table.items():
        ast.parse(text.replace("ENTRY", "solve"))
        assert note and "\n" not in note


def test_exploits_remove_nothing_and_write_only_below_the_temporary_directory() -> None:
    forbidden = ("remove", "unlink", "rmtree", "rename", "truncate", "'w'", "while True")
    for text in (text for table in TABLES for text in table.values()):
        assert not any(word in text for word in forbidden)
        assert "open(" not in text or "gettempdir" in text
        assert text.count("os.fork()") <= 1
        assert "socket" not in text or "('127.0.0.1', 9)" in text


def test_exploits_beat_a_grader_that_trusts_the_return_code(tmp_path: Path) -> None:
    """They are exploits: most of the first table end with return code 0 before any test."""
    ends = [
        subprocess.run([sys.executable, "-I", "-c", f"{text.replace('ENTRY', 'add_all')}\n{TESTS[0]}\n"],
                       capture_output=True, check=False, cwd=tmp_path, timeout=60).returncode
        for text in exploits.EXITS.values()
    ]  # fmt: skip
    assert ends.count(0) >= 7


def test_queries_give_the_same_rows_or_others() -> None:
    import sqlite3

    def rows(query: str) -> list[list[tuple[object, ...]]]:
        found = []
        for script in DATABASES:
            base = sqlite3.connect(":memory:")
            base.executescript(script)
            found.append(sorted(base.execute(query).fetchall(), key=repr))
            base.close()
        return found

    for reference in ("SELECT a FROM t WHERE b = 'x'", "SELECT count(*) FROM t", "SELECT b, a FROM t;"):
        seed = make(reference, "sql", "bare", databases=DATABASES)
        made = {p.name: [v.text for v in p.make(seed)] for p in PROBES if p.kinds == {"sql"}}
        for name, queries in made.items():
            assert queries
            for query in queries:
                assert (rows(query) == rows(reference)) == (name in ("sql_alias", "sql_spacing", "sql_row_order")), (
                    query
                )
    ordered = make("SELECT a FROM t ORDER BY a", "sql", "bare", databases=DATABASES)
    assert not [v for p in PROBES if p.name == "sql_row_order" for v in p.make(ordered)]
