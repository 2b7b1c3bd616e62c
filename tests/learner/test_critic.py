"""The critic: values do not depend on packing, learn what they are told, and leave the policy alone."""

import math

import numpy as np
import pytest
import torch
from small_batches import CASES, one_row_groups, plain_model, ragged_batch

from sibling.batch import Batch
from sibling.config import Critic as CriticConfig
from sibling.config import Learner, LoraFinetune, Optimizer
from sibling.errors import ModelError, RunError
from sibling.learner.critic import Critic
from sibling.learner.optimizer import state_tensors
from sibling.learner.packing import pack_rows
from sibling.learner.state import LearnerState
from sibling.learner.trainable import weights_digest
from sibling.models.precision import compute

FULL, LORA = Learner(), Learner(finetune=LoraFinetune(rank=4))
BATCH = ragged_batch(seed=8)
ROWS = pack_rows(BATCH, range(BATCH.size))


def critic_of(config=FULL, *, model=None, rate=1e-2, seed=0):
    return Critic(plain_model() if model is None else model, CriticConfig(learning_rate=rate), config, seed=seed)


def give(critic, seed):
    random = torch.Generator().manual_seed(seed)
    for _, p in critic.parameters:
        p.grad = torch.randn(p.shape, generator=random)


def moved(critic, times=2):
    """The critic after some updates with random gradients: its values are no longer 0."""
    for seed in range(times):
        give(critic, seed)
        critic.update()
    return critic


def values(critic, batch):
    with torch.no_grad():
        seen = critic.values(pack_rows(batch, range(batch.size)))
    return [v[: len(c)] for v, c in zip(seen, batch.completions, strict=True)]


def fit(critic, batch, target):
    """One update on the squared error; returns the mean error before it."""
    rows = pack_rows(batch, range(batch.size))
    counted = rows.padded(torch.ones(len(rows.place)))
    error = ((critic.values(rows) - target) ** 2 * counted).sum() / counted.sum()
    torch.autograd.backward(error)
    critic.update()
    return float(error.detach())


# ---------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_the_first_values_are_zero(config):
    seen = critic_of(config).values(ROWS)
    assert seen.dtype == torch.float32 and seen.shape == ROWS.shape and seen.requires_grad
    assert torch.equal(seen, torch.zeros(ROWS.shape))
    with torch.no_grad():
        assert not critic_of(config).values(ROWS).requires_grad


@pytest.mark.parametrize(("architecture", "window"), CASES)
def test_a_value_does_not_depend_on_packing(architecture, window):
    """Packed in groups, alone, and by the trunk's own attention: w . h + b at the token before."""
    critic = moved(critic_of(model=plain_model(architecture, window)))
    packed, alone = values(critic, BATCH), values(critic, one_row_groups(BATCH))
    trunk = plain_model(architecture, window).get_decoder()
    trunk.load_state_dict({n.removeprefix("trunk."): p for n, p in critic.weights().items() if "head" not in n}, False)
    w, b = critic.weights()["head.weight"][0], critic.weights()["head.bias"]
    scale = max(float(v.abs().max()) for v in packed)
    assert scale > 1e-2
    for i, (group, completion) in enumerate(zip(BATCH.group, BATCH.completions, strict=True)):
        prompt = BATCH.prompts[group]
        ids = torch.from_numpy(np.concatenate([prompt, completion]))[None]
        with torch.no_grad():
            hidden = trunk(input_ids=ids, use_cache=False).last_hidden_state[0, len(prompt) - 1 : -1]
        wanted = hidden @ w + b
        assert float((packed[i] - wanted).abs().max()) < 1e-5 * max(1, scale)
        assert float((packed[i] - alone[i]).abs().max()) < 1e-5 * max(1, scale)


def test_a_value_has_not_seen_its_own_token():
    critic = moved(critic_of())
    prompt, tokens = np.arange(4), np.arange(50, 57)
    other = tokens.copy()
    other[3] += 1
    first, second = (values(critic, _one(prompt, t))[0] for t in (tokens, other))
    assert torch.equal(first[:4], second[:4])
    assert float((first[4:] - second[4:]).abs().min()) > 1e-6


def _one(prompt, *completions):
    n = len(completions)
    return Batch(
        prompts=(prompt,),
        group=np.zeros(n, dtype=np.int64),
        completions=completions,
        sampler_logprobs=tuple(np.zeros(len(c), dtype=np.float32) for c in completions),
        mask=tuple(np.ones(len(c), dtype=bool) for c in completions),
        advantage=np.zeros(n),
        live=np.ones(n, dtype=bool),
    )


def test_places_after_a_short_row_are_zero():
    critic = moved(critic_of())
    seen = critic.values(ROWS).detach()
    inside = ROWS.padded(torch.ones(len(ROWS.place))).bool()
    assert not inside.all()
    assert float(seen[~inside].abs().max()) == 0.0 < float(seen[inside].abs().min())


