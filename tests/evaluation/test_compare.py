import copy

import numpy as np
import pytest

from sibling.canonical import canonical_json
from sibling.errors import RunError
from sibling.evaluation.compare import compare
from sibling.maths.intervals import mcnemar_mid_p, paired_scores, paired_shares

NAMES = {True: "right", False: "wrong", None: "error"}


def document(greedy, samples):
    """An evaluation document from right (True), wrong (False) and unscored (None) answers."""
    items = [
        {
            "id": f"t{i}",
            "prompt": f"say {i}",
            "reference": str(i),
            "greedy": {"status": NAMES[g]},
            "samples": [{"status": NAMES[x]} for x in s],
        }
        for i, (g, s) in enumerate(zip(greedy, samples, strict=True))
    ]
    return {"settings": {"samples": 2, "max_tokens": 8}, "items": items}


BEFORE = document([False, False, True, True, None, False], [[False, False]] * 3 + [[True, False]] * 3)
AFTER = document([True, True, True, False, True, True], [[True, False]] * 3 + [[True, True]] * 2 + [[True, None]])


def test_by_hand():
    result = compare(BEFORE, AFTER, 0.95)
    assert result["n"] == 6 and result["confidence"] == 0.95
    greedy = result["greedy"]  # t4 is unscored before: five pairs, 2 right before, 4 after, 3 wins, 1 loss
    assert (greedy["n"], greedy["before"], greedy["after"]) == (5, 0.4, 0.8)
    assert (greedy["wins"], greedy["losses"], greedy["difference"]) == (3, 1, 0.4)
    assert greedy["p_value"] == mcnemar_mid_p(3, 1)
    passed = result["pass_at_k"]  # t5 has an unscored sample after
    assert (passed["n"], passed["before"], passed["after"], passed["wins"], passed["losses"]) == (5, 0.4, 1.0, 3, 0)
    mean = result["mean_at_k"]  # t5: 1/2 before, 1 of 1 scored after
    assert (mean["n"], mean["before"], mean["after"]) == (6, 0.25, 0.75)
    assert (mean["wins"], mean["losses"]) == (6, 0)


def test_the_numbers_are_those_of_the_paired_methods():
    rng = np.random.default_rng(0)
    before, after = rng.random((2, 80)) < np.array([[0.3], [0.6]])
    drawn = rng.random((2, 80, 4)) < np.array([0.3, 0.6])[:, None, None]
    result = compare(document(before, drawn[0]), document(after, drawn[1]), 0.9)
    shares = paired_shares(before, after, 0.9)
    scores = paired_scores(drawn[0].mean(axis=1), drawn[1].mean(axis=1), 0.9)
    assert result["greedy"]["interval"] == list(shares.interval)
    assert result["mean_at_k"]["interval"] == list(scores.interval)
    assert result["mean_at_k"]["p_value"] == scores.p_value < 0.01
    assert canonical_json(result) == canonical_json(compare(document(before, drawn[0]), document(after, drawn[1]), 0.9))


def test_items_are_paired_by_id_not_by_position():
    turned = {**AFTER, "items": AFTER["items"][::-1]}
    assert compare(BEFORE, turned, 0.95) == compare(BEFORE, AFTER, 0.95)
    fewer = {**AFTER, "items": AFTER["items"][:3]}
    assert compare(BEFORE, fewer, 0.95)["n"] == 3


def test_nothing_to_compare_is_null_not_zero():
    empty = document([None], [[]])
    result = compare(empty, empty, 0.95)
    assert result["greedy"] is None and result["mean_at_k"] is None and result["pass_at_k"] is None


def test_what_cannot_be_compared_is_refused():
    other = {**AFTER, "settings": {"samples": 2, "max_tokens": 16}}
    with pytest.raises(RunError, match="max_tokens 8 and 16"):
        compare(BEFORE, other, 0.95)
    changed = copy.deepcopy(AFTER)
    changed["items"][2]["reference"] = "7"
    with pytest.raises(RunError, match="t2"):
        compare(BEFORE, changed, 0.95)
    with pytest.raises(RunError, match="share no item"):
        compare(BEFORE, {**AFTER, "items": []}, 0.95)
