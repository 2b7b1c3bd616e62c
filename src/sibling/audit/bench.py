"""What the checks work on: the reward's processes, the seeds, and when a completion counts as accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sibling.audit.calls import Calls
from sibling.audit.kinds import Seed
from sibling.audit.marking import Marking
from sibling.audit.options import Options
from sibling.audit.outcomes import Call, Outcome

_SHARE_OF_A_CHECK = 1 / 24  # of the time of an audit


@dataclass(frozen=True)
class Bench:
    """Seed i belongs to the task at place `places[i]` of `calls`."""

    calls: Calls
    seeds: Sequence[Seed]
    places: Sequence[int]
    accepted: Sequence[bool]  # the right completion of each seed is accepted
    marking: Marking
    options: Options
    uses_reference: bool = True
    from_columns: bool = False
    rights: Sequence[Outcome] = field(default_factory=tuple)  # of the right completions

    def call(self, seed: int, text: str) -> Call:
        """`text` graded as a completion of the seed's task."""
        return Call(self.places[seed], text)

    def few(self, most: int, each: int = 1) -> int:
        """As many of `most` things, of `each` calls, as a check has time for; at least 4."""
        limit, mean = self.options.total_seconds, self.calls.tally.mean_seconds
        if limit is None or mean == 0:
            return most
        return max(4, min(most, int(limit * _SHARE_OF_A_CHECK / (mean * each))))

    def sound(self, most: int) -> list[int]:
        """Up to `most` seeds whose right completion is accepted."""
        return [i for i, fine in enumerate(self.accepted) if fine][:most]

    def mixed(self, most: int) -> list[Call]:
        """Right and wrong completions in turn, up to `most`, of different seeds."""
        calls = []
        for i in range(min(most, len(self.seeds))):
            seed = self.seeds[i]
            wrong = seed.others[0] if seed.others else seed.answer + "0"
            calls.append(self.call(i, seed.right if i % 2 == 0 else seed.wrap(wrong)))
        return calls


@dataclass(frozen=True)
class Example:
    """One completion and what the reward said of it."""

    text: str
    said: str
    reference: str | None = None
    note: str = ""
    sensitive: bool = False


@dataclass(frozen=True)
class Finding:
    """What one check found. `ok` None: there was nothing to check, and `words` says why."""

    name: str
    group: str
    ok: bool | None
    words: str
    n: int = 0
    failed: int = 0
    examples: tuple[Example, ...] = ()
    policy: bool = False
    values: dict[str, object] = field(default_factory=dict)
