"""The probes are run: in rounds, so that each gets its turn before the time is up, and what the outcomes mean."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sibling.audit.bench import Bench
from sibling.audit.marking import Marking
from sibling.audit.outcomes import Outcome
from sibling.audit.plan import Item, Share

Result = Literal["held", "refused", "accepted", "fault", "ran_code", "unsaid", "unsteady", "left_out"]
"""As expected | right, refused | wrong, accepted | no verdict | text was run | no score | changes | not tried."""

VIOLATIONS = ("refused", "accepted", "fault", "ran_code")
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""

_ROUNDS = (2, 6, 16, 32, 64)  # variants of a probe in a round; the last again and again
_MOST_LOST = 3  # late or fatal calls of a probe, after which it gets no more
_MOST_SECONDS = 15.0  # spent on one probe, after which it gets no more either


@dataclass(frozen=True)
class Graded:
    """An item, what came of it, and whether that is as it should be."""

    item: Item
    outcome: Outcome
    result: Result


def result_of(item: Item, outcome: Outcome, marking: Marking, usual_files: str = "") -> Result:
    """What the outcome means for a probe of this expectation."""
    if outcome.tripped and outcome.tripped != usual_files:
        return "ran_code"
    if outcome.fault == "left_out":
        return "left_out"
    if outcome.fault:
        return "fault"
    if outcome.score is None:
        return "unsaid"
    accepted = marking.accepts(outcome)
    if item.probe.expect == "keep":
        return "held" if accepted else "refused"
    return "accepted" if accepted else "held"


def run_probes(bench: Bench, shares: Sequence[Share], *, deadline: float | None, progress: Progress) -> list[Graded]:
    """Every planned item once, unless time runs out or a probe costs too many processes."""
    graded: list[Graded] = []
    total = sum(len(share.items) for share in shares)
    lost = dict.fromkeys(range(len(shares)), 0.0)
    begun, turn = 0, 0
    bench.calls.patient()
    usual = next((o.tripped for o in bench.rights if o.tripped), "")
    while begun < max((len(share.items) for share in shares), default=0):
        size = _ROUNDS[min(turn, len(_ROUNDS) - 1)]
        wanted = [(k, item) for k, share in enumerate(shares) for item in share.items[begun : begun + size]]
        skipped = [item for k, item in wanted if lost[k] >= _MOST_LOST or _late(deadline)]
        asked = [] if _late(deadline) else [(k, item) for k, item in wanted if lost[k] < _MOST_LOST]
        outcomes = bench.calls.grade([bench.call(item.seed, item.variant.text) for _, item in asked])
        for (k, item), outcome in zip(asked, outcomes, strict=True):
            lost[k] += (outcome.fault in ("late", "died")) + outcome.seconds * _MOST_LOST / _MOST_SECONDS
            graded.append(Graded(item, outcome, result_of(item, outcome, bench.marking, usual)))
        graded += [Graded(item, Outcome(fault="left_out"), "left_out") for item in skipped]
        begun, turn = begun + size, turn + 1
        progress("probes", len(graded), total)
    return graded


def confirmed(bench: Bench, graded: Sequence[Graded]) -> list[Graded]:
    """Outcomes of a reward that changes its mind: what is not as it should be is graded twice more.

    What does not come out the same each time is `unsteady`, and no evidence of anything else.
    """
    doubtful = [k for k, g in enumerate(graded) if g.result in ("refused", "accepted")]
    calls = [bench.call(graded[k].item.seed, graded[k].item.variant.text) for k in doubtful]
    out = list(graded)
    for _ in range(2):
        for k, outcome in zip(doubtful, bench.calls.grade(calls), strict=True):
            if result_of(graded[k].item, outcome, bench.marking) != graded[k].result:
                out[k] = replace(graded[k], result="unsteady")
    return out


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline
