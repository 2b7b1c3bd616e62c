from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RecordError
from sibling.record.events import BODIES
from sibling.record.lifecycle import GUARDS, START, TRANSITIONS, Position, State, advance

OPENED = {"steps": 3}


def walk(*events: tuple[str, int, dict[str, Any]], at: Position = START) -> Position:
    for type, segment, body in events:
        at = advance(at, type, segment, body)
    return at


def opened() -> Position:
    return walk(("run.opened", 0, OPENED))


def stepped(step: int, at: Position, segment: int = 0) -> Position:
    body = {"step": step}
    return walk(("rollout.batch", segment, body), ("update.applied", segment, body), at=at)


def saved(step: int, at: Position, segment: int = 0) -> Position:
    return walk(("checkpoint.saved", segment, {"step": step}), at=at)


def closing(steps: int, status: str) -> dict[str, Any]:
    return {"steps": steps, "status": status}


def test_the_tables_speak_of_known_types_only_and_of_all_of_them() -> None:
    assert set(TRANSITIONS) == set(State)
    admitted = {type for row in TRANSITIONS.values() for type in row}
    assert admitted == set(BODIES)
    assert set(GUARDS) <= set(BODIES)


def test_a_whole_run() -> None:
    at = saved(2, stepped(2, stepped(1, opened())))
    at = walk(("eval.completed", 0, {"step": 2}), ("checkpoint.deleted", 0, {"step": 2}), at=at)
    at = walk(("model.exported", 0, {"step": 2}), ("run.closed", 0, closing(2, "finished")), at=at)
    assert at.state is State.closed and at.finished and at.done == 2


@pytest.mark.parametrize("type", ["reference.updated", "reward.fitted"])
def test_what_follows_the_policy_comes_between_two_steps(type: str) -> None:
    at = walk((type, 0, {"step": 1}), at=stepped(1, opened()))
    assert at == stepped(1, opened())  # nothing else is said by it
    assert stepped(2, saved(1, at)).done == 2
    again = walk(("run.resumed", 1, {"from_step": 1}), at=stepped(2, saved(1, at)))
    with pytest.raises(RecordError, match="the run is loading"):
        advance(again, type, 1, {"step": 1})  # the checkpoint of step 1 holds it already


