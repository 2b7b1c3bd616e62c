"""A run through the Python interface, in this process: sittings, refusals, observers and failures."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_runs import small_recipe

import sibling
from sibling.batch import Prompt, Row
from sibling.config import Recipe
from sibling.errors import RecordError, RequestError, RewardError
from sibling.pipeline.observer import Observer
from sibling.pipeline.run import resume, train
from sibling.record.reader import read_log
from sibling.record.verify import verify_run
from sibling.record.writer import RecordWriter
from sibling.stats import StepStats


class Notebook(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.steps: list[tuple[int, int, int]] = []
        self.labels: list[str] = []
        self.summary: Mapping[str, Any] = {}

    def phase(self, name: str, detail: str = "") -> None:
        self.phases.append(name)

    def step(self, stats: StepStats, total: int, prompt: Prompt | None, rows: Sequence[Row]) -> None:
        self.steps.append((stats.step, total, len(rows)))

    def evaluated(self, label: str, summary: Mapping[str, Any]) -> None:
        self.labels.append(label)

    def closed(self, summary: Mapping[str, Any]) -> None:
        self.summary = summary


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return small_recipe(tmp_path)


def outcome(run: Path) -> tuple[list[tuple[str, dict[str, Any]]], bytes]:
    """Effective events without clock, and the exported weights."""
    log = read_log(run)
    skipped = ("run.resumed", "run.interrupted", "run.opened")
    events = [
        (e.type, {k: v for k, v in e.body.items() if k != "wall"}) for e in log.effective() if e.type not in skipped
    ]
    return events, (run / "model" / "model.safetensors").read_bytes()


def cut_after(run: Path, type_: str, step: int | None) -> None:
    """Cut the log after the first such event, as a kill at that instant would have left it."""
    log = read_log(run)
    end = next(n for n, e in enumerate(log.events, 1) if e.type == type_ and e.step == step)
    (run / "events.jsonl").write_bytes(b"".join(line.raw + b"\n" for line in log.lines[:end]))


def test_the_python_interface_trains_and_says_how_it_ended(recipe: Recipe, tmp_path: Path):
    result = sibling.train(recipe, base=tmp_path)
    assert (result.directory, result.steps, result.status) == (tmp_path / "run", 3, "finished")
    assert set(result.summary) >= {"comparison", "policy_digest"}
    assert verify_run(result.directory).findings == []


def test_an_observer_is_told_everything_in_order(recipe: Recipe, tmp_path: Path):
    book = Notebook()
    train(recipe, base=tmp_path, observer=book)
    assert book.steps == [(1, 3, 4), (2, 3, 4), (3, 3, 4)]
    assert book.labels == ["before", "after"]
    assert book.phases[:5] == ["load", "evaluate", "sample", "score", "learn"]
    assert book.summary["status"] == "finished"


def test_an_observer_that_fails_does_not_hurt_the_run(recipe: Recipe, tmp_path: Path):
    class Broken(Observer):
        def step(self, stats: StepStats, total: int, prompt: Prompt | None, rows: Sequence[Row]) -> None:
            raise ZeroDivisionError

    assert train(recipe, base=tmp_path, observer=Broken()).status == "finished"


def test_without_held_out_prompts_nothing_is_evaluated(tmp_path: Path):
    recipe = small_recipe(tmp_path, evaluation={"prompts": 0})
    result = train(recipe, base=tmp_path)
    assert read_log(result.directory).evaluations() == {} and "comparison" not in result.summary


# ------------------------------------------------------------------------------------------- sittings


@pytest.mark.parametrize(
    ("type_", "step"), [("rollout.batch", 1), ("update.applied", 2), ("checkpoint.saved", 2), ("model.exported", 3)]
)
def test_resume_gives_what_the_uninterrupted_run_gave(recipe: Recipe, tmp_path: Path, type_: str, step: int):
    wanted = outcome(train(recipe, base=tmp_path).directory)
    cut_after(tmp_path / "run", type_, step)
    assert resume(tmp_path / "run").status == "finished"
    assert outcome(tmp_path / "run") == wanted
    assert verify_run(tmp_path / "run").findings == []


def test_a_torn_last_line_is_cut_and_counted(recipe: Recipe, tmp_path: Path):
    run = train(recipe, base=tmp_path).directory
    wanted = outcome(run)
    cut_after(run, "update.applied", 2)
    with (run / "events.jsonl").open("ab") as log:
        log.write(b'{"actor":"trainer","bo')
    resume(run)
    assert [e.body["torn_bytes"] for e in read_log(run).of("run.resumed")] == [22]
    assert outcome(run) == wanted


def test_a_kill_between_two_findings_of_one_kind_loses_neither(tmp_path: Path):
    own = [{"type": "callable", "target": "reward.py:score", "name": name} for name in ("first", "second")]
    recipe = small_recipe(tmp_path, rewards=own)
    run = train(recipe, base=tmp_path).directory
    wanted = outcome(run)
    told = [e.body["code"] for e in read_log(run).of("diagnosis.noted") if e.step is None]
    assert told == ["reference_refused", "reference_refused"]
    cut_after(run, "diagnosis.noted", None)
    resume(run)
    assert outcome(run) == wanted


def test_a_run_whose_first_event_was_torn_is_begun_again(recipe: Recipe, tmp_path: Path):
    run = train(recipe, base=tmp_path).directory
    wanted = outcome(run)
    shutil.rmtree(run)
    run.mkdir()
    (run / "lock").touch()
    (run / "events.jsonl").write_bytes(b'{"actor":"tra')
    with pytest.raises(RequestError, match="before its first event"):
        resume(run)
    train(recipe, base=tmp_path)
    assert outcome(run) == wanted and verify_run(run).findings == []


def test_what_a_resume_threw_away_is_counted(recipe: Recipe, tmp_path: Path):
    run = train(recipe, base=tmp_path).directory
    cut_after(run, "update.applied", 3)
    resume(run)
    body = read_log(run).of("run.resumed")[0].body
    assert body["from_step"] == 2 and body["discarded"] == {"events": 2, "steps": 1}


def test_the_deletion_that_a_kill_prevented_is_made_up_for(tmp_path: Path):
    recipe = small_recipe(tmp_path, steps=4, checkpoints={"every": 1, "keep_last": 1})
    run = train(recipe, base=tmp_path).directory
    wanted = outcome(run)
    cut_after(run, "checkpoint.saved", 3)
    (run / "checkpoints" / "step-000002").mkdir()  # it is deleted already; a kill would have left it
    resume(run)
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step-000003"]
    assert outcome(run) == wanted


def test_a_reward_mended_between_two_sittings_is_recorded(recipe: Recipe, tmp_path: Path):
    run = train(recipe, base=tmp_path).directory
    cut_after(run, "checkpoint.saved", 2)
    (tmp_path / "reward.py").write_text("def score(task, completion):\n    return len(set(completion.text)) / 10\n")
    resume(run)
    log = read_log(run)
    bound = [e.body["rewards"][0]["code_digest"] for e in log.of("reward.bound")]
    assert len(set(bound)) == 2
    kinds = [e.type for e in log.events]
    again = kinds.index("reward.bound", kinds.index("run.resumed"))
    assert kinds[again + 1] in ("diagnosis.noted", "rollout.batch")
    assert verify_run(run).ok


def test_resuming_writes_no_binding_twice(recipe: Recipe, tmp_path: Path):
    """Rewards are compared as recorded: a tuple of ours is a list in JSON."""
    tags = {"type": "format_tags", "tags": ["think", "answer"], "name": "even"}
    own = {"type": "callable", "target": "reward.py:score", "name": "own"}
    recipe = small_recipe(tmp_path, rewards=[tags, own])
    run = train(recipe, base=tmp_path).directory
    cut_after(run, "update.applied", 1)
    resume(run)
    kinds = [e.type for e in read_log(run).events]
    assert kinds.count("reward.bound") == kinds.count("data.loaded") == 1


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("seed", [0, 1])
def test_two_runs_begun_at_once_in_one_directory(recipe: Recipe, tmp_path: Path, seed: int):
    """The second begins and ends while the first still loads its model. Seed 0 makes it the same recipe."""
    other = small_recipe(tmp_path, seed=seed)

    class Meanwhile(Observer):
        def phase(self, name: str, detail: str = "") -> None:
            if name == "load":
                train(other, base=tmp_path)

    with pytest.raises((RequestError, RecordError), match=r"record of another run|finished run of this recipe"):
        train(recipe, base=tmp_path, observer=Meanwhile())
    run = tmp_path / "run"
    assert read_log(run).closed() is not None
    assert verify_run(run).findings == []  # recipe.yaml and resolved.json are still those of the other run


def test_a_run_is_not_resumed_twice_at_once(recipe: Recipe, tmp_path: Path):
    run = train(recipe, base=tmp_path).directory
    cut_after(run, "update.applied", 2)
    said: list[str] = []

    class Meanwhile(Observer):
        def phase(self, name: str, detail: str = "") -> None:
            if name == "load":
                with pytest.raises(RecordError) as caught:
                    resume(run)
                said.append(str(caught.value))

    resume(run, observer=Meanwhile())
    assert len(said) == 1 and "in use" in said[0]
    assert verify_run(run).findings == []


def test_a_refused_resume_leaves_the_record_as_it_was(recipe: Recipe, tmp_path: Path):
    run = train(recipe, base=tmp_path).directory
    cut_after(run, "checkpoint.saved", 2)
    with (run / "events.jsonl").open("ab") as log:
        log.write(b"torn")
    before = (run / "events.jsonl").read_bytes()
    (run / "checkpoints" / "step-000002" / "progress.json").unlink()
    with pytest.raises(sibling.SiblingError, match=r"corrupt.*progress\.json is missing"):
        resume(run)
    (tmp_path / "reward.py").write_text("def score(task, completion):\n    raise ValueError\n")
    with pytest.raises(sibling.SiblingError, match="fails on 32 of 32"):
        resume(run)
    assert (run / "events.jsonl").read_bytes() == before


def test_a_record_that_grew_since_it_was_read_is_noticed(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another process went on with the run and ended, between reading the log and taking the lock."""
    run = train(recipe, base=tmp_path).directory
    cut_after(run, "update.applied", 2)
    from sibling.pipeline import run as module

    class Late(RecordWriter):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            monkeypatch.undo()
            resume(run)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(module, "RecordWriter", Late)
    with pytest.raises(RequestError, match="in this very moment"):
        resume(run)
    assert verify_run(run).findings == []


