import json
import re
from html import unescape
from pathlib import Path

from recorded import Recorded, make_run

from sibling.report.curves import BY_OUTCOME, CHARTS, GROUP_LAYERS, figures
from sibling.report.gather import gather
from sibling.stats import QUANTITIES


def titles(shown: list[str]) -> list[str]:
    return [unescape(t) for f in shown for t in re.findall(r"<b>(.*?)</b>", f)]


def test_every_curve_is_a_defined_statistic() -> None:
    keys = {c.key for chart in (*CHARTS, *BY_OUTCOME) for c in chart.curves} | {c.key for c in GROUP_LAYERS}
    assert keys <= set(QUANTITIES)


def test_the_curves_of_a_run(tmp_path: Path) -> None:
    shown, missing = figures(gather(make_run(tmp_path / "run", Recorded(steps=30, planned=30))))
    assert titles(shown) == [
        "Reward",
        "Accuracy",
        "Completion length",
        "Entropy",
        "Groups",
        "Sampler–learner gap",
        "Clipped tokens",
        "Gradient norm",
        "Speed",
    ]
    assert missing == ["KL to the reference"]


def test_the_curves_of_a_run_with_a_critic_a_reference_and_a_correction(tmp_path: Path) -> None:
    also = {"kl": 0.01, "explained_variance": 0.1, "value_loss": 0.2, "sampler_weight_mean": 0.3}
    view = gather(make_run(tmp_path / "run", Recorded(steps=3, planned=3, also=also)))
    shown, missing = figures(view)
    assert {"KL to the reference", "Critic", "Value loss", "Sampler correction"} <= set(titles(shown))
    assert missing == []
    for key, title in zip(also, ("KL to the reference", "Critic", "Value loss", "Sampler correction"), strict=True):
        drawn = next(f for f in shown if f"<b>{title}</b>" in f)
        data = json.loads(unescape(re.findall(r'data-points="(.*?)"', drawn)[0]))
        assert data["series"][0]["x"] == [1, 2, 3]
        assert view.series[key] == [(s, also[key] * s) for s in (1, 2, 3)]


def test_a_run_whose_machine_was_measured_shows_its_share_of_the_roofline(tmp_path: Path) -> None:
    also = {"sampling_roofline_share": 0.1, "learning_roofline_share": 0.2}
    shown, _ = figures(gather(make_run(tmp_path / "run", Recorded(steps=3, planned=3, also=also))))
    assert "Share of the roofline" in titles(shown)


def test_what_was_not_measured_is_named_and_not_drawn(tmp_path: Path) -> None:
    leave_out = frozenset({"entropy", "grad_norm", "dead_groups_all_wrong", "accuracy"})
    what = Recorded(steps=3, planned=3, evaluations=False, leave_out=leave_out)
    shown, missing = figures(gather(make_run(tmp_path / "run", what)))
    assert not {"Entropy", "Gradient norm", "Groups", "Accuracy"} & set(titles(shown))
    assert {"Entropy", "Gradient norm"} <= set(missing)


def test_readouts_and_data_hold_every_value(tmp_path: Path) -> None:
    view = gather(make_run(tmp_path / "run", Recorded(steps=5, planned=5)))
    shown, _ = figures(view)
    reward = next(f for f in shown if "<b>Reward</b>" in f)
    data = json.loads(unescape(re.findall(r'data-points="(.*?)"', reward)[0]))
    assert data["series"][0]["x"] == [1, 2, 3, 4, 5]
    assert [float(v) for v in data["series"][0]["label"]] == [round(v, 2) for _, v in view.series["reward_mean"]]
    assert f"<output>{data['series'][0]['label'][-1]}</output>" in reward


def test_several_rewards_are_told_apart_and_their_names_escaped(tmp_path: Path) -> None:
    what = Recorded(steps=2, planned=2, rewards=("<b>", "tags"))
    shown, _ = figures(gather(make_run(tmp_path / "run", what)))
    reward = next(f for f in shown if "<b>Reward</b>" in f)
    assert "</i>total " in reward
    assert "</i>&lt;b&gt; " in reward


def test_held_out_points_carry_their_intervals(tmp_path: Path) -> None:
    shown, _ = figures(gather(make_run(tmp_path / "run", Recorded(steps=30, planned=30))))
    accuracy = next(f for f in shown if "<b>Accuracy</b>" in f)
    assert accuracy.count('class="dot c2"') == 3  # before, step 20, after
    assert accuracy.count('class="whisker c2"') == 3
