"""Finding: what a detector tells a person. One sentence of fact, one of advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sibling.errors import RunError

Severity = Literal["notice", "warning", "error"]

SEVERITIES: tuple[Severity, ...] = ("notice", "warning", "error")
"""From least to most severe: worth knowing, probably wasting the run, certainly wrong."""


@dataclass(frozen=True)
class Finding:
    """Something seen in a run. `code` is stable and names the kind; `step` is None before the first step."""

    code: str
    severity: Severity
    step: int | None
    sentence: str  # what was seen, with the number
    advice: str  # what to do about it

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise RunError("A finding has no such severity", seen=repr(self.severity), wanted=", ".join(SEVERITIES))
        if not (self.code and self.sentence and self.advice):
            raise RunError("A finding must have a code, a sentence and advice", seen=self)

    def body(self) -> dict[str, Any]:
        """The finding as the body of a `diagnosis.noted` event: JSON-ready."""
        return {
            "code": self.code,
            "severity": self.severity,
            "step": self.step,
            "sentence": self.sentence,
            "advice": self.advice,
        }
