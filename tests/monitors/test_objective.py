import pytest

from sibling.monitors.finding import Finding
from sibling.monitors.objective import OBJECTIVE_DETECTORS, corrections_drop_most, critic_explains_nothing
from sibling.monitors.watch import PATIENCE, Watch
from sibling.stats import StepStats


def told(**values: float) -> list[Finding]:
    stats = StepStats(7, values)
    return [finding for detector in OBJECTIVE_DETECTORS for finding in detector(stats)]


def test_a_run_without_these_parts_is_told_nothing() -> None:
    assert told(entropy=1.0, reward_mean=0.0) == []


@pytest.mark.parametrize(("explained", "codes"), [(-0.2, ["critic_explains_nothing"]), (0.0, []), (0.9, [])])
def test_a_critic_worse_than_the_mean(explained: float, codes: list[str]) -> None:
    found = critic_explains_nothing(StepStats(7, {"explained_variance": explained}))
    assert [f.code for f in found] == codes
    assert all(f.severity == "warning" and f.step == 7 and "-0.2" in f.sentence for f in found)


@pytest.mark.parametrize(
    ("name", "code"),
    [("sampler_dropped_share", "correction_drops_most"), ("off_policy_dropped_share", "mask_drops_most")],
)
def test_corrections_that_drop_most_of_a_step(name: str, code: str) -> None:
    assert corrections_drop_most(StepStats(7, {name: 0.5})) == []
    (found,) = corrections_drop_most(StepStats(7, {name: 0.75}))
    assert (found.code, found.severity) == (code, "warning")
    assert "75%" in found.sentence


def test_a_critic_has_time_to_learn_before_it_is_told_of() -> None:
    watch = Watch(OBJECTIVE_DETECTORS)
    patience = PATIENCE["critic_explains_nothing"]
    steps = [watch.observe(StepStats(k, {"explained_variance": -0.1})) for k in range(1, patience + 1)]
    assert [len(found) for found in steps] == [0] * (patience - 1) + [1]
