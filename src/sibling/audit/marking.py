"""When a completion counts as accepted: by the verdict's status, or by a plain number from a threshold on."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sibling.audit.outcomes import Outcome

HALF = 0.5


@dataclass(frozen=True)
class Marking:
    """`threshold` is the score from which a completion is accepted; a score of exactly 0.5 is not above the default."""

    threshold: float = HALF
    given: bool = False  # by the user, who then decides for verdicts with a status, too

    @property
    def words(self) -> str:
        """For a person."""
        if self.given:
            return f"a score of {self.threshold:g} or more"
        return f"the verdict `right`, or a number above {self.threshold:g}"

    def accepts(self, outcome: Outcome) -> bool:
        """The completion is accepted."""
        if outcome.fault or outcome.score is None:
            return False
        if self.given:
            return outcome.score >= self.threshold
        if outcome.status == "number":
            return outcome.score > self.threshold
        return outcome.status == "right"

    def refuses(self, outcome: Outcome) -> bool:
        """It is graded, and not accepted."""
        return not outcome.fault and outcome.score is not None and not self.accepts(outcome)


def usual_scale(outcomes: Sequence[Outcome]) -> bool:
    """All scores lie in [-1, 1]."""
    return all(o.score is None or -1 <= o.score <= 1 for o in outcomes)


def marking_of(rights: Sequence[Outcome], wrongs: Sequence[Outcome], accept: float | None) -> Marking:
    """The marking of a reward that says this of right and of wrong completions.

    Above 0.5 where scores lie in [-1, 1] and right ones are above it, the usual case; else half-way between the
    median scores of right and wrong completions, where they differ.
    """
    if accept is not None:
        return Marking(accept, given=True)
    good = [o.score for o in rights if o.status == "number" and o.score is not None]
    bad = [o.score for o in wrongs if o.status == "number" and o.score is not None]
    if not good or not bad:
        return Marking()
    high, low = statistics.median(good), statistics.median(bad)
    usual = usual_scale([*rights, *wrongs]) and high > HALF
    return Marking() if usual or high <= low else Marking((high + low) / 2)
