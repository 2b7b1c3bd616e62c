"""A proof is right if Lean accepts it for the task's statement, without gaps and without new axioms.

The task's column `statement` is a theorem with its name and without its proof (`theorem t (n : Nat) : n + 0 = n`), its
column `header`, if it has one, what stands before (imports, `open`). The answer is the proof (`by simp`, `:= by simp`),
in a code fence or as the whole part. One file is made of them and given to `command`, which ends with status 0 and
says which axioms the theorem rests on; propext, Classical.choice and Quot.sound may be among them.
Covered: sorry and what amounts to it, axioms, native_decide, unsafe code, code that runs while Lean reads, new syntax
and notation, options that switch checks off, further declarations after the proof, an answer that prints the words
that are looked for (the theorem is asked about under a name that depends on the answer).
Not covered: memory (give Lean its own bound in `command`, as in `lean -M 4096`); Lean itself, which is no sandbox:
the words above are refused so that a proof has nothing to run.
A proof that takes longer than `seconds` is wrong with the code too_hard. Answers of 50,000 characters are looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sibling.batch import Completion, Verdict
from sibling.canonical import digest
from sibling.config.rewards import LeanReward
from sibling.errors import RequestError
from sibling.rewards.fences import blocks, trimmed
from sibling.rewards.parts import part_of
from sibling.rewards.verdicts import Span, error, right, wrong
from sibling.tasks.task import Task

MOST_CHARACTERS = 50_000
_MOST_OUTPUT = 1 << 20
_MOST_FILE = 64 << 20  # bytes that the program may write to one file
_KEPT = 4096
_AXIOMS = frozenset({"propext", "Classical.choice", "Quot.sound"})
_GAPS = ("sorry", "sorryAx", "admit", "stop", "axiom", "constant", "opaque", "native_decide", "native", "decide!")
_UNSAFE = ("unsafe", "unsafeCast", "unsafeIO", "implemented_by", "extern", "csimp", "reduceBool", "ofReduceBool")
_RUNS = ("run_cmd", "run_tac", "run_meta", "run_elab", "initialize", "builtin_initialize", "dbg_trace", "trustCompiler")
_SYNTAX = ("macro", "macro_rules", "syntax", "elab", "elab_rules", "notation", "notation3", "declare_syntax_cat")
_FIXITY = (
    "infix",
    "infixl",
    "infixr",
    "prefix",
    "postfix",
    "binder_predicate",
    "simproc",
    "attribute",
    "local",
    "scoped",
)
_DECLARES = ("theorem", "lemma", "def", "abbrev", "instance", "example", "structure", "class", "inductive", "mutual")
_PLACES = ("namespace", "section", "end", "variable", "universe", "import", "export", "private", "protected", "partial")
_REFUSED = frozenset((*_GAPS, *_UNSAFE, *_RUNS, *_SYNTAX, *_FIXITY, *_DECLARES, *_PLACES, "set_option", "unseal"))
_ANYWHERE = frozenset((*_GAPS[:3], *_UNSAFE, *_RUNS))  # as a part of a longer name too
_NAME = re.compile(r"[^\W\d][\w.'!?]*|#\w*|@\[|@&")
_STATED = re.compile(r"(?:^|\s)(?:theorem|lemma)\s+([A-Za-z_][\w.']*)")
_COMMENT = re.compile(r"/-|--[^\n]*")
_IN_COMMENT = re.compile(r"/-|-/")
_HARMLESS_OPTION = re.compile(r"\bset_option\s+(?:maxHeartbeats|maxRecDepth)\s+\d+\s+in\b")
_LAUNCH = (
    "import os, resource, sys\n"
    "for kind, most in ((resource.RLIMIT_FSIZE, int(sys.argv[1])), (resource.RLIMIT_CORE, 0)):\n"
    "    resource.setrlimit(kind, (most, most))\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)


@dataclass(frozen=True)
class _Ran:
    status: int | None  # None: it did not end in time
    output: str


class Lean:
    """Right if Lean accepts the proof.

    Raises `RequestError` if the program is not there.
    """

    uses_reference = True  # a stored proof has to be accepted

    def __init__(self, config: LeanReward) -> None:
        if shutil.which(config.command[0]) is None:
            raise RequestError(
                "The reward lean needs Lean 4, which is not on this machine",
                seen=f"rewards[].command {' '.join(config.command)}: no such program",
                wanted="a program that checks one Lean file, such as `lean` or `lake env lean`",
                do="Install Lean (https://lean-lang.org), name it in `command`, or take this reward out of the recipe: "
                "its other rewards do not need it",
            )
        self._config = config
        self._known: OrderedDict[str, str] = OrderedDict()

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        name = _name_of(task)
        if name is None:
            return error("the task has no column `statement` with a theorem", code="bad_reference")
        found = proof_in(completion.text, *part_of(completion.text, "answer"))
        if isinstance(found, Verdict):
            return found
        proof, span = found
        refused = refused_word(proof)
        if refused is not None:
            return wrong(f"a proof may not say {refused!r}", code="forbidden", span=span)
        alias = "checked_" + digest({"statement": name, "proof": proof}).removeprefix("sha256:")[:24]
        ran = self._run(f"{_file(task, proof)}\n\ndef {alias} := @{name}\n\n#print axioms {alias}\n")
        return _verdict(ran, alias, span)

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can. Lean reads each statement once."""
        if _name_of(task) is None:
            return "its column `statement` is not a theorem with a name"
        source = _file(task, "by\n  sorry")
        if source not in self._known:
            ran = self._run(source + "\n")
            said = "it does not end in time" if ran.status is None else ran.output.strip()[:300]
            self._known[source] = "" if ran.status == 0 else f"Lean does not accept its statement: {said}"
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return self._known[source] or None

    def _run(self, source: str) -> _Ran:
        """What Lean says of a file. The program and all that it started are ended."""
        with tempfile.TemporaryDirectory(prefix="sibling-lean-") as folder:
            path = Path(folder, "Proof.lean")
            path.write_text(source, encoding="utf-8")
            output = Path(folder, "output")
            with output.open("wb") as said:
                process = subprocess.Popen(
                    [*_launcher(), *self._config.command, str(path)],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            try:
                status: int | None = process.wait(timeout=self._config.seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end_group(process)
            with output.open("rb") as said:
                said.seek(max(0, output.stat().st_size - _MOST_OUTPUT))  # what is asked for stands at the end
                return _Ran(status, said.read(_MOST_OUTPUT).decode("utf-8", "replace"))


def proof_in(text: str, start: int, end: int) -> tuple[str, Span] | Verdict:
    """The proof that `text[start:end]` states, with its characters; or why it is refused.

    >>> proof_in(":= by simp", 0, 10)
    ('by simp', (3, 10))
    """
    seen_from = max(start, end - 2 * MOST_CHARACTERS)
    part = text[seen_from:end]
    fenced = blocks(part)
    first, last = trimmed(part, *(fenced[-1] if fenced else (0, len(part))))
    if part[first:last].startswith(":="):
        first, last = trimmed(part, first + 2, last)
    span = (seen_from + first, seen_from + last)
    proof = part[first:last]
    if not proof:
        return wrong("there is no proof", code="no_answer", span=span)
    if len({part[a:b].strip() for a, b in fenced}) > 1:
        return wrong("several different proofs", code="hedged", span=span)
    if len(proof) > MOST_CHARACTERS or (not fenced and seen_from > start):
        return wrong(f"the proof is longer than {MOST_CHARACTERS} characters", code="too_long", span=span)
    if "\0" in proof or any("\ud800" <= character <= "\udfff" for character in proof):
        return wrong("it holds characters that are no text", code="unreadable", span=span)
    return proof, span


def refused_word(proof: str) -> str | None:
    """The first word that no proof needs and that could get around the check; None if there is none.

    Comments are left out, unless there is a string in which they might begin.

    >>> refused_word("by simp -- the end"), refused_word("by exact sorryAx _")
    (None, 'sorryAx')
    """
    seen = proof if '"' in proof or "«" in proof else without_comments(proof)
    for match in _NAME.finditer(_HARMLESS_OPTION.sub(" ", seen)):
        word = match.group()
        parts = word.split(".")
        if word[0] in "#@" or word in _REFUSED or not _ANYWHERE.isdisjoint(parts):
            return word
    return None


def without_comments(source: str) -> str:
    """Lean text without its comments, nested ones too.

    >>> without_comments("by /- a /- b -/ c -/ simp -- d")
    'by   simp  '
    """
    kept: list[str] = []
    depth = place = 0
    while match := (_IN_COMMENT if depth else _COMMENT).search(source, place):
        kept += [] if depth else [source[place : match.start()], " "]
        depth += {"/-": 1, "-/": -1}.get(match.group(), 0)
        place = match.end()
    return "".join([*kept, "" if depth else source[place:]])


def _verdict(ran: _Ran, alias: str, span: Span) -> Verdict:
    if ran.status is None:
        return wrong("Lean did not end in time", code="too_hard", span=span)
    if ran.status != 0:
        return wrong(f"Lean refuses it: {' '.join(ran.output.split())[:200]}", code="refused", span=span)
    if f"'{alias}' does not depend on any axioms" in ran.output:
        return right("Lean accepts it", code="proved", span=span)
    found = re.findall(rf"'{alias}' depends on axioms: \[([^\]]*)\]", ran.output)
    if len(found) != 1:
        return error("Lean did not say which axioms it rests on", code="failed", span=span)
    axioms = {name.strip() for name in found[0].split(",")}
    if axioms <= _AXIOMS:
        return right("Lean accepts it", code="proved", span=span)
    return wrong(f"it rests on {', '.join(sorted(axioms - _AXIOMS))}", code="axioms", span=span)


def _file(task: Task, proof: str) -> str:
    header = str(task.columns.get("header", "") or "")
    statement = re.sub(r"\s*:=\s*(by)?\s*$", "", str(task.columns["statement"]))
    return f"{header}\n\n{statement} := {proof}"


def _name_of(task: Task) -> str | None:
    statement = task.columns.get("statement")
    names = _STATED.findall(statement) if isinstance(statement, str) else []
    return names[0] if len(names) == 1 else None


def _launcher() -> list[str]:
    """A program that bounds files and core dumps, then becomes Lean; where the system has such bounds."""
    return [] if sys.platform == "win32" else [sys.executable, "-I", "-c", _LAUNCH, str(_MOST_FILE)]


def _end_group(process: subprocess.Popen[bytes]) -> None:
    end_all: Callable[[int, int], None] | None = getattr(os, "killpg", None)
    try:
        if end_all is None:
            process.kill()
        else:
            end_all(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    except ProcessLookupError:
        pass  # all of it has ended
    process.wait()