@pytest.mark.parametrize(
    ("at", "type", "body", "words"),
    [
        (START, "model.loaded", {}, "the run is empty.*run.opened"),
        (opened(), "run.opened", OPENED, "the run is loading"),
        (opened(), "update.applied", {"step": 1}, "the run is loading"),
        (opened(), "rollout.batch", {"step": 2}, "step 1"),
        (opened(), "checkpoint.saved", {"step": 1}, "step 0"),
        (stepped(1, opened()), "update.applied", {"step": 1}, "the run is updated"),
        (stepped(1, opened()), "rollout.batch", {"step": 1}, "step 2"),
        (stepped(1, opened()), "rollout.batch", {"step": 3}, "step 2"),
        (stepped(1, opened()), "model.loaded", {}, "the run is updated"),
        (stepped(1, opened()), "checkpoint.saved", {"step": 2}, "step 1"),
        (stepped(1, opened()), "checkpoint.deleted", {"step": 1}, "was saved"),
        (stepped(1, opened()), "eval.completed", {"step": 0}, "step 1"),
        (opened(), "reference.updated", {"step": 0}, "the run is loading"),
        (stepped(1, opened()), "reference.updated", {"step": 0}, "step 1"),
        (stepped(1, opened()), "reference.updated", {"step": 2}, "step 1"),
        (walk(("rollout.batch", 0, {"step": 1}), at=opened()), "reference.updated", {"step": 1}, "the run is sampled"),
        (stepped(1, opened()), "reward.fitted", {"step": 0}, "step 1"),
        (opened(), "reward.fitted", {"step": 0}, "the run is loading"),
        (stepped(1, opened()), "model.exported", {"step": 2}, "up to 1"),
        (stepped(1, opened()), "run.closed", closing(3, "finished"), "steps 1"),
        (stepped(3, stepped(2, stepped(1, opened()))), "rollout.batch", {"step": 4}, "at most 3 steps"),
        (walk(("rollout.batch", 0, {"step": 1}), at=opened()), "update.applied", {"step": 2}, "step 1"),
        (walk(("rollout.batch", 0, {"step": 1}), at=opened()), "eval.completed", {"step": 0}, "the run is sampled"),
        (walk(("rollout.batch", 0, {"step": 1}), at=opened()), "run.closed", closing(0, "finished"), "status failed"),
        (walk(("run.interrupted", 0, {}), at=opened()), "rollout.batch", {"step": 1}, "the run is interrupted"),
        (walk(("run.closed", 0, closing(0, "finished")), at=opened()), "diagnosis.noted", {}, "the run is closed"),
    ],
)
def test_an_event_out_of_place(at: Position, type: str, body: Mapping[str, Any], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        advance(at, type, at.segment, body)


def test_segments_change_with_run_resumed_and_nothing_else() -> None:
    with pytest.raises(RecordError, match="segment 0"):
        walk(("rollout.batch", 1, {"step": 1}), at=opened())
    with pytest.raises(RecordError, match="segment 1"):
        walk(("run.resumed", 0, {"from_step": 0}), at=opened())
    with pytest.raises(RecordError, match="segment 1"):
        walk(("run.resumed", 2, {"from_step": 0}), at=opened())


def test_a_resume_goes_back_to_a_kept_checkpoint() -> None:
    at = stepped(3, saved(2, stepped(2, saved(1, stepped(1, opened())))))
    for wrong in (3, 4):
        with pytest.raises(RecordError, match="kept"):
            advance(at, "run.resumed", 1, {"from_step": wrong})
    again = advance(at, "run.resumed", 1, {"from_step": 1})
    assert again.done == 1 and again.kept == {1}
    assert stepped(2, again, segment=1).done == 2
    with pytest.raises(RecordError, match="kept"):  # the checkpoint of step 2 was thrown away with the step
        advance(again, "run.resumed", 2, {"from_step": 2})
    without = walk(("checkpoint.deleted", 0, {"step": 2}), at=saved(2, stepped(2, stepped(1, opened()))))
    with pytest.raises(RecordError, match="kept"):
        advance(without, "run.resumed", 1, {"from_step": 2})


def test_a_finished_run_is_not_resumed_and_a_failed_one_is() -> None:
    at = saved(1, stepped(1, opened()))
    finished = walk(("run.closed", 0, closing(1, "finished")), at=at)
    with pytest.raises(RecordError, match="finished"):
        advance(finished, "run.resumed", 1, {"from_step": 1})
    failed = walk(("run.closed", 0, closing(1, "failed")), at=at)
    assert advance(failed, "run.resumed", 1, {"from_step": 1}).state is State.loading


@given(st.lists(st.tuples(st.sampled_from(sorted(BODIES)), st.integers(0, 4), st.integers(0, 3)), max_size=40))
@settings(deadline=None, max_examples=100)
def test_whatever_is_tried_the_steps_that_count_are_one_to_done(tries: list[tuple[str, int, int]]) -> None:
    """Law: after any sequence of tries, refused ones apart, the applied steps are 1, 2, ..., done."""
    at, applied = opened(), []
    for type, step, segment in tries:
        body = {"step": step, "from_step": step, "steps": step, "status": "failed"}
        try:
            at = advance(at, type, segment, body)
        except RecordError:
            continue
        if type == "update.applied":
            applied.append(step)
        if type == "run.resumed":
            applied = applied[:step]
    assert applied == list(range(1, at.done + 1))
    assert all(step <= at.done for step in at.kept) and at.kept <= at.saved
