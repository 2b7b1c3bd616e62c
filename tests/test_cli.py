"""The commands as a person types them: help, errors and exit codes, and one small run from train to eval."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sibling import cli
from sibling.config import load_recipe
from sibling.errors import RunError

ROOT = Path(__file__).parents[1]
COMMANDS = [
    *("train", "resume", "eval", "watch", "samples", "report", "verify", "objectives"),
    *("grade", "audit", "doctor", "models"),
]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sibling(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line at 80 columns in the project's folder: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(ROOT)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run([str(a) for a in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny recipe made by the command line, in a process of its own."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    command = [sys.executable, "-m", "sibling", "train", "recipes/tiny.yaml", f"run_dir={folder}", "steps=2"]
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "told.txt").write_text(done.stdout, encoding="utf-8")
    return folder


# ------------------------------------------------------------------------------------------------ help


@pytest.mark.parametrize("command", [[], *([c] for c in COMMANDS), ["models", "list"], ["models", "get"]], ids=str)
def test_help_fits_80_columns(sibling: Run, command: list[str]) -> None:
    code, out, err = sibling(*command, "--help")
    assert (code, err) == (0, "")
    assert "Usage: sibling" in out
    assert max(map(len, out.splitlines())) <= 80


def test_every_command_is_listed_with_a_whole_sentence(sibling: Run) -> None:
    _, out, _ = sibling("--help")
    listed = out.split("Commands:")[1].split("Start with")[0].strip().splitlines()
    assert [line.split()[0] for line in listed] == COMMANDS
    assert all(line.endswith(".") and not line.endswith("..") for line in listed)
    assert sibling()[1] == out


def test_every_command_and_option_is_on_the_page(sibling: Run) -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"sibling {command}" in page, command
        options = {w.strip(",.") for w in sibling(command, "--help")[1].split() if w.startswith("--")}
        for option in options - {"--help"}:
            assert f"`{option}" in page, f"{command} {option}"


def test_help_and_version_need_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from sibling.cli import run; sys.exit(run(sys.argv[1:]))"
    for argument in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0.1.0"


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train"], "Missing argument 'RECIPE'. Try `sibling train --help`"),
        (["train", "--fast", "x"], "No such option"),
        (["models"], "Try `sibling models --help`"),
        (["samples", "x", "--limit", "0"], "--limit"),
        (["train", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["train", "recipes/tiny.yaml", "sampling.group_siz=4"], "did you mean 'group_size'"),
        (["train", "recipes/tiny.yaml", "steps"], "key=value"),
        (["watch", "nowhere"], "nowhere is not a run directory"),
        (["resume", "docs"], "no events.jsonl in it"),
        (["report", "nowhere"], "nowhere is not a run directory"),
        (["verify", "nowhere"], "nowhere is not a run directory"),
        (["objectives", "dapoo"], "Did you mean dapo?"),
        (["objectives", "grpo", "--explain", "recipes/tiny.yaml"], "key=value"),
        (["objectives", "grpo", "--from-trl", "x.json"], "one thing at a time"),
        (["objectives", "--explain", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["objectives", "--from-trl", "nowhere.json"], "nowhere.json"),
        (["objectives", "--from-verl", "README.md"], "README.md"),
        (["objectives", "check"], "check and one file"),
        (["train", "recipes/tiny.yaml", "objective.kl.reference=none"], "objective.kl.reference.type as one of"),
        (["train", "recipes/tiny.yaml", "objective.entropy_bonus=1"], "keys change, coefficient, target"),
        (["objectives", "check", "nowhere.json"], "Cannot read nowhere.json"),
        (["objectives", "check", "README.md"], "Cannot read README.md as JSON"),
        (["models", "get", "smolm2"], "There is no model of this name"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_wrong_request_is_one_paragraph_and_exit_2(sibling: Run, arguments: list[str], words: str) -> None:
    code, out, err = sibling(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ") and err.endswith("\n") and "\n\n" not in err
    assert max(map(len, err.splitlines())) <= 80
    assert words in " ".join(err.split())
    assert "Traceback" not in err


def test_missing_torch_names_the_pip_command(sibling: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, err = sibling("train", "recipes/tiny.yaml", f"run_dir={tmp_path / 'run'}")
    assert code == 2
    assert "pip install 'sibling[train]'" in " ".join(err.split())
    assert not (tmp_path / "run").exists()


def test_without_torch_the_configuration_is_printed_without_the_equation(
    sibling: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = sibling("train", "recipes/tiny.yaml", "--print-config")
    assert code == 0
    assert "equation is left out" in " ".join(err.split())
    assert yaml.safe_load(out)["name"] == "tiny"


class Failing:
    """Stands where the loader of recipes is, and fails as told."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *_: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RunError("The disk is full"), 1, "error: The disk is full."),
        (ZeroDivisionError("by zero"), 1, "(ZeroDivisionError: by zero). Run the same command with --debug"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_failures_have_their_exit_code(
    sibling: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    monkeypatch.setattr("sibling.config.load_recipe", Failing(error))
    seen, _, err = sibling("train", "recipes/tiny.yaml")
    assert seen == code
    assert words in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["--debug", "train", "x.yaml"], ["train", "x.yaml", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(sibling: Run, arguments: list[str]) -> None:
    code, _, err = sibling(*arguments)
    assert code == 2
    assert "Traceback" in err and "error: The recipe x.yaml" in err


def test_a_reader_that_goes_away_is_no_traceback(trained: Path) -> None:
    command = f"{sys.executable} -m sibling samples {trained} --step all --json | head -c 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


# ----------------------------------------------------------------------------------- what commands say


def test_print_config_is_a_recipe_with_its_equation(sibling: Run, tmp_path: Path) -> None:
    code, out, err = sibling("train", "recipes/tiny.yaml", "steps=7", "objective.type=dr_grpo", "--print-config")
    assert (code, err) == (0, "")
    assert "w_i = 1 / (N C) (token_sum_norm)" in out and "2503.20783" in out
    (tmp_path / "again.yaml").write_text(out, encoding="utf-8")
    again = load_recipe(tmp_path / "again.yaml")
    assert again == load_recipe(ROOT / "recipes" / "tiny.yaml", ["steps=7", "objective.type=dr_grpo"])


def test_objectives_are_listed_and_shown(sibling: Run) -> None:
    _, out, _ = sibling("objectives")
    names = [line.split()[0] for line in out.splitlines()]
    assert names[:4] == ["grpo", "grpo_process", "dr_grpo", "dapo"] and len(names) == 35
    assert max(map(len, out.splitlines())) <= 80
    assert [row["name"] for row in json.loads(sibling("objectives", "--json")[1])] == names
    code, out, _ = sibling("objectives", "dapo")
    assert code == 0
    assert "(1/sum_j T_j)" in out and "clip_high 0.28" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_recipe_is_explained_and_settings_of_others_become_recipes(sibling: Run, tmp_path: Path) -> None:
    code, out, err = sibling("objectives", "--explain", "recipes/papers/ppo.yaml")
    assert (code, err) == (0, "")
    assert "value loss = mean over the minibatch's tokens" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    _, out, _ = sibling("objectives", "--explain", "recipes/tiny.yaml", "objective.type=gspo")
    assert "s = exp(mean_t lr_t)" in out
    (tmp_path / "trl.json").write_text(json.dumps({"loss_type": "grpo", "beta": 0.04, "num_generations": 4}))
    code, out, _ = sibling("objectives", "--from-trl", tmp_path / "trl.json")
    assert code == 0 and "beta: 0.04" in out and "group_size: 4" in out and "Not kept:" in out
    (tmp_path / "verl.yaml").write_text("algorithm: {adv_estimator: rloo}\n")
    code, out, _ = sibling("objectives", "--from-verl", tmp_path / "verl.yaml")
    assert code == 0 and "type: rloo" in out


def test_objectives_check_passes_and_a_wrong_number_fails(sibling: Run, tmp_path: Path) -> None:
    golden = json.loads((ROOT / "tests" / "golden" / "objectives.json").read_text(encoding="utf-8"))
    cases = [c for c in golden["cases"] if c["kind"] in ("overlong_penalty", "pass_at_k")]
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps({**golden, "cases": cases}))
    code, out, _ = sibling("objectives", "check", file)
    assert code == 0
    assert out.splitlines()[-1] == f"float32: {len(cases)} pass, 0 miss"
    cases[0]["rows"][0][{"pass_at_k": "value", "overlong_penalty": "penalty"}[cases[0]["kind"]]] = 0.123
    file.write_text(json.dumps({**golden, "cases": cases}))
    code, out, _ = sibling("objectives", "check", file, "--dtype", "float64")
    assert code == 1
    assert "wanted 0.123" in out and "float32" not in out
    code, out, _ = sibling("objectives", "check", file, "--json")
    assert code == 1
    assert {r["status"] for r in json.loads(out)["float64"]} == {"pass", "miss"}


def test_doctor_says_what_is_there_and_what_fits(sibling: Run) -> None:
    code, out, _ = sibling("doctor", "recipes/tiny.yaml", "sampling.max_tokens=16")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if not line.startswith(" ")}
    assert list(lines) == [
        *("sibling", "python", "cores", "sandbox", "disk"),
        *("torch", "kernels", "roofline", "dtype", "cache", "model", "memory", "budget"),
    ]
    assert "tiny-llama: 0.1 M weights, 2 layers" in lines["model"]
    assert "a whole step has at most 640" in " ".join(out.split())  # 2 prompts of 256 with 4 completions of 16
    assert sibling("doctor", "recipes/no-such.yaml")[0] == 2


def test_doctor_without_the_packages_for_training(sibling: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda _: None)
    code, out, _ = sibling("doctor")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")][-2:] == ["disk", "training"]
    assert "pip install 'sibling[train]'" in " ".join(out.split())


def test_models_say_what_is_there(sibling: Run) -> None:
    assert "tiny-llama" in sibling("models", "list")[1]
    assert "tiny-llama" in [row["name"] for row in json.loads(sibling("models", "list", "--json")[1])]


# ------------------------------------------------------------------------------------------ a real run


@pytest.mark.slow
def test_ctrl_c_finishes_the_step_and_resume_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sibling", "train", "recipes/tiny.yaml", f"run_dir={tmp_path / 'run'}"]
    environment = os.environ | {"COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*command, "steps=400"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        told = [next(line for line in run.stdout if line.startswith("step "))]
        run.send_signal(signal.SIGINT)
        told += run.stdout
    assert run.returncode == 130
    assert told[-1] == f"next    sibling resume {tmp_path / 'run'}\n"
    done = sum(line.startswith("step ") for line in told)
    assert 1 <= done < 400
    assert f"After {done} of 400 steps" in "".join(told)


def test_training_prints_a_line_a_step_and_what_comes_next(trained: Path) -> None:
    told = (trained / "told.txt").read_text(encoding="utf-8").splitlines()
    assert len([line for line in told if line.startswith("step ")]) == 2
    assert any(line.startswith("Held-out accuracy") for line in told)
    assert f"report  {trained}/report.html" in told
    assert f"        sibling verify {trained}" in told
    assert (trained / "report.html").is_file()


def test_the_run_verifies_and_a_changed_byte_does_not(sibling: Run, trained: Path, tmp_path: Path) -> None:
    code, out, _ = sibling("verify", trained)
    assert code == 0 and "The record is consistent" in out
    head = out.split()[-1]
    assert sibling("verify", trained, "--head", head)[0] == 0
    assert sibling("verify", trained, "--head", "sha256:" + "0" * 64)[0] == 1
    code, out, _ = sibling("verify", trained, "--json")
    assert json.loads(out)["ok"] is True
    bent = tmp_path / "bent"
    bent.mkdir()
    (bent / "events.jsonl").write_bytes((trained / "events.jsonl").read_bytes().replace(b'"seed":0', b'"seed":1', 1))
    code, out, _ = sibling("verify", bent)
    assert code == 1 and "NOT consistent" in out


def test_the_run_can_be_looked_at(sibling: Run, trained: Path) -> None:
    code, out, _ = sibling("samples", trained, "--limit", "1")
    assert code == 0 and out.startswith("step 2, prompt 0")
    _, out, _ = sibling("samples", trained, "--step", "all", "--reward-below", "0.5", "--json")
    assert {json.loads(line)["reward"] for line in out.splitlines()} == {0.0}
    code, out, _ = sibling("watch", trained)
    assert code == 0 and out.splitlines()[-1] == "done  2 steps"
    code, out, _ = sibling("report", trained)
    assert code == 0 and out.splitlines()[-1] == str(trained / "report.html")


def test_a_finished_run_is_not_resumed(sibling: Run, trained: Path) -> None:
    code, _, err = sibling("resume", trained)
    assert code == 2
    assert err.startswith("error: ")


def test_a_finished_run_can_be_evaluated_again(sibling: Run, trained: Path) -> None:
    code, out, _ = sibling("eval", trained)
    assert code == 0
    assert out.startswith(f"evaluation {trained}: greedy accuracy ")
    code, out, _ = sibling("eval", trained, "--json")
    after = json.loads((trained / "evaluation" / "after.json").read_text())
    assert code == 0
    assert json.loads(out)["items"] == after["items"]
