"""A solver confirms the answer: a formula that means the same, values that satisfy constraints, a SAT assignment.

`equivalent`: answer and reference are SMT-LIB terms over the task's column `declarations`; the answer is right if no
values tell them apart. `satisfies`: the answer gives a value for every constant of `declarations`
(`((x 3) (y 4))`, `x = 3, y = 4` or a JSON object), and the reference, one formula or more, has to hold.
`sat_assignment`: the reference is a CNF in DIMACS, the answer literals (`1 -2 3 0` or `v` lines), which are checked by
evaluation, or the claim UNSAT, which a SAT solver checks.
Text of an answer is never a command: `rewards.solver_text` reads it, bounds it and writes it anew before z3 sees it in
a process that can be killed. What a solver cannot decide in `seconds` is no wrong answer: the verdict abstains, code
unknown.
Not covered: a prompt that shows a formula equivalent to the reference; it can be repeated. Division by 0 has the
meaning SMT-LIB gives it (any value).
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict

from sibling.batch import Completion, Verdict
from sibling.config.rewards import SolverReward
from sibling.errors import RequestError
from sibling.rewards.dimacs import assignment, clauses_of
from sibling.rewards.fences import blocks, trimmed
from sibling.rewards.parts import part_of
from sibling.rewards.solver_text import (
    UnreadableError,
    constants,
    declared_names,
    expressions,
    formulas,
    stated_values,
    term,
    written,
)
from sibling.rewards.verdicts import Span, abstain, error, right, wrong
from sibling.sandbox.workers import Workers
from sibling.tasks.task import Task

_WINDOW = 400_000  # characters of the part that are looked at
_PREPARE_SECONDS = 30.0
_GRACE = 1.0  # seconds from z3's own limit until its process is killed
_KEPT = 4096
_UNSATISFIABLE = ("unsat", "unsatisfiable", "s unsatisfiable")


class Solver:
    """Right if a solver, or plain evaluation, confirms the answer.

    Raises `RequestError` if z3 (python-sat for `sat_assignment`) is not installed.
    """

    def __init__(self, config: SolverReward) -> None:
        self.uses_reference = config.check == "equivalent"
        package, module = ("python-sat", "pysat") if config.check == "sat_assignment" else ("z3-solver", "z3")
        if importlib.util.find_spec(module) is None:
            raise RequestError(
                f"The reward solver needs {package}, which is not installed",
                do="Run `pip install 'sibling[verifiers]'` and try again",
            )
        self._config = config
        self._child = Workers("sibling.rewards.solver_child", "answer", memory_mb=4096)
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        if task.reference is None:
            return abstain("the task has no reference", code="no_reference")
        fault = self._fault(task)
        if fault:
            return error(fault, code="bad_reference")
        found = answer_in(completion.text, *part_of(completion.text, self._config.part))
        if isinstance(found, Verdict):
            return found
        text, span = found
        try:
            if self._config.check == "equivalent":
                return self._equivalent(task, text, span)
            if self._config.check == "satisfies":
                return self._satisfies(task, text, span)
            return self._assigns(task.reference, text, span)
        except UnreadableError as failure:
            return wrong(failure.reason, code=failure.code, span=span)

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        return "it has no reference" if task.reference is None else self._fault(task) or None

    def _fault(self, task: Task) -> str:
        """What is wrong with the reference or the declarations; looked for once a task."""
        key = (_declarations(task), task.reference or "")
        if key not in self._known:
            try:
                self._known[key] = self._looked_for(*key)
            except UnreadableError as failure:
                self._known[key] = f"its reference or declarations cannot be read: {failure.reason}"
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return self._known[key]

    def _looked_for(self, declarations: str, reference: str) -> str:
        if self._config.check == "sat_assignment":
            clauses_of(reference)
            return ""
        if not declarations.strip():
            return "it has no column `declarations`"
        declared_names(declarations)
        if self._config.check == "satisfies":
            constants(declarations)
            said, detail = self._ask(f"{declarations}\n(assert {formulas(reference)})", _PREPARE_SECONDS)
            return "no values satisfy its reference" if said == "unsat" else detail if said == "unreadable" else ""
        said, detail = self._ask(declarations, _PREPARE_SECONDS, pair=(_one(reference), _one(reference)))
        return f"its reference cannot be read: {detail}" if said == "unreadable" else ""

    def _equivalent(self, task: Task, text: str, span: Span) -> Verdict:
        declarations = _declarations(task)
        stated = term(text, declared_names(declarations))
        said, detail = self._ask(declarations, self._config.seconds, pair=(_one(task.reference or ""), stated))
        if said == "unsat":
            return right("no values tell them apart", code="equivalent", span=span)
        if said == "sat":
            return wrong(f"they differ at {detail}", code="different", span=span)
        return _undecided(said, detail, span)

    def _satisfies(self, task: Task, text: str, span: Span) -> Verdict:
        declarations = _declarations(task)
        values = stated_values(text, constants(declarations))
        fixed = " ".join(f"(assert (= {name} {value}))" for name, value in values.items())
        script = f"{declarations}\n{fixed}\n(assert {formulas(task.reference or '')})"
        said, detail = self._ask(script, self._config.seconds)
        if said == "sat":
            return right("the values satisfy the constraints", code="satisfies", span=span)
        if said == "unsat":
            return wrong("a constraint does not hold", code="violated", span=span)
        return _undecided(said, detail, span)

    def _assigns(self, reference: str, text: str, span: Span) -> Verdict:
        count, clauses = clauses_of(reference)
        if text.lower().rstrip(".") in _UNSATISFIABLE:
            reply = self._child.call({"clauses": clauses}, self._config.seconds + _GRACE)
            if reply.failure:
                return abstain(f"the SAT solver did not decide ({reply.failure})", code="unknown", span=span)
            if reply.value["says"] == "unsat":
                return right("there is no assignment", code="unsatisfiable", span=span)
            return wrong("there is an assignment", code="satisfiable", span=span)
        literals = assignment(text, count)
        if all(not literals.isdisjoint(clause) for clause in clauses):
            return right("every clause holds", code="satisfies", span=span)
        return wrong("a clause does not hold", code="violated", span=span)

    def _ask(self, script: str, seconds: float, pair: tuple[str, str] | None = None) -> tuple[str, str]:
        request = {"script": script, "milliseconds": seconds * 1000, **({} if pair is None else {"pair": pair})}
        reply = self._child.call(request, seconds + _GRACE)
        if reply.failure:  # z3 may end its process when it has no memory left
            return "unknown", f"{reply.failure} {reply.message}"
        return reply.value["says"], reply.value["detail"]


def answer_in(text: str, start: int, end: int) -> tuple[str, Span] | Verdict:
    """What `text[start:end]` states, in a code fence or as a whole, with its characters; or why it is refused."""
    seen_from = max(start, end - _WINDOW)
    part = text[seen_from:end]
    fenced = blocks(part)
    spans = [trimmed(part, *block) for block in fenced] or [trimmed(part, 0, len(part))]
    first, last = spans[-1]
    span = (seen_from + first, seen_from + last)
    if first >= last:
        return wrong("there is no answer", code="no_answer", span=span)
    if len({" ".join(part[a:b].split()) for a, b in spans}) > 1:
        return wrong("several different answers", code="hedged", span=span)
    if not fenced and seen_from > start:
        return wrong(f"the answer is longer than {_WINDOW} characters", code="too_long", span=span)
    return part[first:last], span


def _declarations(task: Task) -> str:
    column = task.columns.get("declarations", "")
    return "\n".join(column) if isinstance(column, list | tuple) else str(column)


def _one(reference: str) -> str:
    found = expressions(reference)
    if len(found) != 1:
        raise UnreadableError("the reference is not one term")
    return written(found[0])


def _undecided(said: str, detail: str, span: Span) -> Verdict:
    if said == "unreadable":
        return wrong(f"z3 cannot read it: {detail}", code="unreadable", span=span)
    return abstain(f"the solver did not decide: {detail}", code="unknown", span=span)
