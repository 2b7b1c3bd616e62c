"""Checkpoints: the next step after loading is bit-equal to the uninterrupted one; damage is noticed; no pickle."""

import json
import pickletools

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_batches import learner, ragged_batch

from sibling.canonical import tree_digests
from sibling.config import DapoObjective, GrpoObjective, Kl, Learner, LoraFinetune, Optimizer
from sibling.errors import RecordError, RunError
from sibling.learner import optimizer as adamw
from sibling.learner.checkpoint import Progress, load, save

SCHEDULE = Optimizer(learning_rate=1e-2, schedule="cosine", warmup_steps=2, weight_decay=0.1)
CONFIGS = {
    "full": Learner(optimizer=SCHEDULE, passes=2),
    "lora": Learner(optimizer=SCHEDULE, finetune=LoraFinetune(rank=4)),
    "minibatches": Learner(optimizer=SCHEDULE, minibatches=2, micro_batch_tokens=30),
}
OBJECTIVE = GrpoObjective(kl=Kl(beta=0.05))


def step_of(name):
    return learner(OBJECTIVE, CONFIGS[name], total_updates=20)


def progress(step, number):
    return Progress(number, step.state.updates, step.state.digest(), {"watch": {"seen": [1, 2]}, "best": None})


def saved(tmp_path, name="full", steps=2):
    step = step_of(name)
    for n in range(steps):
        step(ragged_batch(seed=n))
    path = tmp_path / "step-000002"
    return step, path, save(path, step.state, progress(step, steps))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_the_next_step_is_bit_equal_to_the_uninterrupted_one(tmp_path, name, used):
    step, path, files = saved(tmp_path, name)
    other = step_of(name)
    if used:  # a state that has gone elsewhere goes back too
        other(ragged_batch(seed=50))
    found = load(path, other.state, files)
    assert found == progress(step, 2)
    assert other.state.digest() == step.state.digest()
    for n in (2, 3):
        assert step(ragged_batch(seed=n)) == other(ragged_batch(seed=n))
    assert other.state.digest() == step.state.digest() and other.state.updates == step.state.updates
    ours, theirs = (adamw.state_tensors(s.state.optimizer, s.state.parameters) for s in (step, other))
    assert set(ours) == set(theirs) and all(torch.equal(ours[n], theirs[n]) for n in ours)
    sampled = zip(step.state.sampling_model.parameters(), other.state.sampling_model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in sampled)


def test_must_fail_without_the_optimizer_the_next_step_differs(tmp_path):
    step, path, _ = saved(tmp_path)
    other = step_of("full")
    other.state.load(load_file(path / "weights.safetensors"), {}, step.state.updates)
    step(ragged_batch(seed=2))
    other(ragged_batch(seed=2))
    assert other.state.digest() != step.state.digest()


def test_a_checkpoint_before_the_first_update(tmp_path):
    step, path, files = saved(tmp_path, steps=0)
    other = step_of("full")
    other(ragged_batch(seed=9))
    load(path, other.state, files)
    assert other.state.updates == 0 and not other.state.optimizer.state
    assert step(ragged_batch(seed=0)) == other(ragged_batch(seed=0))
    assert step.state.digest() == other.state.digest()


def test_the_files_are_safetensors_and_json_and_no_pickle(tmp_path):
    _, path, files = saved(tmp_path)
    assert set(files) == {"weights.safetensors", "optimizer.safetensors", "progress.json"}
    assert files == tree_digests(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # nothing is left aside
    for name in files:
        data = (path / name).read_bytes()
        assert not data.startswith((b"PK", b"\x80"))  # neither torch.save's archive nor a pickle stream
        with pytest.raises(Exception, match=r".+"):
            list(pickletools.genops(data))
    document = json.loads((path / "progress.json").read_bytes())
    assert document["step"] == 2 and document["updates"] == 4 and document["notes"]["best"] is None


def test_saving_is_bit_equal_each_time_and_replaces(tmp_path):
    step, path, files = saved(tmp_path)
    assert save(path, step.state, progress(step, 2)) == files
    step(ragged_batch(seed=2))
    assert save(path, step.state, progress(step, 3)) != files
    assert load(path, step_of("full").state, tree_digests(path)).step == 3


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_damage_is_noticed_before_anything_is_loaded(tmp_path, name, damage):
    _, path, files = saved(tmp_path, "lora")
    target = path / name
    if damage == "bit":
        flip(target, -10)
    elif damage == "cut":
        target.write_bytes(target.read_bytes()[:-1])
    else:
        target.unlink()
    other = step_of("lora")
    before = other.state.digest()
    words = "is missing" if damage == "gone" else "differs from the record"
    with pytest.raises(RunError, match=rf"is corrupt.*{name} {words}.*resume again"):
        load(path, other.state, files)
    assert other.state.digest() == before and other.state.updates == 0


def test_a_file_too_many_and_a_checkpoint_that_is_gone(tmp_path):
    _, path, files = saved(tmp_path)
    (path / "extra.bin").write_bytes(b"x")
    with pytest.raises(RunError, match=r"extra\.bin differs"):
        load(path, step_of("full").state, files)
    with pytest.raises(RunError, match="is missing"):
        load(tmp_path / "nowhere", step_of("full").state, files)


def test_weights_that_are_not_those_named_are_refused(tmp_path):
    """Files whose digests were recorded, but whose weights do not have the digest that progress.json names."""
    _, path, _ = saved(tmp_path)
    weights = load_file(path / "weights.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"] + 1
    save_file(weights, path / "weights.safetensors")
    with pytest.raises(RunError, match="are not those it names"):
        load(path, step_of("full").state, tree_digests(path))


def test_a_checkpoint_of_another_finetune_is_refused(tmp_path):
    _, path, files = saved(tmp_path, "lora")
    with pytest.raises(RunError, match="do not fit the model"):
        load(path, step_of("full").state, files)


def test_a_place_that_cannot_be_written_is_a_record_error(tmp_path):
    step = learner(DapoObjective())
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RecordError, match="Cannot write"):
        save(tmp_path / "file" / "step-000001", step.state, progress(step, 1))
