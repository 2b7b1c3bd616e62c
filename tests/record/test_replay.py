from __future__ import annotations

import math
from typing import Any

import pytest

from sibling.batch import Fate
from sibling.record.replay import (
    FATES,
    Recomputed,
    Rules,
    advantage_faults,
    advantages,
    fate_faults,
    reward_faults,
)

EXACT = {"scale": "group", "ddof": 1, "eps": 0.0}
RULES = Rules("group", EXACT, weights=(1.0,))


def row(sibling: int, reward: float | None, fate: Fate = Fate.trained, prompt: int = 0, **more: Any) -> dict[str, Any]:
    base = {
        "round": 0,
        "prompt": prompt,
        "sibling": sibling,
        "finish": "eos",
        "length": 2,
        "status": ["right" if reward is not None else "error"],
        "score": [reward],
        "reward": reward,
        "advantage": 0.0,
        "fate": fate.value,
        "trained": fate is Fate.trained,
    }
    return {**base, **more}


def scaled(scale: str) -> Rules:
    return Rules("group", {**EXACT, "scale": scale}, weights=(1.0,))


def of(rows: list[dict[str, Any]], rules: Rules, kl_beta: float = 0.0) -> list[float]:
    """Advantages of whole completions."""
    found = advantages(rows, rules, kl_beta)
    assert found is not None and found.tokens == [None] * len(rows)
    return found.advantage


def tokens_of(rows: list[dict[str, Any]], rules: Rules, kl_beta: float = 0.0) -> list[list[float] | None]:
    """Advantages of tokens; each row's own advantage is their mean."""
    found = advantages(rows, rules, kl_beta)
    assert found is not None
    means = [0.0 if t is None else sum(t) / len(t) for t in found.tokens]
    assert found.advantage == pytest.approx(means, abs=1e-15)
    return found.tokens


def recomputed(*values: float) -> Recomputed:
    return Recomputed(list(values), [None] * len(values), frozenset({(0, 0)}))


def test_advantages_by_hand() -> None:
    """Rewards 1, 0, 2 have mean 1 and std (n - 1) 1, so advantages 0, -1, 1; the failed row leaves the statistics."""
    rows = [row(0, 1.0), row(1, 0.0), row(2, 2.0), row(3, None, Fate.reward_error)]
    assert of(rows, RULES) == [0.0, -1.0, 1.0, 0.0]


def test_a_reward_present_on_a_row_that_was_dropped_for_another_reward_is_not_counted() -> None:
    rows = [row(0, 1.0), row(1, 0.0), row(2, 9.0, Fate.reward_error, status=["error"])]
    wanted = [1 / math.sqrt(2), -1 / math.sqrt(2), 0.0]  # std of 1, 0 is 1/sqrt 2
    assert of(rows, RULES) == pytest.approx(wanted, abs=1e-15)


def test_truncated_rows_count_in_the_statistics_and_get_0() -> None:
    rows = [row(0, 1.0), row(1, 0.0), row(2, 2.0, Fate.truncated, finish="length")]
    assert of(rows, RULES) == [0.0, -1.0, 0.0]


def test_rows_outside_the_batch_do_not_move_the_batch_std() -> None:
    """Batch std over 1, -1 is sqrt 2; the refilled group with rewards 100, -100 has no say."""
    inside = [row(0, 1.0), row(1, -1.0)]
    outside = [row(0, 100.0, Fate.refilled, 1), row(1, -100.0, Fate.refilled, 1)]
    wanted = [1 / math.sqrt(2), -1 / math.sqrt(2), 0.0, 0.0]
    assert of(inside + outside, scaled("batch")) == pytest.approx(wanted, abs=1e-15)


def test_one_prompt_in_two_rounds_is_two_groups() -> None:
    rows = [row(0, 1.0), row(1, 0.0), row(0, 9.0, round=1), row(1, 5.0, round=1)]
    assert of(rows, scaled("none")) == [0.5, -0.5, 2.0, -2.0]


