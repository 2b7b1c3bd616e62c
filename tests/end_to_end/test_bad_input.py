"""Bad input through the command line: one paragraph, the right exit code, and nothing made or lost.

Every message says what happened, what was seen, what was wanted and what to do, within 80 columns.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import Ended, Runner, facts, running, until, write_recipe

from sibling.models.tiny import save_tiny

pytestmark = pytest.mark.timeout(120)

REWARDS = """
import time

def one_argument(task): return 1.0
def three_scores(prompts, completions, **columns): return [1.0, 0.0, 1.0]
def hangs(task, completion): time.sleep(60)
def hangs_too(prompts, completions, **columns): time.sleep(60)
def raises(task, completion): raise KeyError("answer")
def gives_nan(task, completion): return float("nan")
def gives_text(task, completion): return "good"
number = 3
"""


@dataclass
class Bench:
    """A folder with a recipe and things that are wrong, and the command line to try them with."""

    runner: Runner
    folder: Path

    def train(self, *overrides: str) -> Ended:
        """`sibling train` in the folder."""
        return self.runner.run("train", "tiny.yaml", "run_dir=run", "steps=2", *overrides, cwd=self.folder)

    def refused(self, ended: Ended, code: int, *phrases: str) -> None:
        """One readable paragraph that says all of this, and the exit code."""
        assert ended.code == code, ended
        assert_readable(ended.err)
        text = " ".join(ended.err.split())
        assert [p for p in phrases if p not in text] == [], text


def assert_readable(text: str) -> None:
    """One paragraph of whole sentences, no traceback, 80 columns (a longer word cannot be broken)."""
    assert text.startswith("error: ") and text.endswith((".\n", "?\n", "`\n"))
    assert "Traceback" not in text and "\n\n" not in text
    assert [line for line in text.splitlines() if len(line) > 80 and " " in line] == []


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes; folders too. Python's caches apart."""
    found = {p.relative_to(folder).as_posix(): b"" if p.is_dir() else p.read_bytes() for p in folder.rglob("*")}
    return {name: data for name, data in found.items() if "__pycache__" not in name}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("runner")) as made:
        yield made


