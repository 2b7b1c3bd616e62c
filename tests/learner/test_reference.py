"""The reference policy: fixed, refreshed and averaged ones against a naive loop in float64, with and without LoRA."""

import pytest
import torch
from small_batches import packed_model, plain_model, ragged_batch

from sibling.config import (
    EmaReference,
    InitialReference,
    Kl,
    Learner,
    LoraFinetune,
    Optimizer,
    RefreshReference,
    Sampling,
)
from sibling.errors import RunError
from sibling.learner.logprobs import score
from sibling.learner.packing import pack_rows
from sibling.learner.reference import needs_reference
from sibling.learner.state import LearnerState
from sibling.learner.trainable import weights_digest

FAST = Optimizer(learning_rate=1e-2)
FINETUNES = {
    "full": Learner(optimizer=FAST),
    "lora": Learner(optimizer=FAST, finetune=LoraFinetune(rank=4, alpha=12.0)),
}
BATCH = ragged_batch(seed=3)
both = pytest.mark.parametrize("finetune", FINETUNES)


def state_of(finetune, reference, architecture="llama"):
    kl = Kl(beta=0.1, reference=reference)
    model = plain_model(architecture).train()  # a model may come with dropout on
    return LearnerState(model, FINETUNES[finetune], kl=kl, total_updates=100, seed=0)


def move(state, seed):
    """One update with random gradients."""
    random = torch.Generator().manual_seed(seed)
    for _, p in state.parameters:
        p.grad = torch.randn(p.shape, generator=random)
    state.update()
    state.publish()


def policy(state):
    """The policy's whole weights in float64, LoRA merged by hand: W = W_base + (alpha / rank) B A."""
    own = {n.replace(".base_layer.", "."): p.detach().double().clone() for n, p in state.model.named_parameters()}
    for name in [n for n in own if ".lora_A." in n]:
        stem = name.split(".lora_A.")[0]
        own[f"{stem}.weight"] += (12.0 / 4) * own[f"{stem}.lora_B.default.weight"] @ own[name]
    return {n: p for n, p in own.items() if "lora_" not in n}


def reference(state):
    with state.reference() as model:
        return {n: p.detach().clone() for n, p in model.named_parameters()}


def gap(seen, wanted):
    assert set(seen) == set(wanted)
    return max(float((seen[n].double() - wanted[n]).abs().max()) for n in wanted)


def logprobs(model):
    with torch.no_grad():
        return score(model, pack_rows(BATCH, range(BATCH.size)), Sampling()).logprobs


def test_a_reference_is_kept_only_for_a_penalty_that_weighs_something():
    assert not needs_reference(Kl(beta=0.0, reference=EmaReference()))
    assert needs_reference(Kl(beta=1e-6))


# ------------------------------------------------------------------------------------------ against a naive loop


@both
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("every", [1, 3])
def test_an_average_is_that_of_the_whole_weights(finetune, architecture, every):
    state = state_of(finetune, EmaReference(decay=0.8, every=every), architecture)
    wanted = policy(state)
    for step in range(1, 8):
        move(state, step)
        changed = state.kept_reference.after_step(step)
        assert changed is (step % every == 0)
        if changed:
            now = policy(state)
            wanted = {n: 0.8 * wanted[n] + 0.2 * now[n] for n in wanted}
        assert gap(reference(state), wanted) < 1e-6
    assert gap(wanted, policy(state)) > 1e-3


def test_must_fail_averaged_adapters_are_another_policy():
    """Averaging A and B in place of the merged weights is off by far more than rounding."""
    state = state_of("lora", EmaReference(decay=0.8))
    wanted = policy(state)
    adapters = {n: t.clone() for n, t in state.weights().items()}
    for step in range(1, 8):
        move(state, step)
        now = policy(state)
        wanted = {n: 0.8 * wanted[n] + 0.2 * now[n] for n in wanted}
        adapters = {n: 0.8 * adapters[n] + 0.2 * t for n, t in state.weights().items()}
    state.load(adapters, {}, 0)
    assert gap(policy(state), wanted) > 1e-3


@both
def test_a_refresh_takes_the_policy_of_the_last_multiple_bit_for_bit(finetune):
    state = state_of(finetune, RefreshReference(every=3))
    wanted = reference(state)
    for step in range(1, 8):
        move(state, step)
        assert state.kept_reference.after_step(step) is (step in {3, 6})
        if step in {3, 6}:
            wanted = {n: p.detach().clone() for n, p in state.sampling_model.named_parameters()}
            assert gap(wanted, policy(state)) < 1e-6
        seen = reference(state)
        assert all(torch.equal(seen[n], wanted[n]) for n in wanted)
    assert gap(seen, policy(state)) > 1e-3


