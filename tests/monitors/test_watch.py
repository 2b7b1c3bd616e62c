import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RunError
from sibling.monitors.finding import Finding
from sibling.monitors.first_minutes import step_detectors
from sibling.monitors.objective import OBJECTIVE_DETECTORS
from sibling.monitors.watch import PATIENCE, Watch
from sibling.stats import StepStats


def by_loss(stats):
    """A detector driven by one number: 1 notice, 2 warning, 3 both at once."""
    loss = stats.get("loss")
    kinds = {1.0: ["notice"], 2.0: ["warning"], 3.0: ["notice", "warning"]}.get(loss, [])
    return [Finding("odd", kind, stats.step, f"The loss is {loss}.", "Look.") for kind in kinds]


def told(watch, losses, start=1):
    """The steps at which something was told."""
    out = []
    for step, loss in enumerate(losses, start):
        out += [step] * bool(watch.observe(StepStats(step, {"loss": float(loss)})))
    return out


def test_a_finding_that_stays_is_told_once_and_then_every_so_often():
    assert told(Watch((by_loss,), absent=3, every=10), [1] * 25) == [1, 11, 21]


def test_a_finding_that_comes_back_soon_is_not_told_again():
    assert told(Watch((by_loss,), absent=3, every=50), [1, 0, 0, 1, 0, 1]) == [1]


def test_a_finding_that_was_absent_long_enough_is_told_again():
    assert told(Watch((by_loss,), absent=3, every=50), [1, 0, 0, 0, 1, 1]) == [1, 5]


def test_a_finding_that_gets_worse_is_told_at_once_but_only_once():
    assert told(Watch((by_loss,), absent=3, every=50), [1, 1, 2, 1, 2, 2]) == [1, 3]


def test_patience_asks_for_steps_in_a_row():
    watch = Watch((by_loss,), patience={"odd": 3}, absent=3, every=50)
    assert told(watch, [1, 1, 0, 1, 1, 1, 1]) == [6]
    assert told(watch, [0, 0, 0, 1, 1, 1], start=8) == [13]  # absent for three steps, then three in a row


def test_findings_of_one_code_in_one_step_are_told_together_and_count_once():
    watch = Watch((by_loss,), patience={"odd": 2})
    assert watch.observe(StepStats(1, {"loss": 3.0})) == []
    assert [f.severity for f in watch.observe(StepStats(2, {"loss": 3.0}))] == ["notice", "warning"]


def test_detectors_are_told_in_order():
    def second(stats):
        return [Finding("even", "notice", stats.step, "Even.", "Look.")]

    stats = StepStats(1, {"loss": 1.0})
    assert [f.code for f in Watch((by_loss, second)).observe(stats)] == ["odd", "even"]
    assert [f.code for f in Watch((second, by_loss)).observe(stats)] == ["even", "odd"]


def test_steps_come_in_order():
    watch = Watch((by_loss,))
    watch.observe(StepStats(4, {}))
    for step in (4, 3):
        with pytest.raises(RunError, match="a step after 4"):
            watch.observe(StepStats(step, {}))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=40), st.data())
def test_resumed_is_uninterrupted(losses, data):
    def fresh():
        return Watch((by_loss,), patience={"odd": 2}, absent=2, every=7)

    cut = data.draw(st.integers(0, len(losses)))
    whole, first, second = fresh(), fresh(), fresh()
    expected = told(whole, losses)
    before = told(first, losses[:cut])
    second.restore(json.loads(json.dumps(first.state())))
    assert before + told(second, losses[cut:], start=cut + 1) == expected
    assert second.state() == whole.state()


@pytest.mark.parametrize("state", [{}, {"memory": {"odd": {"unknown": 1}}, "step": 1}, {"memory": [], "step": 1}])
def test_a_state_that_is_none(state):
    with pytest.raises(RunError, match="state of the watch"):
        Watch(()).restore(state)


def run_of(accuracies, **constant):
    """A run of 8 x 8 completions with this accuracy at each step, as the detectors see it."""
    for step, p in enumerate(accuracies, 1):
        right, wrong = round(8 * p**8), round(8 * (1 - p) ** 8)
        yield StepStats(
            step,
            {
                "reward_mean": p,
                "reward_std": (p * (1 - p) * 64 / 63) ** 0.5,
                "accuracy": p,
                "truncated_share": 0.2 * (1 - p),
                "error_share": 0.0,
                "abstain_share": 0.0,
                "live_groups": 8 - right - wrong,
                "dead_groups_all_right": right,
                "dead_groups_all_wrong": wrong,
                "entropy": 0.02 + 0.5 * (1 - p),
                "ratio_identity_gap": 0.0,
                "sampler_gap_mean": 2e-6,
                **constant,
            },
        )


LEARNING = [0.05 + 0.9 * i / 59 for i in range(60)]


def test_a_healthy_run_says_nothing():
    watch = Watch(step_detectors("float32"))
    assert [f for stats in run_of(LEARNING) for f in watch.observe(stats)] == []


def test_a_mastered_task_is_told_as_a_notice():
    watch = Watch(step_detectors("float32"))
    found = [f for stats in run_of([*LEARNING, *[0.995] * 10]) for f in watch.observe(stats)]
    assert [(f.code, f.severity, f.step) for f in found] == [("dead_groups_right", "notice", 63)]


def test_one_unlucky_step_is_not_told_and_two_are():
    watch = Watch(step_detectors("float32"))
    codes = [[f.code for f in watch.observe(stats)] for stats in run_of([0.05, 0.0, 0.05, 0.0, 0.0, 0.0])]
    assert codes == [[], [], [], [], ["all_equal"], []]


def test_faults_are_told_at_the_first_step():
    watch = Watch(step_detectors("bfloat16"))
    stats = next(run_of([0.5], ratio_identity_gap=0.01, sampler_gap_mean=0.1, error_share=0.2, abstain_share=0.3))
    assert [f.code for f in watch.observe(stats)] == [
        "reward_errors",
        "reward_abstentions",
        "sampler_gap",
        "identity_ratio",
    ]


EXTREMES = (
    {"accuracy": 1.0, "reward_mean": 1.0, "reward_std": 0.0},
    {"accuracy": 0.0, "reward_mean": 0.0, "reward_std": 0.0},
    {"live_groups": 0.0, "dead_groups_all_right": 8.0},
    {"live_groups": 0.0, "dead_groups_all_wrong": 8.0},
    {"truncated_share": 0.9},
    {"truncated_share": 1.0},
    {"entropy": 0.0},
    {"error_share": 1.0, "abstain_share": 1.0},
    {"sampler_gap_mean": 1.0, "ratio_identity_gap": 1.0},
    {"explained_variance": -1.0, "sampler_dropped_share": 1.0, "off_policy_dropped_share": 1.0},
)


def test_every_code_is_documented_with_its_patience():
    detectors = (*step_detectors("float32"), *OBJECTIVE_DETECTORS)
    codes = {f.code for values in EXTREMES for d in detectors for f in d(StepStats(1, values))}
    assert set(PATIENCE) < codes
    page = Path(__file__).parents[2] / "docs" / "diagnosis.md"
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert {code: int(steps) for code, steps in rows} == {code: PATIENCE.get(code, 1) for code in codes}
