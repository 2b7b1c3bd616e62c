"""Whole runs of tiny models through the command line: what they leave behind, and that it belongs together."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import Ended, Runner, assert_verified, running, write_recipe

from sibling.config import DirectoryModel, FullFinetune, Learner
from sibling.learner.state import LearnerState
from sibling.models.load import load_policy
from sibling.record.reader import Log, read_log
from sibling.record.samples import sample_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RECIPES = Path(__file__).parents[2] / "recipes"

TRL = '''
import asyncio

async def vowels(prompts, completions, question=None, reference=None, **columns):
    """As TRL documents it: keyword arguments, lists as long as the batch, None to decline."""
    await asyncio.sleep(0)
    assert len(prompts) == len(completions) == len(reference)
    return [None if not text else sum(c in "aeiou" for c in text) / len(text) for text in completions]
'''


@dataclass
class Bench:
    """Where runs are made."""

    runner: Runner
    folder: Path

    def sibling(self, *arguments: object) -> Ended:
        """A command that must succeed."""
        ended = self.runner.run(*arguments, cwd=self.folder)
        assert ended.code == 0, ended.err
        return ended

    def train(self, recipe: Path, *overrides: str) -> Path:
        """Train, verify the record, return the run directory."""
        self.sibling("train", recipe, "run_dir=run", *overrides)
        assert_verified(self.folder / "run")
        return self.folder / "run"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("runner")) as made:
        yield made


@pytest.fixture
def bench(runner: Runner, tmp_path: Path) -> Bench:
    return Bench(runner, tmp_path)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The recipe of support.py, whose reward a tiny model sometimes earns."""
    return write_recipe(tmp_path / "recipe")


def assert_balanced(run: Path) -> None:
    """generated = trained + rejected, in every step, in its sample file, and over the run."""
    log, total = read_log(run), Counter[str]()
    for event in log.rollouts():
        counts = event.body["counts"]
        assert counts["generated"] == counts["trained"] + sum(counts["rejected"].values())
        rows = sample_rows(run / event.body["samples_file"])
        fates = Counter(row["fate"] for row in rows)
        assert fates == Counter({"trained": counts["trained"], **counts["rejected"]})
        assert all(row["trained"] == (row["fate"] == "trained") for row in rows)
        total.update(fates)
    closed = log.closed()
    assert closed is not None
    assert Counter({"trained": closed.body["counts"]["trained"], **closed.body["counts"]["rejected"]}) == total
    assert closed.body["counts"]["generated"] == total.total()


def stats(log: Log) -> list[dict[str, float]]:
    """The reproducible statistics of each step."""
    return [dict(e.body["stats"]) for e in log.steps()]


def test_the_tiny_recipe_leaves_a_whole_run(bench: Bench):
    run = bench.train(RECIPES / "tiny.yaml")
    types = [event.type for event in read_log(run).events]
    step = ["rollout.batch", "update.applied"]
    assert [t for t in types if t not in ("diagnosis.noted", "checkpoint.deleted")] == [
        *("run.opened", "model.loaded", "template.bound", "data.loaded", "reward.bound", "eval.completed"),
        *(*step, "checkpoint.saved", *step, "checkpoint.saved", *step),
        *("eval.completed", "model.exported", "run.closed"),
    ]
    names = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file() and p.parent.name != "model"}
    assert names == {
        *("recipe.yaml", "resolved.json", "origin.json", "lock", "events.jsonl", "report.html"),
        *("evaluation/before.json", "evaluation/after.json", "evaluation/compare.json"),
        *(f"samples/step-00000{k}.parquet" for k in (1, 2, 3)),
        *(f"checkpoints/step-00000{k}/{n}" for k in (1, 2) for n in _CHECKPOINT),
    }
    assert (run / "recipe.yaml").read_bytes() == (RECIPES / "tiny.yaml").read_bytes()
    assert_balanced(run)


_CHECKPOINT = ("weights.safetensors", "optimizer.safetensors", "progress.json")


def test_a_finished_run_can_be_looked_at(bench: Bench, recipe: Path):
    run = bench.train(recipe, "steps=3")
    assert "consistent" in bench.sibling("verify", "run").out
    head = json.loads(bench.sibling("verify", "run", "--json").out)["facts"]["head"]
    assert bench.sibling("verify", "run", "--head", head).code == 0
    rows = [json.loads(line) for line in bench.sibling("samples", "run", "--step", "all", "--json").out.splitlines()]
    assert len(rows) == 3 * 12
    (run / "report.html").unlink()
    bench.sibling("report", "run")
    assert "</html>" in (run / "report.html").read_text()


def test_the_exported_model_is_the_policy(bench: Bench, recipe: Path):
    run = bench.train(recipe, "steps=4", "checkpoints.every=1")
    exported = read_log(run).of("model.exported")[0].body
    loaded = load_policy(DirectoryModel(path="model"), base=run)
    state = LearnerState(loaded.model, Learner(finetune=FullFinetune()), total_updates=1, seed=0)
    assert state.digest() == exported["policy_digest"]
    assert exported["policy_digest"] != read_log(run).rollouts()[0].body["policy_digest"]
    assert "quantization_config" not in json.loads((run / "model" / "config.json").read_text())


