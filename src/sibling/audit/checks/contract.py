"""What a reward returns: numbers or verdicts, finite, one a completion, in a range that can be learned from.

Also how it takes what is not there: a task without a reference, and one with an empty reference, must not be paid.
"""

from __future__ import annotations

from sibling.audit.bench import Bench, Example, Finding
from sibling.audit.outcomes import Call, Outcome

_GROUP = "contract"
_FEW = 8


def returns(bench: Bench) -> list[Finding]:
    """Type, finiteness and range of what is returned for right, wrong and empty completions."""
    calls = [*bench.mixed(_FEW), *(bench.call(i, "") for i in range(min(2, len(bench.seeds))))]
    outcomes = bench.calls.grade(calls)
    bad = [(c, o) for c, o in zip(calls, outcomes, strict=True) if o.fault in ("value", "length")]
    scores = [o.score for o in (*outcomes, *bench.rights) if o.score is not None]
    spread = f"scores from {min(scores):g} to {max(scores):g}" if scores else "no scores"
    words = f"{spread}; " + (
        f"not a finite number: {bad[0][1].message}" if bad else "all finite numbers or abstentions"
    )
    values: dict[str, object] = {"least": min(scores), "most": max(scores)} if scores else {}
    return [_finding("returns", not bad, words, len(calls), [(c.text, o) for c, o in bad], values)]


def missing_reference(bench: Bench) -> list[Finding]:
    """A completion is not paid where the task has no reference, or an empty one."""
    if not bench.uses_reference or bench.from_columns or all(seed.kind == "code" for seed in bench.seeds):
        return [Finding("missing_reference", "reference", None, "the verdict does not come from the task's reference")]
    seeds = bench.sound(_FEW // 2)
    texts = [(i, text) for i in seeds for text in (bench.seeds[i].right, bench.seeds[i].wrap("0"), "")]
    calls = [Call(bench.places[i], text, reference, True) for i, text in texts for reference in (None, "")]
    outcomes = bench.calls.grade(calls)
    paid = [(c.text, o) for c, o in zip(calls, outcomes, strict=True) if bench.marking.accepts(o)]
    words = f"{len(paid)} of {len(calls)} completions are paid where the reference is missing or empty"
    examples = tuple(Example(text, outcome.words, "") for text, outcome in paid[:3])
    return [Finding("missing_reference", "reference", not paid, words, len(calls), len(paid), examples)]


def batch_length(bench: Bench) -> list[Finding]:
    """A batch of n completions gets n scores, also for n = 1 and with no completion at all."""
    if not bench.calls.opened.batches:
        return [Finding("batch_length", _GROUP, None, "the reward takes one completion at a time")]
    calls = bench.mixed(_FEW)
    bad = []
    for n in (1, 2, len(calls)):
        bad += [o for o in bench.calls.together(calls[:n]) if o.fault == "length"][:1]
    words = bad[0].message if bad else "as many scores as completions"
    return [_finding("batch_length", not bad, words, 3, [("", o) for o in bad], {})]


def _finding(
    name: str, ok: bool, words: str, n: int, bad: list[tuple[str, Outcome]], values: dict[str, object]
) -> Finding:
    examples = tuple(Example(text, outcome.words) for text, outcome in bad[:3])
    return Finding(name, _GROUP, ok, words, n, len(bad), examples, values=values)
