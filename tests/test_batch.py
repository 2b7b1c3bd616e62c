"""Rows and batches: frozen, whole when built, refused when a column does not fit."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Batch, Completion, Finish, Status, StepScore, Verdict
from sibling.errors import RunError


def columns(lengths: list[int], group: list[int], prompts: int = 2) -> dict[str, Any]:
    """The columns of a batch whose completions have these lengths."""
    rows = range(len(lengths))
    return {
        "prompts": tuple(np.arange(p + 1) for p in range(prompts)),
        "group": np.array(group, dtype=np.int64),
        "completions": tuple(np.arange(n) + 10 * i for i, n in zip(rows, lengths, strict=True)),
        "sampler_logprobs": tuple(np.full(n, -1.0 - i, dtype=np.float32) for i, n in zip(rows, lengths, strict=True)),
        "mask": tuple(np.arange(n) % 2 == 0 for n in lengths),
        "advantage": np.linspace(-1, 1, len(lengths)),
        "live": np.ones(len(lengths), dtype=bool),
    }


BATCH = Batch(**columns([3, 1, 4, 2], [0, 0, 1, 1]))


def test_size_and_token_counts_follow_the_mask() -> None:
    assert BATCH.size == 4
    # Every second token is in the mask: ceil(n / 2) of 3, 1, 4, 2.
    assert BATCH.token_counts.tolist() == [2, 1, 2, 1]


def test_an_empty_batch_is_legal() -> None:
    empty = Batch(**columns([], [], prompts=0))
    assert empty.size == 0 and empty.token_counts.tolist() == []


@pytest.mark.parametrize("column", ["group", "completions", "sampler_logprobs", "mask", "advantage", "live"])
def test_a_column_of_another_length_is_refused(column: str) -> None:
    wrong = columns([3, 1, 4, 2], [0, 0, 1, 1])
    wrong[column] = wrong[column][:-1]
    with pytest.raises(RunError, match="columns of a batch differ"):
        Batch(**wrong)


@pytest.mark.parametrize("column", ["completions", "sampler_logprobs", "mask"])
def test_a_token_column_of_another_length_is_refused(column: str) -> None:
    wrong = columns([3, 1, 4, 2], [0, 0, 1, 1])
    wrong[column] = (*wrong[column][:-1], wrong[column][-1][:-1])
    with pytest.raises(RunError, match="token columns"):
        Batch(**wrong)


@pytest.mark.parametrize("group", [[0, 1, 0, 1], [-1, 0, 1, 1], [0, 0, 1, 2]])
def test_rows_out_of_order_or_without_a_prompt_are_refused(group: list[int]) -> None:
    with pytest.raises(RunError, match="ordered by group"):
        Batch(**columns([3, 1, 4, 2], group))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_advantage_that_is_not_finite_is_refused(value: float) -> None:
    wrong = columns([1, 1], [0, 0])
    wrong["advantage"][1] = value
    with pytest.raises(RunError, match="not finite"):
        Batch(**wrong)


def test_a_batch_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BATCH.live = BATCH.live  # type: ignore[misc]


@given(st.lists(st.integers(0, 3), unique=True).map(sorted))
@settings(deadline=None, max_examples=16)
def test_select_takes_every_column_of_the_rows_asked_for(rows: list[int]) -> None:
    part = BATCH.select(rows)
    assert part.size == len(rows) and part.prompts is BATCH.prompts
    for k, i in enumerate(rows):
        assert part.group[k] == BATCH.group[i]
        assert part.advantage[k] == BATCH.advantage[i] and part.live[k] == BATCH.live[i]
        for name in ("completions", "sampler_logprobs", "mask"):
            assert np.array_equal(getattr(part, name)[k], getattr(BATCH, name)[i])


OPTIONAL: dict[str, Any] = {
    "token_advantage": tuple(np.linspace(0, 1, len(c)) for c in BATCH.completions),
    "values": tuple(np.linspace(0, 2, len(c), dtype=np.float32) for c in BATCH.completions),
    "returns": tuple(np.linspace(0, 3, len(c)) for c in BATCH.completions),
}


@given(st.lists(st.integers(0, 3), unique=True).map(sorted))
@settings(deadline=None, max_examples=16)
def test_select_takes_the_columns_that_not_every_objective_has(rows: list[int]) -> None:
    expert = np.array([False, True, False, True])
    part = dataclasses.replace(BATCH, expert=expert, **OPTIONAL).select(rows)
    assert part.expert is not None and part.expert.tolist() == expert[rows].tolist()
    for name, column in OPTIONAL.items():
        assert [v.tolist() for v in getattr(part, name)] == [column[i].tolist() for i in rows]


def test_columns_that_an_objective_does_not_have_stay_absent() -> None:
    part = BATCH.select([0, 2])
    assert part.expert is None and all(getattr(part, name) is None for name in OPTIONAL)


def test_select_of_an_array_of_rows() -> None:
    assert BATCH.select(np.flatnonzero(BATCH.group == 1)).advantage.tolist() == BATCH.advantage[2:].tolist()


def test_select_keeps_the_order_rule() -> None:
    with pytest.raises(RunError, match="ordered by group"):
        BATCH.select([2, 0])


def test_a_completion_has_tokens_and_a_log_prob_for_each() -> None:
    ids, logprobs = np.array([5, 6]), np.array([-0.5, -0.25], dtype=np.float32)
    assert Completion(ids, logprobs, Finish.eos, "a").text == "a"
    for wrong in ((ids, logprobs[:1]), (ids[:0], logprobs[:0])):
        with pytest.raises(RunError, match="one log-prob a token"):
            Completion(*wrong, Finish.eos, "a")


def test_a_verdict_may_score_steps_and_an_expert_has_a_finish_of_its_own() -> None:
    verdict = Verdict(Status.right, 1.0, steps=(StepScore(3, 0.5), StepScore(7, 1.0)))
    assert [s.end for s in verdict.steps] == [3, 7] and Verdict(Status.wrong, 0.0).steps == ()
    assert Finish("expert") is Finish.expert and {f.value for f in Finish} == {"eos", "stop", "length", "expert"}


@pytest.mark.parametrize(
    ("status", "score", "legal"),
    [
        (Status.right, 1.0, True),
        (Status.wrong, 0.0, True),
        (Status.wrong, -1.0, True),
        (Status.abstain, None, True),
        (Status.error, None, True),
        (Status.right, None, False),
        (Status.wrong, None, False),
        (Status.abstain, 0.0, False),
        (Status.error, 0.0, False),
        (Status.right, float("nan"), False),
        (Status.wrong, float("inf"), False),
    ],
)
def test_no_silent_zero_a_verdict_without_a_score_cannot_carry_one(
    status: Status, score: float | None, legal: bool
) -> None:
    if legal:
        assert Verdict(status, score).score == score
    else:
        with pytest.raises(RunError, match="exactly when it is right or wrong"):
            Verdict(status, score)
