"""The page of claims: its statistics, and that it is what its results say. No claim is measured here."""

import importlib
import json
import math
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))  # the scripts are not part of the package
claim, difficulty, dynamic, figure, harness, intervals, page, registry, run, store = (
    importlib.import_module(f"claims.{name}")
    for name in (
        "claim", "difficulty", "dynamic", "figure", "harness", "intervals", "page", "registry", "run", "store"
    )
)  # fmt: skip
Verdict = intervals.Verdict
RESULTS = ROOT / "benchmarks" / "claims" / "results.json"
PAGE = ROOT / "docs" / "claims.md"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = store.load_results(RESULTS)
    return found


# ------------------------------------------------------------------------------------------ statistics


def test_an_interval_by_hand() -> None:
    # 1 to 5: mean 3, s^2 = (4 + 1 + 0 + 1 + 4) / 4 = 2.5, half = 2.776 sqrt(2.5 / 5) = 1.9629
    e = intervals.estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (e.mean, e.n) == (3.0, 5)
    assert e.high - 3.0 == pytest.approx(1.9629, abs=1e-4)
    assert 3.0 - e.low == pytest.approx(e.high - 3.0)
    assert e.text(1) == "3.0 [1.0, 5.0]"
    assert intervals.Estimate(-0.04, -0.2, 0.04, 5).text(1) == "0.0 [-0.2, 0.0]"


def test_the_t_interval_covers_the_mean_of_normal_draws_and_a_normal_interval_does_not() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(4000, 5))
    found = [intervals.estimate(list(row)) for row in drawn]
    assert np.mean([e.low <= 0 <= e.high for e in found]) == pytest.approx(0.95, abs=0.015)
    too_narrow = 1.96 / intervals.T_975[3]
    assert np.mean([abs(e.mean) <= too_narrow * (e.high - e.mean) for e in found]) < 0.91  # the case that must fail


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(0.01, 100), min_size=2, max_size=10),
    st.floats(0.1, 10),
    st.floats(-10, 10),
)
def test_differences_and_ratios_are_paired(before: list[float], factor: float, shift: float) -> None:
    shifted = intervals.difference([b + shift for b in before], before)
    assert shifted.low == pytest.approx(shift, abs=1e-9) and shifted.high == pytest.approx(shift, abs=1e-9)
    scaled = intervals.ratio([b * factor for b in before], before)
    assert scaled.low == pytest.approx(factor) and scaled.high == pytest.approx(factor)


@pytest.mark.parametrize("values", [[1.0], [0.0] * 11, [1.0, math.nan], []])
def test_an_interval_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="one a seed"):
        intervals.estimate(values)


@pytest.mark.parametrize(
    ("low", "high", "above", "below"),
    [
        (0.1, 2.0, Verdict.reproduced, Verdict.not_reproduced),
        (-2.0, -0.1, Verdict.not_reproduced, Verdict.reproduced),
        (-1.0, 1.0, Verdict.unclear, Verdict.unclear),
    ],
)
def test_a_verdict_follows_from_the_whole_interval(low: float, high: float, above: str, below: str) -> None:
    e = intervals.Estimate((low + high) / 2, low, high, 5)
    assert intervals.verdict(e, above=0.0) is above
    assert intervals.verdict(e, below=0.0) is below


def test_a_rule_has_one_bound_and_all_parts_count() -> None:
    e = intervals.Estimate(0.0, -1.0, 1.0, 5)
    for bounds in ({}, {"above": 0.0, "below": 0.0}):
        with pytest.raises(ValueError, match="one bound"):
            intervals.verdict(e, **bounds)
    yes, no, open_ = Verdict.reproduced, Verdict.not_reproduced, Verdict.unclear
    assert intervals.overall([yes, yes]) is yes
    assert intervals.overall([yes, open_]) is open_
    assert intervals.overall([open_, no, yes]) is no


# ------------------------------------------------------------------------------------------ the page


