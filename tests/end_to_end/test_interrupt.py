"""Ctrl-C, SIGTERM and a full disk: what is done stays done, and the resumed run is the uninterrupted one.

The reward of these runs stands still at a given call (`gate` in support.py), so signals arrive at a known instant.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import Ended, Facts, Runner, assert_equal, assert_verified, facts, running, until, write_recipe

from sibling.record.reader import read_log
from sibling.record.verify import verify_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Calls of the reward, in order: 32 references, 18 before (6 prompts, greedy and 2 samples), 12 a step, 6 after
# step 4 and after step 8, 18 after the last step.
BEFORE, STEP_1, STEP_5, AFTER = 40, 55, 32 + 18 + 4 * 12 + 6 + 5, 32 + 18 + 12 * 12 + 12 + 5

CHECKPOINTS = ("checkpoint.saved", "checkpoint.deleted")


@dataclass
class Lab:
    """The recipe, with its gate, and the uninterrupted run."""

    runner: Runner
    folder: Path
    recipe: Path
    references: dict[tuple[str, ...], Facts] = field(default_factory=dict)

    def wanted(self, *overrides: str) -> Facts:
        """The uninterrupted run of the recipe with these overrides."""
        if overrides not in self.references:
            name = f"whole-{len(self.references)}"
            ended = self.runner.run(*self.train(name, *overrides), cwd=self.folder / name)
            assert ended.code == 0, ended.err
            self.references[overrides] = facts(self.folder / name / "run")
        return self.references[overrides]

    def train(self, name: str, *overrides: str) -> list[object]:
        """Arguments that begin a run in the folder `name`."""
        (self.folder / name).mkdir()
        return ["train", self.recipe, "run_dir=run", *overrides]

    def signalled(self, name: str, place: int | str, *signals: signal.Signals) -> Ended:
        """Begin a run, send the signals when the reward stands still at `place`, then let it go on."""
        gate, waiting = self.recipe.with_name("gate"), self.recipe.with_name("waiting")
        gate.write_text(str(place))
        child = self.runner.start(*self.train(name), cwd=self.folder / name)
        until(waiting.exists)
        for number in signals:
            child.signal(number)
            time.sleep(0.1)  # two signals at once would be one: the system keeps no count
        if len(signals) == 1:
            gate.unlink()  # after two, the run ends although the reward has not answered
        ended = child.wait()
        gate.unlink(missing_ok=True)
        waiting.unlink()
        return ended

    def finish(self, run: Path, *overrides: str) -> None:
        """Resume, and compare with the uninterrupted run; an interrupted sitting may have saved one checkpoint more."""
        ended = self.runner.run("resume", "run", cwd=run.parent)
        assert ended.code == 0, ended.err
        wanted = self.wanted(*overrides)
        events = [(type_, body) for type_, body in wanted.events if type_ not in CHECKPOINTS]
        seen = facts(run, without=CHECKPOINTS)
        assert_equal(seen, Facts(wanted.files, wanted.checkpoints, events), checkpoints=False)
        assert_verified(run)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("interrupt")
    with running(folder / "output") as runner:
        yield Lab(runner, folder, write_recipe(folder / "recipe"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_finishes_the_step_and_saves(lab: Lab, number: signal.Signals, code: int):
    ended = lab.signalled(number.name, STEP_5, number)
    assert (ended.code, ended.err) == (code, "")
    assert "sibling resume run" in ended.out
    run = lab.folder / number.name / "run"
    log = read_log(run)
    assert log.latest_step() == 5 and log.checkpoints()[-1].step == 5
    assert dict(log.events[-1].body) == {"step": 5, "cause": number.name, "message": None}
    assert verify_run(run).ok
    lab.finish(run)
    resumed = next(e for e in read_log(run).events if e.type == "run.resumed")
    assert (resumed.body["from_step"], resumed.body["discarded"]) == (5, {"events": 0, "steps": 0})


def test_two_signals_stop_at_once(lab: Lab):
    ended = lab.signalled("twice", STEP_5, signal.SIGINT, signal.SIGINT)
    assert ended.code == 130
    assert "Traceback" not in ended.err and "sibling resume" in ended.err
    log = read_log(lab.folder / "twice" / "run")
    assert log.latest_step() == 4 and log.rollouts()[-1].step == 4
    assert (log.events[-1].type, log.events[-1].body["cause"]) == ("run.interrupted", "SIGINT")
    lab.finish(lab.folder / "twice" / "run")


def test_a_second_sigterm_is_recorded_as_such(lab: Lab):
    ended = lab.signalled("terms", STEP_1, signal.SIGTERM, signal.SIGTERM)
    assert ended.code in (130, 143)
    assert read_log(lab.folder / "terms" / "run").events[-1].body["cause"] == "SIGTERM"
    lab.finish(lab.folder / "terms" / "run")


def test_a_signal_during_the_first_evaluation_stops_before_the_first_step(lab: Lab):
    ended = lab.signalled("before", BEFORE, signal.SIGINT)
    assert ended.code == 130
    log = read_log(lab.folder / "before" / "run")
    assert (log.latest_step(), log.checkpoints(), list(log.evaluations())) == (0, (), ["before"])
    lab.finish(lab.folder / "before" / "run")


def test_a_signal_during_the_last_evaluation_lets_the_run_finish(lab: Lab):
    ended = lab.signalled("after", AFTER, signal.SIGINT)
    assert ended.code == 0
    assert_equal(facts(lab.folder / "after" / "run"), lab.wanted())


def test_a_signal_while_loading_leaves_nothing(lab: Lab):
    ended = lab.signalled("loading", "import", signal.SIGINT, signal.SIGINT)
    assert ended.code == 130 and "Traceback" not in ended.err
    assert list((lab.folder / "loading").iterdir()) == []


# ---------------------------------------------------------------------------------------------- full disk


@dataclass(frozen=True)
class Disk:
    """A small file system in memory."""

    path: Path

    def resize(self, size: int) -> None:
        """Make room for this many bytes, or take it away."""
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield Disk(path)
    subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)


NO_CHECKPOINTS = ("checkpoints.every=50", "checkpoints.keep_best=false")


@pytest.mark.parametrize(
    ("share", "overrides"),
    [
        (0.01, ()),  # full at the first events
        (0.05, ()),  # at a sample file
        (0.25, ()),  # at the first checkpoint
        (0.45, ()),
        (0.8, ()),  # at a later one
        (0.7, NO_CHECKPOINTS),  # at the exported model's weights
        (0.98, NO_CHECKPOINTS),  # at its tokenizer
    ],
)
def test_a_full_disk_loses_nothing(lab: Lab, disk: Disk, share: float, overrides: tuple[str, ...]):
    run = disk.path / "run"
    lab.wanted(*overrides)
    disk.resize(int(share * _bytes(lab.folder / f"whole-{list(lab.references).index(overrides)}" / "run")))
    ended = lab.runner.run("train", lab.recipe, "run_dir=run", *overrides, cwd=disk.path)
    assert ended.code == 1
    assert "Traceback" not in ended.err and "\n\n" not in ended.err
    said = " ".join(ended.err.split())
    assert "No space left on device" in said and "then resume the run" in said
    disk.resize(64 << 20)
    report = verify_run(run)
    assert report.ok, report.findings
    lab.finish(run, *overrides)


def _bytes(run: Path) -> int:
    """What the files of a run take up, in whole pages, without its report."""
    return sum(-(-p.stat().st_size // 4096) * 4096 for p in run.rglob("*") if p.is_file() and p.suffix != ".html")
