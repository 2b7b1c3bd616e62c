import pytest

from sibling.monitors import first_minutes as fm
from sibling.stats import StepStats

HEALTHY = {
    "reward_mean": 0.42,
    "reward_std": 0.49,
    "accuracy": 0.42,
    "completion_length_mean": 9.0,
    "truncated_share": 0.1,
    "error_share": 0.0,
    "abstain_share": 0.0,
    "generated": 64,
    "trained": 48,
    "live_groups": 6,
    "dead_groups_all_right": 1,
    "dead_groups_all_wrong": 1,
    "entropy": 0.6,
    "ratio_mean": 1.0,
    "ratio_identity_gap": 0.0,
    "sampler_gap_mean": 1e-6,
    "sampler_gap_max": 1e-5,
}


def step(n=1, **changes):
    values = {**HEALTHY, **changes}
    return StepStats(n, {k: v for k, v in values.items() if v is not None})


def only(findings):
    assert len(findings) == 1, findings
    return findings[0]


def say(finding, severity, code, *parts):
    assert (finding.code, finding.severity) == (code, severity)
    for part in parts:
        assert part in finding.sentence + finding.advice, (part, finding)
    assert finding.sentence.endswith(".")
    assert finding.advice.endswith(".")


# -------------------------------------------------------------------------------------- before the run


def test_references_all_accepted_says_nothing():
    assert fm.references({"exact": {"n": 20, "accepted": 20, "refused": 0, "error": 0}}) == []
    assert fm.references({"tags": {"n": 0, "accepted": 0, "refused": 0, "error": 0}}) == []
    assert fm.references({"some": {"n": 20, "accepted": 19, "refused": 0, "error": 0}}) == []


def test_one_refused_reference_is_an_error_by_default():
    check = {"ok": {"n": 20, "accepted": 20, "refused": 0, "error": 0}}
    check["exact"] = {"n": 20, "accepted": 19, "refused": 1, "error": 0}
    finding = only(fm.references(check))
    say(finding, "error", "reference_refused", "'exact'", "1 of 20", "reward_policy.refused_references=warn")
    assert finding.step is None
    assert only(fm.references(check, "warn")).severity == "warning"


def test_a_reward_that_fails_on_references():
    check = {"mine": {"n": 20, "accepted": 0, "refused": 0, "error": 20}}
    say(only(fm.references(check)), "error", "reference_failed", "'mine'", "20 of 20")
    assert only(fm.references(check, "warn")).severity == "warning"


def test_a_reward_that_declines_every_reference():
    check = {"mine": {"n": 20, "accepted": 0, "refused": 0, "error": 0}}
    say(only(fm.references(check)), "warning", "reference_declined", "'mine'", "20")


def test_one_prompt_a_step():
    say(only(fm.one_prompt(1)), "warning", "one_prompt", "sampling.prompts_per_step")
    assert fm.one_prompt(2) == []


# ----------------------------------------------------------------------------------- in the first steps


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_healthy_step_says_nothing(dtype):
    assert [f for d in fm.step_detectors(dtype) for f in d(step())] == []


def test_an_empty_step_says_nothing():
    assert [f for d in fm.step_detectors("float32") for f in d(StepStats(1, {}))] == []


def test_all_rewards_zero():
    stats = step(3, reward_mean=0.0, reward_std=0.0, accuracy=0.0)
    finding = only(fm.equal_rewards(stats))
    say(finding, "warning", "all_equal", "step 3", "reward 0", "sibling samples")
    assert finding.step == 3


def test_all_rewards_one():
    say(only(fm.equal_rewards(step(reward_mean=1.0, reward_std=0.0, accuracy=1.0))), "notice", "all_right")


def test_rewards_equal_up_to_rounding_are_equal():
    stats = step(reward_mean=0.1, reward_std=1.4e-17, accuracy=0.0)
    say(only(fm.equal_rewards(stats)), "warning", "all_equal", "reward 0.1")
    assert fm.equal_rewards(step(reward_mean=0.1, reward_std=1e-3, accuracy=0.0)) == []


def test_partial_rewards_without_a_right_answer_still_teach():
    assert fm.equal_rewards(step(reward_mean=0.2, reward_std=0.1, accuracy=0.0)) == []


def test_dead_groups_by_cause():
    wrong = step(live_groups=1, dead_groups_all_right=0, dead_groups_all_wrong=9)
    say(only(fm.dead_groups(wrong)), "warning", "dead_groups_wrong", "9 of 10", "group_size", "dynamic_sampling")
    right = step(live_groups=1, dead_groups_all_right=9, dead_groups_all_wrong=0)
    say(only(fm.dead_groups(right)), "notice", "dead_groups_right", "9 of 10", "harder")
    assert fm.dead_groups(step(live_groups=2, dead_groups_all_right=0, dead_groups_all_wrong=8)) == []
    assert fm.dead_groups(step(live_groups=1, dead_groups_all_right=4, dead_groups_all_wrong=5)) == []


def test_a_step_with_equal_rewards_is_told_once():
    stats = step(
        reward_mean=0.0, reward_std=0.0, accuracy=0.0, live_groups=0, dead_groups_all_right=0, dead_groups_all_wrong=8
    )
    assert [f.code for d in fm.step_detectors("float32") for f in d(stats)] == ["all_equal"]


def test_no_groups_at_all():
    assert fm.dead_groups(step(live_groups=0, dead_groups_all_right=0, dead_groups_all_wrong=0)) == []


def test_truncation():
    assert fm.truncation(step(truncated_share=0.49)) == []
    say(only(fm.truncation(step(truncated_share=0.5))), "notice", "truncated", "50%", "sampling.max_tokens")
    say(only(fm.truncation(step(truncated_share=0.98))), "notice", "truncated", "98%")
    say(only(fm.truncation(step(truncated_share=1.0))), "warning", "never_ends", "end-of-sequence", "sampling.stop")


def test_reward_errors_and_abstentions():
    assert fm.failing_rewards(step(abstain_share=0.19)) == []
    say(only(fm.failing_rewards(step(error_share=0.004))), "notice", "reward_errors", "0.40%")
    say(only(fm.failing_rewards(step(error_share=0.1))), "warning", "reward_errors", "10%")
    say(only(fm.failing_rewards(step(abstain_share=0.2))), "warning", "reward_abstentions", "20%")
    assert len(fm.failing_rewards(step(error_share=0.5, abstain_share=0.5))) == 2


def test_low_entropy():
    assert fm.low_entropy(step(entropy=0.01)) == []
    say(only(fm.low_entropy(step(entropy=0.009))), "warning", "low_entropy", "0.009", "temperature")
    assert fm.low_entropy(step(entropy=0.001, accuracy=0.95)) == []
    assert only(fm.low_entropy(step(entropy=0.001, accuracy=None))).code == "low_entropy"


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-4), ("bfloat16", 0.04)])
def test_sampler_gap(dtype, bound):
    detector = fm.sampler_gap(dtype)
    assert detector(step(sampler_gap_mean=bound)) == []
    finding = only(detector(step(sampler_gap_mean=bound * 1.1)))
    say(finding, "warning", "sampler_gap", dtype, f"{bound:g}", "compute_dtype=float32")


def test_identity_ratio():
    assert fm.identity_ratio(step(ratio_identity_gap=1e-6)) == []
    say(only(fm.identity_ratio(step(ratio_identity_gap=2e-6))), "error", "identity_ratio", "2e-06")
