"""One grading: start the tester and the program, wait for the tester's word, and say in a verdict what came of it."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import dataclass, replace
from typing import Any

from sibling.batch import Verdict
from sibling.rewards.code.extract import Program
from sibling.rewards.code.output import difference
from sibling.rewards.code.plan import Plan
from sibling.rewards.verdicts import error, right, wrong
from sibling.sandbox.limits import Limits
from sibling.sandbox.run import Ended, Sandbox

_GRACE = 1.0  # seconds that the tester has beyond the program
_MOST_WORD = 1 << 16  # bytes of the tester's word
_SYNTAX = 252  # `inside.candidate.SYNTAX`
_WORDS = {
    "timeout": "the time limit was reached",
    "memory": "it needed too much memory",
    "output_limit": "it printed too much",
    "exit": "the program ended itself",
    "crashed": "the program's process was ended by a signal",
    "forged": "the program sent what is no message",
    "syntax_error": "the program is not valid Python",
    "no_code": "there is no program: the answer is not Python",
}


@dataclass(frozen=True)
class Session:
    """Where and how programs run: the sandbox, the limits of one, and whether a share of the tests counts."""

    sandbox: Sandbox
    limits: Limits
    share: bool

    def graded(self, plan: Plan, program: Program) -> Verdict:
        """The verdict on one program."""
        return self._cases(plan, program) if plan.kind == "io" else self._tests(plan, program)

    def _tests(self, plan: Plan, program: Program) -> Verdict:
        said, ended, bound = self._both(plan, program)
        if said is None:
            if bound:
                return self._wrong(bound, program)
            return error("the process of the tests ended without a word", code="tester_failed", span=program.span)
        if said["fault"]:
            return error(f"the tests cannot judge: {said['fault']}", code="tester_failed", span=program.span)
        passed, total = said["passed"], said["total"]
        if said["first"] is None:
            return right(f"{passed} of {total} tests passed", code="passed", span=program.span)
        score = passed / total if self.share and total else 0.0
        return _refused(said, ended, program, score)

    def _both(self, plan: Plan, program: Program) -> tuple[dict[str, Any] | None, Ended, str]:
        """The tester's word if it gave one, how the program ended, and the bound that the tester met, if it did.

        What the tests compute with comes from the program, so a bound that they meet counts against the program.
        """
        order = plan.order(share=self.share)
        given = {"code": program.code, "header": plan.header, "entry_point": plan.entry_point}
        start = time.monotonic()
        longer = replace(self.limits, seconds=self.limits.seconds + _GRACE)
        with contextlib.ExitStack() as stack:
            ours, words, tests, programs = (
                stack.enter_context(each) for each in (*socket.socketpair(), *socket.socketpair())
            )
            tester = self.sandbox.start("tester", _packed(order), limits=longer, channels=[tests, words])
            stack.callback(tester.kill)
            candidate = self.sandbox.start("candidate", _packed(given), limits=self.limits, channels=[programs])
            stack.callback(candidate.kill)
            for each in (words, tests, programs):
                each.close()
            said = _said(ours, start + self.limits.seconds + 2 * _GRACE)
            if said is None or not said["first"] or said["first"]["code"] != "gone":
                candidate.kill()
            ended = candidate.wait()
            tester.kill()
            how = tester.wait().how
        late = how == "timeout" or time.monotonic() - start >= self.limits.seconds
        return said, ended, "timeout" if late else "memory" if how == "memory" else ""

    def _cases(self, plan: Plan, program: Program) -> Verdict:
        """Run the program once a case, each in a fresh process, all of them within the time of one."""
        until = time.monotonic() + self.limits.seconds
        passed, first = 0, None
        for place, (given, expected) in enumerate(plan.cases):
            left = max(0.05, until - time.monotonic())
            order = _packed({"code": program.code, "stdin": given})
            ended = self.sandbox.start("candidate", order, limits=replace(self.limits, seconds=left)).wait()
            code, words = _case(ended, expected)
            passed += not code
            first = first or ((code, f"case {place + 1}: {words}") if code else None)
            if code and (not self.share or code in ("timeout", "syntax_error")):
                break
        if first is None:
            return right(f"{passed} of {len(plan.cases)} cases passed", code="passed", span=program.span)
        code, words = first
        if code == "syntax_error":
            return self._wrong(code, program)
        return wrong(words, passed / len(plan.cases) if self.share else 0.0, code=code, span=program.span)

    def _wrong(self, code: str, program: Program) -> Verdict:
        code = "no_code" if code == "syntax_error" and program.bare else code
        return wrong(_WORDS[code], code=code, span=program.span)


def _packed(order: dict[str, Any]) -> bytes:
    return json.dumps(order).encode("ascii")  # what is no ASCII is escaped, so lone surrogates come through


def _said(channel: socket.socket, until: float) -> dict[str, Any] | None:
    """The tester's word, all of it; None if it ended or was late without one."""
    data = b""
    try:
        while len(data) <= _MOST_WORD:
            channel.settimeout(max(0.001, until - time.monotonic()))
            more = channel.recv(_MOST_WORD)
            if not more:
                break
            data += more
    except OSError:
        return None
    try:
        said = json.loads(data)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _refused(said: dict[str, Any], ended: Ended, program: Program, score: float) -> Verdict:
    first = said["first"]
    code = _way(ended) if first["code"] == "gone" else first["code"]
    if code == "syntax_error" and program.bare:
        code = "no_code"
    where = first["test"] + (f", line {first['line']}" if first["line"] else "")
    what = _WORDS.get(code, "")
    if code == "missing_name":
        what = f"the program does not define {', '.join(said['missing']) or first['test']}"
    elif code == "failed_test":
        what = "the test failed"
    elif code == "exception":
        what = f"it raised {first['type']}"
    counts = f" ({said['passed']} of {said['total']} passed)" if said["total"] > 1 else ""
    return wrong(f"{where}: {what}{counts}", score, code=code, span=program.span)


def _way(ended: Ended) -> str:
    """How a program that was gone had ended."""
    ways = {"timeout": "timeout", "memory": "memory", "output": "output_limit", "signalled": "crashed"}
    return ways.get(ended.how, "exit")


def _case(ended: Ended, expected: str) -> tuple[str, str]:
    """(code, words) of what is wrong with one run; empty if nothing is."""
    if ended.how != "exited":
        code = _way(ended)
        return code, _WORDS[code]
    if ended.code == _SYNTAX:
        return "syntax_error", _WORDS["syntax_error"]
    if ended.code:
        last = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        name = last.partition(":")[0]
        return "exception", f"it ended with code {ended.code}" + (f" ({name})" if name.isidentifier() else "")
    words = difference(ended.stdout, expected)
    return ("failed_test", words) if words else ("", "")
