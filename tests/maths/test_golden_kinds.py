"""The kinds of golden cases but the policy losses, on small cases of one's own."""

import pytest

from sibling.maths.golden import check_cases


def check(kind, **fields):
    case = {"id": "own", "title": "", "kind": kind, **fields}
    return check_cases({"schema_version": 1, "cases": [case]}, "float64")[0]


def test_dynamic_sampling_whatever_the_names():
    names = [*range(12), *range(12)]
    rewards = [0.0] * 12 + [1.0, None, *[1.0] * 10]
    kept = [g for g in range(12) if g != 1]
    assert check("dynamic_sampling", groups=names, rewards=rewards, expected={"kept": kept}).status == "pass"
    reverse = {"kept": kept[::-1]}
    assert check("dynamic_sampling", groups=names, rewards=rewards, expected=reverse).status == "pass"
    assert check("dynamic_sampling", groups=names, rewards=rewards, expected={"kept": [*kept, 1]}).status == "miss"
    assert check("dynamic_sampling", groups=[], rewards=[], expected={"kept": []}).status == "pass"


def test_cons_at_k_names_each_number():
    right = {"answers": ["a", "b", None, "b"], "reference": "b", "voted": "b"}
    right |= {"correct": 1.0, "correct_uniform_ties": 1.0, "mean_at_k": 0.5}
    assert check("cons_at_k", rows=[right]).status == "pass"
    for field in ("correct", "correct_uniform_ties", "mean_at_k"):
        assert f"row 0 {field}" in check("cons_at_k", rows=[{**right, field: 0.25}]).detail
    assert check("cons_at_k", rows=[right, {**right, "voted": "a"}]).detail == "row 1 voted: 'b', wanted 'a'"


def test_value_loss_of_no_active_token():
    case = {"v_new": [[1.0]], "v_old": [[0.0]], "returns": [[2.0]], "mask": [[0]], "clip": None}
    expected = {"loss": 0.0, "grad": [[0.0]], "clip_fraction": 0.0}
    assert check("value_loss", **case, expected=expected).status == "pass"
    active = {**case, "mask": [[1]], "clip": 0.5}
    # Held to .5: (0.5 - 2)^2 = 2.25 against 1: clipped, no gradient.
    good = {"loss": 1.125, "grad": [[0.0]], "clip_fraction": 1.0}
    assert check("value_loss", **active, expected=good).status == "pass"
    for field, value in (("loss", 1.0), ("grad", [[1.0]]), ("clip_fraction", 0.5)):
        assert field in check("value_loss", **active, expected={**good, field: value}).detail


def test_gae_must_be_exactly_zero_outside_the_mask():
    row = {"rewards": [1.0, 1.0], "values": [0.5, 0.5], "mask": [1, 0], "gamma": 1.0, "lam": 1.0}
    good = {"advantages": [0.5, 0.0], "returns": [1.0, 0.0]}
    assert check("gae", rows=[{**row, **good}]).status == "pass"
    for field, value in (("advantages", [0.5, 1.0]), ("returns", [2.0, 0.0])):
        assert field in check("gae", rows=[{**row, **good, field: value}]).detail


@pytest.mark.parametrize(
    ("kind", "fields", "row", "field"),
    [
        ("overlong_penalty", {"max_len": 20, "cache": 5}, {"length": 18, "penalty": -0.6}, "penalty"),
        ("pass_at_k", {}, {"n": 4, "c": 1, "k": 2, "value": 0.5}, "value"),
        ("adaptive_kl", {}, {"coef": 1.0, "kl": 9.0, "target": 1.0, "horizon": 10, "n_steps": 5, "next": 1.1}, "next"),
    ],
)
def test_rows_of_arguments_and_a_result(kind, fields, row, field):
    assert check(kind, **fields, rows=[row]).status == "pass"
    assert "wanted" in check(kind, **fields, rows=[row, {**row, field: row[field] + 0.01}]).detail
