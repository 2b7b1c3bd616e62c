"""The options of an audit, and which findings are suppressed, why and until when."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from sibling.errors import RequestError


@dataclass(frozen=True)
class Suppression:
    """A probe whose violations are known and accepted, for a reason, up to a date."""

    probe: str
    reason: str
    expires: datetime.date

    @classmethod
    def parse(cls, text: str) -> Suppression:
        """`probe:YYYY-MM-DD:reason`. Raises `RequestError` if a part is missing or the date is not one.

        >>> Suppression.parse("percent:2027-01-31:declared in the prompt").probe
        'percent'
        """
        probe, _, rest = text.partition(":")
        date, _, reason = rest.partition(":")
        try:
            expires = datetime.date.fromisoformat(date)
        except ValueError:
            expires = None
        if not probe or not reason.strip() or expires is None:
            raise RequestError(
                "A suppression needs a probe, a date and a reason",
                seen=repr(text),
                wanted="PROBE:YYYY-MM-DD:REASON, as in percent:2027-01-31:declared in the prompt",
            )
        return cls(probe, reason.strip(), expires)


@dataclass(frozen=True)
class Options:
    """How much is tried, and what counts."""

    triples: int = 200  # most prompts from which probes are made
    calls: int = 8_000  # calls of the reward, about; the checks of several completions come on top
    seconds: float = 2.0  # bound on one call
    total_seconds: float | None = 300.0  # no new probe is begun after this; what was left out is counted
    lanes: int = 2  # processes that grade at once
    memory_mb: int = 2048  # address space of one; 0: no bound
    accept: float | None = None  # score from which a completion counts as accepted; None: see `marking`
    probes: tuple[str, ...] = ()  # names or groups; empty: all
    leave_out: tuple[str, ...] = ()  # names or groups
    policy: tuple[str, ...] = ()  # policy probes that are asked for, so that their violations count
    suppress: tuple[Suppression, ...] = ()
    template: str | None = None  # the completion format, with {answer} in it; None: found by trial
    uses_reference: bool | None = None  # None: by the reward's type
    kind: str | None = None  # of the references; None: by their looks
    pass_rate: float = 0.3  # pi, share of completions that are right in training, for the cost of false accepts
    examples: int = 3  # shrunk examples of a violation
    shrink_calls: int = 60  # calls to shrink one example
    seed: int = 0
    show_sensitive: bool = False  # exploit texts in renderings
    today: datetime.date = field(default_factory=datetime.date.today)

    @classmethod
    def quick(cls) -> Options:
        """For before training: 50 triples, about 1,500 calls, at most some 10 seconds."""
        return cls(triples=50, calls=1_500, total_seconds=8.0, shrink_calls=25, examples=1)

    def wants(self, name: str, group: str) -> bool:
        """Whether a probe or check is to be run."""
        asked = not self.probes or name in self.probes or group in self.probes
        return asked and name not in self.leave_out and group not in self.leave_out
