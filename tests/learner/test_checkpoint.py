"""Checkpoints: the next step after loading is bit-equal to the uninterrupted one; damage is noticed; no pickle."""

import json
import pickletools

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_batches import learner, plain_model, ragged_batch

from sibling.canonical import tree_digests
from sibling.config import (
    Critic,
    DapoObjective,
    EmaReference,
    GrpoObjective,
    InitialReference,
    Kl,
    Learner,
    LoraFinetune,
    Optimizer,
    RefreshReference,
)
from sibling.errors import RecordError, RunError
from sibling.learner import optimizer as adamw
from sibling.learner.checkpoint import Progress, load, save
from sibling.learner.state import LearnerState

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


# --------------------------------------------------------------------------------- the critic and the reference

EVERYTHING = {"critic": Critic(learning_rate=1e-2), "kl": Kl(beta=0.1, reference=EmaReference(decay=0.7, every=2))}
CRITIC_FILES = {"critic.safetensors", "critic_optimizer.safetensors"}


def state_of(name="full", **parts):
    return LearnerState(plain_model(), CONFIGS[name], total_updates=20, seed=0, **parts)


def turn(state, number):
    """A step without a rollout: random gradients for policy and critic, then the reference follows."""
    random = torch.Generator().manual_seed(number)
    for part in (state, state.critic):
        if part is not None:
            for _, p in part.parameters:
                p.grad = torch.randn(p.shape, generator=random)
            part.update()
    state.publish()
    if state.kept_reference is not None:
        state.kept_reference.after_step(number)


def stored(state, path, steps=0):
    for number in range(1, steps + 1):
        turn(state, number)
    return save(path, state, Progress(steps, state.updates, state.digest(), {}))


def everything(state):
    """Every tensor that the next step depends on, by a name."""
    parts = {"policy": state, "critic": state.critic}
    out = {f"reference/{n}": t for n, t in state.kept_reference.state().items()}
    for name, part in parts.items():
        out |= {f"{name}/{n}": t for n, t in part.weights().items()}
        out |= {f"{name}/{n}": t for n, t in adamw.state_tensors(part.optimizer, part.parameters).items()}
    return out


@pytest.mark.parametrize("name", ["full", "lora"])
@pytest.mark.parametrize("reference", [EmaReference(decay=0.7, every=2), RefreshReference(every=2)])
@pytest.mark.parametrize("steps", [0, 3])
def test_critic_and_reference_go_on_bit_for_bit(tmp_path, name, reference, steps):
    parts = {**EVERYTHING, "kl": Kl(beta=0.1, reference=reference)}
    state, other = state_of(name, **parts), state_of(name, **parts)
    files = stored(state, tmp_path / "step", steps)
    for number in (7, 8):  # a state that has gone elsewhere goes back too
        turn(other, number)
    load(tmp_path / "step", other, files)
    for number in range(steps + 1, steps + 3):
        before = {n: t.clone() for n, t in everything(state).items()}
        turn(state, number)
        turn(other, number)
        ours, theirs = everything(state), everything(other)
        assert set(ours) == set(theirs) and all(torch.equal(ours[n], theirs[n]) for n in ours)
    for part in ("policy", "critic", "reference"):
        changed = [n for n in before if n.startswith(part) and not torch.equal(before[n], ours[n])]
        assert bool(changed) is (part != "reference" or (steps + 2) % 2 == 0)
    assert other.kept_reference.digest() == state.kept_reference.digest()


@pytest.mark.parametrize("name", ["full", "lora"])
def test_there_are_files_for_what_there_is(tmp_path, name):
    plain = {"weights.safetensors", "optimizer.safetensors", "progress.json"}
    cases = [
        ({}, set()),
        ({"kl": Kl(beta=0.1, reference=InitialReference())}, set()),
        ({"kl": EVERYTHING["kl"]}, {"reference.safetensors"}),
        ({"critic": Critic()}, CRITIC_FILES),
        (EVERYTHING, {"reference.safetensors", *CRITIC_FILES}),
    ]
    for number, (parts, more) in enumerate(cases):
        assert set(stored(state_of(name, **parts), tmp_path / str(number), steps=1)) == plain | more


@pytest.mark.parametrize("file", ["reference.safetensors", *sorted(CRITIC_FILES)])
@pytest.mark.parametrize("damage", ["bit", "gone"])
def test_damage_to_critic_and_reference_is_noticed(tmp_path, file, damage):
    files = stored(state_of(**EVERYTHING), tmp_path / "step", steps=2)
    flip(tmp_path / "step" / file, -10) if damage == "bit" else (tmp_path / "step" / file).unlink()
    other = state_of(**EVERYTHING)
    before = {n: t.clone() for n, t in everything(other).items()}
    words = "is missing" if damage == "gone" else "differs from the record"
    with pytest.raises(RunError, match=rf"is corrupt.*{file} {words}.*resume again"):
        load(tmp_path / "step", other, files)
    assert all(torch.equal(t, before[n]) for n, t in everything(other).items())


@pytest.mark.parametrize(
    ("made", "read"),
    [({}, EVERYTHING), (EVERYTHING, {}), ({"critic": Critic()}, {"kl": EVERYTHING["kl"]})],
    ids=["parts too few", "parts too many", "others"],
)
def test_a_checkpoint_with_other_parts_is_refused(tmp_path, made, read):
    files = stored(state_of(**made), tmp_path / "step", steps=1)
    other = state_of(**read)
    before = other.digest()
    with pytest.raises(RunError, match=r"made by a run with other parts.*Wanted: .*weights\.safetensors.*own recipe"):
        load(tmp_path / "step", other, files)
    assert other.digest() == before and other.updates == 0


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
