"""Run directories that a run may not begin in or go on with: refused in one paragraph, left byte for byte.

Other recipes, finished runs, runs in use, edited files, corrupt checkpoints, changed models and data, bad disks.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Ended, Runner, facts, running, until, write_recipe
from workbench import Bench, tree

from sibling.models.tiny import save_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("runner")) as made:
        yield made


@pytest.fixture(scope="module")
def finished(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe and its finished run of two steps, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    write_recipe(folder)
    ended = Bench(runner, folder).train("checkpoints.every=1", "evaluation.every=null")
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def own(runner: Runner, finished: Path, tmp_path: Path) -> Bench:
    """A copy of the finished run."""
    return Bench(runner, shutil.copytree(finished, tmp_path / "own"))


MODEL = ("model.type=directory", "model.path=model")
SAME = ("checkpoints.every=1", "evaluation.every=null")


def cut(bench: Bench, last: str) -> Path:
    """Cut the run's log after the last event of this type, as if it had been killed there; the run directory."""
    run = bench.folder / "run"
    lines = (run / "events.jsonl").read_bytes().splitlines(keepends=True)
    end = max(i for i, line in enumerate(lines) if json.loads(line)["type"] == last)
    (run / "events.jsonl").write_bytes(b"".join(lines[: end + 1]))
    return run


def resume(bench: Bench) -> Ended:
    """`sibling resume run`."""
    return bench.runner.run("resume", "run", cwd=bench.folder)


def refused_unchanged(bench: Bench, act: Callable[[], Ended], code: int, *phrases: str) -> None:
    """`act` is refused and the folder is, byte for byte, what it was."""
    before = tree(bench.folder)
    bench.refused(act(), code, *phrases)
    # The lock file names its holder for as long as it is held; between two runs it is empty.
    assert tree(bench.folder) == before


def test_a_finished_run_is_not_begun_again(own: Bench):
    refused_unchanged(
        own, lambda: own.train(*SAME), 2, "the finished run of this recipe", "step 2 of 2", "sibling report"
    )


def test_an_unfinished_run_is_not_begun_again(own: Bench):
    cut(own, "checkpoint.saved")
    refused_unchanged(own, lambda: own.train(*SAME), 2, "an unfinished run", "step 1 of 2", "sibling resume run")


def test_the_run_of_another_recipe_is_left_alone(own: Bench):
    refused_unchanged(
        own,
        lambda: own.train(*SAME, "seed=1"),
        2,
        "another recipe",
        "seed is 0 there and 1 here",
        "nothing was changed",
    )


def test_files_in_the_way_are_left_alone(runner: Runner, tmp_path: Path):
    own = Bench(runner, tmp_path)
    write_recipe(tmp_path)
    save_tiny(tmp_path / "run" / "model", "llama", 0)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    refused_unchanged(own, own.train, 2, "files that a run would overwrite", "Seen: model", "run_dir=PATH")


def test_a_finished_run_is_not_resumed(own: Bench):
    refused_unchanged(own, lambda: resume(own), 2, "is finished", "2 steps", "run/model")


@pytest.mark.parametrize("name", ["resolved.json", "recipe.yaml"])
def test_an_edited_recipe_is_not_resumed(own: Bench, name: str):
    path = cut(own, "checkpoint.saved") / name
    path.write_bytes(path.read_bytes() + b" ")
    refused_unchanged(own, lambda: resume(own), 2, f"run/{name} was changed", "Put the file back", "sha256:")


def test_a_removed_recipe_is_not_resumed(own: Bench):
    (cut(own, "checkpoint.saved") / "resolved.json").unlink()
    refused_unchanged(own, lambda: resume(own), 2, "no such file", "Put the file back")


def test_a_corrupt_checkpoint_is_named(own: Bench):
    run = cut(own, "checkpoint.saved")
    weights = run / "checkpoints" / "step-000001" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    refused_unchanged(
        own, lambda: resume(own), 1, "checkpoints/step-000001 is corrupt", "weights.safetensors differs", "resume again"
    )
    shutil.rmtree(weights.parent)
    ended = resume(own)
    assert ended.code == 0, ended.err


