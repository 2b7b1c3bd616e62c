"""Finding: one fault or notice about a record, with a stable code, a place and a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "notice"]

CODES: Mapping[str, str] = MappingProxyType(
    {
        "LINK": "a line does not follow the line before it: edited, deleted, inserted, moved, or not the kept head",
        "SEQ": "the sequence numbers do not count 0, 1, 2, ...",
        "CANON": "a line is not one JSON object in canonical form",
        "TORN": "the last line is incomplete",
        "ORDER": "an event at a place where the life of a run does not allow it",
        "FIELD": "an envelope or body lacks a field, or holds a value of the wrong kind",
        "ARTIFACT": "a file is missing or its bytes are not those recorded",
        "UNLISTED": "a file that no event speaks of",
        "BALANCE": "generated = trained + rejected does not hold, or rows and counts differ",
        "POLICY": "the digests of the policy do not form one history",
        "REWARD": "a total reward or a reward statistic does not follow from the scores",
        "ADV": "an advantage, or the fate of a completion, does not follow from the rewards",
        "REPLAY": "a step done again after a resume is not equal to the first time",
        "UNCLOSED": "the run has not been closed",
    }
)
"""Every code a check can give. Codes are stable: scripts may depend on them."""

_SHOWN_PER_CODE = 50  # a hostile log can hold millions of bad lines; the total is still counted


@dataclass(frozen=True)
class Finding:
    """One thing found. `where` is a line (`events.jsonl:12`), a file or a step; notices do not fail a check."""

    code: str
    where: str
    sentence: str
    severity: Severity = "error"


@dataclass
class Findings:
    """A collector that keeps the first findings of each code and counts the rest."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[tuple[str, Severity]] = field(default_factory=Counter)

    def add(self, code: str, where: str, sentence: str, *, severity: Severity = "error") -> None:
        """Note one finding; `code` is a key of `CODES`."""
        key = (code, severity)
        self.counts[key] += 1
        if self.counts[key] <= _SHOWN_PER_CODE:
            self.kept.append(Finding(code, where, sentence, severity))

    def errors(self) -> int:
        """How many findings fail the check."""
        return sum(n for (_, severity), n in self.counts.items() if severity == "error")

    def all(self) -> list[Finding]:
        """The findings kept, then one line for each code that had more."""
        more = [
            Finding(code, "", f"and {n - _SHOWN_PER_CODE} more of this kind", severity)
            for (code, severity), n in self.counts.items()
            if n > _SHOWN_PER_CODE
        ]
        return self.kept + more
