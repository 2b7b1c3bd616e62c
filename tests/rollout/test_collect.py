"""From prompts to a batch: every fate, the reward policies, dynamic sampling, and what the learner gets."""

import numpy as np
import pytest
from small_rollouts import EOS, LONG, VERDICTS, encode, fates, group, prompt_at, roll

from sibling.batch import Fate, Finish
from sibling.config import DrGrpoObjective, GroupAdvantage, GrpoObjective
from sibling.errors import RewardError
from sibling.maths.advantages import group_advantages


def rewards(rollout, prompt):
    return [r.reward for r in group(rollout, prompt)]


def advantages(rollout, prompt):
    return [r.advantage for r in group(rollout, prompt)]


def test_a_live_and_a_dead_group():
    rollout = roll(["1 0 0 1", "1 1 1 1"])
    assert fates(rollout, 0) == ["trained"] * 4
    assert fates(rollout, 1) == ["dead_group"] * 4
    # Mean 1/2, deviations +-1/2, std sqrt(4 / 4 / 3) = 0.57735 with n - 1, epsilon 1e-4.
    value = 0.5 / (np.sqrt(1 / 3) + 1e-4)
    assert advantages(rollout, 0) == pytest.approx([value, -value, -value, value])
    assert advantages(rollout, 1) == [0.0] * 4
    assert rewards(rollout, 1) == [1.0] * 4


def test_the_batch_holds_what_the_rows_say():
    rollout = roll(["1 0 h 1", "1 1 1 1", "0 1 ! 0"])
    batch = rollout.batch
    kept = [r for r in rollout.rows if r.fate in (Fate.trained, Fate.dead_group)]
    assert batch.size == len(kept) == 11
    assert batch.group.tolist() == [r.prompt for r in kept]
    assert batch.advantage.tolist() == [r.advantage for r in kept]
    assert batch.live.tolist() == [r.fate is Fate.trained for r in kept]
    for i, row in enumerate(kept):
        assert np.array_equal(batch.completions[i], row.completion.token_ids)
        assert np.array_equal(batch.sampler_logprobs[i], row.completion.logprobs)
        assert np.array_equal(batch.prompts[batch.group[i]], rollout.prompts[row.prompt].token_ids)
        assert batch.mask[i].all() and len(batch.mask[i]) == len(row.completion.token_ids)


def test_groups_that_leave_the_batch_are_renumbered():
    rollout = roll(["! ! !", "1 0 1", "? 1 0"], policy={"on_abstain": "drop_group"})
    assert fates(rollout, 0) == ["reward_error"] * 3
    assert fates(rollout, 2) == ["reward_abstain", "group_dropped", "group_dropped"]
    assert rollout.batch.group.tolist() == [0, 0, 0]
    assert len(rollout.batch.prompts) == 1
    assert np.array_equal(rollout.batch.prompts[0], prompt_at(1)[1].token_ids)


@pytest.mark.parametrize(
    ("objective", "scale"),
    [
        (GrpoObjective(advantage=GroupAdvantage(scale="batch")), "batch"),
        (DrGrpoObjective(), "none"),
        (GrpoObjective(advantage=GroupAdvantage(ddof=0)), "group"),
    ],
)
def test_advantages_follow_the_objective(objective, scale):
    rollout = roll(["1 0 h 0", "1 1 0 1", "h h h h"], objective=objective)
    reward = np.array([r.reward for r in rollout.rows])
    wanted = group_advantages(reward, np.repeat([0, 1, 2], 4), scale=scale, ddof=objective.advantage.ddof, eps=1e-4)
    assert [r.advantage for r in rollout.rows] == wanted.tolist()


def test_rows_are_in_the_order_of_prompts_and_siblings_with_their_verdicts():
    rollout = roll(["10 01", "11 0h"], weights=[2.0, 0.5])
    assert [(r.prompt, r.sibling, r.round) for r in rollout.rows] == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
    assert rewards(rollout, 0) == [2.0, 0.5] and rewards(rollout, 1) == [2.5, 0.25]
    assert [v.score for v in rollout.rows[3].verdicts] == [0.0, 0.5]


# ------------------------------------------------------------------------------------ failed and declined verdicts


