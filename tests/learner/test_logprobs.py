"""Scores of a micro-batch: log-probs, entropies, and the head that runs in chunks and only where a token is scored."""

import numpy as np
import pytest
import torch
from small_batches import alone, gradients, packed_model, plain_model, ragged_batch, relative_gap

from sibling.config import Sampling
from sibling.learner import logprobs
from sibling.learner.logprobs import score
from sibling.learner.packing import pack_rows
from sibling.models import native
from sibling.models.precision import compute

needs_kernels = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)


@pytest.fixture(autouse=True, params=[pytest.param("native", marks=needs_kernels), "torch"])
def kernels(request, monkeypatch):
    """How the model is run: by the kernels, or through transformers' modules."""
    monkeypatch.setenv("SIBLING_KERNELS", request.param)
    return request.param


BATCH = ragged_batch(seed=31)
ROWS = pack_rows(BATCH, range(BATCH.size))
SHAPED = {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.02}


@pytest.mark.parametrize("distribution", [{}, {"temperature": 1.6}, SHAPED], ids=["whole", "hot", "shaped"])
def test_log_probs_are_padded_with_zeros_and_follow_the_sampling_distribution(distribution):
    with torch.no_grad():
        seen = score(packed_model(), ROWS, Sampling(**distribution)).logprobs
        wanted = alone(plain_model(), BATCH, **distribution)
    assert seen.shape == (BATCH.size, max(len(c) for c in BATCH.completions))
    for row, values in zip(seen, wanted, strict=True):
        assert row[: len(values)].tolist() == pytest.approx(values.tolist(), rel=1e-5)
        assert (row[len(values) :] == 0).all()


def chunks_of(size, monkeypatch):
    """Of either head."""
    monkeypatch.setattr(logprobs, "HEAD_CHUNK", size)


def entropies(model, distribution):
    """By NumPy in float64, from the model's own forward pass."""
    out = []
    for group, completion in zip(BATCH.group, BATCH.completions, strict=True):
        ids = torch.from_numpy(np.concatenate([BATCH.prompts[group], completion]))[None]
        start = len(BATCH.prompts[group]) - 1
        logits = model(input_ids=ids, use_cache=False).logits[0, start:-1].double().numpy()
        logits = logits / distribution.get("temperature", 1.0)
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        out.append(-(p * np.log(p)).sum(1))
    return out


@pytest.mark.parametrize("distribution", [{}, {"temperature": 0.5}], ids=["whole", "cold"])
def test_entropies(distribution):
    with torch.no_grad():
        seen = score(packed_model(), ROWS, Sampling(**distribution), with_entropy=True).entropy
        wanted = entropies(plain_model(), distribution)
    for row, values in zip(seen, wanted, strict=True):
        assert row[: len(values)].tolist() == pytest.approx(values.tolist(), rel=1e-5)
    assert score(packed_model(), ROWS, Sampling()).entropy is None


def test_entropies_carry_no_gradient_and_change_none():
    found = []
    for wanted in (False, True):
        model = packed_model()
        scored = score(model, ROWS, Sampling(), with_entropy=wanted)
        scored.logprobs.sum().backward()
        found.append(gradients(model))
    assert not scored.entropy.requires_grad
    assert relative_gap(found[0], found[1]) == 0


def test_entropies_survive_chunks(monkeypatch):
    with torch.no_grad():
        whole = score(packed_model(), ROWS, Sampling(), with_entropy=True).entropy
        chunks_of(5, monkeypatch)
        cut = score(packed_model(), ROWS, Sampling(), with_entropy=True).entropy
    assert torch.allclose(whole, cut, rtol=1e-5)


def entropy_gradient(model, weights):
    """Gradients of a weighted sum of entropies, by autograd from the model's own forward pass."""
    total = 0.0
    for group, completion, w in zip(BATCH.group, BATCH.completions, weights, strict=True):
        ids = torch.from_numpy(np.concatenate([BATCH.prompts[group], completion]))[None]
        logp = model(input_ids=ids, use_cache=False).logits[0, len(BATCH.prompts[group]) - 1 : -1].log_softmax(-1)
        total = total + (w[: len(completion)] * -(logp.exp() * logp).sum(-1)).sum()
    total.backward()
    return gradients(model)


@pytest.mark.parametrize("chunk", [512, 5])
def test_entropies_with_gradient_for_a_bonus(chunk, monkeypatch):
    chunks_of(chunk, monkeypatch)
    model = packed_model()
    scored = score(model, ROWS, Sampling(), entropy_gradient=True)
    weights = torch.randn(scored.entropy.shape, generator=torch.Generator().manual_seed(0))
    (scored.entropy * weights).sum().backward()
    assert relative_gap(gradients(model), entropy_gradient(plain_model(), weights)) < 1e-4


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("distribution", [{}, {"temperature": 0.7}, SHAPED], ids=["whole", "cold", "shaped"])
def test_log_probs_are_the_same_bits_with_and_without_an_entropy(dtype, distribution):
    """A ratio of exactly one rests on this: old log-probs are scored without gradients, and without the entropy's."""
    model, sampling = packed_model(), Sampling(**distribution)
    with compute(dtype):
        found = [
            score(model, ROWS, sampling, **options).logprobs.detach()
            for options in ({}, {"with_entropy": True}, {"entropy_gradient": True})
        ]
        with torch.no_grad():
            found.append(score(model, ROWS, sampling).logprobs)
    assert all(torch.equal(found[0], other) for other in found[1:])


@needs_kernels
@pytest.mark.parametrize("distribution", [{}, SHAPED], ids=["whole", "shaped"])
def test_both_ways_give_the_same(distribution, monkeypatch):
    found = []
    for way in ("native", "torch"):
        monkeypatch.setenv("SIBLING_KERNELS", way)
        model = packed_model("qwen3")
        scored = score(model, ROWS, Sampling(**distribution), entropy_gradient=True)
        (scored.logprobs.sum() + scored.entropy.square().sum()).backward()
        found.append((scored.logprobs.detach(), scored.entropy.detach(), gradients(model)))
    (logp, level, slopes), (others, levels, wanted) = found
    torch.testing.assert_close(logp, others, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(level, levels, rtol=1e-5, atol=1e-5)
    assert relative_gap(slopes, wanted) < 1e-5


def head_sizes(model, rows, backward=False):
    """Rows of every call of the vocabulary head."""
    sizes = []
    model.lm_head.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    model.lm_head.__class__ = type("Head", (torch.nn.Linear,), {})  # not the plain class, so that it is called
    out = score(model, rows, Sampling())
    if backward:
        out.logprobs.sum().backward()
    return sizes


def test_the_head_runs_on_scored_positions_only_in_chunks(monkeypatch):
    n = sum(len(c) for c in BATCH.completions)
    assert head_sizes(packed_model(), ROWS) == [n] and n < ROWS.packed.ids.numel()
    monkeypatch.setattr(logprobs, "HEAD_CHUNK", 10)
    cut = [10] * (n // 10) + [n % 10] * (n % 10 > 0)
    assert head_sizes(packed_model(), ROWS) == cut
    # Logits are not kept for the backward pass: each chunk runs once more.
    assert sorted(head_sizes(packed_model(), ROWS, backward=True)) == sorted(cut * 2)
