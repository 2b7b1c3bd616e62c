"""A run that is killed at any instant and resumed is the run that was never killed, bit for bit.

Each variant is run once without interruption. Then runs of the same recipe are killed with SIGKILL, at random
instants and before every kind of file operation a run makes, and resumed until they are finished. The invariant is
called `resume` in the design.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import Ended, Facts, Runner, assert_equal, assert_verified, facts, last_event, running, write_recipe

from sibling.record.reader import read_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Variant:
    """Overrides of the recipe, how often its runs are killed, and what its uninterrupted run must show."""

    overrides: tuple[str, ...]
    kills: int  # at random instants
    every: int  # it is killed before every so-manieth kind of file operation, and before those of `told`
    fates: frozenset[str]  # of completions, that must occur
    told: tuple[str, ...] = ()  # file operations of its own
    vary: tuple[str, ...] = ()  # statistics that must take more than two values: what they stand for is at work
    kept: tuple[str, ...] = ()  # files of each checkpoint that others lack


FAILED = frozenset({"reward_error", "reward_abstain"})

VARIANTS = {
    "full": Variant((), kills=20, every=1, fates=FAILED | {"dead_group"}),
    "lora": Variant(
        (
            "learner.finetune.type=lora",
            "filters.dynamic_sampling.enabled=true",
            "learner.optimizer.learning_rate=1e-2",
        ),
        kills=20,
        every=3,  # it differs from a full fine-tune in no file operation
        fates=FAILED | {"refilled"},
    ),
    # A critic with its own optimizer, its clip at work; token advantages; beta and the entropy bonus follow targets.
    "ppo": Variant(
        (
            "objective.type=ppo",
            "objective.kl.beta=0.02",
            "objective.kl.adaptive.target=0.01",
            "objective.kl.adaptive.horizon=100",
            "objective.advantage.critic.learning_rate=3e-3",
            "objective.advantage.critic.value_clip=0.05",
            "objective.entropy_bonus.coefficient=0.01",
            "objective.entropy_bonus.target=5.15",
            "learner.passes=2",
            "checkpoints.every=2",
        ),
        kills=6,
        every=25,
        fates=FAILED,
        vary=("kl_beta", "entropy_coefficient", "value_clip_share", "value_loss", "explained_variance", "kl"),
        kept=("critic.safetensors", "critic_optimizer.safetensors"),
    ),
    # Tokens are picked at random by (seed, step, update); the reference changes between checkpoints too.
    "refreshed": Variant(
        (
            "objective.type=clip_cov",
            "objective.share=0.05",
            "objective.score_low=0.001",
            "objective.kl.beta=0.05",
            "objective.kl.reference.type=refresh",
            "objective.kl.reference.every=2",
            "learner.passes=2",
            "checkpoints.keep_last=1",
        ),
        kills=6,
        every=25,
        fates=FAILED | {"dead_group"},
        told=("half reference.updated", "whole reference.updated"),
        vary=("selected_share", "kl"),
        kept=("reference.safetensors",),
    ),
    "averaged": Variant(
        (
            "objective.type=grpo",
            "objective.kl.beta=0.05",
            "objective.kl.reference.type=ema",
            "objective.kl.reference.decay=0.7",
            "learner.finetune.type=lora",
            "learner.optimizer.learning_rate=1e-2",
        ),
        kills=6,
        every=25,
        fates=FAILED | {"dead_group"},
        told=("half reference.updated", "whole reference.updated"),
        vary=("kl",),
        kept=("reference.safetensors",),
    ),
    # A reward model that is fitted before the first scores and every two steps, on sample files that a resume reads.
    "learned": Variant(
        (
            'rewards=[{type: callable, target: "parity.py:score", name: parity, weight: 0.5},'
            " {type: learned, labels: parity, every: 2, learning_rate: 1e-3, replay_share: 0.3}]",
            "checkpoints.every=2",
        ),
        kills=6,
        every=25,
        fates=FAILED,
        told=("half reward.fitted", "whole reward.fitted"),
        vary=("reward_mean",),
        kept=("reward_model.safetensors", "reward_model_optimizer.safetensors"),
    ),
}


@dataclass
class Lab:
    """A variant of the recipe, its uninterrupted run, and where kills hit."""

    runner: Runner
    folder: Path
    recipe: Path
    variant: Variant
    wanted: Facts
    operations: list[str]  # every kind of file operation, in the order of the uninterrupted run
    seconds: float  # what the uninterrupted run took

    def place(self, name: str) -> Path:
        """A fresh folder with the run's name in it: equal relative paths give equal recipes."""
        (self.folder / name).mkdir()
        return self.folder / name / "run"

    def arguments(self, run: Path) -> list[object]:
        """The command line that begins the run, or goes on with it once it has recorded anything."""
        if last_event(run) in ("(no log)", "(empty log)"):
            return ["train", self.recipe, "run_dir=run", *self.variant.overrides]
        return ["resume", "run"]

    def finish(self, run: Path) -> None:
        """Go on to the end; the outcome is that of the uninterrupted run."""
        if last_event(run) != "run.closed":
            ended = self.runner.run(*self.arguments(run), cwd=run.parent)
            assert ended.code == 0, ended.err
        assert_equal(facts(run), self.wanted)
        assert_verified(run)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("runner")) as made:
        yield made


