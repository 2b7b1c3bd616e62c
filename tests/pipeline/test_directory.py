"""Where a run may begin and which run may go on. Everything here is decided without a model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import small_recipe

from sibling.canonical import file_digest
from sibling.config import Recipe
from sibling.errors import RequestError
from sibling.pipeline.directory import RunDirectory
from sibling.record.writer import RecordWriter


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return small_recipe(tmp_path)


@pytest.fixture
def place(recipe: Recipe) -> RunDirectory:
    return RunDirectory(recipe.directory())


def begin(place: RunDirectory, recipe: Recipe) -> None:
    """A run that has recorded its first event and no more."""
    place.make()
    place.write_request(recipe, "steps: 3\n", place.path.parent)
    opened = {
        "recipe_digest": recipe.digest(),
        "resolved_sha256": file_digest(place.resolved),
        "recipe_sha256": file_digest(place.recipe),
        "name": recipe.name,
        "seed": 0,
        "steps": recipe.steps,
        "environment": {},
        "code_digest": "sha256:" + "0" * 64,
        "code": {"version": "0", "git": None},
        "reward_names": ["even"],
        "objective": {"type": "dapo"},
    }
    with RecordWriter(place.path, "a-run", segment=0) as writer:
        writer.write("run.opened", opened)


def refusal(place: RunDirectory, recipe: Recipe) -> str:
    before = sorted((p, p.read_bytes() if p.is_file() else b"") for p in place.path.parent.rglob("*"))
    with pytest.raises(RequestError) as caught:
        place.require_free(recipe)
    assert sorted((p, p.read_bytes() if p.is_file() else b"") for p in place.path.parent.rglob("*")) == before
    return str(caught.value)


def test_a_directory_that_is_not_there_or_empty_or_somebody_s_notes_is_free(place: RunDirectory, recipe: Recipe):
    place.require_free(recipe)
    place.path.mkdir()
    place.require_free(recipe)
    (place.path / "notes.txt").write_text("mine")
    place.require_free(recipe)


@pytest.mark.parametrize("name", ["recipe.yaml", "samples", "checkpoints", "model", "report.html"])
def test_what_a_run_would_overwrite_is_not(place: RunDirectory, recipe: Recipe, name: str):
    (place.path / name).mkdir(parents=True)
    assert f"Seen: {name}. Wanted: a directory without them" in refusal(place, recipe)


def test_what_an_attempt_left_that_recorded_nothing_is_free(place: RunDirectory, recipe: Recipe):
    place.make()
    place.write_request(recipe, "steps: 3\n", place.path.parent)
    with RecordWriter(place.path, "a-run", segment=0):
        pass
    (place.path / "events.jsonl").write_text('{"torn')
    place.require_free(recipe)
    place.samples(1).write_bytes(b"of a run whose log was removed")
    assert "Seen: samples." in refusal(place, recipe)


def test_a_run_of_this_recipe_is_named_with_the_way_on(place: RunDirectory, recipe: Recipe):
    begin(place, recipe)
    said = refusal(place, recipe)
    assert "already holds an unfinished run of this recipe. Seen: step 0 of 3." in said
    assert f"`sibling resume {place.path}`" in said


def test_a_run_of_another_recipe_is_named_with_what_differs(place: RunDirectory, recipe: Recipe):
    begin(place, recipe)
    other = recipe.model_copy(update={"seed": 7, "steps": 4})
    assert "seed is 0 there and 7 here; steps is 3 there and 4 here." in refusal(place, other)
    elsewhere = recipe.model_copy(update={"run_dir": "elsewhere"})
    assert "of this recipe" in refusal(place, elsewhere)  # the directory is no part of a recipe's identity


def test_many_differences_are_counted(place: RunDirectory, recipe: Recipe):
    begin(place, recipe)
    other = recipe.model_copy(update={"seed": 1, "steps": 4, "name": "other", "threads": 2})
    assert "and 1 more differences" in refusal(place, other)
    place.resolved.write_text("{")
    assert "a recipe that cannot be read" in refusal(place, other)


def test_a_run_in_use_is_named_with_its_process(place: RunDirectory, recipe: Recipe):
    begin(place, recipe)
    hold = (
        "import sys; from pathlib import Path; from sibling.record.lock import DirectoryLock; "
        "lock = DirectoryLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(place.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert f"is in use: a run is writing to it. Seen: process {process.pid}, at step 0." in refusal(place, recipe)
    assert "unfinished run" in refusal(place, recipe)


def test_a_file_in_the_way(recipe: Recipe, tmp_path: Path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run" / "deeper"):
        with pytest.raises(RequestError, match=r"cannot be made. Seen: .*/file is a file"):
            RunDirectory(path).require_free(recipe)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written(place: RunDirectory, recipe: Recipe):
    place.path.parent.chmod(0o500)
    try:
        with pytest.raises(RequestError, match="no permission to write"):
            place.require_free(recipe)
    finally:
        place.path.parent.chmod(0o700)


# ---------------------------------------------------------------------------------------- going on


def test_an_unfinished_run_gives_its_recipe_and_its_folder(place: RunDirectory, recipe: Recipe, tmp_path: Path):
    begin(place, recipe)
    found, base, log = place.require_resumable()
    assert (found, base, len(log.lines)) == (recipe, tmp_path, 1)


def test_a_run_copied_without_its_origin_starts_from_here(
    place: RunDirectory, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    begin(place, recipe)
    place.origin.unlink()
    monkeypatch.chdir(tmp_path)
    assert place.require_resumable()[1] == tmp_path


@pytest.mark.parametrize("text", ["", "[]", '{"other": 1}', '{"base": 3}'])
def test_an_origin_that_says_nothing_is_refused(place: RunDirectory, recipe: Recipe, text: str):
    begin(place, recipe)
    place.origin.write_text(text)
    with pytest.raises(RequestError, match=r"origin\.json cannot be read.*Mend the file, or remove it"):
        place.require_resumable()


@pytest.mark.parametrize("name", ["resolved.json", "recipe.yaml"])
def test_a_changed_request_is_refused(place: RunDirectory, recipe: Recipe, name: str):
    begin(place, recipe)
    with (place.path / name).open("a") as file:
        file.write(" ")
    with pytest.raises(RequestError, match=f"{name} was changed since the run began.*Put the file back"):
        place.require_resumable()


def test_no_run_and_a_run_without_an_event_are_refused(place: RunDirectory):
    place.make()
    with pytest.raises(RequestError, match=r"holds no run to resume.*sibling train RECIPE"):
        place.require_resumable()
    (place.path / "events.jsonl").write_text("")
    with pytest.raises(RequestError, match=r"before its first event.*same `sibling train` command"):
        place.require_resumable()


def test_the_request_is_written_as_it_was_given(place: RunDirectory, recipe: Recipe, tmp_path: Path):
    place.make()
    place.write_request(recipe, "steps: 3  # three\n", tmp_path)
    assert place.recipe.read_text() == "steps: 3  # three\n"
    assert json.loads(place.resolved.read_bytes()) == recipe.resolved()
    assert place.relative(place.samples(12)) == "samples/step-000012.parquet"
    assert place.relative(place.checkpoint(50)) == "checkpoints/step-000050"
    assert place.relative(place.evaluation("before")) == "evaluation/before.json"