def test_reduced_products_stay_close_and_return_float32():
    critic = moved(critic_of())
    with torch.no_grad(), compute("bfloat16"):
        reduced = critic.values(ROWS)
    full = critic.values(ROWS).detach()
    assert reduced.dtype == torch.float32 and not torch.equal(reduced, full)
    assert float((reduced - full).abs().max()) < 0.05 * float(full.abs().max())


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_checkpointed_activations_give_the_same_update(config):
    digests = set()
    for on in (False, True):
        critic = moved(critic_of(config.model_copy(update={"gradient_checkpointing": on})))
        fit(critic, BATCH, torch.ones(ROWS.shape))
        assert any(getattr(m, "gradient_checkpointing", False) for m in critic.model.modules()) is on
        digests.add(critic.digest())
    assert len(digests) == 1


def test_dropout_is_off():
    model = plain_model()
    model.model.layers[0].self_attn.attention_dropout = 0.5
    model.model.layers[0].extra = torch.nn.Dropout(0.5)
    layer = critic_of(model=model).model.trunk.layers[0]
    assert layer.self_attn.attention_dropout == 0.0 and layer.extra.p == 0.0


# -------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_gradient_reaches_head_and_trunk(config):
    """The head first: its weight starts at 0, and through a 0 no gradient comes to the trunk."""
    critic = critic_of(config)
    for update in range(3):
        torch.autograd.backward(((critic.values(ROWS) - 1.0) ** 2).sum())
        norms = {n: float(p.grad.norm()) for n, p in critic.parameters}
        trunk = [n for n in norms if not n.startswith("head.")]
        assert norms["head.weight"] > 0 and norms["head.bias"] > 0
        if update == 0:
            assert all(norms[n] == 0 for n in trunk)
        if update == 2:  # A of an adapter waits for B to leave 0
            assert all(norms[n] > 0 for n in trunk)
        critic.update()


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_a_constant_is_learnt(config):
    critic = critic_of(config)
    errors = [fit(critic, ragged_batch(seed=s), torch.full(ragged_shape(s), 0.7)) for s in range(40)]
    assert errors[0] == pytest.approx(0.49)
    assert max(errors[-3:]) < 0.02


def ragged_shape(seed):
    batch = ragged_batch(seed=seed)
    return batch.size, max(len(c) for c in batch.completions)


def share_batch(seed):
    """Completions of two tokens, and the share of the second one among the tokens before each (0 at the first)."""
    random = np.random.default_rng([seed, 77])
    lean = random.random((16, 1))
    tokens = np.where(random.random((16, 12)) < lean, 66, 65)
    before = np.cumsum(tokens == 66, axis=1) - (tokens == 66)
    target = before / np.maximum(1, np.arange(12))
    return _one(np.array([1, 2]), *tokens), torch.from_numpy(target).float()


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_a_target_that_depends_on_the_state_is_learnt(config):
    critic = critic_of(config)
    for seed in range(60):
        fit(critic, *share_batch(seed))
    batch, target = share_batch(1000)  # not seen in training
    seen = torch.stack(values(critic, batch))
    explained = 1 - float(((seen - target) ** 2).mean() / target.var(correction=0))
    assert explained > 0.8


# --------------------------------------------------------------------------------------------------- updates


def test_the_optimizer_has_its_own_rate_and_the_policys_other_numbers():
    learner = Learner(optimizer=Optimizer(learning_rate=0.5, betas=(0.8, 0.9), epsilon=1e-6, weight_decay=0.3))
    critic = critic_of(learner, rate=0.03)
    moved(critic, 3)
    decayed, plain = critic.optimizer.param_groups
    assert decayed["lr"] == plain["lr"] == 0.03
    assert decayed["betas"] == (0.8, 0.9) and decayed["eps"] == 1e-6
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert any(p is critic.model.head.weight for p in decayed["params"])
    assert any(p is critic.model.head.bias for p in plain["params"])


def test_gradients_are_clipped_to_the_policys_norm():
    critic = critic_of(Learner(optimizer=Optimizer(max_grad_norm=0.1, betas=(0.9, 0.95))))
    give(critic, 0)
    wanted = math.sqrt(sum(float(p.grad.double().square().sum()) for _, p in critic.parameters))
    assert critic.update() == pytest.approx(wanted, rel=1e-5)
    given = [critic.optimizer.state[p]["exp_avg"] / 0.1 for _, p in critic.parameters]
    assert float(torch.nn.utils.get_total_norm(given)) == pytest.approx(0.1, rel=1e-3)
    assert all(p.grad is None for _, p in critic.parameters)


@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38])
def test_a_gradient_that_is_not_finite_touches_nothing(value):
    critic = moved(critic_of())
    weights = critic.digest()
    moments = {n: critic.optimizer.state[p]["exp_avg"].clone() for n, p in critic.parameters}
    give(critic, 5)
    for _, p in critic.parameters[:2]:
        p.grad.view(-1)[3] = value
    assert not math.isfinite(critic.update())
    assert critic.digest() == weights
    assert all(torch.equal(critic.optimizer.state[p]["exp_avg"], moments[n]) for n, p in critic.parameters)
    assert all(p.grad is None for _, p in critic.parameters)


