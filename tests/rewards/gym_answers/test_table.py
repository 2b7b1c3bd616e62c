"""The review names every family that the package has, and says why."""

from importlib import metadata

import pytest

from sibling.rewards.gym_answers import table

pytest.importorskip("reasoning_gym")


@pytest.mark.skipif(
    metadata.version("reasoning-gym") != table.REVIEWED_VERSION, reason="another version of the package"
)
def test_every_family_is_reviewed():
    from reasoning_gym.factory import DATASETS

    assert set(table.FAMILIES) == set(DATASETS)
    assert len(table.FAMILIES) == 106


def test_every_row_says_what_is_accepted_and_why():
    rows = table.families()
    assert [row["family"] for row in rows] == sorted(table.FAMILIES)
    assert all(row["reason"] and row["accepts"] and row["how"] in ("ours", "exact", "shipped") for row in rows)
    for family in table.FAMILIES.values():
        assert (family.check is None) == (family.how == "shipped") == (family.form is not None)


def test_what_executes_answers_is_never_shipped():
    executing = {"puzzle24", "countdown", "simple_integration", "intermediate_integration", "polynomial_multiplication"}
    executing |= {"string_insertion", "spiral_matrix", "binary_matrix", "n_queens"}
    assert {table.FAMILIES[name].how for name in executing} == {"ours"}
    shipped = {name for name, family in table.FAMILIES.items() if family.how == "shipped"}
    assert shipped == {"boxnet", "rubiks_cube", "rush_hour", "word_ladder"}


def test_a_part_of_a_mix_is_its_own_family():
    columns = {"gym": {"family": "composite"}, "metadata": {"source_dataset": "gcd"}}
    assert table.family_of(columns) == ("gcd", table.FAMILIES["gcd"])
    assert table.family_of({"gym": {"family": "of_tomorrow"}}) == ("of_tomorrow", None)
