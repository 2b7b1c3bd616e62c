"""Watch: runs the detectors over every step and tells each finding once, not sixty times.

A finding is told when it has held for its patience (steps in a row), and then again only
- after it was absent for `absent` steps,
- at most every `every` steps while it stays, or
- when it has become more severe.

Everything depends on the steps observed alone, and the state is plain JSON, so that a resumed run tells
what the uninterrupted one would have told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from sibling.errors import RunError
from sibling.monitors.finding import SEVERITIES, Finding
from sibling.monitors.first_minutes import Detector
from sibling.stats import StepStats

PATIENCE: Mapping[str, int] = MappingProxyType(
    {
        # At 5 % accuracy, one step of 8 x 8 completions in 27 has no right answer by chance, one pair of steps in 710.
        "all_equal": 2,
        "dead_groups_wrong": 3,
        "dead_groups_right": 3,
        "all_right": 2,
        "truncated": 2,
        "never_ends": 2,
        "low_entropy": 2,
        # A critic starts at 0 everywhere and needs some updates before its values can explain anything.
        "critic_explains_nothing": 10,
        "correction_drops_most": 2,
        "mask_drops_most": 2,
    }
)
"""Steps in a row a finding must hold before it is told; 1 where a code is not named."""


@dataclass
class _Memory:
    streak: int = 0  # steps in a row, up to the last one observed
    seen: int | None = None  # last step it held
    told: int | None = None  # last step it was told
    severity: int = -1  # index into SEVERITIES of the last telling
    due: bool = True  # new, or back after an absence: to be told once its patience is over


class Watch:
    """The detectors of a run and what they have told so far."""

    def __init__(
        self,
        detectors: tuple[Detector, ...],
        *,
        patience: Mapping[str, int] = PATIENCE,
        absent: int = 10,
        every: int = 50,
    ) -> None:
        self._detectors = detectors
        self._patience = patience
        self._absent, self._every = absent, every
        self._memory: dict[str, _Memory] = {}
        self._step: int | None = None

    def observe(self, stats: StepStats) -> list[Finding]:
        """The findings of this step that are to be told, in the order of the detectors.

        Steps must come in increasing order; `RunError` otherwise.
        """
        if self._step is not None and stats.step <= self._step:
            raise RunError("Steps must be watched in order", seen=stats.step, wanted=f"a step after {self._step}")
        self._step = stats.step
        found = [finding for detector in self._detectors for finding in detector(stats)]
        severity: dict[str, int] = {}
        for finding in found:
            severity[finding.code] = max(severity.get(finding.code, 0), SEVERITIES.index(finding.severity))
        told = {code for code, worst in severity.items() if self._tell(code, worst, stats.step)}
        for code, memory in self._memory.items():
            if code not in severity:
                memory.streak = 0
        return [finding for finding in found if finding.code in told]

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on: JSON-ready."""
        return {"step": self._step, "memory": {code: asdict(m) for code, m in sorted(self._memory.items())}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned. Raises `RunError` when it is not such a state."""
        try:
            memory = {str(code): _Memory(**fields) for code, fields in state["memory"].items()}
            step = state["step"]
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError("The state of the watch cannot be read", seen=str(error)) from error
        self._memory, self._step = memory, step

    def _tell(self, code: str, severity: int, step: int) -> bool:
        memory = self._memory.setdefault(code, _Memory())
        if memory.seen is not None and step - memory.seen > self._absent:
            memory.due = True
        memory.streak += 1
        memory.seen = step
        again = memory.told is not None and step - memory.told >= self._every
        worse = severity > memory.severity
        if memory.streak < self._patience.get(code, 1) or not (memory.due or again or worse):
            return False
        memory.told, memory.severity, memory.due = step, severity, False
        return True