# ------------------------------------------------------------------------------------------------ what is trained


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_full_critic_is_trunk_and_head_without_the_vocabulary(architecture):
    critic = critic_of(model=plain_model(architecture))
    trunk = dict(plain_model(architecture).get_decoder().named_parameters())
    assert set(critic.weights()) == {f"trunk.{n}" for n in trunk} | {"head.weight", "head.bias"}
    assert all(torch.equal(critic.weights()[f"trunk.{n}"], p) for n, p in trunk.items())


def test_a_lora_critic_trains_adapters_and_the_head():
    critic = critic_of(LORA)
    names = set(critic.weights())
    assert {"head.weight", "head.bias"} < names
    assert all("lora_" in n for n in names - {"head.weight", "head.bias"})
    assert len(names) == 2 + 2 * 7 * 2  # A and B of seven linear layers in two layers
    base = {n: p.detach().clone() for n, p in critic.model.named_parameters() if not p.requires_grad}
    fit(moved(critic), BATCH, torch.ones(ROWS.shape))
    assert all(torch.equal(p, base[n]) for n, p in critic.model.named_parameters() if n in base)


@pytest.mark.parametrize(
    ("targets", "adapted"),
    [
        (("v_proj", "lm_head"), {"layers.0.self_attn.v_proj", "layers.1.self_attn.v_proj"}),
        (("model.layers.1.self_attn.v_proj", "lm_head"), {"layers.1.self_attn.v_proj"}),
        (("lm_head",), set()),
    ],
    ids=["some", "by its path", "none"],
)
def test_adapters_of_the_vocabulary_head_are_the_policys_alone(targets, adapted):
    learner = Learner(finetune=LoraFinetune(target_modules=targets))
    state = LearnerState(plain_model(), learner, critic=CriticConfig(), total_updates=1, seed=0)
    names = set(state.critic.weights()) - {"head.weight", "head.bias"}
    assert {n.split(".lora")[0].removeprefix("trunk.") for n in names} == adapted
    assert any("lm_head.lora" in n for n in state.weights())


def test_a_target_that_no_module_has_is_refused():
    learner = Learner(finetune=LoraFinetune(target_modules=("q_proj", "vproj")))
    with pytest.raises(ModelError, match="none of that name"):
        LearnerState(plain_model(), learner, critic=CriticConfig(), total_updates=1, seed=0)


def test_the_adapters_depend_on_the_seed_alone_and_are_not_the_policys():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    state = LearnerState(plain_model(), LORA, critic=CriticConfig(), total_updates=1, seed=1)
    critic_of(FULL)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert state.critic.digest() == critic_of(LORA, seed=1).digest() != critic_of(LORA, seed=2).digest()
    ours, theirs = state.critic.weights(), state.weights()
    name = "layers.0.mlp.up_proj.lora_A.default.weight"
    assert not torch.equal(ours[f"trunk.{name}"], theirs[f"model.{name}"])


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_policy_and_critic_share_nothing(config):
    without = LearnerState(plain_model(), config, total_updates=1, seed=0)
    state = LearnerState(plain_model(), config, critic=CriticConfig(learning_rate=0.1), total_updates=1, seed=0)
    assert without.critic is None and state.digest() == without.digest()
    whole = weights_digest(dict(state.model.named_parameters()))
    moved(state.critic)
    assert weights_digest(dict(state.model.named_parameters())) == whole
    critic = state.critic.digest()
    for _, p in state.parameters:
        p.grad = torch.ones_like(p)
    state.update()
    state.publish()
    assert state.critic.digest() == critic and state.digest() != without.digest()


# ------------------------------------------------------------------------------------------------------ state


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_put_back_the_next_update_is_bit_equal(config):
    model = plain_model()
    critic = moved(critic_of(config, model=model))
    other = moved(critic_of(config, model=model, seed=4), times=1)  # one that has been elsewhere
    moments = {n: t.clone() for n, t in state_tensors(critic.optimizer, critic.parameters).items()}
    other.load({n: t.clone() for n, t in critic.weights().items()}, moments)
    before = critic.digest()
    assert other.digest() == before == weights_digest(critic.weights())
    for one in (critic, other):
        give(one, 9)
        one.update()
    assert other.digest() == critic.digest() != before
    ours, theirs = (state_tensors(one.optimizer, one.parameters) for one in (critic, other))
    assert set(ours) == set(theirs) and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_weights_of_another_critic_are_refused_and_nothing_is_loaded():
    critic = critic_of()
    before = critic.digest()
    good = {n: t + 1 for n, t in critic.weights().items()}
    for wrong in (
        {},
        {**good, "more": torch.ones(1)},
        {**good, "head.weight": torch.ones(1, 2)},
        critic_of(LORA).weights(),
    ):
        with pytest.raises(RunError, match="do not fit the critic"):
            critic.load(wrong, {})
    assert critic.digest() == before
