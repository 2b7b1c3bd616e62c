"""Rewards are audited on the run's own prompts before the first step."""

from pathlib import Path

import pytest
from small_runs import small_recipe

from sibling.errors import RunError
from sibling.pipeline.auditing import audit_findings, audit_rewards, audited
from sibling.pipeline.parts import build
from sibling.pipeline.run import train
from sibling.record.events import body_fault
from sibling.record.reader import read_log


def reports(folder: Path, **changes):
    recipe = small_recipe(folder, **{"rewards": [{"type": "final_number"}], "audit": {"triples": 12}, **changes})
    told = []
    return audit_rewards(build(recipe, base=folder), folder, told.append), told


def test_a_reward_that_can_be_fooled_is_told_and_recorded(tmp_path):
    found, told = reports(tmp_path)
    assert told == ["final_number"]
    (report,) = found
    assert report.verdict == "fail"  # the last number of a text is paid for in "3 or 7" as well
    body = audited(report)
    assert body_fault("reward.audited", body) is None
    assert body["brittle"] and set(body["wall"]) == {"p99_ms", "calls"} and "calls" not in body
    (finding,) = audit_findings(found)
    assert (finding.code, finding.severity) == ("reward_brittle", "warning")
    assert "final_number" in finding.sentence and " of " in finding.sentence


def test_a_sound_reward_raises_nothing(tmp_path):
    found, _ = reports(tmp_path, rewards=[{"type": "exact_match", "name": "exact"}])
    assert [(r.name, r.verdict) for r in found] == [("exact", "pass")]
    assert audit_findings(found) == []


def test_stop_ends_the_run_before_it_began(tmp_path):
    recipe = small_recipe(tmp_path, rewards=[{"type": "final_number"}], audit={"triples": 12, "on_failure": "stop"})
    with pytest.raises(RunError, match="The reward final_number failed its audit"):
        train(recipe, base=tmp_path)
    assert not recipe.directory().exists()


def test_what_is_not_audited(tmp_path):
    rewards = [{"type": "exact_match"}, {"type": "overlong", "cache": 2}, {"type": "learned", "labels": "exact_match"}]
    _, told = reports(tmp_path, rewards=rewards)
    assert told == ["exact_match"]
    assert reports(tmp_path, audit={"triples": 0}) == ([], [])


def test_the_record_of_a_run_has_the_audit_before_its_first_step(tmp_path):
    recipe = small_recipe(tmp_path, rewards=[{"type": "exact_match"}], audit={"triples": 6}, steps=1)
    result = train(recipe, base=tmp_path)
    types = [e.type for e in read_log(result.directory).require_sound().events]
    assert types.index("reward.bound") < types.index("reward.audited") < types.index("rollout.batch")
