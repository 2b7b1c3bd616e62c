"""What a run is bound to: written once, compared at every sitting."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_runs import small_recipe

from sibling.errors import RequestError, RunError
from sibling.pipeline.binding import bind, first_findings, open_run, recorded_dtype, require_same
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.parts import Parts, build
from sibling.record.reader import Log, read_log
from sibling.record.writer import RecordWriter

ORDER = ["run.opened", "model.loaded", "template.bound", "data.loaded", "reward.bound"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("binding")


@pytest.fixture(scope="module")
def parts(folder: Path) -> Parts:
    return build(small_recipe(folder), base=folder)


@pytest.fixture
def log(parts: Parts, tmp_path: Path) -> Log:
    """The first events of a run of these parts."""
    directory = RunDirectory(tmp_path / "run")
    directory.make()
    directory.write_request(parts.recipe, "steps: 3", tmp_path)
    with RecordWriter(directory.path, "a-run", segment=0) as writer:
        open_run(parts, directory, writer.write)
    return read_log(directory.path)


def written(parts: Parts, log: Log | None) -> list[str]:
    out: list[str] = []
    bind(parts, log, lambda type_, body: out.append(type_))
    return out


def test_a_run_opens_with_what_it_is_bound_to(parts: Parts, log: Log):
    assert [e.type for e in log.events] == ORDER
    opened = log.events[0].body
    assert opened["recipe_digest"] == parts.recipe.digest() and opened["reward_names"] == ["even"]
    assert opened["objective"]["type"] == "dapo" and "min" in opened["objective"]["equation"]


def test_what_is_recorded_is_not_written_again(parts: Parts, log: Log):
    require_same(parts, log)
    assert written(parts, log) == []
    assert written(parts, None) == ORDER[1:]


@pytest.mark.parametrize("count", range(1, 6))
def test_a_run_killed_between_them_gets_the_rest(parts: Parts, log: Log, count: int):
    require_same(parts, log.first(count))
    assert written(parts, log.first(count)) == ORDER[count:]


def test_the_reference_of_a_kl_penalty_is_bound_too(parts: Parts, folder: Path):
    recipe = small_recipe(folder, objective={"type": "grpo", "kl": {"beta": 0.1}})
    roles: list[Any] = []
    bind(replace(parts, recipe=recipe), None, lambda type_, body: roles.append(body.get("role")))
    assert roles == ["policy", "reference", None, None, None]


def other_model(parts: Parts) -> None:
    parts.loaded = replace(parts.loaded, digest="sha256:" + "1" * 64, files={"model.safetensors": "sha256:" + "2" * 64})


def other_template(parts: Parts) -> None:
    tokenizer = deepcopy(parts.loaded.tokenizer)
    tokenizer.chat_template = tokenizer.chat_template + "{# a remark #}"
    parts.loaded = replace(parts.loaded, tokenizer=tokenizer)


def other_held_out(parts: Parts) -> None:
    parts.held_out = parts.held_out[1:]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_model, "The model is not what the run began with. Seen: model.safetensors differs"),
        (other_template, "The tokenizer or its chat template is not what the run began with. Seen: template_digest"),
        (other_held_out, "The data are not what the run began with. Seen: held_out_ids_digest"),
    ],
)
def test_what_changed_between_two_sittings_is_refused(
    parts: Parts, log: Log, change: Callable[[Parts], None], said: str
):
    changed = replace(parts)
    change(changed)
    with pytest.raises(RequestError) as caught:
        require_same(changed, log)
    assert said in str(caught.value) and "Put the old files back" in str(caught.value)


def test_a_reward_mended_between_two_sittings_is_bound_again(folder: Path, parts: Parts, log: Log, tmp_path: Path):
    mended = build(small_recipe(tmp_path), base=tmp_path)
    require_same(mended, log)
    assert written(mended, log) == []  # the same code elsewhere is the same reward
    (tmp_path / "reward.py").write_text("def score(task, completion):\n    return 0.5\n")
    mended = build(parts.recipe.model_copy(), base=tmp_path)
    require_same(mended, log)
    assert written(mended, log) == ["reward.bound"]


def test_other_kernels_are_refused(parts: Parts, log: Log, monkeypatch: pytest.MonkeyPatch):
    """A resume through transformers' modules would differ in the last bits."""
    assert log.of("model.loaded")[0].body["kernels"] == "native"
    monkeypatch.setenv("SIBLING_KERNELS", "torch")
    with pytest.raises(RequestError, match="other kernels") as refused:
        require_same(parts, log)
    assert "torch" in str(refused.value) and "native, as the record says" in str(refused.value)


def test_the_compute_dtype_is_measured_once(parts: Parts, folder: Path, log: Log):
    assert recorded_dtype(log) == "float32"
    assert recorded_dtype(log.first(1)) is None
    recipe = small_recipe(folder, learner={"compute_dtype": "auto"})
    for dtype in ("bfloat16", "float32"):
        assert build(recipe, base=folder, compute_dtype=dtype).compute_dtype == dtype


# ------------------------------------------------------------------------------------ before the run


def with_check(parts: Parts, folder: Path, reward: dict[str, Any], **check: int) -> Parts:
    counts = {"n": 4, "accepted": 0, "refused": 0, "error": 0, "abstain": 0, **check}
    return replace(parts, recipe=small_recipe(folder, rewards=[reward]), reference_check={"r": counts})


BUILT_IN = {"type": "final_number", "name": "r"}
OWN = {"type": "callable", "target": "reward.py:score", "name": "r"}


def test_a_built_in_reward_that_refuses_its_references_stops_the_run(parts: Parts, folder: Path):
    with pytest.raises(RunError, match="refused_references=warn") as caught:
        first_findings(with_check(parts, folder, BUILT_IN, refused=1, accepted=3))
    assert "calls 1 of 4 reference answers wrong" in str(caught.value)


def test_a_reward_of_the_user_s_may_want_more_than_the_bare_reference(parts: Parts, folder: Path):
    found = first_findings(with_check(parts, folder, OWN, refused=4))
    assert [(f.code, f.severity) for f in found] == [("reference_refused", "warning")]
    found = first_findings(with_check(parts, folder, OWN, error=3, accepted=1))
    assert [(f.code, f.severity) for f in found] == [("reference_failed", "warning")]


def test_a_reward_of_the_user_s_that_fails_on_everything_stops_the_run(tmp_path: Path):
    recipe = small_recipe(tmp_path)
    (tmp_path / "reward.py").write_text("def score(task, completion):\n    return completion.words\n")
    with pytest.raises(RunError, match="fails on 32 of 32") as caught:
        first_findings(build(recipe, base=tmp_path))
    assert "'Completion' object has no attribute 'words'" in str(caught.value)
    lenient = small_recipe(tmp_path, reward_policy={"refused_references": "warn"})
    (tmp_path / "reward.py").write_text("def score(task, completion):\n    return completion.words\n")
    assert [f.severity for f in first_findings(build(lenient, base=tmp_path))] == ["warning"]


def test_one_prompt_a_step_is_told(parts: Parts, folder: Path):
    recipe = small_recipe(folder, sampling={"prompts_per_step": 1, "group_size": 4, "max_tokens": 6})
    assert "one_prompt" in [f.code for f in first_findings(replace(parts, recipe=recipe, reference_check={}))]
