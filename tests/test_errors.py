"""The paragraph a person reads, and the two families the command line tells apart."""

import pytest

from sibling import errors
from sibling.errors import (
    ModelError,
    NonFiniteError,
    RecordError,
    RequestError,
    RewardError,
    RunError,
    SiblingError,
    TaskError,
)


def test_paragraph_has_what_seen_wanted_do_in_that_order() -> None:
    error = SiblingError("The seed is negative", seen=-1, wanted="0 or more", do="Set seed=0")
    assert str(error) == "The seed is negative. Seen: -1. Wanted: 0 or more. Set seed=0."


def test_parts_not_given_are_left_out() -> None:
    assert str(SiblingError("It failed")) == "It failed."
    assert str(SiblingError("It failed", do="Try again")) == "It failed. Try again."


def test_a_value_that_is_false_is_still_shown() -> None:
    assert str(SiblingError("Too few scores", seen=0)) == "Too few scores. Seen: 0."
    assert str(SiblingError("No name", seen="")) == "No name. Seen:"


@pytest.mark.parametrize("end", [".", "!", "?", ":"])
def test_closing_punctuation_is_not_doubled(end: str) -> None:
    assert str(SiblingError(f"It failed{end}")) == f"It failed{end}"


def test_the_parts_are_kept() -> None:
    error = RunError("a", seen=1, wanted=2, do="b")
    assert (error.what, error.seen, error.wanted, error.do) == ("a", 1, 2, "b")


def test_wrong_requests_exit_with_2_and_failed_runs_with_1() -> None:
    assert {e.exit_code for e in (RequestError, ModelError, TaskError)} == {2}
    assert {e.exit_code for e in (SiblingError, RunError, RecordError, RewardError, NonFiniteError)} == {1}


def test_every_error_kind_is_in_one_family() -> None:
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, SiblingError)]
    for kind in kinds:
        if kind is not SiblingError:
            assert issubclass(kind, RequestError) != issubclass(kind, RunError), kind
        assert kind.__doc__, kind
