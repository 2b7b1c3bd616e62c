"""Does the reward read the reference, and does it matter which of two equal answers is the reference?

Each right completion is graded as an answer to other tasks: it may be accepted about as often as those tasks have
the same answer. And of two ways to write one value either may be the reference: a verdict that changes when they
change places means that the arguments are not used alike (or have been passed in the wrong order).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sibling.audit.bench import Bench, Example, Finding
from sibling.audit.outcomes import Call
from sibling.audit.shrink import may_be_right

_GROUP = "reference"
_SEEDS, _OTHERS = 100, 4

_PAIRS = (
    ("(1,3)", "1<x<3"), ("x=5", "5"), (r"\frac{1}{2}", "0.5"), ("1/4", "0.25"), (r"\{1,2\}", "1, 2"), ("2", "x=2"),
    ("50", "50.0"), ("1000", "1,000"), ("[0,1]", r"0 \le x \le 1"), (r"\pm 2", "2, -2"), ("5", "5=5"), ("x=5", "5=5"),
    ("(1,3)", "[1,3]"), ("2", "2=2"), ("(1,2)", "(2,1)"), ("1", r"\{1,2\}"), (r"\pm 2", "2"), ("12", "1"),
    ("123", "23"),
    (r"\pm 2", "x^2-4=0"), ("0.5", "1/2"),
)  # fmt: skip
"""Equal or not: whichever is the reference, the verdict has to be the same."""


def shuffled_references(bench: Bench) -> list[Finding]:
    """Right completions of other tasks: accepted no more often than chance and three standard errors."""
    name = "shuffled_references"
    if not bench.uses_reference:
        return [Finding(name, _GROUP, None, "the verdict does not depend on a reference")]
    pairs = _pairs(bench)
    if not pairs:
        return [Finding(name, _GROUP, None, "the tasks have no references that differ")]
    outcomes = bench.calls.grade([bench.call(i, bench.seeds[j].right) for i, j in pairs])
    paid = [(i, j, o) for (i, j), o in zip(pairs, outcomes, strict=True) if bench.marking.accepts(o)]
    n = len(pairs)
    limit = 3 / n  # chance is 0, since equal answers were left out; three standard errors at one acceptance in n
    examples = tuple(
        Example(bench.seeds[j].right, o.words, bench.seeds[i].answer, "right for another task") for i, j, o in paid[:3]
    )
    share = len(paid) / n
    words = f"{len(paid)} of {n} completions that are right for another task are accepted"
    values: dict[str, object] = {"share": share, "limit": limit}
    return [Finding(name, _GROUP, share <= limit, words, n, len(paid), examples, values=values)]


def _pairs(bench: Bench) -> list[tuple[int, int]]:
    """(task, whose completion): answers that do not say each other."""
    sound = bench.sound(bench.few(_SEEDS, _OTHERS))
    steps = [s for s in (1, 3, 7, 13, 19, 29) if s < len(sound)][:_OTHERS]
    pairs = [(i, sound[(place + step) % len(sound)]) for place, i in enumerate(sound) for step in steps]
    return [(i, j) for i, j in dict.fromkeys(pairs) if i != j and not _alike(bench, i, j)]


def _alike(bench: Bench, i: int, j: int) -> bool:
    one, two = bench.seeds[i].answer, bench.seeds[j].answer
    if bench.from_columns and _judged_by(bench, i) == _judged_by(bench, j):
        return True
    return bench.seeds[i].kind != bench.seeds[j].kind or may_be_right(one, two) or may_be_right(two, one)


def _judged_by(bench: Bench, i: int) -> dict[str, Any]:
    """The columns that a verdict may come from: all but those that name or state things."""
    own = ("id", "prompt", "question", "reference", "answer", "completion", "verdict")
    return {k: v for k, v in bench.seeds[i].task.columns.items() if k not in own}


def argument_order(bench: Bench) -> list[Finding]:
    """Pairs of equal and of unequal answers, graded with either as the reference."""
    name = "argument_order"
    math_seeds = [i for i in bench.sound(len(bench.seeds)) if bench.seeds[i].kind == "math"]
    if not bench.uses_reference or not math_seeds:
        return [Finding(name, _GROUP, None, "tried on mathematical references only")]
    place, wrap = bench.places[math_seeds[0]], bench.seeds[math_seeds[0]].wrap
    pairs = [
        pair
        for pair, fair in zip(_PAIRS, _self_equal(bench, place, wrap), strict=True)
        if fair  # a form that is not even taken as an answer to itself says nothing of the order
    ]
    there = bench.calls.grade([Call(place, wrap(b), a, True) for a, b in pairs])
    back = bench.calls.grade([Call(place, wrap(a), b, True) for a, b in pairs])
    moved = [
        (a, b, x, y)
        for (a, b), x, y in zip(pairs, there, back, strict=True)
        if bench.marking.accepts(x) != bench.marking.accepts(y)
    ]
    examples = tuple(
        Example(wrap(b), f"{x.words}; {y.words} when they change places", a, "reference and answer exchanged")
        for a, b, x, y in moved[:5]
    )
    words = f"{len(moved)} of {len(pairs)} verdicts change when reference and answer change places"
    return [Finding(name, _GROUP, not moved, words, len(pairs), len(moved), examples)]


def _self_equal(bench: Bench, place: int, wrap: Callable[[str], str]) -> list[bool]:
    """For each pair: both forms are accepted as answers to themselves."""
    forms = list(dict.fromkeys(form for pair in _PAIRS for form in pair))
    outcomes = bench.calls.grade([Call(place, wrap(form), form, True) for form in forms])
    fine = {form for form, outcome in zip(forms, outcomes, strict=True) if bench.marking.accepts(outcome)}
    return [a in fine and b in fine for a, b in _PAIRS]
