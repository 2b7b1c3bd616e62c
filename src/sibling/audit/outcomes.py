"""What is asked of the audited reward, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """One completion to be graded against the task at a place, or against another reference."""

    task: int
    text: str
    reference: str | None = None
    replaced: bool = False  # `reference` stands in for the task's

    def packed(self) -> list[Any]:
        """As it travels."""
        return [self.task, self.text, self.reference] if self.replaced else [self.task, self.text]


@dataclass(frozen=True)
class Outcome:
    """What came of one call. Either a status with (perhaps) a score, or a fault."""

    status: str = ""  # right | wrong | abstain | error | number ; empty at a fault
    score: float | None = None
    fault: str = ""  # raised | late | memory | died | value | length | left_out
    message: str = ""
    code: str = ""
    seconds: float = 0.0
    tripped: str = ""  # names of files that appeared in the reward's empty folder

    @property
    def same(self) -> tuple[str, float | None, str]:
        """What has to agree between two gradings of the same completion."""
        return self.status, self.score, self.fault

    @property
    def words(self) -> str:
        """In short, for a person."""
        if self.fault:
            return f"{self.fault}: {self.message}" if self.message else self.fault
        shown = "" if self.score is None else f" {self.score:g}"
        return f"{'score' if self.status == 'number' else self.status}{shown}" + (
            f" ({self.code})" if self.code else ""
        )


LEFT_OUT = Outcome(fault="left_out", message="not tried: too many calls before it were late or ended their process")


@dataclass(frozen=True)
class Opened:
    """Facts of the reward as the child built it."""

    signature: str
    words: str
    sure: bool
    batches: bool
    assumed: tuple[str, ...]
    code: str
