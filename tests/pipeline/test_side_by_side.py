"""What runs beside what: rewards beside sampling, the record beside the learner. The outcome is as if nothing did.

Order is forced with events that one side waits for; a side that never comes fails the test after 20 seconds.
"""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from small_runs import small_recipe

from sibling.config import Recipe
from sibling.errors import NonFiniteError, RecordError
from sibling.learner.step import LearnerStep
from sibling.models.chat import encode
from sibling.pipeline import run as module
from sibling.pipeline.parts import Parts, build
from sibling.pipeline.run import Run, resume, train
from sibling.record.reader import read_log
from sibling.record.samples import sample_rows
from sibling.record.verify import verify_run
from sibling.rollout.scripted import ScriptedEngine


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


def test_a_group_is_graded_while_the_next_is_still_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second group is not said before the verdicts of the first are there; graded at the end, it never would be."""
    recipe = small_recipe(tmp_path, steps=1, evaluation={"prompts": 0})
    (tmp_path / "reward.py").write_text(
        "import time\ndef score(task, completion):\n    time.sleep(0.001)\n    return len(completion.text) % 2\n"
    )
    order: list[str] = []
    graded = threading.Event()

    def say(key: str, sibling: int) -> str:
        if sibling == 0:
            if order:
                assert graded.wait(20)
            order.append(f"say group {key[0]}")
        return "x" * (1 + sibling)

    def scripted(*arguments: Any, **options: Any) -> Parts:
        parts = build(*arguments, **options)
        tokenizer, early = parts.loaded.tokenizer, parts.grader.grade_early

        def watched(tasks: Any, completions: Any) -> Any:
            found = early(tasks, completions)
            order.append(f"graded {len(completions)}")
            graded.set()
            return found

        monkeypatch.setattr(parts.grader, "grade_early", watched)
        engine = ScriptedEngine(say, lambda text: encode(tokenizer, text).tolist(), parts.loaded.eos_ids[0])
        monkeypatch.setattr(parts, "engine", engine)
        return parts

    monkeypatch.setattr(module, "build", scripted)
    run = train(recipe, base=tmp_path).directory
    assert order[:3] == ["say group 0", "graded 4", "say group 1"]
    rows = sample_rows(run / "samples" / "step-000001.parquet")
    assert [row["score"] for row in rows] == [[1.0], [0.0], [1.0], [0.0]] * 2
    assert verify_run(run).findings == []


def test_the_batch_is_written_while_the_learner_works(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The learner waits for the event of its batch, which would never come if it were written afterwards."""
    wanted = outcome(train(recipe, base=tmp_path).directory)
    shutil.rmtree(tmp_path / "run")
    written, record, learn = threading.Event(), Run.record_rollout, LearnerStep.__call__

    def recorded(*arguments: Any) -> None:
        record(*arguments)
        written.set()

    def learned(*arguments: Any) -> dict[str, float]:
        assert written.wait(20)
        written.clear()
        return learn(*arguments)

    monkeypatch.setattr(Run, "record_rollout", recorded)
    monkeypatch.setattr(LearnerStep, "__call__", learned)
    assert outcome(train(recipe, base=tmp_path).directory) == wanted


def test_a_step_waits_for_its_batch_to_be_written(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The batch is held back until the learner is done, so it cannot be written first; the events keep their order."""
    wanted = outcome(train(recipe, base=tmp_path).directory)
    shutil.rmtree(tmp_path / "run")
    done, record, learn = threading.Event(), Run.record_rollout, LearnerStep.__call__

    def recorded(*arguments: Any) -> None:
        assert done.wait(20)
        done.clear()
        record(*arguments)

    def learned(*arguments: Any) -> dict[str, float]:
        out = learn(*arguments)
        done.set()
        return out

    monkeypatch.setattr(Run, "record_rollout", recorded)
    monkeypatch.setattr(LearnerStep, "__call__", learned)
    assert outcome(train(recipe, base=tmp_path).directory) == wanted


def test_a_failure_of_the_learner_leaves_the_batch_on_disk(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wanted = outcome(train(recipe, base=tmp_path).directory)
    shutil.rmtree(tmp_path / "run")
    failed, record, learn = threading.Event(), Run.record_rollout, LearnerStep.__call__

    def recorded(self: Run, step: int, *arguments: Any) -> None:
        if step == 2:
            assert failed.wait(20)  # still to be written when the learner gives up
        record(self, step, *arguments)

    def learned(self: LearnerStep, batch: Any, step: int) -> dict[str, float]:
        if step == 2:
            failed.set()
            raise NonFiniteError("The loss of a micro-batch is not finite", do="Look at the saved batch")
        return learn(self, batch, step)

    monkeypatch.setattr(Run, "record_rollout", recorded)
    monkeypatch.setattr(LearnerStep, "__call__", learned)
    run = tmp_path / "run"
    with pytest.raises(NonFiniteError, match=r"Step 2: .*step-000002\.parquet"):
        train(recipe, base=tmp_path)
    assert [e.type for e in read_log(run).events][-2:] == ["rollout.batch", "run.interrupted"]
    assert len(sample_rows(run / "samples" / "step-000002.parquet")) == 8
    assert verify_run(run).ok
    monkeypatch.undo()
    resume(run)
    assert outcome(run) == wanted


def test_a_batch_that_cannot_be_written_stops_the_step_before_it_counts(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wanted = outcome(train(recipe, base=tmp_path).directory)
    shutil.rmtree(tmp_path / "run")
    write = module.write_samples

    def full(path: Path, step: int, *arguments: Any, **options: Any) -> Any:
        if step == 2:
            raise RecordError(f"Cannot write {path}", seen="No space left on device")
        return write(path, step, *arguments, **options)

    monkeypatch.setattr(module, "write_samples", full)
    run = tmp_path / "run"
    with pytest.raises(RecordError, match="No space left"):
        train(recipe, base=tmp_path)
    log = read_log(run)
    assert [e.step for e in log.steps()] == [1] and [e.step for e in log.rollouts()] == [1]
    monkeypatch.undo()
    resume(run)
    assert outcome(run) == wanted