@pytest.mark.parametrize("finetune", ["full", "lora"])
def test_evaluating_the_exported_model_gives_what_the_run_measured(bench: Bench, recipe: Path, finetune: str):
    """With LoRA the exported weights are the merged ones."""
    run = bench.train(recipe, "steps=4", f"learner.finetune.type={finetune}", "learner.optimizer.learning_rate=1e-2")
    after = json.loads((run / "evaluation" / "after.json").read_bytes())
    before = json.loads((run / "evaluation" / "before.json").read_bytes())
    again = json.loads(bench.sibling("eval", "run", "--json").out)
    assert again["items"] == after["items"] != before["items"]
    assert again["summary"] == after["summary"]
    names = {p.name for p in (run / "model").iterdir()}
    assert "config.json" in names and not any("adapter" in n for n in names)


def test_a_model_that_was_trained_is_trained_on(bench: Bench, recipe: Path):
    bench.train(recipe, "steps=2")
    first = (bench.folder / "run").rename(bench.folder / "first")
    run = bench.train(recipe, "steps=2", f"model={{type: directory, path: {first / 'model'}}}", "seed=1")
    assert (
        read_log(run).rollouts()[0].body["policy_digest"]
        == read_log(first).of("model.exported")[0].body["policy_digest"]
    )


def test_a_kl_penalty_is_taken_to_the_initial_policy(bench: Bench, recipe: Path):
    run = bench.train(recipe, "steps=4", "objective={type: grpo, kl: {beta: 0.05, estimator: k3}}")
    log = read_log(run)
    assert [e.body["role"] for e in log.of("model.loaded")] == ["policy", "reference"]
    kl = [s["kl"] for s in stats(log)]
    assert abs(kl[0]) < 1e-9 and all(0 < value < 1 for value in kl[1:])


def test_passes_and_minibatches_make_several_updates(bench: Bench, recipe: Path):
    run = bench.train(recipe, "steps=3", "learner.passes=2", "learner.minibatches=2")
    log = read_log(run)
    updates = [e.body["optimizer_updates"] for e in log.steps()]
    assert max(updates) == 4 and all(u % 2 == 0 for u in updates)
    assert any(s["ratio_mean"] != 1.0 for s in stats(log))
    assert all(s["ratio_identity_gap"] < 1e-6 for s in stats(log))
    assert not [e for e in log.of("diagnosis.noted") if e.body["code"] == "identity_ratio"]


def test_an_async_reward_of_trl_is_taken_as_it_is(bench: Bench, recipe: Path):
    recipe.with_name("trl.py").write_text(TRL)
    reward: list[dict[str, Any]] = [
        {"type": "callable", "target": "trl.py:vowels", "signature": "trl", "name": "vowels"}
    ]
    run = bench.train(recipe, "steps=2", f"rewards={json.dumps(reward)}")
    bound = read_log(run).of("reward.bound")[0].body["rewards"]
    assert [(r["name"], r["options"]["signature"]) for r in bound] == [("vowels", "trl")]
    rows = sample_rows(run / "samples" / "step-000001.parquet")
    assert all(math.isclose(r["reward"], sum(c in "aeiou" for c in r["text"]) / len(r["text"])) for r in rows)
    assert any(r["reward"] > 0 for r in rows)


def test_the_recipe_for_your_own_data_runs(bench: Bench):
    run = bench.train(
        RECIPES / "json-lines.yaml",
        *("model={type: tiny}", "steps=2", "sampling.prompts_per_step=3", "sampling.group_size=2"),
        *("sampling.max_tokens=8", "evaluation.prompts=4", "learner.compute_dtype=float32"),
    )
    data = read_log(run).of("data.loaded")[0].body
    assert list(data["source"]["files"]) == ["data/word-problems.jsonl"]
    assert data["source"]["train"] + data["source"]["held_out"] == 60 and data["held_out"] == 4
    assert data["problems"] == []
    train = {row["task_id"] for k in (1, 2) for row in sample_rows(run / "samples" / f"step-00000{k}.parquet")}
    held_out = {item["id"] for item in json.loads((run / "evaluation" / "before.json").read_bytes())["items"]}
    assert len(train) == 6 and len(held_out) == 4 and not train & held_out


def test_every_fate_is_counted(bench: Bench, recipe: Path):
    """A reward that fails and declines, dead groups refilled, truncated completions out of the loss."""
    run = bench.train(
        recipe, "steps=8", "filters={dynamic_sampling: {enabled: true, max_rounds: 2}, mask_truncated: true}"
    )
    assert_balanced(run)
    closed = read_log(run).closed()
    assert closed is not None
    assert set(closed.body["counts"]["rejected"]) >= {"refilled", "truncated", "reward_error", "reward_abstain"}


def test_a_reward_that_must_not_fail_stops_the_run(bench: Bench, recipe: Path):
    ended = bench.runner.run(
        *("train", recipe, "run_dir=run", "reward_policy.on_error=stop", "evaluation.prompts=0"), cwd=bench.folder
    )
    assert ended.code == 1
    said = " ".join(ended.err.split())
    assert "The reward parity gave no score" in said and "raised ValueError: an odd character" in said
    log = read_log(bench.folder / "run")
    assert log.events[-1].type == "run.interrupted" and log.events[-1].body["cause"] == "error"
    reward = recipe.with_name("parity.py")
    reward.write_text(reward.read_text().replace('raise ValueError("an odd character")', "pass"))
    bench.sibling("resume", "run")
    log = read_log(bench.folder / "run")
    assert len(log.of("reward.bound")) == 2 and len(log.steps()) == 12