@both
def test_an_initial_reference_never_changes(finetune):
    state = state_of(finetune, InitialReference())
    start = logprobs(packed_model())
    for step in range(1, 4):
        move(state, step)
        assert state.kept_reference.after_step(step) is False
    with state.reference() as model:
        if finetune == "full":
            assert torch.equal(logprobs(model), start)
        else:  # a model with adapters runs through its modules, one without through the kernels: they agree to rounding
            torch.testing.assert_close(logprobs(model), start, rtol=1e-5, atol=1e-5)
        assert (model is state.model) is (finetune == "lora")  # the base without its adapters takes no memory
    assert float((logprobs(state.model) - start).abs().max()) > 1e-2
    assert all(p.requires_grad for _, p in state.parameters)


@both
def test_an_average_of_a_policy_that_stands_still_stands_still(finetune):
    state = state_of(finetune, EmaReference(decay=0.9))
    move(state, 1)
    kept = state.kept_reference
    kept.load({n: p.detach().clone() for n, p in state.sampling_model.named_parameters()})
    before = kept.digest()
    for step in range(1, 20):
        kept.after_step(step)
    assert kept.digest() == before


# ---------------------------------------------------------------------------------------------- scoring


@both
@pytest.mark.parametrize("config", [RefreshReference(every=1), EmaReference(decay=0.5)], ids=["refresh", "ema"])
def test_a_reference_that_follows_scores_and_takes_no_gradient(finetune, config):
    state = state_of(finetune, config)
    before = logprobs(packed_model())
    move(state, 1)
    state.kept_reference.after_step(1)
    with state.reference() as model:
        assert not model.training and not any(p.requires_grad for p in model.parameters())
        assert not set(model.parameters()) & set(state.model.parameters())
        seen = logprobs(model)
    assert float((seen - before).abs().max()) > 1e-3
    refreshed = isinstance(config, RefreshReference)
    assert torch.allclose(seen, logprobs(state.sampling_model), atol=1e-6) is refreshed


# ------------------------------------------------------------------------------------------- identity and state


@both
def test_the_digest_is_that_of_the_whole_weights(finetune):
    state = state_of(finetune, EmaReference(decay=0.8, every=2))
    kept = state.kept_reference
    start = weights_digest(dict(plain_model().named_parameters()))
    digests = [kept.digest()]
    for step in range(1, 5):
        move(state, step)
        kept.after_step(step)
        digests.append(kept.digest())
        assert digests[-1] == weights_digest(reference(state))
    assert digests[0] == digests[1] == start == state_of(finetune, InitialReference()).kept_reference.digest()
    assert digests[2] == digests[3] and len(set(digests)) == 3


@both
def test_an_initial_reference_needs_no_state_and_takes_none(finetune):
    kept = state_of(finetune, InitialReference()).kept_reference
    assert kept.state() == {}
    kept.load({})
    with pytest.raises(RunError, match="do not fit the reference policy"):
        kept.load(state_of(finetune, EmaReference()).kept_reference.state())


@both
@pytest.mark.parametrize(
    "config", [RefreshReference(every=2), EmaReference(decay=0.9, every=2)], ids=["refresh", "ema"]
)
def test_what_was_put_back_goes_on_bit_for_bit(finetune, config):
    state, other = state_of(finetune, config), state_of(finetune, config)
    move(state, 1)
    move(state, 2)
    state.kept_reference.after_step(2)
    saved = {n: t.clone() for n, t in state.kept_reference.state().items()}
    other.kept_reference.digest()  # a digest taken before must not survive
    other.kept_reference.load(saved)
    other.load(state.weights(), {}, 2)
    assert other.kept_reference.digest() == state.kept_reference.digest()
    for one in (state, other):
        one.optimizer.state.clear()
        move(one, 3)
        one.kept_reference.after_step(4)
    assert other.kept_reference.digest() == state.kept_reference.digest() != weights_digest(saved)


def test_state_of_another_model_is_refused_and_nothing_is_loaded():
    kept = state_of("full", EmaReference()).kept_reference
    before = {n: t.clone() for n, t in kept.state().items()}
    good = {n: t + 1 for n, t in kept.state().items()}
    for wrong in ({}, {**good, "more": torch.ones(1)}, {**good, "lm_head.weight": torch.ones(2, 2)}):
        with pytest.raises(RunError, match="do not fit the reference policy"):
            kept.load(wrong)
    assert all(torch.equal(t, before[n]) for n, t in kept.state().items())