def test_drop_sample_leaves_the_others_comparable():
    rollout = roll(["1 ! 0 ?"])
    assert fates(rollout, 0) == ["trained", "reward_error", "trained", "reward_abstain"]
    assert rewards(rollout, 0) == [1.0, None, 0.0, None]
    wanted = group_advantages(np.array([1.0, 0.0]), np.zeros(2, int), scale="group", ddof=1, eps=1e-4)
    assert advantages(rollout, 0) == [wanted[0], 0.0, wanted[1], 0.0]
    assert rollout.batch.size == 2


@pytest.mark.parametrize(
    ("mark", "policy", "fate"), [("!", "on_error", "reward_error"), ("?", "on_abstain", "reward_abstain")]
)
def test_drop_group_takes_the_siblings_along(mark, policy, fate):
    rollout = roll([f"1 {mark} 0 1", "1 0 0 1"], policy={policy: "drop_group"})
    assert fates(rollout, 0) == ["group_dropped", fate, "group_dropped", "group_dropped"]
    assert rewards(rollout, 0) == [None] * 4 and advantages(rollout, 0) == [0.0] * 4
    assert fates(rollout, 1) == ["trained"] * 4
    assert rollout.batch.size == 4


def test_drop_group_is_asked_for_by_the_kind_that_occurred():
    """An abstention under on_error=drop_group drops its own sample only."""
    assert fates(roll(["1 ? 0 1"], policy={"on_error": "drop_group"}), 0)[0] == "trained"
    assert fates(roll(["1 ! 0 1"], policy={"on_abstain": "drop_group"}), 0)[0] == "trained"


@pytest.mark.parametrize(("mark", "policy"), [("!", "on_error"), ("?", "on_abstain")])
def test_stop_raises_with_the_reason(mark, policy):
    with pytest.raises(RewardError, match=r"The reward r1 gave no score.*(it raised|nothing to judge by).*Mend the"):
        roll([f"11 1{mark}", "11 10"], policy={policy: "stop"})


def test_an_error_goes_before_an_abstention_of_a_later_reward():
    assert fates(roll(["!? 11 10"]), 0)[0] == "reward_error"
    assert fates(roll(["?! 11 10"]), 0)[0] == "reward_abstain"


def test_a_reward_that_abstains_on_a_whole_group_is_left_out_of_the_sum():
    rollout = roll(["1? 0? 1?", "11 0? 10"], weights=[1.0, 10.0])
    assert fates(rollout, 0) == ["trained"] * 3 and rewards(rollout, 0) == [1.0, 0.0, 1.0]
    assert fates(rollout, 1) == ["trained", "reward_abstain", "trained"] and rewards(rollout, 1) == [11.0, None, 1.0]


def test_it_is_left_out_under_every_policy():
    rollout = roll(["1? 0? 1?"], policy={"on_abstain": "stop"})
    assert fates(rollout, 0) == ["trained"] * 3


@pytest.mark.parametrize("rewards_", [1, 2])
def test_a_group_on_which_every_reward_abstains_has_no_sum_and_follows_the_policy(rewards_):
    silent, scored = "?" * rewards_, ["1" * rewards_, "0" * rewards_]
    lines = [f"{silent} {silent}", " ".join(scored)]
    rollout = roll(lines)
    assert fates(rollout, 0) == ["reward_abstain"] * 2 and rollout.batch.size == 2
    assert fates(roll(lines, policy={"on_abstain": "drop_group"}), 0) == ["reward_abstain"] * 2
    with pytest.raises(RewardError):
        roll(lines, policy={"on_abstain": "stop"})


def test_fewer_than_two_scores_are_no_group():
    rollout = roll(["! 1 ! ?", "1 0 1 0"])
    assert fates(rollout, 0) == ["reward_error", "too_few_scores", "reward_error", "reward_abstain"]
    assert rewards(rollout, 0) == [None, 1.0, None, None] and advantages(rollout, 0) == [0.0] * 4
    assert rollout.batch.live.tolist() == [False, True, True, True, True]


# ----------------------------------------------------------------------------------------------- overlong filtering


def test_truncated_completions_leave_the_loss_and_keep_their_reward():
    rollout = roll([f"1 0{LONG} 0 1"], mask_truncated=True)
    assert fates(rollout, 0) == ["trained", "truncated", "trained", "trained"]
    assert rewards(rollout, 0) == [1.0, 0.0, 0.0, 1.0]
    value = 0.5 / (np.sqrt(1 / 3) + 1e-4)  # the statistics of all four
    assert advantages(rollout, 0) == pytest.approx([value, 0.0, -value, value])
    assert [m.any() for m in rollout.batch.mask] == [True, False, True, True]
    assert rollout.batch.token_counts.tolist() == [2, 0, 2, 2]  # a letter and the EOS


