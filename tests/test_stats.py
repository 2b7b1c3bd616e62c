"""The quantities of a step: defined once, refused when unknown, split by whether they depend on the clock."""

import dataclasses

import pytest

from sibling.errors import RunError
from sibling.stats import QUANTITIES, StepStats


def test_every_quantity_has_a_unit_and_a_definition() -> None:
    for name, quantity in QUANTITIES.items():
        assert name.isidentifier() and name == name.lower()
        assert quantity.unit.strip(), name
        assert len(quantity.definition) > 10 and not quantity.definition.endswith("."), name


def test_exactly_the_quantities_that_depend_on_the_clock_are_marked() -> None:
    # What is marked here is left out when two runs are compared bit by bit, so a new mark is a decision.
    assert {n for n, q in QUANTITIES.items() if q.wall_clock} == {
        "seconds_sampling",
        "seconds_rewards",
        "seconds_learning",
        "seconds_evaluation",
        "seconds_step",
        "sampled_tokens_per_second",
        "trained_tokens_per_second",
        "sampling_roofline_share",
        "learning_roofline_share",
        "memory_peak",
    }


def test_the_two_views_share_nothing_and_leave_nothing_out() -> None:
    values = dict.fromkeys(QUANTITIES, 1.0)
    stats = StepStats(step=3, values=values)
    assert set(stats.reproducible()) | set(stats.wall_clock()) == set(values)
    assert not set(stats.reproducible()) & set(stats.wall_clock())
    assert "loss" in stats.reproducible() and "seconds_step" in stats.wall_clock()


def test_an_undefined_value_is_none_and_not_zero() -> None:
    stats = StepStats(step=0, values={"kl": 0.0})
    assert stats.get("kl") == 0.0
    assert stats.get("entropy") is None


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(RunError, match=r"no definition.*\['lost'\]"):
        StepStats(step=0, values={"loss": 1.0, "lost": 2.0})


def test_statistics_are_frozen_and_own_their_values() -> None:
    values = {"loss": 1.0}
    stats = StepStats(step=0, values=values)
    values["loss"] = 2.0
    assert stats.get("loss") == 1.0
    with pytest.raises(TypeError):
        stats.values["loss"] = 3.0  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.step = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        QUANTITIES["loss"] = QUANTITIES["kl"]  # type: ignore[index]