@pytest.fixture(scope="module", params=VARIANTS)
def lab(request: pytest.FixtureRequest, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp(request.param)
    recipe, variant = write_recipe(folder / "recipe"), VARIANTS[request.param]
    (folder / "whole").mkdir()
    run, operations = folder / "whole" / "run", folder / "operations"
    began = time.monotonic()
    ended = runner.run(
        *("train", recipe, "run_dir=run", *variant.overrides), cwd=run.parent, watched="run", operations=str(operations)
    )
    assert ended.code == 0, ended.err
    seconds = time.monotonic() - began
    assert_verified(run)
    kinds = list(dict.fromkeys(operations.read_text().splitlines()))
    return Lab(runner, folder, recipe, variant, facts(run), kinds, seconds)


def test_the_uninterrupted_run_has_everything_that_could_go_wrong(lab: Lab):
    types = Counter(type_ for type_, _ in lab.wanted.events)
    assert types["update.applied"] == 12 and types["eval.completed"] == 4
    assert types["checkpoint.saved"] >= 4 and types["checkpoint.deleted"] >= 2 and types["diagnosis.noted"] >= 2
    fates = Counter[str]()
    for type_, body in lab.wanted.events:
        if type_ == "rollout.batch":
            fates.update(body["counts"]["rejected"])
    assert lab.variant.fates <= set(fates)
    updates = [body["policy_digest_after"] for type_, body in lab.wanted.events if type_ == "update.applied"]
    assert len(set(updates)) == 12
    stats = [body["stats"] for type_, body in lab.wanted.events if type_ == "update.applied"]
    for name in lab.variant.vary:
        assert len({s[name] for s in stats if name in s}) > 2, name
    for folder in {name.rpartition("/")[0] for name in lab.wanted.checkpoints}:
        assert {f"{folder}/{name}" for name in lab.variant.kept} <= set(lab.wanted.checkpoints)


def test_resume_after_sigkill_at_random_instants(lab: Lab, capsys: pytest.CaptureFixture[str]):
    """Instants are spread evenly over the life of a process: loading, evaluation, steps, checkpoints, export."""
    chance, life = random.Random(20), lab.seconds
    hits, segments, began = Counter[str](), [], time.monotonic()
    while hits.total() < lab.variant.kills:
        run = lab.place(f"random-{len(segments)}")
        while last_event(run) != "run.closed":
            before = _log(run)
            delay = chance.uniform(0, life) if hits.total() < lab.variant.kills else None
            ended = _sit(lab, run, delay)
            assert _log(run).startswith(_complete(before)), "the log was changed, not appended to"
            if ended.code == -9:
                hits[f"after {last_event(run)}"] += 1
            else:
                assert ended.code == 0, ended.err
                if not before and delay is not None:
                    life = min(life, delay)  # a whole run took less: the machine is faster than it was
        lab.finish(run)
        segments.append(read_log(run).segment + 1)
    _tell(capsys, f"{hits.total()} kills at random instants, runs of {segments} segments", began, hits)


def test_resume_after_sigkill_before_every_kind_of_file_operation(lab: Lab, capsys: pytest.CaptureFixture[str]):
    """Half an event, a checkpoint half written, a sample file without its event, a deletion told but not done."""
    began, runs, kills = time.monotonic(), 0, 0
    assert len(lab.operations) > 70
    assert set(lab.variant.told) <= set(lab.operations)
    waiting = [o for n, o in enumerate(lab.operations) if n % lab.variant.every == 0 or o in lab.variant.told]
    while waiting:
        runs += 1
        run = lab.place(f"operations-{runs}")
        tried = len(waiting)
        while waiting and last_event(run) != "run.closed":
            ended = lab.runner.run(*lab.arguments(run), cwd=run.parent, watched="run", die_at=waiting[0])
            if ended.code != -9:
                assert ended.code == 0, ended.err
                break
            kills += 1
            del waiting[0]
        assert len(waiting) < tried, f"{waiting[0]} does not occur"
        lab.finish(run)
    _tell(capsys, f"{kills} kills before file operations in {runs} run(s)", began, Counter())


def _sit(lab: Lab, run: Path, delay: float | None) -> Ended:
    """One sitting, killed after `delay` seconds unless it has ended by then."""
    child = lab.runner.start(*lab.arguments(run), cwd=run.parent)
    if delay is not None:
        time.sleep(delay)
        child.signal(9)
    return child.wait()


def _tell(capsys: pytest.CaptureFixture[str], text: str, began: float, hits: Counter[str]) -> None:
    with capsys.disabled():
        print(
            "",
            f"{text}, {time.monotonic() - began:.0f} s",
            *(f"  {n:3d}  {k}" for k, n in hits.most_common()),
            sep="\n",
        )


def _log(run: Path) -> bytes:
    path = run / "events.jsonl"
    return path.read_bytes() if path.exists() else b""


def _complete(log: bytes) -> bytes:
    return log[: log.rfind(b"\n") + 1]