def test_a_damaged_record_is_not_continued(own: Bench):
    log = cut(own, "checkpoint.saved") / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"seed":0', b'"seed":1', 1))
    refused_unchanged(own, lambda: resume(own), 1, "events.jsonl:2", "sibling verify run")


def test_another_model_is_not_resumed(own: Bench):
    """The model's files changed between two sittings."""
    save_tiny(own.folder / "model", "llama", 0)
    ended = own.train("run_dir=other", *MODEL, *SAME)
    assert ended.code == 0, ended.err
    shutil.rmtree(own.folder / "run")
    (own.folder / "other").rename(own.folder / "run")
    cut(own, "checkpoint.saved")
    save_tiny(own.folder / "model", "llama", 1)
    refused_unchanged(
        own, lambda: resume(own), 2, "The model is not what the run began with", "model.safetensors differs"
    )


def test_other_data_are_not_resumed(own: Bench):
    rows = [json.dumps({"prompt": f"What is {i} + {i}?", "reference": str(2 * i)}) + "\n" for i in range(12)]
    data = own.folder / "data.jsonl"
    data.write_text("".join(rows))
    shutil.rmtree(own.folder / "run")
    ended = own.train("task.type=jsonl", "task.path=data.jsonl", *SAME)
    assert ended.code == 0, ended.err
    cut(own, "checkpoint.saved")
    data.write_text("".join(rows[:-1]))
    refused_unchanged(own, lambda: resume(own), 2, "The data are not what the run began with", "data.jsonl differs")


def test_a_run_in_use_is_left_alone(runner: Runner, tmp_path: Path):
    """The holder is a process of its own that stands still inside its reward."""
    own = Bench(runner, tmp_path)
    recipe = write_recipe(tmp_path)
    recipe.with_name("gate").write_text("60")
    with running(tmp_path.parent / "other") as other:
        child = other.start("train", recipe, "run_dir=run", "steps=2", *SAME, cwd=tmp_path)
        until(recipe.with_name("waiting").exists)
        refused_unchanged(
            own, lambda: own.train(*SAME), 2, "run is in use", f"process {child.pid}", "sibling watch run"
        )
        refused_unchanged(own, lambda: resume(own), 1, "in use by another process", f"process {child.pid} holds")
        recipe.with_name("gate").unlink()
        assert child.wait().code == 0
    assert facts(tmp_path / "run").events[-1][0] == "run.closed"


# --------------------------------------------------------------------------------------- file systems


@pytest.fixture
def read_only(own: Bench) -> Iterator[Path]:
    """The folder of the finished run, seen through a mount that cannot be written."""
    place = own.folder.parent / "read-only"
    place.mkdir()
    cut(own, "checkpoint.saved")
    for options in (["--bind"], ["-o", "remount,bind,ro"]):
        done = subprocess.run(["mount", *options, str(own.folder), str(place)], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


def test_a_read_only_disk_is_named_before_anything_is_loaded(runner: Runner, read_only: Path):
    there = Bench(runner, read_only)
    ended = there.train("run_dir=new", "model={type: directory, path: nowhere}")
    there.refused(ended, 2, "The run directory new cannot be written", "read-only file system", "run_dir=PATH")
    there.refused(resume(there), 2, "cannot go on", "read-only file system", "copy the directory")


def test_a_disk_that_is_full_at_the_start_leaves_room_for_a_second_try(runner: Runner, tmp_path: Path):
    recipe, disk = write_recipe(tmp_path / "recipe"), tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        there = Bench(runner, disk)
        ended = runner.run("train", recipe, "run_dir=run", "steps=1", cwd=disk)
        there.refused(ended, 1, "No space left on device", "Free some space")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        there.refused(resume(there), 2, "nothing to resume", "same `sibling train` command")
        ended = runner.run("train", recipe, "run_dir=run", "steps=1", cwd=disk)
        assert ended.code == 0, ended.err
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True, capture_output=True)
