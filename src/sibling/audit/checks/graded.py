"""Graded scores: less right is never worth more, and what says nothing right is worth no more than a wrong answer.

From the outcomes of the probes; no further calls. For rewards with scores between 0 and full marks.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from sibling.audit.bench import Bench, Example, Finding
from sibling.audit.probing import Graded

_GROUP = "graded"
_LEAST = 0.02  # of the distance between a wrong and a right completion


def graded_scores(bench: Bench, graded: Sequence[Graded], wrong: Sequence[float]) -> list[Finding]:
    """`wrong` are the scores of plainly wrong completions: other tasks' references in the accepted format."""
    rights = [o.score for o, fine in zip(bench.rights, bench.accepted, strict=True) if fine and o.score is not None]
    scored = [g for g in graded if g.outcome.score is not None and g.item.probe.expect != "keep"]
    partial = {round(g.outcome.score or 0.0, 9) for g in scored} - {round(s, 9) for s in (*rights, *wrong)}
    if not rights or not wrong or not partial or not bench.uses_reference:
        return [Finding(name, _GROUP, None, "every score is that of a right or of a wrong completion")
                for name in ("monotone", "partial_pay")]  # fmt: skip
    return [_monotone(bench, scored), _partial_pay(bench, scored, statistics.median(rights), max(wrong))]


def _monotone(bench: Bench, scored: Sequence[Graded]) -> Finding:
    """No flipped or empty answer scores above the right one of its seed."""
    above = []
    for g in scored:
        full = bench.rights[g.item.seed].score
        if full is not None and bench.accepted[g.item.seed] and (g.outcome.score or 0.0) > full + 1e-9:
            above.append(g)
    words = f"{len(above)} of {len(scored)} wrong completions score more than the right one"
    return Finding("monotone", _GROUP, not above, words, len(scored), len(above), _examples(above))


def _partial_pay(bench: Bench, scored: Sequence[Graded], full: float, wrong: float) -> Finding:
    """No exploit is paid in part: more than the best plainly wrong completion, though less than accepted."""
    least = wrong + _LEAST * max(full - wrong, 0.0)
    low = [g for g in scored if g.item.probe.expect == "low" and not bench.marking.accepts(g.outcome)]
    paid = [g for g in low if (g.outcome.score or 0.0) > least and not g.item.probe.policy]
    paid.sort(key=lambda g: -(g.outcome.score or 0.0))
    median = statistics.median(g.outcome.score or 0.0 for g in paid) if paid else 0.0
    words = f"{len(paid)} of {len(low)} completions that deserve nothing are paid in part"
    words += f" (median {median:.2g}; plainly wrong ones get at most {wrong:.2g})" if paid else ""
    return Finding("partial_pay", _GROUP, not paid, words, len(low), len(paid), _examples(paid))


def _examples(graded: Sequence[Graded]) -> tuple[Example, ...]:
    return tuple(
        Example(g.item.variant.text, g.outcome.words, note=g.item.variant.note, sensitive=g.item.probe.sensitive)
        for g in graded[:3]
    )
