"""The life of a run: which event may follow which, as a table. Shared by the writer and by verification.

Rule 1: everything that decides whether an event may come next lives here; there is no I/O here.
Rule 2: `TRANSITIONS` says which types a state admits and the state they lead to; `GUARDS` say what the numbers
        in an event have to be at that place. Both must agree.
Rule 3: steps increase by one; step k is sampled (rollout.batch k), then applied (update.applied k); only then can
        its checkpoint be saved, its policy be evaluated or exported.
Rule 4: the segment number increases by one with run.resumed and with nothing else. A resume goes back to a step
        whose checkpoint was saved and not deleted, or to step 0.
Rule 5: nothing follows run.closed, except a run.resumed where the run had failed.

A process can be killed at any instant, so run.resumed may follow anything but an empty log and a finished run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sibling.errors import RecordError


class State(StrEnum):
    """Where a run stands."""

    empty = "empty"  # no event yet
    loading = "loading"  # opened or resumed; no step begun in this segment
    sampled = "sampled"  # the completions of a step are recorded, its update is not
    updated = "updated"  # the update of a step is recorded
    interrupted = "interrupted"  # stopped on purpose; waits for a resume
    closed = "closed"


_setup = ("model.loaded", "template.bound", "data.loaded", "reward.bound", "reward.audited")
_between_steps = ("diagnosis.noted", "eval.completed", "checkpoint.saved", "checkpoint.deleted", "model.exported")
_ends = {"run.interrupted": State.interrupted, "run.resumed": State.loading, "run.closed": State.closed}


def _stay(state: State, *types: str) -> dict[str, State]:
    return dict.fromkeys(types, state)


TRANSITIONS: Mapping[State, Mapping[str, State]] = MappingProxyType(
    {
        State.empty: {"run.opened": State.loading},
        State.loading: {**_stay(State.loading, *_setup, *_between_steps), "rollout.batch": State.sampled, **_ends},
        State.sampled: {**_stay(State.sampled, "diagnosis.noted"), "update.applied": State.updated, **_ends},
        State.updated: {
            **_stay(State.updated, "reference.updated", "reward.fitted", *_between_steps),
            "rollout.batch": State.sampled,
            **_ends,
        },
        State.interrupted: {"run.resumed": State.loading, "run.closed": State.closed},
        State.closed: {"run.resumed": State.loading},
    }
)
"""State -> event type -> next state."""


@dataclass(frozen=True)
class Position:
    """All that the rules remember of the events so far."""

    state: State = State.empty
    segment: int = 0
    steps: int = 0  # planned
    done: int = 0  # last step applied, superseded steps apart
    sampling: int = 0  # step whose rollout awaits its update
    kept: frozenset[int] = frozenset()  # steps with a checkpoint to resume from
    saved: frozenset[int] = frozenset()  # steps that ever had a checkpoint
    finished: bool = False


START = Position()

Guard = Callable[[Position, Mapping[str, Any]], str | None]
"""Position and body -> None, or what the event has to say instead."""


def _next_step(at: Position, body: Mapping[str, Any]) -> str | None:
    if body["step"] != at.done + 1:
        return f"step {at.done + 1}"
    return f"at most {at.steps} steps" if body["step"] > at.steps else None


def _sampled_step(at: Position, body: Mapping[str, Any]) -> str | None:
    return None if body["step"] == at.sampling else f"step {at.sampling}"


def _applied_step(at: Position, body: Mapping[str, Any]) -> str | None:
    return None if body["step"] == at.done else f"step {at.done}, the last one applied"


def _past_step(at: Position, body: Mapping[str, Any]) -> str | None:
    return None if body["step"] <= at.done else f"a step up to {at.done}, the last one applied"


def _saved_step(at: Position, body: Mapping[str, Any]) -> str | None:
    return None if body["step"] in at.saved else "a step whose checkpoint was saved"


def _resumable(at: Position, body: Mapping[str, Any]) -> str | None:
    if at.state is State.closed and at.finished:
        return "no event after a finished run"
    if body["from_step"] == 0 or body["from_step"] in at.kept:
        return None
    return "a resume from step 0 or from a step whose checkpoint was kept"


def _closing(at: Position, body: Mapping[str, Any]) -> str | None:
    if body["status"] == "finished" and at.state in (State.sampled, State.interrupted):
        return f"status failed: the run is {at.state.value}"
    return None if body["steps"] == at.done else f"steps {at.done}, the last one applied"


GUARDS: Mapping[str, Guard] = MappingProxyType(
    {
        "rollout.batch": _next_step,
        "update.applied": _sampled_step,
        "reference.updated": _applied_step,
        "reward.fitted": _applied_step,
        "checkpoint.saved": _applied_step,
        "checkpoint.deleted": _saved_step,
        "eval.completed": _applied_step,
        "model.exported": _past_step,
        "run.resumed": _resumable,
        "run.closed": _closing,
    }
)


def advance(at: Position, type: str, segment: int, body: Mapping[str, Any]) -> Position:
    """The position after an event whose body passed its check; `RecordError` if the event may not come here."""
    state = TRANSITIONS[at.state].get(type)
    if state is None:
        legal = ", ".join(sorted(TRANSITIONS[at.state]))
        raise RecordError(f"{type} cannot come here: the run is {at.state.value}", wanted=legal)
    expected = at.segment + 1 if type == "run.resumed" else at.segment
    if segment != expected:
        raise RecordError(f"{type} is in the wrong segment", seen=segment, wanted=f"segment {expected}")
    guard = GUARDS.get(type)
    if guard is not None and (wanted := guard(at, body)):
        seen = {k: body[k] for k in ("step", "from_step", "steps", "status") if k in body}
        raise RecordError(f"{type} does not fit its place", seen=seen, wanted=wanted)
    return _moved(replace(at, state=state, segment=segment), type, body)


def _moved(at: Position, type: str, body: Mapping[str, Any]) -> Position:
    match type:
        case "run.opened":
            return replace(at, steps=body["steps"])
        case "rollout.batch":
            return replace(at, sampling=body["step"])
        case "update.applied":
            return replace(at, done=body["step"])
        case "checkpoint.saved":
            return replace(at, kept=at.kept | {body["step"]}, saved=at.saved | {body["step"]})
        case "checkpoint.deleted":
            return replace(at, kept=at.kept - {body["step"]})
        case "run.resumed":
            back = body["from_step"]
            return replace(at, done=back, kept=frozenset(s for s in at.kept if s <= back), finished=False)
        case "run.closed":
            return replace(at, finished=body["status"] == "finished")
        case _:
            return at
