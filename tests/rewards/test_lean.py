"""The interface to Lean, with a stand-in program that is started, read and ended as Lean would be."""

import os
import stat
import sys
import time
from pathlib import Path

import pytest

from sibling.batch import Status
from sibling.config.rewards import LeanReward
from sibling.errors import RequestError
from sibling.rewards.grade import stating
from sibling.rewards.lean import Lean, refused_word, without_comments
from sibling.tasks.task import Task

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is started by its first line")

STAND_IN = """#!{python}
import re, subprocess, sys, time
source = open(sys.argv[-1]).read()
if "slow" in source:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open({folder!r} + "/child", "w").write(str(child.pid))
    time.sleep(60)
if "flood" in source:
    print("x" * (8 << 20), flush=True)
if "theorem" not in source or "broken" in source:
    print("error: unknown identifier 'broken'")
    sys.exit(1)
for name in re.findall(r"^#print axioms (\\S+)$", source, re.MULTILINE):
    rests = [w for w in ("propext", "Quot.sound", "extra") if w in source]
    tail = f"depends on axioms: [{{', '.join(rests)}}]" if rests else "does not depend on any axioms"
    print("" if "silent" in source else f"'{{name}}' {{tail}}")
"""


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lean")


@pytest.fixture(scope="module")
def lean(folder):
    program = folder / "stand-in"
    program.write_text(STAND_IN.format(python=sys.executable, folder=str(folder)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Lean(LeanReward(command=(str(program), "--quiet"), seconds=20))


def task(statement="theorem t (n : Nat) : n + 0 = n", **columns):
    return Task("t", (), None, {"statement": statement, **columns})


@pytest.mark.parametrize(
    ("proof", "status", "code"),
    [
        ("by simp", Status.right, "proved"),
        (":= by simp", Status.right, "proved"),
        ("<think>sorry?</think>```lean\nby\n  simp\n```", Status.right, "proved"),
        ("by simp -- the end of it", Status.right, "proved"),
        ("set_option maxRecDepth 1000 in by simp", Status.right, "proved"),
        ("by exact propext Iff.rfl", Status.right, "proved"),
        ("by exact extra", Status.wrong, "axioms"),
        ("by broken", Status.wrong, "refused"),
        ("by silent", Status.error, "failed"),
        ("by flood", Status.right, "proved"),
        ("", Status.wrong, "no_answer"),
        (":=", Status.wrong, "no_answer"),
        ("```lean\nby simp\n```\nor\n```lean\nby rfl\n```", Status.wrong, "hedged"),
        ("by sorry", Status.wrong, "forbidden"),
        ("by\0simp", Status.wrong, "unreadable"),
        ("by \ud800", Status.wrong, "unreadable"),
        ("by " + "simp; " * 20_000, Status.wrong, "too_long"),
    ],
    ids=short,
)
def test_proofs(lean, proof, status, code):
    verdict = lean.judge(task(), stating(proof))
    assert (verdict.status, verdict.code) == (status, code), verdict


@pytest.mark.parametrize(
    "proof",
    [
        "by admit",
        "by exact (sorryAx _ : _)",
        "by exact Lean.sorryAx _",
        "by native_decide",
        "by decide +native",
        "by exact Lean.ofReduceBool _ _ rfl",
        "by trivial\naxiom cheat : False",
        "by trivial end Foo",
        "by trivial\nnamespace A theorem t : True := trivial",
        "by trivial\n#eval 1",
        "by trivial\n#print axioms t",
        "by run_tac logInfo m!\"'checked' does not depend on any axioms\"",
        'by trivial\nmacro "x" : term => `(1)',
        'by trivial\nlocal notation "a" => 1',
        'by trivial\nelab "x" : tactic => pure ()',
        "by trivial\n@[implemented_by f] unsafe def g := 1",
        "by trivial\nset_option debug.skipKernelTC true",
        "by trivial\nattribute [simp] foo",
        'by exact foo "/-"\nsorry\n"-/"',
        "by /- -/ sorry /- -/",
        "by -- /-\nsorry -- -/",
        "by «x -- » sorry",
    ],
)
def test_what_gets_around_the_check_is_refused_before_lean_sees_it(lean, proof):
    verdict = lean.judge(task(), stating(proof))
    assert (verdict.status, verdict.code) == (Status.wrong, "forbidden")


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a -- b\nc", "a  \nc"),
        ("a /- b -- -/ c", "a   c"),
        ("a /- b --/ c", "a   c"),
        ("a /- /- -/ b", "a  "),
        ("a /-/ b", "a  "),
        ("/-- doc -/ a", "  a"),
    ],
)
def test_comments(source, left):
    assert without_comments(source) == left


def test_ordinary_proofs_hold_no_refused_word():
    cases = "| zero => rfl\n  | succ k ih => simpa [List.prefix_append, Nat.add_comm] using ih.symm"
    assert refused_word(f"by\n  induction n with\n  {cases}") is None


def test_a_proof_that_never_ends_is_ended_with_all_it_started(lean, folder):
    hurried = Lean(lean._config.model_copy(update={"seconds": 2.0}))
    start = time.monotonic()
    verdict = hurried.judge(task(), stating("by slow"))
    assert (verdict.status, verdict.code) == (Status.wrong, "too_hard")
    assert time.monotonic() - start < 15
    child = int((folder / "child").read_text())
    deadline = time.monotonic() + 10
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"statement": "theorem t : True"}, None),
        ({"statement": "theorem t : True := by", "header": "open Nat"}, None),
        ({"statement": "lemma t' : True :="}, "does not accept"),  # the stand-in knows theorems alone
        ({"statement": "theorem t : broken"}, "broken"),
        ({"statement": "theorem a : True theorem b : True"}, "not a theorem"),
        ({"statement": 3}, "not a theorem"),
        ({}, "not a theorem"),
    ],
)
def test_tasks_that_cannot_be_graded_say_why(lean, columns, words):
    asked = Task("t", (), None, columns)
    told = lean.problem_with(asked)
    assert (told is None) == (words is None) and (words is None or words in told)


def test_without_a_statement_the_verdict_is_an_error(lean):
    assert lean.judge(Task("t", (), None, {}), stating("by simp")).code == "bad_reference"


def test_the_span_is_the_proof(lean):
    text = "<think>x</think>:= by simp\n"
    verdict = lean.judge(task(), stating(text))
    assert text[slice(*verdict.span)] == "by simp"


def test_where_there_is_no_lean_the_message_says_how_to_go_on(tmp_path):
    with pytest.raises(RequestError, match=r"not on this machine.*take this reward out") as failure:
        Lean(LeanReward(command=(str(tmp_path / "lean"),)))
    assert failure.value.exit_code == 2
