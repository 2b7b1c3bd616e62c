from __future__ import annotations

import math
from typing import Any

import pytest

from sibling.batch import Fate
from sibling.record.replay import FATES, Rules, advantage_faults, advantages, fate_faults, reward_faults

RULES = Rules("group", 1, 0.0, mask_truncated=False)


def row(sibling: int, reward: float | None, fate: Fate = Fate.trained, prompt: int = 0, **more: Any) -> dict[str, Any]:
    base = {
        "round": 0,
        "prompt": prompt,
        "sibling": sibling,
        "finish": "eos",
        "status": ["right" if reward is not None else "error"],
        "score": [reward],
        "reward": reward,
        "advantage": 0.0,
        "fate": fate.value,
        "trained": fate is Fate.trained,
    }
    return {**base, **more}


def test_advantages_by_hand() -> None:
    """Rewards 1, 0, 2 have mean 1 and std (n - 1) 1, so advantages 0, -1, 1; the failed row leaves the statistics."""
    rows = [row(0, 1.0), row(1, 0.0), row(2, 2.0), row(3, None, Fate.reward_error)]
    assert advantages(rows, RULES) == [0.0, -1.0, 1.0, 0.0]


def test_a_reward_present_on_a_row_that_was_dropped_for_another_reward_is_not_counted() -> None:
    rows = [row(0, 1.0), row(1, 0.0), row(2, 9.0, Fate.reward_error, status=["error"])]
    wanted = [1 / math.sqrt(2), -1 / math.sqrt(2), 0.0]  # std of 1, 0 is 1/sqrt 2
    assert advantages(rows, RULES) == pytest.approx(wanted, abs=1e-15)


def test_truncated_rows_count_in_the_statistics_and_get_0() -> None:
    rows = [row(0, 1.0), row(1, 0.0), row(2, 2.0, Fate.truncated, finish="length")]
    assert advantages(rows, RULES) == [0.0, -1.0, 0.0]


def test_rows_outside_the_batch_do_not_move_the_batch_std() -> None:
    """Batch std over 1, -1 is sqrt 2; the refilled group with rewards 100, -100 has no say."""
    inside = [row(0, 1.0), row(1, -1.0)]
    outside = [row(0, 100.0, Fate.refilled, 1), row(1, -100.0, Fate.refilled, 1)]
    wanted = [1 / math.sqrt(2), -1 / math.sqrt(2), 0.0, 0.0]
    assert advantages(inside + outside, Rules("batch", 1, 0.0, False)) == pytest.approx(wanted, abs=1e-15)


def test_one_prompt_in_two_rounds_is_two_groups() -> None:
    rows = [row(0, 1.0), row(1, 0.0), row(0, 9.0, round=1), row(1, 5.0, round=1)]
    assert advantages(rows, Rules("none", 1, 0.0, False)) == [0.5, -0.5, 2.0, -2.0]


def test_rewards_that_overflow_give_no_advantage() -> None:
    rows = [row(0, 1e308), row(1, 1e308), row(2, 1e307)]
    assert advantages(rows, RULES) is None


def test_advantage_faults_allow_rounding_where_trained_and_nothing_elsewhere() -> None:
    rows = [row(0, 1.0, advantage=1.0 + 1e-12), row(1, 1.0, Fate.dead_group, advantage=1e-12)]
    assert [r["sibling"] for r, _ in advantage_faults(rows, [1.0, 0.0])] == [1]
    assert [r["sibling"] for r, _ in advantage_faults(rows, [1.1, 0.0])] == [0, 1]


def test_reward_faults() -> None:
    rows = [
        row(0, 2.0, score=[1.0, 2.0]),  # 1 * 1 + 0.5 * 2
        row(1, 1.0, score=[None, 2.0]),  # only the second is there
        row(2, None, score=[None, None]),
        row(3, None, Fate.reward_error, score=[None, 2.0]),  # dropped: no total is made
        row(4, 0.0, score=[None, None]),  # a silent zero
        row(5, 1.5, score=[1.0, 2.0]),
        row(6, None, score=[1.0, 2.0]),
    ]
    assert [r["sibling"] for r, _ in reward_faults(rows, [1.0, 0.5])] == [4, 5, 6]


LIVE = [row(0, 1.0), row(1, 0.0)]
DEAD = [row(0, 1.0, Fate.dead_group), row(1, 1.0, Fate.dead_group)]


@pytest.mark.parametrize(
    ("group", "fate", "more", "holds"),
    [
        (LIVE, Fate.trained, {}, True),
        (DEAD, Fate.trained, {"reward": 1.0}, False),
        (LIVE, Fate.trained, {"reward": None}, False),
        (DEAD, Fate.dead_group, {"reward": 1.0}, True),
        (LIVE, Fate.dead_group, {}, False),
        (DEAD, Fate.refilled, {"reward": 1.0}, True),
        (LIVE, Fate.refilled, {}, False),
        (LIVE, Fate.reward_error, {"status": ["error"]}, True),
        (LIVE, Fate.reward_error, {"status": ["abstain"]}, False),
        (LIVE, Fate.reward_abstain, {"status": ["abstain"]}, True),
        (LIVE, Fate.reward_abstain, {"status": ["wrong"]}, False),
        (LIVE, Fate.group_dropped, {"status": ["error"]}, True),
        (LIVE, Fate.group_dropped, {}, False),
        ([], Fate.too_few_scores, {}, True),
        (LIVE, Fate.too_few_scores, {}, False),
        (LIVE, Fate.truncated, {"finish": "length"}, True),
        (LIVE, Fate.truncated, {"finish": "eos"}, False),
    ],
)
def test_each_fate_needs_its_reason(group: list[dict[str, Any]], fate: Fate, more: dict[str, Any], holds: bool) -> None:
    subject = row(9, 0.5, fate) | more
    faults = [r for r, _ in fate_faults([*group, subject], RULES)]
    assert (subject not in faults) == holds


def test_every_fate_has_a_rule() -> None:
    assert {fate.value for fate in Fate} <= set(FATES)


def test_a_recipe_that_masks_truncated_completions_trains_none() -> None:
    rows = [row(0, 1.0), row(1, 0.0, finish="length")]
    masking = Rules("group", 1, 0.0, mask_truncated=True)
    assert list(fate_faults(rows, RULES)) == []
    assert [r["sibling"] for r, _ in fate_faults(rows, masking)] == [1]