def test_the_page_is_what_the_results_say(results: dict[str, Any]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page.render(results), "run benchmarks/claims/run.py --page-only"
    for name, text in page.figures(results).items():
        assert (PAGE.parent / "images" / name).read_text(encoding="utf-8") == text, name


def test_the_results_are_those_of_the_scripts_as_they_are(results: dict[str, Any]) -> None:
    assert list(results["claims"]) == list(registry.CLAIMS)
    for key, own in registry.CLAIMS.items():
        measured = results["claims"][key]
        assert measured["settings"] == store.plain(own.settings), key
        assert set(measured["arms"]) == set(own.arms), key
        assert {len(runs) for runs in measured["arms"].values()} == {results["seeds"]}, key


def test_another_number_in_the_results_is_another_page(results: dict[str, Any]) -> None:
    changed = store.plain(results)
    for values in changed["claims"]["length"]["arms"]["grpo"]:
        values["wrong_last"] = values["wrong_first"] - 1.0  # wrong answers shrink
    before, after = page.render(results), page.render(changed)
    statement = "Wrong answers grow under GRPO, and Dr. GRPO stops it (outcome in sight) | **"
    assert f"{statement}reproduced" in before
    assert f"{statement}not reproduced" in after


def test_a_claim_that_was_not_measured_says_so(results: dict[str, Any]) -> None:
    partial = {**results, "claims": {k: v for k, v in results["claims"].items() if k != "length"}}
    text = page.render(partial)
    assert text.count("Not measured yet.") == 2  # `aggregation` is judged with the runs of `length`


def test_every_claim_says_what_was_expected_and_by_which_rule() -> None:
    for own in registry.CLAIMS.values():
        text = own.paragraphs()
        assert set(text) == set(claim.LABELS)
        assert re.search(r"arxiv\.org/abs/\d{4}\.\d{5}", text["Source"]), own.key
        assert "interval" in text["Rule"], own.key
        assert own.remark, own.key


def test_a_docstring_without_a_rule_is_refused() -> None:
    own = registry.CLAIMS["length"]
    bare = claim.Claim("x", "x", "Claim: a\n\nSource: b", {}, {}, own.measure, own.judge)
    with pytest.raises(ValueError, match="Design, Expected, Rule"):
        bare.paragraphs()


def test_figures_are_xml_and_stay_inside_their_frame() -> None:
    lines = [
        figure.Series("a < b", [0, 5, 10], [0.1, 0.7, 0.3], [0.0, 0.5, 0.2], [0.2, 0.9, 0.4], dots=True),
        figure.Series("flat", [0, 10], [0.5, 0.5], dashed=True),
    ]
    text = figure.svg(figure.Chart("title & more", "x", "y", lines))
    root = ET.fromstring(text)
    numbers = [p for e in root.iter() for p in (e.get("points") or "").split()]
    assert numbers
    for x, y in (map(float, p.split(",")) for p in numbers):
        assert figure.LEFT <= x <= figure.WIDTH - figure.RIGHT
        assert figure.TOP <= y <= figure.HEIGHT - figure.BOTTOM


@settings(deadline=None, max_examples=50)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_cover_the_values(low: float, span: float) -> None:
    steps = figure.ticks(low, low + span)
    assert 2 <= len(steps) <= 9
    assert steps[0] <= low + 1e-6 * span and steps[-1] >= low + span - 1e-6 * span


# ------------------------------------------------------------------------------------------ runs kept


def _claim(**changes: Any) -> Any:
    given_ = {"key": "toy", "settings": {"n": 3}, "arms": {"a": "first", "b": "second"}}
    return SimpleNamespace(**(given_ | changes), also=(), measure=_claim)


def test_a_run_is_taken_over_only_with_the_same_settings_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = _claim()
    assert store.load_unit(tmp_path, own, "a", 1) is None
    store.save_unit(tmp_path, own, "a", 1, {"x": 1 / 3}, 2.0)
    unit = store.load_unit(tmp_path, own, "a", 1)
    assert unit is not None and unit["values"] == {"x": 0.333333}
    assert store.load_unit(tmp_path, _claim(settings={"n": 4}), "a", 1) is None
    with monkeypatch.context() as patched:
        patched.setattr(store, "code_digest", lambda module: "sha256:other")
        assert store.load_unit(tmp_path, own, "a", 1) is None
    assert [p.name for p in (tmp_path / "toy").iterdir()] == ["a-1.json"]


def test_a_claim_enters_the_results_when_all_its_runs_are_there(tmp_path: Path) -> None:
    own = _claim()
    earlier = {"seeds": 2, "claims": {"old": {"arms": {}}}}
    assert store.collect(tmp_path, [own], 3, earlier)["claims"] == {}
    for arm in own.arms:
        assert "toy" not in store.collect(tmp_path, [own], 2, earlier)["claims"]
        for seed in store.measured_seeds(2):
            store.save_unit(tmp_path, own, arm, seed, {"seed": seed}, 1.5)
    collected = store.collect(tmp_path, [own], 2, earlier)["claims"]
    assert list(collected) == ["toy", "old"]
    assert collected["toy"]["cpu_seconds"] == 6.0
    assert [v["seed"] for v in collected["toy"]["arms"]["b"]] == list(store.measured_seeds(2))


def test_results_survive_a_round_and_another_schema_is_refused(tmp_path: Path, results: dict[str, Any]) -> None:
    store.save_results(tmp_path / "r.json", results)
    assert store.load_results(tmp_path / "r.json") == results
    (tmp_path / "r.json").write_text(json.dumps({**results, "schema": 99}))
    with pytest.raises(ValueError, match="99"):
        store.load_results(tmp_path / "r.json")


def test_the_command_writes_the_page_without_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "docs" / "claims.md"
    target.parent.mkdir()
    assert run.main(["--page-only", "--results", str(RESULTS), "--page", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    assert "CPU s" not in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["lenght"], ["--seeds", "1"], ["--seeds", "11"]])
def test_a_wrong_request_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(arguments)
    assert ended.value.code == 2
    assert "length" in capsys.readouterr().err or "--seeds" in arguments


SHORT: dict[str, dict[str, Any]] = {
    "length": {"updates": 2, "window": 1, "most_tokens": 4, "prompts": 4},
    "entropy": {"rollouts": 2, "passes": 2, "updates_a_pass": 1},
    "dynamic": {"most_updates": 2, "most_rounds": 2},
    "aggregation": {"updates": 2, "last": 1, "window": 1, "most_tokens": 10, "passes": 1},
    "difficulty": {"groups": 40},
    "staleness": {"updates": 2, "last": 1, "prompts": 4},
}


def test_every_claim_measures_and_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far too short to say anything; `critic` starts processes and is left to the run itself."""
    measured: dict[str, Any] = {}
    with harness.one_thread():
        for key, changes in SHORT.items():
            own = registry.CLAIMS[key]
            for name, value in changes.items():
                monkeypatch.setitem(own.settings, name, value)
            measured[key] = {"arms": {arm: [own.measure(arm, seed) for seed in (0, 1)] for arm in own.arms}}
            assert own.measure(next(iter(own.arms)), 0) == next(iter(measured[key]["arms"].values()))[0]
    for key in SHORT:
        runs = store.runs_of({"claims": measured}, registry.CLAIMS[key])
        assert runs is not None
        judgement = registry.CLAIMS[key].judge(runs)
        assert judgement.statements and judgement.tables and judgement.charts
        for content in judgement.tables:
            assert {len(row) for row in content.rows} == {len(content.head)}
        for chart in judgement.charts.values():
            ET.fromstring(figure.svg(chart))


def test_runs_of_other_arms_are_not_judged() -> None:
    own = registry.CLAIMS["length"]
    assert store.runs_of({"claims": {"length": {"arms": {"grpo": []}}}}, own) is None


# ------------------------------------------------------------------------------------------ the harness


def _rollout(seed: int, end: int | None = 2, most: Any = 6) -> tuple[Any, Any]:
    prompts, completions, _ = harness.streams(seed)
    policy = harness.Policy(5, 8, width=16)
    ask = torch.randint(5, (3, 2), generator=prompts)
    return policy, harness.sample(policy, ask, 4, most, completions, end=end)


def test_sampling_with_a_cache_has_the_log_probs_of_the_whole_sequence() -> None:
    policy, rollout = _rollout(0)
    again = harness.completion_logprobs(policy, rollout, torch.arange(12))
    assert torch.allclose(again[rollout.mask], rollout.logp[rollout.mask], atol=1e-5)
    assert rollout.group.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    entropy = rollout.entropy[rollout.mask]
    assert bool((entropy > 0).all()) and bool((entropy <= math.log(5) + 1e-6).all())


def test_a_completion_is_masked_after_its_end_or_its_own_limit() -> None:
    _, rollout = _rollout(1)
    for tokens, mask in zip(rollout.completion.tolist(), rollout.mask.tolist(), strict=True):
        end = tokens.index(2) + 1 if 2 in tokens else len(tokens)
        assert mask == [t < end for t in range(len(tokens))]
    _, limited = _rollout(1, end=None, most=torch.tensor([1, 3, 5]))
    assert limited.lengths.tolist() == [1] * 4 + [3] * 4 + [5] * 4
    assert not bool(limited.ended.any())


def test_a_seed_is_a_run() -> None:
    (_, a), (_, b), (_, c) = _rollout(3), _rollout(3), _rollout(4)
    assert torch.equal(a.completion, b.completion) and torch.equal(a.logp, b.logp)
    assert a.logp.shape != c.logp.shape or not torch.equal(a.logp, c.logp)


@pytest.mark.parametrize("row", ["grpo", "dr_grpo", "dapo", "cispo"])
def test_updates_raise_what_is_rewarded(row: str) -> None:
    _, completions, order = harness.streams(5)
    policy = harness.Policy(5, 3, width=16)
    learner = harness.Learner(policy, row, 0.01, constant=2.0, passes=2, minibatches=2)
    share = []
    for _ in range(15):
        rollout = harness.sample(policy, torch.zeros(4, 1, dtype=torch.long), 8, 2, completions)
        reward = (rollout.completion == 3).double().mean(dim=1).numpy()
        share.append(reward.mean())
        centred = reward - reward.reshape(4, 8).mean(axis=1).repeat(8)
        assert len(learner.update(rollout, centred, order)) == 4
    assert share[0] < 0.5 and share[-1] > 0.8


def test_joined_rounds_hold_whole_mixed_groups() -> None:
    prompts, completions, _ = harness.streams(6)
    policy = harness.Policy(dynamic.START + 1, 2 * dynamic.MOST + 1, width=16)
    key = torch.arange(dynamic.LETTERS)
    rounds = [dynamic._draw(policy, key, 6, (prompts, completions)) for _ in range(2)]
    live = np.array([1, 0, 1, 0, 0, 1], dtype=bool)
    rounds = [dynamic.Round(r.rollout, r.reward, live) for r in rounds]
    rollout, reward = dynamic._join(rounds, 4, filtered=True)
    assert len(reward) == len(rollout.mask) == 4 * 8
    wanted = torch.cat([rounds[0].rollout.prompt[[0, 16, 40]], rounds[1].rollout.prompt[[0]]])
    assert torch.equal(rollout.prompt[::8], wanted)
    assert dynamic._join(rounds, 4, filtered=False)[0].prompt[24].equal(rounds[0].rollout.prompt[24])


def test_the_expected_weight_of_a_group_by_hand() -> None:
    # Two siblings: mixed with probability 2 p (1-p), then |A| is 1/2 each, or 1/2 over std 1/sqrt(2).
    assert difficulty.expected_weight(0.3, "none", 2, live_only=False) == pytest.approx(0.42)
    assert difficulty.expected_weight(0.3, "none", 2, live_only=True) == pytest.approx(1.0)
    scaled = difficulty.expected_weight(0.3, "group", 2, live_only=True)
    assert scaled == pytest.approx(1 / (math.sqrt(0.5) + 1e-4))
