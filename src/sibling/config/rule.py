"""What a rule of combination is: a question to a recipe, with the reason and the way out in a person's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol


class Settings(Protocol):
    """What rules read of a recipe. Sections are untyped: a union's members differ in their fields, rules ask first."""

    @property
    def steps(self) -> int:
        """Rollout steps."""
        ...

    @property
    def task(self) -> Any:
        """The section `task`."""
        ...

    @property
    def rewards(self) -> Any:
        """The sections `rewards`."""
        ...

    @property
    def sampling(self) -> Any:
        """The section `sampling`."""
        ...

    @property
    def filters(self) -> Any:
        """The section `filters`."""
        ...

    @property
    def objective(self) -> Any:
        """The section `objective`."""
        ...

    @property
    def learner(self) -> Any:
        """The section `learner`."""
        ...


Holds = Callable[[Settings], bool]
"""Whether a recipe is of this kind."""


@dataclass(frozen=True)
class Rule:
    """One combination. `holds` finds it in a recipe; `reason` and `do` are read by a person."""

    name: str
    severity: Literal["refuse", "warn"]
    holds: Holds
    reason: str
    do: str


def refuse(name: str, holds: Holds, reason: str, do: str) -> Rule:
    """A combination that cannot work or means nothing."""
    return Rule(name, "refuse", holds, reason, do)


def warn(name: str, holds: Holds, reason: str, do: str) -> Rule:
    """A combination that is seldom meant."""
    return Rule(name, "warn", holds, reason, do)


def every(*questions: Holds) -> Holds:
    """Whether all hold; asked in order, so that a later one may rely on an earlier one."""
    return lambda r: all(q(r) for q in questions)


def some(*questions: Holds) -> Holds:
    """Whether any holds."""
    return lambda r: any(q(r) for q in questions)


def row(*names: str) -> Holds:
    """Whether the objective is one of the rows `names`."""
    return lambda r: r.objective.type in names


def estimator(*names: str) -> Holds:
    """Whether the advantage estimator is one of `names`."""
    return lambda r: r.objective.advantage.type in names


def has(part: str) -> Holds:
    """Whether an optional part of the objective is on."""
    return lambda r: getattr(r.objective, part) is not None