def test_rewards_that_overflow_give_no_advantage() -> None:
    rows = [row(0, 1e308), row(1, 1e308), row(2, 1e307)]
    assert advantages(rows, RULES) is None


def test_advantage_faults_allow_rounding_where_trained_and_nothing_elsewhere() -> None:
    rows = [row(0, 1.0, advantage=1.0 + 1e-12), row(1, 1.0, Fate.dead_group, advantage=1e-12)]
    assert [r["sibling"] for r, _ in advantage_faults(rows, recomputed(1.0, 0.0))] == [1]
    assert [r["sibling"] for r, _ in advantage_faults(rows, recomputed(1.1, 0.0))] == [0, 1]


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
    live = frozenset({(0, 0)} if group is LIVE else ())
    faults = [r for r, _ in fate_faults([*group, subject], RULES, live)]
    assert (subject not in faults) == holds


def test_every_fate_has_a_rule() -> None:
    assert {fate.value for fate in Fate} <= set(FATES)


def test_a_recipe_that_masks_truncated_completions_trains_none() -> None:
    rows = [row(0, 1.0), row(1, 0.0, finish="length")]
    masking = Rules("group", EXACT, mask_truncated=True)
    live = frozenset({(0, 0)})
    assert list(fate_faults(rows, RULES, live)) == []
    assert [r["sibling"] for r, _ in fate_faults(rows, masking, live)] == [1]


# ------------------------------------------------------------------------------------------- evidence of tokens

PLAIN = {"whiten": "none", "ddof": 1, "eps": 1e-8, "eps_mode": "inside_var"}
SUPERVISED = Rules("process", {"ddof": 1, "eps": 0.0}, weights=(1.0,))
GAE = Rules("gae", {"gamma": 1.0, "lam": 1.0, **PLAIN}, weights=(1.0,))
TO_GO = Rules("reinforce_pp", {"gamma": 1.0, **PLAIN}, weights=(1.0,))


def test_a_batch_without_rows_has_no_advantages() -> None:
    rows = [row(0, 1.0, Fate.refilled), row(1, None, Fate.reward_error)]
    for rules in (RULES, GAE, TO_GO, SUPERVISED, Rules("gdpo", {"ddof": 1, "eps": 0.0}, weights=(1.0,))):
        for kl_beta in (0.0, 0.5):
            found = advantages(rows, rules, kl_beta)
            assert found is not None, rules
            assert (found.advantage, found.live) == ([0.0, 0.0], frozenset())


def test_process_supervision_by_hand() -> None:
    """Steps 0, 1 and 2 have mean 1 and std (n - 1) 1: a completion's first token sees all of its steps."""
    rows = [
        row(0, 1.0, step_ends=[0, 1], step_scores=[0.0, 2.0]),
        row(1, 1.0, step_ends=[1], step_scores=[1.0], length=3),
    ]
    assert tokens_of(rows, SUPERVISED) == [[0.0, 1.0], [0.0, 0.0, 0.0]]


def test_generalised_advantages_by_hand() -> None:
    """gamma = lam = 1: A_t is the reward to come less V_t, and a KL of 0.5 costs 0.2 x 0.5 at its token."""
    rows = [row(0, 1.0, values=[0.25, 0.5], kl=[0.0, 0.5]), row(1, 0.0, values=[0.5, 0.0], kl=[-0.5, 0.0])]
    assert tokens_of(rows, GAE) == [[0.75, 0.5], [-0.5, 0.0]]
    found = tokens_of(rows, GAE, 0.2)
    assert found[0] == pytest.approx([0.65, 0.4]) and found[1] == pytest.approx([-0.4, 0.0])


def test_reward_to_go_by_hand_and_the_truncated_row_is_masked() -> None:
    rows = [
        row(0, 1.0, kl=[0.5, 0.25]),
        row(1, 2.0, Fate.truncated, finish="length", kl=[9.0, 9.0]),
        row(2, None, Fate.reward_error, kl=None),
    ]
    masking = Rules("reinforce_pp", {"gamma": 1.0, **PLAIN}, mask_truncated=True, weights=(1.0,))
    assert tokens_of(rows, masking, 1.0) == [[0.25, 0.75], [0.0, 0.0], None]


