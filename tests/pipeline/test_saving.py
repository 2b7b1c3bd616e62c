"""Checkpoints under the retention rule, with real weights on a real disk; and the exported model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import small_recipe

from sibling.config import Checkpoints as Rule
from sibling.config import DirectoryModel
from sibling.errors import RunError
from sibling.learner.state import weights_digest
from sibling.models.load import load_policy
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.parts import Parts, build
from sibling.pipeline.saving import Checkpoints, export_model
from sibling.record.chain import Line
from sibling.record.events import Event
from sibling.record.reader import Log


class Diary:
    """Keeps events, and gives them back as the log that would hold them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, type_: str, body: dict[str, Any]) -> None:
        self.events.append((type_, body))

    def told(self) -> list[tuple[str, int]]:
        return [(type_.removeprefix("checkpoint."), body["step"]) for type_, body in self.events]

    def log(self) -> Log:
        events = [
            Event(1, "run", 0, n, "", type_, "", "trainer", body, b"") for n, (type_, body) in enumerate(self.events)
        ]
        return Log(Path(), tuple(Line(n, b"", event) for n, event in enumerate(events, 1)), 0, 0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    folder = tmp_path_factory.mktemp("parts")
    return build(small_recipe(folder, steps=99), base=folder)


def keeper(parts: Parts, place: Path, diary: Diary, **rule: Any) -> Checkpoints:
    recipe = parts.recipe.model_copy(update={"checkpoints": Rule(**rule)})
    return Checkpoints(replace(parts, recipe=recipe), RunDirectory(place), diary)


def go(checkpoints: Checkpoints, accuracies: Sequence[float | None]) -> None:
    """Steps with these held-out accuracies, saved where the rule says so."""
    for step, accuracy in enumerate(accuracies, start=1):
        if checkpoints.due(step, accuracy):
            checkpoints.save(step, checkpoints.parts.state.digest(), accuracy, {"totals": step})


def on_disk(place: Path) -> list[int]:
    return sorted(int(p.name.removeprefix("step-")) for p in (place / "checkpoints").iterdir())


def test_the_last_ones_are_kept(parts: Parts, tmp_path: Path):
    diary = Diary()
    go(keeper(parts, tmp_path, diary, every=2, keep_last=2), [None] * 9)
    assert on_disk(tmp_path) == [6, 8]
    assert diary.told() == [
        *(("saved", 2), ("saved", 4), ("saved", 6), ("deleted", 2)),
        *(("saved", 8), ("deleted", 4)),
    ]
    assert diary.events[3][1]["reason"] == "retention: keep_last 2, keep_best True"


@pytest.mark.parametrize(("keep_best", "left"), [(True, [2, 4, 6]), (False, [4, 6])])
def test_the_best_is_kept_beside_them(parts: Parts, tmp_path: Path, keep_best: bool, left: list[int]):
    checkpoints = keeper(parts, tmp_path, Diary(), every=2, keep_last=2, keep_best=keep_best)
    go(checkpoints, [None, 0.9, None, 0.5, None, 0.9])
    assert on_disk(tmp_path) == left
    assert checkpoints.best == 0.9


def test_a_new_best_is_saved_between_two_checkpoints_and_the_old_one_goes(parts: Parts, tmp_path: Path):
    diary = Diary()
    go(keeper(parts, tmp_path, diary, every=10, keep_last=1), [0.1, 0.3, 0.2])
    assert diary.told() == [("saved", 1), ("saved", 2), ("deleted", 1)]


def test_the_last_step_is_exported_not_saved(parts: Parts, tmp_path: Path):
    checkpoints = keeper(parts, tmp_path, Diary(), every=1)
    assert checkpoints.due(98, None) and not checkpoints.due(99, 1.0)
    assert checkpoints.best == 1.0


def test_a_deletion_is_told_before_it_is_done(parts: Parts, tmp_path: Path):
    there: list[bool] = []
    checkpoints = keeper(parts, tmp_path, Diary(), every=1, keep_last=1)
    checkpoints.write = lambda type_, body: there.append((tmp_path / body["path"]).is_dir())
    go(checkpoints, [None, None])
    assert there == [True, True, True]
    assert on_disk(tmp_path) == [2]


def test_restoring_goes_on_from_the_last_checkpoint_there_is(parts: Parts, tmp_path: Path):
    diary = Diary()
    go(keeper(parts, tmp_path, diary, every=1, keep_last=3), [0.5, 0.25, None, None])
    after = keeper(parts, tmp_path, Diary(), every=1, keep_last=3)
    restored = after.restore(diary.log())
    assert restored is not None
    progress, digest = restored
    assert (progress.step, progress.notes["totals"]) == (4, 4)
    assert digest == diary.events[-1][1]["digest"]
    assert (after.kept, after.best, after.best_step) == ([1, 2, 3, 4], 0.5, 1)


def test_restoring_finishes_a_deletion_that_a_kill_cut_short(parts: Parts, tmp_path: Path):
    diary = Diary()
    go(keeper(parts, tmp_path, diary, every=1, keep_last=2), [None, None])
    diary("checkpoint.deleted", {"step": 1})
    after = keeper(parts, tmp_path, Diary(), every=1, keep_last=2)
    after.restore(diary.log())
    assert on_disk(tmp_path) == [2] and after.kept == [2]


def test_retaining_after_a_restore_does_what_a_kill_left_undone(parts: Parts, tmp_path: Path):
    diary = Diary()
    go(keeper(parts, tmp_path, diary, every=1, keep_last=9), [None, None, None])
    again = Diary()
    after = keeper(parts, tmp_path, again, every=1, keep_last=2)
    after.restore(diary.log())
    after.retain()
    assert again.told() == [("deleted", 1)] and on_disk(tmp_path) == [2, 3]


def test_without_a_checkpoint_a_run_begins_again(parts: Parts, tmp_path: Path):
    assert keeper(parts, tmp_path, Diary()).restore(Diary().log()) is None


def test_a_corrupt_checkpoint_is_refused_and_the_one_before_it_serves_once_it_is_gone(parts: Parts, tmp_path: Path):
    diary = Diary()
    go(keeper(parts, tmp_path, diary, every=1), [None, None])
    last = tmp_path / "checkpoints" / "step-000002"
    (last / "progress.json").write_text("{}")
    with pytest.raises(RunError, match=r"step-000002 is corrupt.*progress\.json differs.*Remove .*resume again"):
        keeper(parts, tmp_path, Diary()).restore(diary.log())
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    restored = keeper(parts, tmp_path, Diary()).restore(diary.log())
    assert restored is not None and restored[0].step == 1


# ------------------------------------------------------------------------------------------- the model


def test_the_exported_model_has_the_policy_s_weights(parts: Parts, tmp_path: Path):
    facts = export_model(parts, RunDirectory(tmp_path))
    assert facts["path"] == "model" and "model.safetensors" in facts["files"]
    loaded = load_policy(DirectoryModel(path="model"), base=tmp_path)
    assert weights_digest(dict(loaded.model.named_parameters())) == parts.state.digest()
    assert loaded.eos_ids == parts.loaded.eos_ids
    assert loaded.tokenizer.chat_template == parts.loaded.tokenizer.chat_template


def test_lora_is_exported_merged_into_the_base(tmp_path: Path):
    """W = W_base + (alpha / r) B A, computed here from the adapters; every other weight is the base's."""
    lora = {"compute_dtype": "float32", "finetune": {"type": "lora", "rank": 4, "alpha": 12.0}}
    parts = build(small_recipe(tmp_path, learner=lora), base=tmp_path)
    base = {name: p.clone() for name, p in load_policy(parts.recipe.model, base=tmp_path).model.named_parameters()}
    generator = torch.Generator().manual_seed(3)
    adapters = dict(parts.state.parameters)
    with torch.no_grad():
        for parameter in adapters.values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    parts.state.publish()
    export_model(parts, RunDirectory(tmp_path))
    merged = dict(load_policy(DirectoryModel(path="model"), base=tmp_path).model.named_parameters())
    assert sorted(merged) == sorted(base)
    changed = 0
    for name, weight in merged.items():
        a = adapters.get(name.removesuffix("weight") + "lora_A.default.weight")
        b = adapters.get(name.removesuffix("weight") + "lora_B.default.weight")
        wanted = base[name] if a is None or b is None else base[name] + (12.0 / 4) * (b @ a)
        changed += a is not None
        torch.testing.assert_close(weight, wanted, rtol=0, atol=1e-6)
    assert changed == len(adapters) // 2 > 0


def test_exporting_leaves_the_policy_ready_to_go_on(parts: Parts, tmp_path: Path):
    """The attention is switched for the file and switched back for the engine."""
    before = parts.sample(1, 0, [parts.task_at(1, 0)[1]], None)
    export_model(parts, RunDirectory(tmp_path))
    after = parts.sample(1, 0, [parts.task_at(1, 0)[1]], None)
    assert [c.text for c in before[0]] == [c.text for c in after[0]]