def test_without_the_filter_they_are_trained():
    rollout = roll([f"1 0{LONG} 0 1"])
    assert rollout.rows[1].completion.finish is Finish.length
    assert fates(rollout, 0) == ["trained"] * 4
    assert all(m.all() for m in rollout.batch.mask)


def test_in_a_dead_group_they_leave_the_loss_too():
    """A dead group counts as if it had been computed: without the tokens that overlong filtering masks."""
    rollout = roll([f"0 0{LONG}", f"0{LONG} 1", f"1{LONG} !"], mask_truncated=True)
    assert fates(rollout, 0) == ["dead_group", "dead_group"]
    assert fates(rollout, 1) == ["truncated", "trained"]
    assert fates(rollout, 2) == ["too_few_scores", "reward_error"]
    assert rollout.batch.token_counts.tolist() == [2, 0, 0, 2, 0]


# -------------------------------------------------------------------------------------------------- dynamic sampling


def refills(needed):
    """The first `needed` prompts of a step have dead groups, later ones live groups."""
    return lambda prompt, sibling: "1" if prompt < needed or sibling % 2 else "0"


def test_dead_groups_are_replaced():
    rollout = roll(refills(1), dynamic=3, prompts_per_step=3)
    assert rollout.rounds == 2 and len(rollout.prompts) == 4
    assert fates(rollout, 0) == ["refilled"] * 4
    assert all(fates(rollout, p) == ["trained"] * 4 for p in (1, 2, 3))
    assert [r.round for r in rollout.rows] == [0] * 12 + [1] * 4
    assert [p.id for p in rollout.prompts] == ["t0", "t1", "t2", "t3"]
    assert rollout.batch.size == 12 and len(rollout.batch.prompts) == 3
    assert np.array_equal(rollout.batch.prompts[2], prompt_at(3)[1].token_ids)


def test_only_as_many_as_are_missing_are_drawn():
    rollout = roll(refills(2), dynamic=5, prompts_per_step=2)
    assert [r.round for r in rollout.rows[::4]] == [0, 0, 1, 1]
    again = roll(lambda p, s: "1" if p in (0, 2) or s % 2 else "0", dynamic=5, prompts_per_step=2)
    assert [r.round for r in again.rows[::4]] == [0, 0, 1, 2]
    assert len(again.batch.prompts) == 2


def test_the_budget_ends_it():
    rollout = roll(refills(99), dynamic=3, prompts_per_step=2)
    assert rollout.rounds == 3 and len(rollout.rows) == 2 * 3 * 4
    assert {r.fate for r in rollout.rows} == {Fate.refilled}
    assert rollout.batch.size == 0 and rollout.batch.prompts == ()


def test_no_refill_without_need_or_when_off():
    assert roll(refills(0), dynamic=3, prompts_per_step=2).rounds == 1
    off = roll(refills(2), prompts_per_step=2)
    assert off.rounds == 1 and {r.fate for r in off.rows} == {Fate.dead_group}


def test_a_group_without_two_scores_is_replaced_too():
    rollout = roll(lambda p, s: ("1" if s == 0 else "!") if p == 0 else "10"[s % 2], dynamic=2, prompts_per_step=1)
    assert fates(rollout, 0) == ["refilled", "reward_error", "reward_error", "reward_error"]
    assert fates(rollout, 1) == ["trained"] * 4


def test_rounds_reach_the_sampler_with_their_own_prompts():
    seen = []

    def grader(tasks, completions):
        seen.append([t.id for t in tasks])
        return [(VERDICTS[c.text[0]],) for c in completions]

    roll(refills(1), dynamic=2, prompts_per_step=2, siblings=2, grade=grader)
    assert seen == [["t0", "t0", "t1", "t1"], ["t2", "t2"]]


def test_the_fates_that_can_occur_are_all_reached_here():
    scripts = [
        roll(["1 0", "1 1", "1 !", "! ?"]),
        roll([f"1 0{LONG}"], mask_truncated=True),
        roll(["1 !"], policy={"on_error": "drop_group"}),
        roll(refills(1), dynamic=2),
    ]
    assert {r.fate for s in scripts for r in s.rows} == set(Fate)


def test_the_scripted_sampler_speaks_in_bytes():
    rollout = roll(["1 0"])
    assert rollout.rows[0].completion.token_ids.tolist() == [*encode("1"), EOS]
