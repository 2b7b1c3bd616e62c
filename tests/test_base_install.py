"""What works without the extra `train`: the packages it brings are made impossible to import, in a fresh process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WITHOUT = """
import sys

EXTRAS = {"torch", "transformers", "safetensors", "tokenizers", "gguf", "peft", "jinja2", "accelerate", "datasets",
          "reasoning_gym", "tensorboard"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-c", WITHOUT + code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("sys.argv[0] = 'sibling'\nfrom sibling.cli import main\nmain()", *arguments)


def test_the_extras_really_are_out_of_reach() -> None:
    assert "No module named 'torch'" in run("import torch").stderr


def test_a_recipe_can_be_read() -> None:
    code = "import sibling\nr = sibling.load_recipe(__import__('pathlib').Path('recipes/tiny.yaml'))\n"
    done = run(code + "assert isinstance(r, sibling.Recipe)\nprint(r.name)")
    assert done.stdout == "tiny\n", done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"], ["report", "--help"], ["train", "--help"]])
def test_help_is_there(arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_verify_of_what_is_no_run_is_one_paragraph(tmp_path: Path) -> None:
    done = cli("verify", str(tmp_path))
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr + done.stdout


def test_training_says_which_extra_is_missing(tmp_path: Path) -> None:
    done = cli("train", "recipes/tiny.yaml", f"run_dir={tmp_path / 'run'}")
    assert done.returncode == 2, done.stderr
    assert "sibling[train]" in (done.stderr + done.stdout).replace("\n", " ")
    assert "Traceback" not in done.stderr + done.stdout
