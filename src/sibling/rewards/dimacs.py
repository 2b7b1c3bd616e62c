"""The reader of propositional problems in DIMACS, and of the assignments that are to satisfy them.

Bounds: 200,000 clauses, variables of nine digits; 400,000 characters of an assignment.
"""

from __future__ import annotations

import re

from sibling.rewards.solver_text import UnreadableError

_MOST_ASSIGNMENT = 400_000
_MOST_CLAUSES = 200_000


def clauses_of(text: str) -> tuple[int, list[list[int]]]:
    """(variables, clauses) of a CNF in DIMACS. Raises `UnreadableError`."""
    lines = [line.split() for line in text.splitlines()]
    heads = [line for line in lines if line[:1] == ["p"]]
    body = [word for line in lines if line and line[0] not in ("c", "p", "%") for word in line]
    if len(heads) != 1 or len(heads[0]) != 4 or heads[0][1] != "cnf" or not all(w.isdecimal() for w in heads[0][2:]):
        raise UnreadableError("there is no one line `p cnf VARIABLES CLAUSES`")
    count, wanted = int(heads[0][2]), int(heads[0][3])
    clauses: list[list[int]] = [[]]
    for literal in _literals(body, count):
        if literal:
            clauses[-1].append(literal)
        else:
            clauses.append([])
    if clauses.pop() or len(clauses) != wanted or not 0 < wanted <= _MOST_CLAUSES:
        raise UnreadableError(f"not {wanted} clauses that each end in 0, or more than {_MOST_CLAUSES}")
    return count, clauses


def assignment(text: str, count: int) -> set[int]:
    """The literals that an answer makes true. Raises `UnreadableError`."""
    if len(text) > _MOST_ASSIGNMENT:
        raise UnreadableError(f"it is longer than {_MOST_ASSIGNMENT} characters", "too_long")
    words = [word for line in text.splitlines() for word in _assigned(line)]
    literals = _literals(words, count)
    if 0 in literals[:-1] or not literals:
        raise UnreadableError("it is not one list of literals with one 0 at its end")
    found = set(literals) - {0}
    if any(-literal in found for literal in found):
        raise UnreadableError("it makes a variable true and false", "hedged")
    return found


def _assigned(line: str) -> list[str]:
    words = line.split()
    if [word.lower() for word in words] == ["s", "satisfiable"]:
        return []
    return words[1:] if words[:1] == ["v"] else words


def _literals(words: list[str], count: int) -> list[int]:
    if not all(re.fullmatch(r"-?\d{1,9}", word, re.ASCII) for word in words):
        raise UnreadableError("a word is no literal")
    literals = [int(word) for word in words]
    if any(abs(literal) > count for literal in literals):
        raise UnreadableError(f"a literal is beyond {count} variables")
    return literals
