"""The process in which `rewards.solver` asks z3 and a SAT solver.

It is handed text that `rewards.solver_text` has read and written anew. z3 has a limit of time below the one at which
the process is killed, and a limit of memory below what the process may have.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

z3: Any = importlib.import_module("z3") if importlib.util.find_spec("z3") else None  # before any call's time runs
solvers: Any = importlib.import_module("pysat.solvers") if importlib.util.find_spec("pysat") else None

_MEGABYTES = 512  # of z3


def answer(request: dict[str, Any]) -> dict[str, str]:
    """`{"says": "sat" | "unsat" | "unknown" | "unreadable", "detail"}` of `script` (SMT-LIB), with `pair` (two
    terms) whether they differ, or of `clauses`.
    """
    if "clauses" in request:
        return _sat(request["clauses"])
    z3.set_param("memory_max_size", _MEGABYTES)
    context = z3.Context()
    solver = z3.Solver(ctx=context)
    solver.set("timeout", int(request["milliseconds"]))
    try:
        parsed = z3.parse_smt2_string(request["script"] + _each(request.get("pair", [])), ctx=context)
        if "pair" not in request:
            solver.add(parsed)
        elif fault := _add_difference(solver, *(equation.arg(0) for equation in parsed)):
            return {"says": "unreadable", "detail": fault}
        said = str(solver.check())
        detail = str(solver.model())[:120] if said == "sat" else solver.reason_unknown() if said == "unknown" else ""
    except z3.Z3Exception as failure:
        message = str(failure.value if hasattr(failure, "value") else failure)
        says = "unknown" if "memory" in message or "canceled" in message else "unreadable"
        return {"says": says, "detail": " ".join(message.split())[:200]}
    return {"says": said, "detail": " ".join(detail.split())}


def _each(terms: list[str]) -> str:
    return "".join(f"\n(assert (= {term} {term}))" for term in terms)


def _add_difference(solver: Any, one: Any, other: Any) -> str:
    """Ask for values that tell the terms apart; why they cannot be compared, in words."""
    sorts = {str(one.sort()), str(other.sort())}
    if sorts == {"Int", "Real"}:
        one, other = (z3.ToReal(term) if term.is_int() else term for term in (one, other))
    elif one.sort() != other.sort():
        return f"a term of sort {other.sort()}, not {one.sort()}"
    solver.add(one != other)
    return ""


def _sat(clauses: list[list[int]]) -> dict[str, str]:
    with solvers.Solver(name="cadical153", bootstrap_with=clauses) as solver:
        return {"says": "sat" if solver.solve() else "unsat", "detail": ""}