def test_a_kl_in_the_reward_of_whole_completions() -> None:
    """R - beta sum of the KL: 1 - 0.5 x (1 + 1) = 0 and 0 - 0.5 x 0 = 0, so no advantage is left; without it +-1/2."""
    rows = [row(0, 1.0, kl=[1.0, 1.0]), row(1, 0.0, kl=[0.0, 0.0])]
    assert of(rows, scaled("none"), 0.5) == [0.0, 0.0]
    assert of(rows, scaled("none"), 0.0) == [0.5, -0.5]
    found = advantages(rows, scaled("none"), 0.5)
    assert found is not None and found.live == frozenset()


def test_live_groups_are_those_with_an_advantage_and_equal_rewards_carry_one_without_a_baseline() -> None:
    rows = [
        *(row(s, 1.0) for s in (0, 1)),
        *(row(s, 0.0, Fate.dead_group, prompt=1) for s in (0, 1)),
        row(0, 2.0, prompt=2),
    ]
    found = advantages(rows, Rules("reinforce", {}, weights=(1.0,)))
    assert found is not None
    assert found.advantage == [1.0, 1.0, 0.0, 0.0, 2.0] and found.live == {(0, 0), (0, 2)}
    assert list(fate_faults(rows, Rules("reinforce", {}), found.live)) == []


@pytest.mark.parametrize(
    ("rules", "columns", "kl_beta"),
    [
        (SUPERVISED, {}, 0.0),
        (SUPERVISED, {"step_ends": [1]}, 0.0),
        (SUPERVISED, {"step_scores": [1.0]}, 0.0),
        (GAE, {}, 0.0),
        (GAE, {"values": [0.5, 0.5]}, 0.1),
        (TO_GO, {}, 0.1),
        (RULES, {}, 0.1),
        (GAE, {"values": [0.5]}, 0.0),
        (TO_GO, {"kl": [0.5, 0.5, 0.5]}, 0.1),
    ],
)
def test_evidence_that_lacks_or_does_not_fit_gives_no_advantage(
    rules: Rules, columns: dict[str, Any], kl_beta: float
) -> None:
    assert advantages([row(0, 1.0, **columns), row(1, 0.0, **columns)], rules, kl_beta) is None


@pytest.mark.parametrize("column", ["values", "kl"])
def test_evidence_of_some_rows_only_gives_no_advantage(column: str) -> None:
    whole = {"values": [0.5, 0.5], "kl": [0.1, 0.1]}
    rows = [row(0, 1.0, **whole), row(1, 0.0, **{**whole, column: None})]
    assert advantages(rows, GAE, 0.1) is None


def test_faults_of_token_advantages() -> None:
    wanted = Recomputed([0.5, 0.0], [[0.25, 0.75], None], frozenset({(0, 0)}))

    def faults(**first: Any) -> list[str]:
        base = {"advantage": 0.5, "advantages": [0.25, 0.75]}
        rows = [row(0, 1.0, **{**base, **first}), row(1, None, Fate.reward_error, advantages=None)]
        return [sentence for _, sentence in advantage_faults(rows, wanted)]

    assert faults() == []
    assert faults(advantages=[0.25 + 1e-12, 0.75]) == []
    assert faults(advantages=[0.25, 0.7]) == ["the advantage of token 1 is not as recomputed"]
    assert len(faults(advantages=[0.25])) == 1  # cut
    assert faults(advantages=[0.25, 0.75, 0.0]) == ["the advantage of token 2 is not as recomputed"]
    assert faults(advantages=None) == ["the advantages of its tokens are missing"]
    assert faults(advantage=0.4) == ["the advantage is 0.4, recomputed 0.5"]
    extra = [row(0, 1.0, advantage=0.5, advantages=[0.25, 0.75]), row(1, None, Fate.reward_error, advantages=[0.0])]
    assert [sentence for _, sentence in advantage_faults(extra, wanted)] == ["it has advantages of tokens"]
