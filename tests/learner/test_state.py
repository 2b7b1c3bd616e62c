"""The policy being trained: weights, adapters, reference, updates, and the digest that names the weights."""

import math

import pytest
import torch
from small_batches import learner, packed_model, plain_model, ragged_batch, row_logprobs

from sibling.config import (
    Critic,
    DapoObjective,
    GrpoObjective,
    Kl,
    Learner,
    LoraFinetune,
    Optimizer,
    RefreshReference,
    Sampling,
)
from sibling.errors import ModelError, RunError
from sibling.learner.logprobs import score
from sibling.learner.optimizer import state_tensors
from sibling.learner.packing import pack_rows
from sibling.learner.state import LearnerState
from sibling.learner.trainable import weights_digest
from sibling.models import native
from sibling.models.precision import compute

needs_kernels = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)

BATCH = ragged_batch(seed=41)
FAST = Optimizer(learning_rate=1e-2)
LORA = Learner(finetune=LoraFinetune(rank=4, alpha=12.0), optimizer=FAST)
FULL = Learner(optimizer=FAST)


def state_of(config, *, architecture="llama", seed=0, **parts):
    return LearnerState(plain_model(architecture), config, total_updates=10, seed=seed, **parts)


def frozen(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


def logprobs(model):
    with torch.no_grad():
        return score(model, pack_rows(BATCH, range(BATCH.size)), Sampling()).logprobs


def assert_near(seen, wanted):
    """Two ways to the same numbers: a model with adapters runs through its modules, one without through the kernels."""
    torch.testing.assert_close(seen, wanted, rtol=1e-5, atol=1e-5)


def train(step, times):
    for seed in range(times):
        step(ragged_batch(seed=100 + seed))


# ------------------------------------------------------------------------------------------------ full fine-tune


def test_full_fine_tune_trains_everything_and_samples_from_it():
    state = state_of(FULL)
    assert state.model is state.sampling_model
    assert {n for n, _ in state.parameters} == {n for n, _ in state.model.named_parameters()}
    assert state.model.training


def test_a_tied_head_is_trained_once():
    names = [n for n, _ in state_of(FULL, architecture="qwen2").parameters]
    assert len(names) == len(set(names)) and "lm_head.weight" not in names


def test_the_reference_of_a_full_fine_tune_stays_where_it_was():
    step = learner(GrpoObjective(kl=Kl(beta=0.1)), FULL)
    with step.state.reference() as reference:
        start, before = logprobs(reference), frozen(reference)
    train(step, 2)
    with step.state.reference() as reference:
        assert all(torch.equal(p, before[n]) for n, p in reference.named_parameters())
        assert torch.equal(logprobs(reference), start)
        assert not any(p.requires_grad for p in reference.parameters())
    assert float((logprobs(step.state.model) - start).abs().max()) > 1e-2


def test_a_reference_that_was_not_kept_is_refused():
    for config in (FULL, LORA):
        state = state_of(config, kl=Kl(beta=0.0))
        assert state.kept_reference is None
        with pytest.raises(RunError, match=r"none was kept.*kl\.beta above 0"), state.reference():
            pass


def test_dropout_is_off_so_that_two_passes_agree():
    model = plain_model()
    model.model.layers[0].self_attn.attention_dropout = 0.5
    model.model.layers[0].extra = torch.nn.Dropout(0.5)
    state = LearnerState(model, FULL, total_updates=1, seed=0)
    assert state.model.model.layers[0].self_attn.attention_dropout == 0.0
    assert state.model.model.layers[0].extra.p == 0.0


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_checkpointed_activations_give_the_same_update(config, dtype):
    digests = set()
    for on in (False, True):
        step = learner(
            DapoObjective(kl=Kl(beta=0.1)),
            config.model_copy(update={"gradient_checkpointing": on}),
            model=plain_model("qwen3"),
            compute_dtype=dtype,
        )
        step(BATCH)
        assert any(getattr(m, "gradient_checkpointing", False) for m in step.state.model.modules()) is on
        digests.add(step.state.digest())
    assert len(digests) == 1


# ------------------------------------------------------------------------------------------------------- LoRA


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma"])
def test_only_adapters_are_trained(architecture):
    step = learner(DapoObjective(), LORA, model=plain_model(architecture))
    state = step.state
    before = frozen(state.model)
    train(step, 2)
    changed = {n for n, p in state.model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {n for n, _ in state.parameters}
    assert all("lora_A" in n or "lora_B" in n for n in changed)
    assert len(changed) == 2 * 7 * 2  # A and B of q, k, v, o, gate, up, down in two layers; not the head


def merged_by_hand(state, base):
    """W = W_base + (alpha / rank) B A, from the base as it was before the run."""
    adapters = dict(state.weights())
    out = dict(base)
    for name in base:
        stem = name.removesuffix(".weight")
        if f"{stem}.lora_A.default.weight" in adapters:
            delta = adapters[f"{stem}.lora_B.default.weight"] @ adapters[f"{stem}.lora_A.default.weight"]
            out[name] = base[name] + delta * (12.0 / 4)
    return out


def test_merged_weights_are_base_plus_delta_exactly_after_many_updates():
    step = learner(DapoObjective(), LORA, total_updates=100)
    base = frozen(plain_model())
    for times in (0, 1, 12):
        train(step, times)
        seen, wanted = frozen(step.state.sampling_model), merged_by_hand(step.state, base)
        assert all(torch.equal(seen[n], wanted[n]) for n in base)
    assert step.state.updates == 13
    moved = [n for n in base if not torch.equal(seen[n], base[n])]
    assert len(moved) == 7 * 2


def test_publishing_again_and_again_drifts_nowhere():
    step = learner(DapoObjective(), LORA)
    train(step, 1)
    once = frozen(step.state.sampling_model)
    for _ in range(20):
        step.state.publish()
    assert all(torch.equal(p, once[n]) for n, p in step.state.sampling_model.named_parameters())


def test_the_reference_of_lora_is_the_base():
    step = learner(GrpoObjective(kl=Kl(beta=0.1)), LORA)
    wanted = logprobs(packed_model())
    train(step, 2)
    with step.state.reference() as reference:
        assert_near(logprobs(reference), wanted)
    moved = logprobs(step.state.model)
    assert float((moved - wanted).abs().max()) > 1e-3  # the adapters are on again
    assert all(p.requires_grad for _, p in step.state.parameters)


def test_the_adapters_come_back_after_an_error_in_the_reference():
    step = learner(DapoObjective(kl=Kl(beta=0.1)), LORA)
    train(step, 1)
    wanted = logprobs(step.state.model)
    with pytest.raises(ZeroDivisionError), step.state.reference():
        raise ZeroDivisionError
    assert torch.equal(logprobs(step.state.model), wanted)


def test_adapters_start_at_nothing_and_depend_on_the_seed_alone():
    first, again, other = (state_of(LORA, seed=s) for s in (1, 1, 2))
    assert_near(logprobs(first.model), logprobs(packed_model()))
    torch.manual_seed(99)
    assert first.digest() == again.digest() == state_of(LORA, seed=1).digest() != other.digest()


def test_building_adapters_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    state_of(LORA)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("targets", [("nothing",), ("q_proj", "vproj")])
def test_a_target_that_no_module_has_is_refused(targets):
    with pytest.raises(ModelError, match=r"none of that name.*target_modules"):
        state_of(Learner(finetune=LoraFinetune(target_modules=targets)))


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_an_adapter_on_a_tied_weight_is_refused(target):
    """The head and the embedding are one matrix: merged, the adapter of one would act on both."""
    with pytest.raises(ModelError, match="tied"):
        state_of(Learner(finetune=LoraFinetune(target_modules=(target,))), architecture="qwen2")


def test_a_target_that_is_no_linear_layer_is_refused():
    with pytest.raises(ModelError, match="finds no module to adapt"):
        state_of(Learner(finetune=LoraFinetune(target_modules=("norm",))))


def test_named_targets_alone_are_adapted():
    state = state_of(Learner(finetune=LoraFinetune(target_modules=("v_proj", "lm_head"))))
    assert {n.split(".lora")[0].split(".")[-1] for n, _ in state.parameters} == {"v_proj", "lm_head"}


# ---------------------------------------------------------------------------------------------------- updates


def give(state, value):
    for _, p in state.parameters:
        p.grad = torch.full_like(p, value)


def test_the_norm_is_before_clipping_and_the_rate_is_the_schedules():
    config = Learner(optimizer=Optimizer(learning_rate=0.5, schedule="linear", max_grad_norm=0.1))
    state = state_of(config)
    count = sum(p.numel() for _, p in state.parameters)
    for update in range(3):
        give(state, 0.01)
        norm, rate = state.update()
        assert norm == pytest.approx(0.01 * math.sqrt(count), rel=1e-5)
        assert rate == pytest.approx(0.5 * (1 - update / 10))
        assert state.optimizer.param_groups[0]["lr"] == rate
        assert all(p.grad is None for _, p in state.parameters)
    assert state.updates == 3


def test_gradients_are_clipped_to_the_norm():
    """AdamW's first moment after one update is (1 - b1) times the gradient it was given."""
    state = state_of(Learner(optimizer=Optimizer(max_grad_norm=0.1, betas=(0.9, 0.95))))
    give(state, 0.01)
    state.update()
    given = [state.optimizer.state[p]["exp_avg"] / 0.1 for _, p in state.parameters]
    assert float(torch.nn.utils.get_total_norm(given)) == pytest.approx(0.1, rel=1e-3)


def test_a_small_gradient_is_not_scaled_up():
    state = state_of(Learner(optimizer=Optimizer(max_grad_norm=100.0)))
    give(state, 0.01)
    state.update()
    assert all(
        torch.allclose(state.optimizer.state[p]["exp_avg"] / 0.1, p.new_full(p.shape, 0.01))
        for _, p in state.parameters
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38])
def test_a_gradient_that_is_not_finite_touches_nothing(value):
    """3e38 is finite, but its norm is not."""
    state = state_of(FULL)
    before = state.digest()
    give(state, 0.0)
    state.parameters[3][1].grad.view(-1)[5] = value
    state.parameters[4][1].grad.view(-1)[5] = value
    norm, _ = state.update()
    assert not math.isfinite(norm)
    assert state.digest() == before and state.updates == 0 and not state.optimizer.state
    assert all(p.grad is None for _, p in state.parameters)


# ------------------------------------------------------------------------------------------------- identity


def test_the_digest_of_a_state_is_that_of_its_trained_weights():
    for config in (FULL, LORA):
        state = state_of(config)
        assert state.digest() == weights_digest({n: p.detach() for n, p in state.parameters})
        with torch.no_grad():
            state.parameters[0][1].view(-1)[0] += 1e-3
        assert state.digest() != state_of(config).digest()


def test_weights_of_another_model_are_refused():
    state = state_of(FULL)
    weights = frozen(state.model)
    before = state.digest()
    for wrong in ({}, {**weights, "more": torch.ones(1)}, {**weights, "lm_head.weight": torch.ones(2, 2)}):
        with pytest.raises(RunError, match="do not fit the model"):
            state.load(wrong, {}, 1)
    assert state.digest() == before and state.updates == 0


def test_loading_publishes():
    trained = learner(DapoObjective(), LORA)
    train(trained, 1)
    fresh = state_of(LORA)
    fresh.load(trained.state.weights(), {}, 1)
    ours, theirs = frozen(fresh.sampling_model), frozen(trained.state.sampling_model)
    assert all(torch.equal(ours[n], theirs[n]) for n in ours)
    assert fresh.updates == 1
    wanted = row_logprobs(plain_model(), BATCH.prompts[0], BATCH.completions[0])
    assert not torch.allclose(logprobs(fresh.sampling_model)[0, : len(wanted)], wanted, atol=1e-3)


@pytest.mark.parametrize("way", [pytest.param("native", marks=needs_kernels), "torch"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_what_was_put_back_goes_on_bit_for_bit(config, dtype, way, monkeypatch):
    """Into a state that has been at work with other weights: nothing of them, no reduced copy either, is left."""
    monkeypatch.setenv("SIBLING_KERNELS", way)
    whole, other = (learner(DapoObjective(), config, model=plain_model("qwen2"), compute_dtype=dtype) for _ in "ab")
    train(whole, 2)
    weights = {n: t.clone() for n, t in whole.state.weights().items()}
    moments = {n: t.clone() for n, t in state_tensors(whole.state.optimizer, whole.state.parameters).items()}
    train(other, 1)
    other.state.load(weights, moments, 2)
    for step in (whole, other):
        step(ragged_batch(seed=7))
    assert other.state.digest() == whole.state.digest()
    with compute(dtype):
        assert torch.equal(logprobs(other.state.sampling_model), logprobs(whole.state.sampling_model))


# --------------------------------------------------------------------------------- the critic and the reference


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_the_recipe_decides_what_there_is_beside_the_policy(config):
    plain = state_of(config)
    assert plain.critic is None and plain.kept_reference is None
    state = state_of(config, kl=Kl(beta=0.1, reference=RefreshReference(every=2)), critic=Critic())
    assert state.critic.config == Critic() and state.kept_reference.config == RefreshReference(every=2)
    assert state.digest() == plain.digest() and [n for n, _ in state.parameters] == [n for n, _ in plain.parameters]


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_a_refreshed_reference_is_the_policy_published_last(config):
    state = state_of(config, kl=Kl(beta=0.1, reference=RefreshReference(every=1)))
    for step in (1, 2):
        give(state, 0.01)
        state.update()
        state.publish()
        assert state.kept_reference.after_step(step)
        with state.reference() as reference:
            assert torch.equal(logprobs(reference), logprobs(state.sampling_model))
