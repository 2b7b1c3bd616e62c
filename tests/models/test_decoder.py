"""Our own forward and backward pass against transformers' modules, and that it never runs on old weights."""

import copy
import functools
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlamaModel

from sibling.config import Critic, EmaReference, Kl, Learner, LoraFinetune, Optimizer, RefreshReference
from sibling.learner import optimizer as adamw
from sibling.learner.state import LearnerState
from sibling.learner.trainable import make_trainable, put_weights
from sibling.models import native
from sibling.models.decoder import decoder_of
from sibling.models.packed import head_logits, hidden_states, pack, use_packed_attention
from sibling.models.precision import compute
from sibling.models.steps import Fused, weight_gradient
from sibling.models.tiny import ARCHITECTURES, build_tiny

pytestmark = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)

CASES = [*((name, None) for name in ARCHITECTURES), ("mistral", 4), ("mistral", 40)]
every_case = pytest.mark.parametrize(("architecture", "window"), CASES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


@functools.cache
def _built(architecture, window):
    return build_tiny(architecture, 0, sliding_window=window)[0]


def fresh(architecture="llama", window=None):
    """A copy that runs in packed groups, and that no pass has seen."""
    model = copy.deepcopy(_built(architecture, window))
    use_packed_attention(model)
    return model


def groups(seed=0):
    """Lengths on both sides of pages of 32 positions and of blocks of four queries; one prompt has no siblings."""
    random = np.random.default_rng(seed)

    def tokens(n):
        return random.integers(0, 259, n)

    prompts, siblings = (1, 33, 5, 32), ((3, 9, 1), (34, 2), (), (31, 4, 1, 70))
    return pack([tokens(n) for n in prompts], [[tokens(n) for n in row] for row in siblings])


PACKS = groups()


def hidden_of(model, dtype="float32", packs=PACKS):
    """A layout made anew: it keeps what it worked out."""
    again = type(packs.layout)(packs.layout.spans)
    with compute(dtype):
        return hidden_states(model, packs.ids, packs.positions, again)


def both_ways(model, dtype="float32", kernels="native"):
    """Hidden states [S, W], and the gradient of a random sum of them for every parameter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBLING_KERNELS", kernels)
        assert (decoder_of(model) is not None) is (kernels == "native")
        hidden = hidden_of(model, dtype)
        weight = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
        with compute(dtype):
            (hidden * weight).sum().backward()
    return hidden.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def gap(seen, wanted):
    """Largest difference over the largest entry wanted."""
    assert seen.dtype == wanted.dtype and seen.shape == wanted.shape
    return float((seen - wanted).abs().max() / wanted.abs().max())


# ------------------------------------------------------------------------------------------- the same numbers


@every_case
def test_hidden_states_and_gradients_are_those_of_the_modules(architecture, window):
    seen, ours = both_ways(fresh(architecture, window))
    wanted, theirs = both_ways(fresh(architecture, window), kernels="torch")
    assert gap(seen, wanted) < 2e-6
    assert set(ours) == set(theirs) and len(ours) > 15
    # Each parameter against its own largest gradient: a wrong bias or norm does not hide behind a large matrix. The
    # bias of the keys is no parameter of the function: it moves all scores of a query alike, so its gradient is noise.
    for name in theirs:
        scale = theirs[name.replace("k_proj.bias", "q_proj.bias")].abs().max()
        assert float((ours[name] - theirs[name]).abs().max() / scale) < 1e-5, name


def row_by_row(model, packs=PACKS):
    """The same in float64 and without any of our code: the model's own pass over every prompt and every sibling."""
    model = model.double()
    model.set_attn_implementation("eager")
    parts = []
    for span in packs.layout.spans:
        ends = np.cumsum([span.prompt, *span.completions]) + span.start
        prompt = packs.ids[:, span.start : ends[0]]
        parts.append(model.model(input_ids=prompt, use_cache=False).last_hidden_state[0])
        for start, end in itertools.pairwise(ends):
            row = torch.cat([prompt, packs.ids[:, start:end]], 1)
            parts.append(model.model(input_ids=row, use_cache=False).last_hidden_state[0, span.prompt :])
    hidden = torch.cat(parts)
    weight = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
    (hidden * weight).sum().backward()
    return hidden.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@every_case
def test_both_are_those_of_every_row_alone_in_float64(architecture, window):
    """A third opinion: neither float32 path is measured by the other alone."""
    seen, ours = both_ways(fresh(architecture, window))
    wanted, exact = row_by_row(copy.deepcopy(_built(architecture, window)))
    assert gap(seen.double(), wanted) < 2e-6
    largest = max(float(g.abs().max()) for g in exact.values())
    assert max(float((ours[n] - exact[n]).abs().max()) for n in exact) < 2e-6 * largest


@every_case
def test_bfloat16_is_as_near_to_float32_as_the_modules_are(architecture, window):
    """Factors of 8 bits differ by up to 0.4 %; some dozens of products in a row come to a few percent of the whole.

    Queries, keys and values are rounded here before attention as autocast rounds them too; the order of rounding
    elsewhere is our own, so the two paths agree no better than each agrees with float32.
    """
    exact, slopes = both_ways(fresh(architecture, window), kernels="torch")
    ours, theirs = (both_ways(fresh(architecture, window), "bfloat16", kernels) for kernels in ("native", "torch"))

    def off(found):
        hidden = float((found[0] - exact).norm() / exact.norm())
        flat = [torch.cat([g[n].float().flatten() for n in slopes]) for g in (found[1], slopes)]
        return hidden, float((flat[0] - flat[1]).norm() / flat[1].norm())

    for mine, other in zip(off(ours), off(theirs), strict=True):
        assert 0 < mine < 0.05
        assert mine < 1.5 * other
    assert all(g.dtype is torch.float32 for g in ours[1].values())


@both_dtypes
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma"])
def test_checkpointed_activations_change_no_bit(architecture, dtype):
    found = []
    for on in (False, True):
        model = fresh(architecture).train()
        if on:
            make_trainable(model, gradient_checkpointing=True)
        found.append(both_ways(model, dtype))
    (plain, slopes), (again, others) = found
    assert torch.equal(plain, again)
    assert all(torch.equal(slopes[n], others[n]) for n in slopes)


def test_checkpointing_makes_the_layers_again_on_the_way_back(monkeypatch):
    calls = []
    kept = native.group_attention
    monkeypatch.setattr(native, "group_attention", lambda *given: calls.append(1) or kept(*given))
    for on, wanted in ((False, 2), (True, 4)):
        model, _ = fresh().train(), calls.clear()
        if on:
            make_trainable(model, gradient_checkpointing=True)
        both_ways(model)
        assert len(calls) == wanted


def test_two_passes_add_their_gradients():
    model = fresh("qwen2")
    _, once = both_ways(model)
    once = {n: g.clone() for n, g in once.items()}
    _, twice = both_ways(model)
    assert all(torch.allclose(twice[n], 2 * once[n], rtol=1e-6, atol=1e-12) for n in once)


def test_frozen_weights_take_no_gradient_and_let_it_pass():
    model, whole = fresh(), fresh()
    model.requires_grad_(False)
    model.model.layers[0].self_attn.q_proj.weight.requires_grad_(True)
    _, seen = both_ways(model)
    _, wanted = both_ways(whole)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert set(seen) == {name} and torch.equal(seen[name], wanted[name])


def test_gemmas_embeddings_are_scaled_and_its_norms_start_at_one():
    model = fresh("gemma")
    decoder = decoder_of(model)
    ids = torch.tensor([3, 4, 200])
    assert torch.allclose(decoder.embed(ids), model.model.embed_tokens.weight[ids] * 8.0)  # sqrt of a width of 64
    assert decoder.shape.offset == 1.0 and decoder.shape.tanh_form
    assert decoder_of(fresh("llama")).shape.offset == 0.0


def test_what_each_family_brings_is_read():
    window = [layer.heads.window for layer in decoder_of(fresh("mistral", 4)).layers]
    assert window == [4, 4]
    assert decoder_of(fresh("qwen2")).layers[0].qkv.cast(torch.float32)[1] is not None  # biases
    assert decoder_of(fresh("llama")).layers[0].qkv.cast(torch.float32)[1] is None
    assert decoder_of(fresh("qwen3")).layers[0].head_norms is not None


# ------------------------------------------------------------------------------------------ weights that change


def state_of(config=None, **parts):
    config = config or Learner(optimizer=Optimizer(learning_rate=1e-2))
    return LearnerState(copy.deepcopy(_built("qwen2", None)), config, total_updates=10, seed=0, **parts)


LORA = Learner(optimizer=Optimizer(learning_rate=1e-2), finetune=LoraFinetune(rank=4))


def give(parameters, seed=0):
    random = torch.Generator().manual_seed(seed)
    for _, p in parameters:
        p.grad = torch.randn(p.shape, generator=random)


def one_update(model):
    """The optimizer's fused step, which alone does not count up the version of what it writes."""
    parameters = [(n, p.requires_grad_(True)) for n, p in model.named_parameters()]
    give(parameters)
    adamw.clipped_step(adamw.build(parameters, Optimizer()), parameters, 1.0, 1e-2)


@torch.no_grad()
def copied(model):
    for p in model.parameters():
        p.copy_(p * 1.5)


@torch.no_grad()
def scaled(model):
    for p in model.parameters():
        p.mul_(1.25)


def put(model):
    own = list(model.named_parameters())
    put_weights(own, {n: p.detach() * 1.5 for n, p in own}, "the model")


def loaded(model):
    model.load_state_dict({n: p * 1.5 for n, p in model.state_dict().items()})


@both_dtypes
@pytest.mark.parametrize("write", [one_update, copied, scaled, put, loaded], ids=lambda f: f.__name__)
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_weights_written_in_place_are_seen_by_the_next_pass(architecture, write, dtype):
    model = fresh(architecture)
    for _ in range(2):  # the second time there is something joined to write into
        before = seen_by(model, dtype)
        write(model)
        after = seen_by(model, dtype)
        assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
        wanted = seen_by(copy.deepcopy(model), dtype)  # nothing is kept of a copy
        assert all(torch.equal(a, b) for a, b in zip(after, wanted, strict=True))


def seen_by(model, dtype):
    """Hidden states and logits."""
    with torch.no_grad(), compute(dtype):
        hidden = hidden_of(model, dtype)
        return hidden, head_logits(model, hidden)


def other_layer(model):
    model.model.layers[0].self_attn.q_proj = nn.Linear(64, 64, bias=False)


def other_norm(model):
    model.model.layers[1].input_layernorm.weight = nn.Parameter(torch.full((64,), 3.0))


def assigned(model):
    model.load_state_dict({n: p * 1.5 for n, p in model.state_dict().items()}, assign=True)


def moved(model):
    """Every parameter gets other memory, but stays the same object."""
    for p in model.parameters():
        p.data = p.data * 1.5


@both_dtypes
@pytest.mark.parametrize("replace", [other_layer, other_norm, assigned, moved], ids=lambda f: f.__name__)
def test_weights_that_are_replaced_are_seen_by_the_next_pass(replace, dtype):
    model = fresh()
    before = seen_by(model, dtype)
    replace(model)
    after = seen_by(model, dtype)
    assert not torch.equal(before[0], after[0])
    wanted = seen_by(copy.deepcopy(model), dtype)
    assert all(torch.equal(a, b) for a, b in zip(after, wanted, strict=True))


@both_dtypes
def test_each_weight_is_watched_on_its_own(dtype):
    """One weight of a fused product, one bias, one norm: none of them waits for the others."""
    model = fresh("qwen2")
    for name, parameter in model.named_parameters():
        if name.endswith("k_proj.bias"):
            continue  # it moves all scores of a query alike: no output depends on it
        before = hidden_of(model, dtype)
        with torch.no_grad():
            parameter.view(-1)[: 5 * 64].mul_(1.5)
        if "embed" not in name:
            assert not torch.equal(hidden_of(model, dtype), before), name
        assert torch.equal(hidden_of(model, dtype), hidden_of(copy.deepcopy(model), dtype)), name


@both_dtypes
def test_gradients_are_those_of_the_weights_as_they_are_now(dtype):
    model = fresh("qwen2")
    both_ways(model, dtype)
    one_update(model)
    _, seen = both_ways(model, dtype)
    _, wanted = both_ways(copy.deepcopy(model), dtype)
    assert all(torch.equal(seen[n], wanted[n]) for n in wanted)


@both_dtypes
def test_turns_of_two_precisions_do_not_mix(dtype):
    """A run samples in one precision and measures in another; the joined copies are those of the last one asked."""
    model = fresh("qwen2")
    other = "bfloat16" if dtype == "float32" else "float32"
    for _ in range(2):
        hidden_of(model, other)
        scaled(model)
        assert torch.equal(hidden_of(model, dtype), hidden_of(copy.deepcopy(model), dtype))


@both_dtypes
def test_the_policy_sampled_from_follows_every_update(dtype):
    for config in (None, LORA):
        state = state_of(config)
        for turn in range(3):
            before = hidden_of(state.sampling_model, dtype)
            give(state.parameters, turn)
            state.update()
            state.publish()
            seen = hidden_of(state.sampling_model, dtype)
            assert decoder_of(state.sampling_model) is not None and not torch.equal(seen, before)
            assert torch.equal(seen, hidden_of(copy.deepcopy(state.sampling_model), dtype))


@both_dtypes
@pytest.mark.parametrize("reference", [RefreshReference(every=1), EmaReference(decay=0.5)], ids=lambda r: r.type)
@pytest.mark.parametrize("config", [None, LORA], ids=["full", "lora"])
def test_a_reference_that_follows_is_seen(config, reference, dtype):
    state = state_of(config, kl=Kl(beta=0.1, reference=reference))
    for step in (1, 2):
        with state.reference() as model:
            before = hidden_of(model, dtype)
        give(state.parameters, step)
        state.update()
        state.publish()
        state.kept_reference.after_step(step)
        with state.reference() as model:
            assert decoder_of(model) is not None and not torch.equal(hidden_of(model, dtype), before)
            assert torch.equal(hidden_of(model, dtype), hidden_of(copy.deepcopy(model), dtype))


@both_dtypes
def test_a_checkpoint_that_is_loaded_is_seen(dtype):
    trained, state = state_of(), state_of()
    give(trained.parameters)
    trained.update()
    hidden_of(state.model, dtype)
    state.load(trained.weights(), {}, 1)
    assert torch.equal(hidden_of(state.model, dtype), hidden_of(trained.model, dtype))


@both_dtypes
def test_the_critics_trunk_follows_its_own_updates(dtype):
    state = state_of(critic=Critic())
    trunk = state.critic.model.trunk
    assert decoder_of(trunk) is not None
    before = hidden_of(trunk, dtype)
    give(state.critic.parameters)
    state.critic.update()
    assert not torch.equal(hidden_of(trunk, dtype), before)
    assert torch.equal(hidden_of(trunk, dtype), hidden_of(copy.deepcopy(trunk), dtype))


def test_a_weight_is_cast_once_while_it_stands_still():
    linear = nn.Linear(8, 4)
    fused = Fused(linear)
    first, _ = fused.cast(torch.bfloat16)
    assert fused.cast(torch.bfloat16)[0] is first and first.dtype is torch.bfloat16
    kept = first.clone()
    with torch.no_grad():
        linear.weight.add_(1.0)
    again, _ = fused.cast(torch.bfloat16)
    assert again is first and torch.equal(again, linear.weight.bfloat16()) and not torch.equal(again, kept)


def test_a_single_weight_in_float32_takes_no_copy():
    linear = nn.Linear(8, 4, bias=False)
    assert Fused(linear).cast(torch.float32)[0].data_ptr() == linear.weight.data_ptr()


def test_going_from_float32_to_bfloat16_leaves_the_weights_alone():
    linear = nn.Linear(8, 4, bias=False)
    before = linear.weight.detach().clone()
    fused = Fused(linear)
    for dtype in (torch.float32, torch.bfloat16, torch.float32):
        fused.cast(dtype)
    assert torch.equal(linear.weight, before)


@pytest.mark.parametrize("shape", [(1, 3, 5), (64, 32, 32), (70, 33, 31)])
def test_the_gradient_of_a_weight(shape):
    n, rows, columns = shape
    random = torch.Generator().manual_seed(0)
    dout, x = torch.randn(n, rows, generator=random), torch.randn(n, columns, generator=random)
    assert torch.allclose(weight_gradient(dout, x), dout.T @ x, atol=1e-5)
    wanted = dout.bfloat16().float().T @ x.bfloat16().float()
    reduced = weight_gradient(dout.bfloat16(), x.bfloat16())
    assert reduced.dtype is torch.float32 and reduced.is_contiguous()
    bound = 0.005 * float(wanted.abs().max())  # half a unit in the last of 8 bits is 0.4 %
    assert torch.allclose(reduced, wanted, atol=bound)
    for given, factors, near in ((dout.T @ x, (dout, x), 1e-4), (wanted, (dout.bfloat16(), x.bfloat16()), bound)):
        total = torch.ones(rows, columns)
        assert weight_gradient(*factors, total) is total
        assert torch.allclose(total, given + 1, atol=near)


# --------------------------------------------------------------------------------------------- which models


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_five_families_run_natively(architecture, monkeypatch):
    model = fresh(architecture)
    decoder = decoder_of(model)
    assert decoder is not None and decoder_of(model) is decoder
    assert decoder_of(copy.deepcopy(model)) is not decoder
    monkeypatch.setenv("SIBLING_KERNELS", "torch")
    assert decoder_of(model) is None


@pytest.mark.parametrize("targets", ["all-linear", ("up_proj",)])
def test_a_model_with_adapters_runs_through_its_modules(targets):
    state = state_of(Learner(finetune=LoraFinetune(rank=4, target_modules=targets)))
    assert decoder_of(state.model) is None and decoder_of(state.sampling_model) is not None


def test_adapters_put_in_later_are_noticed():
    from peft import LoraConfig, inject_adapter_in_model

    model = fresh()
    assert decoder_of(model) is not None
    model = inject_adapter_in_model(LoraConfig(r=2, target_modules=["q_proj"]), model)
    assert decoder_of(model) is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_weights_of_another_type_run_through_the_modules(dtype):
    assert decoder_of(fresh().to(dtype)) is None


def test_other_classes_run_through_their_modules():
    """They may do anything, whatever their name."""
    for name in ("Own", "LlamaModel"):
        model = fresh()
        model.model.__class__ = type(name, (LlamaModel,), {"__module__": __name__})
        assert decoder_of(model) is None


@pytest.mark.parametrize(
    "change",
    [{"attention_dropout": 0.1}, {"hidden_act": "relu"}, {"rope_parameters": {"rope_type": "dynamic"}}],
    ids=str,
)
def test_what_the_pass_does_not_know_runs_through_the_modules(change):
    model = fresh()
    inner = model.get_decoder()
    config = SimpleNamespace(**{**inner.config.to_dict(), **change})
    inner.config = config
    assert decoder_of(model) is None
