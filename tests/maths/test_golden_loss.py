"""Golden cases nobody has seen yet: the same batches in another order, under other names, cut and set otherwise."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from golden_file import only, policy_cases

from sibling.maths.golden import check_cases


def one_of_each():
    """The last case of every combination of estimator and surrogate, and those with corrections or masks."""
    cases = policy_cases()
    last = {(c["advantage"]["estimator"], c["objective"]["variant"]): c for c in cases}
    modified = [c for c in cases if c["sampler_correction"] or c["off_policy_mask"] or c["mask_truncated"]]
    return list({c["id"]: c for c in (*last.values(), *modified)}.values())


def permuted(case, order):
    """The same case with its sequences in another order, and its expectations with them."""
    place = {old: new for new, old in enumerate(order)}
    expected = case["expected"]
    per_sequence = ("reward_total", "advantages_sequence", "advantages_token", "grad", "token_weight")
    for field in (*per_sequence, "is_weights", "opsm_keep", "entropy_keep"):
        if expected.get(field) is not None:
            expected[field] = [expected[field][i] for i in order]
    case["sequences"] = [case["sequences"][i] for i in order]
    case["micro_batches"] = [sorted(place[i] for i in rows) for rows in case["micro_batches"]]


def test_sequences_in_another_order():
    for case in policy_cases():
        order = np.random.default_rng(1).permutation(len(case["sequences"])).tolist()
        changed = copy.deepcopy(case)
        permuted(changed, order)
        [result] = check_cases({"schema_version": 1, "cases": [changed]}, "float64")
        assert result.status == "pass", (case["id"], result.detail)


def test_groups_under_other_names():
    for case in one_of_each():
        changed = copy.deepcopy(case)
        names = {"g0": 17, "g1": 3, "g2": 5}
        for sequence in changed["sequences"]:
            sequence["group"] = names[sequence["group"]]
        assert check_cases({"schema_version": 1, "cases": [changed]}, "float64")[0].status == "pass", case["id"]


def test_micro_batches_of_one_add_up_to_the_same():
    for case in one_of_each():
        if case["aggregation"]["mode"] == "micro_token_mean":
            continue
        changed = copy.deepcopy(case)
        changed["micro_batches"] = [[i] for i in reversed(range(len(case["sequences"])))]
        [result] = check_cases({"schema_version": 1, "cases": [changed]}, "float64")
        assert not [p for p in result.detail.split("; ") if p and not p.startswith("micro_losses")], case["id"]


SETTINGS = {
    "advantage": [
        {"ddof": 0},
        {"eps": 0.5},
        {"scale": "batch"},
        {"lam": 0.5},
        {"gamma": 0.7},
        {"f_norm": 2.0},
        {"k": 1},
    ],
    "objective": [
        *({"eps_low": 0.01, "eps_high": 0.5}, {"dual_clip": 1.5}, {"log_ratio_clamp": 0.1}, {"is_max": 1.01}),
        *({"tau_pos": 3.0}, {"tau": 2.0}, {"delta_low": 0.01}, {"k_ratio": 0.9}, {"k_neg": 0.5}, {"ratio_cap": None}),
    ],
    "kl": [{"estimator": k, "beta": 0.5} for k in ("k1", "k2", "k3", "k3_is", "k3_st")],
    "sampler_correction": [
        {"level": level, "action": action, "min": low, "max": 1.05}
        for level in ("token", "sequence", "geometric")
        for action in ("truncate", "mask", "filter")
        for low in (None, 0.98)
    ],
}


CHANGES = [(part, change) for part, changes in SETTINGS.items() for change in changes]


@pytest.mark.parametrize(("part", "change"), CHANGES)
def test_other_settings_run_and_give_finite_numbers(part, change):
    # The first two cases that have such a setting.
    cases = [c for c in policy_cases() if c.get(part) and set(change) <= set(c[part])]
    assert cases
    for case in cases[:2]:
        changed = copy.deepcopy(case)
        changed[part].update(change)
        [result] = check_cases({"schema_version": 1, "cases": [changed]}, "float64")
        assert "nan" not in result.detail and "inf" not in result.detail


def test_sequences_without_a_sampler_count_as_equal():
    def without(case):
        case["sequences"][0]["logp_sampler"] = None

    [result] = check_cases(only("obj-065", without), "float64")
    weights = next(p for p in result.detail.split("; ") if p.startswith("is_weights"))
    assert weights.startswith("is_weights: 1.0, wanted")


def test_a_sequence_without_any_token():
    def emptied(case):
        for field in ("mask", "logp_new", "logp_old", "logp_ref", "logp_sampler", "entropy"):
            if case["sequences"][0].get(field) is not None:
                case["sequences"][0][field] = []
        for field in ("advantages_token", "grad"):
            case["expected"][field][0] = []

    [result] = check_cases(only("obj-002", emptied), "float64")
    names = {phrase.split(":")[0] for phrase in result.detail.split("; ")}
    assert {"loss", "token_weight", "active_tokens"} <= names and "grad" not in names and "nan" not in result.detail


def misses(case_id, change):
    """Names of the numbers that differ from the file's after the change."""
    [result] = check_cases(only(case_id, change), "float64")
    return {phrase.split(":")[0] for phrase in result.detail.split("; ")}


def test_a_truncated_sequence_keeps_the_weights_of_its_own_mask():
    def truncated(case):
        case["mask_truncated"] = True
        case["sequences"][0]["truncated"] = True

    assert "grad" in misses("obj-065", truncated) and "is_weights" not in misses("obj-065", truncated)


def test_a_group_of_one_has_no_advantage_without_a_baseline_either():
    def alone(case):
        case["sequences"][1]["group"] = "alone"  # its reward is 1

    assert {"advantages_sequence", "grad"} <= misses("obj-034", alone)


def test_an_entropy_mask_and_an_off_policy_mask_together():
    # Sequences with A < 0 go, and of the others the tokens with low entropy: a zero of each, and of both.
    def both(case):
        case["off_policy_mask"] = {"delta": -9.0}

    [result] = check_cases(only("obj-073", both), "float64")
    assert "grad" in result.detail and not any(word in result.detail for word in ("nan", "inf", "entropy_keep"))


@pytest.mark.parametrize(("case_id", "side"), [("obj-007", "region"), ("obj-041", "sequences")])
def test_a_single_active_token_is_all_there_is(case_id, side):
    # Whatever token is left alone, its share is 0 or 1.
    shares = set()
    for i, sequence in enumerate(only(case_id)["cases"][0]["sequences"][:4]):
        for t in range(len(sequence["mask"])):

            def alone(case, i=i, t=t):
                for j, other in enumerate(case["sequences"]):
                    other["mask"] = [int((j, k) == (i, t)) for k in range(len(other["mask"]))]
                case["expected"]["clip_fraction"][side] = 0.25

            [result] = check_cases(only(case_id, alone), "float64")
            shares.add(result.detail.split(f"clip_fraction.{side}: ")[1].split(",")[0])
    assert shares == {"0.0", "1.0"}


def test_a_given_advantage_may_be_a_number_among_lists():
    def number(case):
        case["sequences"][0]["advantage"] = 0.5

    def repeated(case):
        case["sequences"][0]["advantage"] = [0.5] * len(case["sequences"][0]["mask"])

    one, many = (check_cases(only("obj-043", change), "float64")[0] for change in (number, repeated))
    assert one == many and "advantages_token: 0.5, wanted" in one.detail
