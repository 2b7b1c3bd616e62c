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
from pathlib import Path
from typing import Any

import pytest
from support import Ended, Runner, running, write_recipe
from workbench import Bench, tree

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
    "a group of one": (
        ("sampling.group_size=1",),
        2,
        ("objective dapo", "compares a completion with its siblings", "sampling.group_size to 2 or more"),
    ),
    "a reference that is no section": (
        ("objective={type: grpo, kl: {beta: 0.1, reference: none}}",),
        2,
        ("objective.kl.reference", "'none'"),
    ),
    "a reference of an unknown type": (
        ("objective={type: grpo, kl: {beta: 0.1, reference: {type: none}}}",),
        2,
        ("objective.kl.reference", "'none'", "initial", "refresh", "ema"),
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
