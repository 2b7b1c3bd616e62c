"""Completions graded together: the order, the company and the size of a batch must not move a verdict."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sibling.audit.bench import Bench, Example, Finding
from sibling.audit.outcomes import Call, Outcome

_GROUP = "invariance"
_SIZE = 12


def batches(bench: Bench) -> list[Finding]:
    """Alone, together, in another order, in other company, and with duplicates."""
    names = ("batch_size", "batch_order", "batch_company", "duplicates")
    if not bench.calls.opened.batches:
        return [Finding(name, _GROUP, None, "the reward takes one completion at a time") for name in names]
    calls = bench.mixed(_SIZE)
    alone = bench.calls.in_order(calls)
    together = bench.calls.together(calls)
    order = list(range(len(calls)))
    random.Random(bench.options.seed).shuffle(order)
    shuffled = bench.calls.together([calls[i] for i in order])
    back: list[Outcome] = [shuffled[order.index(i)] for i in range(len(calls))]
    half = len(calls) // 2
    company = bench.calls.together(calls[:half]) + bench.calls.together(calls[half:])
    doubled = bench.calls.together([c for c in calls for _ in range(2)])
    return [
        _finding("batch_size", calls, alone, together, "alone and in a batch"),
        _finding("batch_order", calls, together, back, "when the batch is in another order"),
        _finding("batch_company", calls, together, company, "beside other completions"),
        _finding("duplicates", calls * 2, [*together, *together], [*doubled[::2], *doubled[1::2]], "beside itself"),
    ]


def _finding(name: str, calls: Sequence[Call], a: Sequence[Outcome], b: Sequence[Outcome], where: str) -> Finding:
    moved = [(c, x, y) for c, x, y in zip(calls, a, b, strict=True) if x.same != y.same]
    examples = tuple(Example(c.text, f"{x.words}; then {y.words}") for c, x, y in moved[:3])
    if not moved:
        return Finding(name, _GROUP, True, f"the same verdict {where}", len(calls))
    words = f"{len(moved)} of {len(calls)} verdicts differ {where}: {examples[0].said}"
    return Finding(name, _GROUP, False, words, len(calls), len(moved), examples)
