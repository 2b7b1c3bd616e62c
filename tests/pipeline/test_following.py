"""What follows the policy: reference policies, and coefficients with a target; across resumes too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_runs import small_recipe

from sibling.pipeline.run import resume, train
from sibling.record.reader import Log, read_log
from sibling.record.samples import sample_rows
from sibling.record.verify import verify_run

KL = {"beta": 0.1, "placement": "loss"}


def run_of(folder: Path, objective: dict[str, Any], **changes: Any) -> Path:
    """A run of five steps without evaluations, with a checkpoint after each."""
    folder.mkdir(exist_ok=True)
    settings = {"steps": 5, "evaluation": {"prompts": 0}, "checkpoints": {"every": 1, "keep_last": 5}, **changes}
    return train(small_recipe(folder, objective=objective, **settings), base=folder).directory


def cut_after(run: Path, type_: str, step: int) -> None:
    """Cut the log after the first such event, as a kill at that instant would have left it."""
    log = read_log(run)
    end = next(n for n, e in enumerate(log.events, 1) if e.type == type_ and e.step == step)
    (run / "events.jsonl").write_bytes(b"".join(line.raw + b"\n" for line in log.lines[:end]))


def lasting(log: Log) -> list[tuple[str, dict[str, Any]]]:
    kinds = ("rollout.batch", "update.applied", "reference.updated", "checkpoint.saved", "model.exported")
    return [(e.type, {k: v for k, v in e.body.items() if k != "wall"}) for e in log.effective() if e.type in kinds]


def stats(run: Path, name: str) -> list[float | None]:
    return [e.body["stats"].get(name) for e in read_log(run).steps()]


# ------------------------------------------------------------------------------------------- reference policies


@pytest.mark.parametrize(
    ("reference", "steps"),
    [
        ({"type": "initial"}, []),
        ({"type": "refresh", "every": 2}, [2, 4]),
        ({"type": "refresh", "every": 1}, [1, 2, 3, 4, 5]),
        ({"type": "ema", "decay": 0.5, "every": 2}, [2, 4]),
    ],
)
def test_the_reference_follows_at_its_steps(tmp_path: Path, reference: dict[str, Any], steps: list[int]) -> None:
    run = run_of(tmp_path, {"type": "grpo", "kl": {**KL, "reference": reference}}, checkpoints={"every": 100})
    log = read_log(run)
    assert [e.step for e in log.of("reference.updated")] == steps
    after = {e.step: e.body["policy_digest_after"] for e in log.steps()}
    for event in log.of("reference.updated"):
        assert event.body["policy_digest"] == after[event.step]
        same = event.body["reference_digest"] == event.body["policy_digest"]
        assert same == (reference["type"] == "refresh")
        before = log.events[event.seq - 1]
        assert (before.type, before.step) == ("update.applied", event.step)
    assert verify_run(run).findings == []


def test_the_kl_is_taken_to_the_refreshed_policy(tmp_path: Path) -> None:
    """With one update a step, a reference refreshed after each step is the policy that samples: a KL of exactly 0."""
    every = {"type": "grpo", "kl": {**KL, "reference": {"type": "refresh", "every": 1}}}
    assert [k for k in stats(run_of(tmp_path / "a", every), "kl") if k is not None] == [0.0] * 5
    fixed = stats(run_of(tmp_path / "b", {"type": "grpo", "kl": KL}), "kl")
    assert fixed[0] == 0.0 and all(k is not None and k > 0 for k in fixed[1:])


@pytest.mark.parametrize("type_", ["update.applied", "reference.updated", "checkpoint.saved"])
@pytest.mark.parametrize(
    "reference", [{"type": "refresh", "every": 2}, {"type": "ema", "decay": 0.5, "every": 2}], ids=["refresh", "ema"]
)
def test_a_resume_goes_on_with_the_reference_it_had(tmp_path: Path, reference: dict[str, Any], type_: str) -> None:
    """The checkpoint before the cut lies between two refreshes, or right after one."""
    run = run_of(tmp_path, {"type": "grpo", "kl": {**KL, "reference": reference}}, checkpoints={"every": 3})
    wanted = lasting(read_log(run))
    cut_after(run, type_, 3 if type_ == "checkpoint.saved" else 4)
    assert resume(run).status == "finished"
    assert lasting(read_log(run)) == wanted
    assert verify_run(run).findings == []


# ------------------------------------------------------------------------------------- coefficients with a target

MOVING = {
    "type": "grpo",
    "kl": {**KL, "adaptive": {"target": 0.001, "horizon": 50}},
    "entropy_bonus": {"coefficient": 0.01, "target": 5.2, "change": 0.003},
}


def notes(run: Path, step: int) -> dict[str, Any]:
    progress = json.loads((run / "checkpoints" / f"step-{step:06d}" / "progress.json").read_bytes())
    found: dict[str, Any] = progress["notes"]["coefficients"]
    return found


def test_beta_and_the_entropy_coefficient_follow_their_targets(tmp_path: Path) -> None:
    run = run_of(tmp_path, MOVING)
    betas, entropies = stats(run, "kl_beta"), stats(run, "entropy")
    assert betas[0] == 0.1 and len(set(betas)) > 2
    assert stats(run, "entropy_coefficient")[0] == 0.0  # no entropy was measured yet
    for step in range(1, 5):  # what a checkpoint keeps is what the next step uses
        kept = notes(run, step)
        assert betas[step] == kept["beta"]
        assert stats(run, "entropy_coefficient")[step] == (kept["entropy"] if kept["applies"] else 0.0)
        entropy = entropies[step - 1]
        assert entropy is not None and kept["applies"] == (entropy <= 5.2)
    assert len({notes(run, step)["entropy"] for step in range(1, 5)}) > 2


@pytest.mark.parametrize("step", [2, 4])
def test_the_coefficients_survive_a_resume(tmp_path: Path, step: int) -> None:
    run = run_of(tmp_path, MOVING)
    wanted, kept = lasting(read_log(run)), [notes(run, s) for s in range(1, 5)]
    cut_after(run, "update.applied", step + 1)
    resume(run)
    assert read_log(run).of("run.resumed")[0].body["from_step"] == step
    assert lasting(read_log(run)) == wanted
    assert [notes(run, s) for s in range(1, 5)] == kept
    assert verify_run(run).findings == []


def test_a_beta_that_moves_is_recorded_with_each_batch(tmp_path: Path) -> None:
    """KL in the reward: the coefficient of a batch is the one its advantages were made with."""
    kl = {"beta": 0.1, "placement": "reward", "adaptive": {"target": 0.001, "horizon": 50}}
    run = run_of(tmp_path, {"type": "reinforce_pp", "kl": kl})
    betas = [e.body["kl_beta"] for e in read_log(run).rollouts()]
    assert betas == stats(run, "kl_beta") and len(set(betas)) > 2
    assert verify_run(run).facts["bit_equal"] == 5 * 8
    rows = sample_rows(run / "samples" / "step-000003.parquet")
    assert all(len(r["kl"]) == len(r["advantages"]) == r["length"] for r in rows)
    wanted = lasting(read_log(run))
    cut_after(run, "rollout.batch", 3)
    resume(run)
    assert lasting(read_log(run)) == wanted and verify_run(run).findings == []


def test_without_a_kl_in_the_reward_the_coefficient_of_a_batch_is_0(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"type": "grpo", "kl": KL})
    assert {e.body["kl_beta"] for e in read_log(run).rollouts()} == {0}
    assert all(r["kl"] is None for r in sample_rows(run / "samples" / "step-000001.parquet"))


# ------------------------------------------------------------------------------------------ a critic, empty steps


def test_a_critic_that_warms_up_leaves_the_policy_alone(tmp_path: Path) -> None:
    critic = {"learning_rate": 3e-3, "warmup_steps": 2}
    run = run_of(tmp_path, {"type": "ppo", "advantage": {"critic": critic}})
    updates = [e.body["optimizer_updates"] for e in read_log(run).steps()]
    assert updates == [0, 0, 1, 1, 1]
    assert all(v is not None for v in stats(run, "value_loss")) and verify_run(run).findings == []


@pytest.mark.parametrize(
    "objective",
    [
        {"type": "ppo", "kl": {"beta": 0.1}},
        {"type": "rloo", "kl": {"beta": 0.1}},
        {"type": "grpo"},
        {"type": "gdpo"},
    ],
    ids=lambda o: o["type"],
)
def test_a_step_whose_every_reward_fails_changes_nothing(tmp_path: Path, objective: dict[str, Any]) -> None:
    recipe = small_recipe(tmp_path, objective=objective, steps=2, evaluation={"prompts": 0})
    if objective["type"] == "gdpo":
        own = [{"type": "callable", "target": "reward.py:score", "name": name} for name in ("even", "again")]
        recipe = small_recipe(tmp_path, objective=objective, steps=2, evaluation={"prompts": 0}, rewards=own)
    (tmp_path / "reward.py").write_text(
        "calls = 0\ndef score(task, completion):\n    global calls\n    calls += 1\n"
        "    if 32 < calls <= 32 + 8:\n        raise OSError('down')\n"  # after the references, in the first step
        "    return float(ord(completion.text[:1] or '!') % 2 == 0)\n"
    )
    run = train(recipe, base=tmp_path).directory
    first, second = read_log(run).steps()
    assert first.body["optimizer_updates"] == 0
    assert first.body["policy_digest_before"] == first.body["policy_digest_after"]
    assert {r["fate"] for r in sample_rows(run / "samples" / "step-000001.parquet")} == {"reward_error"}
    assert second.body["optimizer_updates"] == 1
    assert verify_run(run).findings == []