@pytest.fixture(scope="module")
def bench(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Shared by the cases that leave it as it was."""
    folder = tmp_path_factory.mktemp("bench")
    write_recipe(folder)
    (folder / "rewards.py").write_text(REWARDS)
    (folder / "broken.py").write_text("import nowhere_to_be_found\n")
    _write_data(folder)
    _write_models(folder)
    (folder / "a-file").write_text("not a directory")
    return Bench(runner, folder)


def _write_data(folder: Path) -> None:
    rows = [json.dumps({"prompt": f"What is {i} + {i}?", "reference": str(2 * i)}) for i in range(12)]
    long = [json.dumps({"prompt": letter * size, "reference": "1"}) for letter, size in (("x", 600), ("y", 700))]
    for name, lines in {
        "malformed": [*rows[:3], '{"prompt": "half of', *rows[3:]],
        "empty": [],
        "long": [*rows[:8], long[0], long[1], *rows[8:]],
        "no-column": ['{"question": "What?", "answer": "42"}'],
        "no-prompt": [*rows, '{"prompt": "  ", "reference": "1"}'],
    }.items():
        (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines))


def _write_models(folder: Path) -> None:
    def without(model: Path, *patterns: str) -> None:
        for path in [p for pattern in patterns for p in model.glob(pattern)]:
            path.unlink()

    def pickled(model: Path) -> None:
        without(model, "*.safetensors")
        (model / "pytorch_model.bin").write_bytes(b"\x80\x04.")

    def endless(model: Path) -> None:
        for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
            settings = json.loads((model / name).read_text())
            (model / name).write_text(json.dumps({k: v for k, v in settings.items() if not k.startswith("eos")}))
        (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")

    damages: dict[str, Callable[[Path], None]] = {
        "no-tokenizer": lambda model: without(model, "tokenizer*"),
        "pickled": pickled,
        "no-template": lambda model: without(model, "chat_template*"),
        "no-eos": endless,
    }
    whole = save_tiny(folder / "whole", "llama", 0)
    for name, damage in damages.items():
        damage(shutil.copytree(whole, folder / name))


def _jsonl(name: str) -> tuple[str, ...]:
    return ("task.type=jsonl", f"task.path={name}.jsonl")


def _model(name: str) -> tuple[str, ...]:
    return ("model.type=directory", f"model.path={name}")


def _reward(target: str, **options: Any) -> tuple[str, ...]:
    return (f"rewards={json.dumps([{'type': 'callable', 'target': target, **options}])}",)


CASES: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "unknown key": (("sampling.group_sise=4",), 2, ("'sampling.group_sise'", "did you mean 'group_size'?")),
    "unknown type": (("model.type=tinny",), 2, ("model.type is 'tinny'", "did you mean 'tiny'?")),
    "wrong type": (("steps=many",), 2, ("'steps' is 'many'", "valid integer")),
    "not an override": (("steps",), 2, ("key=value", "'steps'", "sampling.group_size=8")),
    "missing data": (_jsonl("nowhere"), 2, ("nowhere.jsonl does not exist", "the recipe's folder", "task.path")),
    "malformed JSON line": (_jsonl("malformed"), 2, ("malformed.jsonl line 4", "not JSON", "nothing was run")),
    "empty data set": (_jsonl("empty"), 2, ("empty.jsonl is empty", "at least two prompts")),
    "no such column": (_jsonl("no-column"), 2, ("no column 'prompt'", "columns: answer, question", "task.prompt")),
    "empty prompt": (_jsonl("no-prompt"), 2, ("no-prompt.jsonl line 13: the prompt is empty",)),
    "prompts longer than the context": (
        _jsonl("long"),
        2,
        ("2 prompts", "line 9 has 619 tokens; long.jsonl line 10 has 719 tokens", "at most 504 tokens", "max_tokens"),
    ),
    "prompts longer than wanted": (
        ("sampling.max_prompt_tokens=20",),
        2,
        ("at most 20 tokens", "and 35 more", "Raise"),
    ),
    "no room for a prompt": (("sampling.max_tokens=600",), 2, ("sampling.max_tokens=600", "a context of 512", "Lower")),
    "a group of one": (("sampling.group_size=1",), 2, ("'dapo'", "group mean", "sampling.group_size to 2 or more")),
    "beta without a reference": (
        ("objective={type: grpo, kl: {beta: 0.1, reference: none}}",),
        2,
        ("objective.kl.beta is 0.1", "'none'", "objective.kl.reference=initial or objective.kl.beta=0"),
    ),
    "more minibatches than groups": (("learner.minibatches=9",), 2, ("learner.minibatches is 9", "only 3 groups")),
    "missing model": (_model("nowhere"), 2, ("directory nowhere does not exist", "model.path")),
    "model without tokenizer": (_model("no-tokenizer"), 2, ("no-tokenizer has no tokenizer", "tokenizer.json")),
    "pickled model": (_model("pickled"), 2, ("pickled weights only", "pytorch_model.bin", "*.safetensors", "convert")),
    "no chat template": (_model("no-template"), 2, ("no chat template", "model.chat_template=FILE")),
    "no end of sequence": (_model("no-eos"), 2, ("no end-of-sequence token", '"eos_token"')),
    "reward that does not import": (
        _reward("broken.py:score"),
        2,
        ("broken.py does not import", "No module named 'nowhere_to_be_found'", "nothing was run"),
    ),
    "reward file that is not there": (_reward("nofile.py:score"), 2, ("nofile.py does not exist",)),
    "reward of another name": (_reward("rewards.py:raise"), 2, ("has no 'raise'", "'raises'")),
    "reward that is no function": (_reward("rewards.py:number"), 2, ("not callable", "int")),
    "reward with the wrong arity": (
        _reward("rewards.py:one_argument"),
        2,
        ("cannot be called with a task and a completion", "def score(task, completion)", "trl"),
    ),
    "reward with a list of the wrong length": (
        _reward("rewards.py:three_scores", signature="trl"),
        1,
        ("fails on 32 of 32 reference answers", "returned 3 scores for 32 completions", "mend"),
    ),
    "reward that hangs": (
        _reward("rewards.py:hangs", timeout=0.05),
        1,
        ("hung 3 times in a row", "no answer within 0.05 s", "rewards[].timeout"),
    ),
    "batch reward that hangs": (
        _reward("rewards.py:hangs_too", signature="trl", timeout=0.05),
        1,
        ("fails on 32 of 32 reference answers", "timed out after 0.05 s"),
    ),
    "reward that raises": (_reward("rewards.py:raises"), 1, ("fails on 32 of 32", "raised KeyError: 'answer'")),
    "reward that is not a number": (_reward("rewards.py:gives_nan"), 1, ("fails on 32 of 32", "returned nan")),
    "reward that is text": (_reward("rewards.py:gives_text"), 1, ("fails on 32 of 32", "'good', not a number")),
    "reward that refuses its references": (
        ("task={type: counting}", "rewards=[{type: regex, pattern: '(?P<answer>z*)'}]"),
        1,
        ("calls 32 of 32 reference answers wrong", "reward_policy.refused_references=warn"),
    ),
    "run directory that is a file": (("run_dir=a-file",), 2, ("a-file is a file", "run_dir=PATH")),
    "run directory below a file": (("run_dir=a-file/run",), 2, ("cannot be made", "a-file is a file")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_request_that_cannot_run(bench: Bench, case: str):
    overrides, code, phrases = CASES[case]
    before = tree(bench.folder)
    bench.refused(bench.train(*overrides), code, *phrases)
    assert tree(bench.folder) == before


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (("train", "nowhere.yaml"), ("nowhere.yaml does not exist", "recipes/")),
        (("train",), ("Missing argument 'RECIPE'", "sibling train --help")),
        (("trian",), ("No such command 'trian'", "'train'")),
        (("resume", "nowhere"), ("nowhere is not a run directory",)),
        (("resume", "."), ("sibling train",)),
        (("verify", "nowhere"), ("nowhere is not a run directory",)),
    ],
)
def test_a_command_that_makes_no_sense(bench: Bench, arguments: tuple[str, ...], phrases: tuple[str, ...]):
    before = tree(bench.folder)
    bench.refused(bench.runner.run(*arguments, cwd=bench.folder), 2, *phrases)
    assert tree(bench.folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("case", ["unknown key", "model without tokenizer", "reward that raises"])
def test_the_installed_command_says_the_same(bench: Bench, case: str):
    overrides, code, phrases = CASES[case]
    command = [sys.executable, "-m", "sibling", "train", "tiny.yaml", "run_dir=run", *overrides]
    environment = {**os.environ, "COLUMNS": "80", "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(command, cwd=bench.folder, capture_output=True, text=True, env=environment, check=False)
    bench.refused(Ended(run.returncode, run.stdout, run.stderr), code, *phrases)


# ------------------------------------------------------------------------------- directories of other runs


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


@pytest.mark.slow
def test_a_finished_run_is_not_begun_again(own: Bench):
    refused_unchanged(
        own, lambda: own.train(*SAME), 2, "the finished run of this recipe", "step 2 of 2", "sibling report"
    )


@pytest.mark.slow
def test_an_unfinished_run_is_not_begun_again(own: Bench):
    cut(own, "checkpoint.saved")
    refused_unchanged(own, lambda: own.train(*SAME), 2, "an unfinished run", "step 1 of 2", "sibling resume run")


@pytest.mark.slow
def test_the_run_of_another_recipe_is_left_alone(own: Bench):
    refused_unchanged(
        own,
        lambda: own.train(*SAME, "seed=1"),
        2,
        "another recipe",
        "seed is 0 there and 1 here",
        "nothing was changed",
    )


@pytest.mark.slow
def test_files_in_the_way_are_left_alone(bench: Bench, tmp_path: Path):
    own = Bench(bench.runner, tmp_path)
    write_recipe(tmp_path)
    shutil.copytree(bench.folder / "whole", tmp_path / "run" / "model")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    refused_unchanged(own, own.train, 2, "files that a run would overwrite", "Seen: model", "run_dir=PATH")


@pytest.mark.slow
def test_a_finished_run_is_not_resumed(own: Bench):
    refused_unchanged(own, lambda: resume(own), 2, "is finished", "2 steps", "run/model")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resolved.json", "recipe.yaml"])
def test_an_edited_recipe_is_not_resumed(own: Bench, name: str):
    path = cut(own, "checkpoint.saved") / name
    path.write_bytes(path.read_bytes() + b" ")
    refused_unchanged(own, lambda: resume(own), 2, f"run/{name} was changed", "Put the file back", "sha256:")


@pytest.mark.slow
def test_a_removed_recipe_is_not_resumed(own: Bench):
    (cut(own, "checkpoint.saved") / "resolved.json").unlink()
    refused_unchanged(own, lambda: resume(own), 2, "no such file", "Put the file back")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_damaged_record_is_not_continued(own: Bench):
    log = cut(own, "checkpoint.saved") / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"seed":0', b'"seed":1', 1))
    refused_unchanged(own, lambda: resume(own), 1, "events.jsonl:2", "sibling verify run")


@pytest.mark.slow
def test_another_model_is_not_resumed(own: Bench):
    """The model's files changed between two sittings."""
    save_tiny(own.folder / "model", "llama", 0)
    ended = own.train("run_dir=other", *_model("model"), *SAME)
    assert ended.code == 0, ended.err
    shutil.rmtree(own.folder / "run")
    (own.folder / "other").rename(own.folder / "run")
    cut(own, "checkpoint.saved")
    save_tiny(own.folder / "model", "llama", 1)
    refused_unchanged(
        own, lambda: resume(own), 2, "The model is not what the run began with", "model.safetensors differs"
    )


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_read_only_disk_is_named_before_anything_is_loaded(runner: Runner, read_only: Path):
    there = Bench(runner, read_only)
    ended = there.train("run_dir=new")
    there.refused(ended, 2, "The run directory new cannot be written", "read-only file system", "run_dir=PATH")
    assert ended.out == ""
    ended = resume(there)
    there.refused(ended, 2, "cannot go on", "read-only file system", "copy the directory")
    assert ended.out == ""


@pytest.mark.slow
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