# ------------------------------------------------------------------------------------------- failures


def test_a_failure_is_recorded_before_it_is_raised_and_the_run_goes_on_once_mended(tmp_path: Path):
    recipe = small_recipe(tmp_path, reward_policy={"on_error": "stop"}, evaluation={"prompts": 0})
    reward = tmp_path / "reward.py"
    good = reward.read_text()
    reward.write_text(
        "calls = 0\ndef score(task, completion):\n    global calls\n    calls += 1\n"
        "    if calls > 32 + 8:\n        raise OSError('the verifier is down')\n    return calls % 2\n"
    )
    with pytest.raises(RewardError, match="the verifier is down"):
        train(recipe, base=tmp_path)
    run = tmp_path / "run"
    log = read_log(run)
    last = log.events[-1]
    assert (last.type, last.body["cause"], last.body["step"]) == ("run.interrupted", "error", 1)
    assert "the verifier is down" in last.body["message"]
    reward.write_text(good)
    assert resume(run).status == "finished"
    assert verify_run(run).ok


def test_a_wrong_request_makes_no_directory(tmp_path: Path):
    recipe = small_recipe(tmp_path, model={"type": "directory", "path": "nowhere"})
    with pytest.raises(RequestError):
        train(recipe, base=tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("long", "said"), [(1, "A prompt is too long"), (4, "4 prompts are too long")])
def test_every_prompt_of_a_file_is_looked_at_before_the_run(tmp_path: Path, long: int, said: str):
    prompts = [*(f"short {n}" for n in range(40)), *("x" * (600 + n) for n in range(long))]
    rows = [json.dumps({"prompt": prompt, "reference": "1"}) for prompt in prompts]
    (tmp_path / "data.jsonl").write_text("\n".join(rows))
    recipe = small_recipe(tmp_path, task={"type": "jsonl", "path": "data.jsonl"}, steps=1)
    with pytest.raises(RequestError, match=said) as caught:
        train(recipe, base=tmp_path)
    assert "data.jsonl line 41 has " in str(caught.value)
    assert ("and 1 more" in str(caught.value)) == (long == 4)
    assert not (tmp_path / "run").exists()
