"""The vocabulary head: scores and gradients against float64, and logits that are not rounded where they matter."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sibling.models import head as heads
from sibling.models import native
from sibling.models.head import logits_of, plain_head, refined_logits, token_scores
from sibling.models.native import REACH
from sibling.models.packed import head_logits
from sibling.models.precision import compute
from sibling.models.steps import Fused
from sibling.models.tiny import build_tiny
from sibling.models.work import HEAD_CHUNK as CHUNK

pytestmark = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)

WIDTH, VOCABULARY = 24, 301


def factors(n, seed=0, spread=0.7):
    """Hidden states [n, W], a head and the tokens to score; logits a few nats apart."""
    random = torch.Generator().manual_seed(seed)
    head = nn.Linear(WIDTH, VOCABULARY, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.randn(VOCABULARY, WIDTH, generator=random) * spread)
    hidden = torch.randn(n, WIDTH, generator=random)
    return hidden, head, torch.randint(0, VOCABULARY, (n,), generator=random)


def by_hand(hidden, weight, tokens, temperature):
    """Log-probs and entropies in float64."""
    logp = (hidden @ weight.T / temperature).log_softmax(-1)
    return logp.gather(1, tokens[:, None])[:, 0], -(logp.exp() * logp).sum(-1)


def scored(n, temperature, with_entropy, dtype, seed=0):
    """Scores, and gradients of hidden states and head of a weighted sum of them: ours, and in float64."""
    hidden, head, tokens = factors(n, seed)
    random = torch.Generator().manual_seed(seed + 1)
    weights = torch.randn(2, n, generator=random)
    if dtype == "bfloat16":  # of the same rounded factors: what is left is the rounding of the products
        hidden = hidden.bfloat16().float()
        with torch.no_grad():
            head.weight.copy_(head.weight.bfloat16())
    found = []
    for double in (False, True):
        h = hidden.clone().to(torch.float64 if double else torch.float32).requires_grad_()
        weight = head.weight.detach().double().requires_grad_() if double else head.weight
        with compute(dtype):
            if double:
                logp, entropy = by_hand(h, weight, tokens, temperature)
            else:
                logp, entropy = token_scores(h, Fused(head), tokens, temperature=temperature, with_entropy=with_entropy)
        total = (logp * weights[0]).sum() + ((entropy * weights[1]).sum() if with_entropy else 0.0)
        total.backward()
        found.append((logp.detach(), None if entropy is None else entropy.detach(), h.grad, weight.grad))
    return found


def near(seen, wanted, bound):
    assert seen.shape == wanted.shape and seen.dtype is torch.float32
    assert float((seen - wanted).abs().max() / wanted.abs().max()) < bound


@pytest.mark.parametrize("with_entropy", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.5])
@pytest.mark.parametrize("n", [1, 7, 130])
def test_scores_and_gradients_are_those_of_float64(n, temperature, with_entropy):
    seen, wanted = scored(n, temperature, with_entropy, "float32")
    for i, (mine, other) in enumerate(zip(seen, wanted, strict=True)):
        if i == 1 and not with_entropy:
            assert mine is None
        else:
            near(mine, other, 3e-6)


@pytest.mark.parametrize("n", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_chunks_leave_no_border(n, dtype):
    seen, wanted = scored(n, 0.9, True, dtype)
    bound = 2e-5 if dtype == "float32" else 0.01
    for mine, other in zip(seen, wanted, strict=True):
        near(mine, other, bound)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_bfloat16_scores_are_those_of_its_factors(temperature):
    """Only logits without mass stay rounded, so log-probs are as good as float32's; gradients are rounded once."""
    seen, wanted = scored(70, temperature, True, "bfloat16")
    assert float((seen[0] - wanted[0]).abs().max()) < 1e-3
    assert float((seen[1] - wanted[1]).abs().max()) < 2e-3
    for mine, other in zip(seen[2:], wanted[2:], strict=True):
        near(mine, other, 0.01)


def test_the_rounded_head_would_be_noticed():
    """The bound above has teeth: a product that returns bfloat16 is off by a hundred times as much."""
    hidden, head, tokens = factors(70)
    x, weight = hidden.bfloat16(), head.weight.detach().bfloat16()
    rough = (x @ weight.T).float().log_softmax(-1).gather(1, tokens[:, None])[:, 0]
    wanted, _ = by_hand(x.double(), weight.double(), tokens, 1.0)
    assert float((rough - wanted).abs().max()) > 0.01


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_entropy_changes_no_bit_of_the_log_probs(dtype):
    """A ratio of exactly one rests on this."""
    hidden, head, tokens = factors(100)
    with compute(dtype):
        fused = Fused(head)
        found = [token_scores(hidden, fused, tokens, temperature=0.8, with_entropy=e)[0] for e in (True, False)]
        with torch.no_grad():
            found.append(token_scores(hidden, fused, tokens, temperature=0.8, with_entropy=False)[0])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize("which", [0, 1])
def test_the_gradient_of_one_of_the_two_alone(which):
    hidden, head, tokens = factors(9)
    mine, theirs = hidden.clone().requires_grad_(), hidden.double().requires_grad_()
    token_scores(mine, Fused(head), tokens, temperature=1.3, with_entropy=True)[which].sum().backward()
    by_hand(theirs, head.weight.detach().double(), tokens, 1.3)[which].sum().backward()
    near(mine.grad, theirs.grad, 1e-5)


def test_a_frozen_head_takes_no_gradient():
    hidden, head, tokens = factors(9)
    head.weight.requires_grad_(False)
    h = hidden.clone().requires_grad_()
    token_scores(h, Fused(head), tokens, temperature=1.0, with_entropy=False)[0].sum().backward()
    assert head.weight.grad is None and float(h.grad.abs().max()) > 0


def test_nothing_to_score():
    hidden, head, tokens = factors(0)
    logp, entropy = token_scores(hidden, Fused(head), tokens, temperature=1.0, with_entropy=True)
    assert logp.shape == entropy.shape == (0,)


def test_two_passes_add_their_gradients():
    hidden, head, tokens = factors(20)
    for _ in range(2):
        logp, _ = token_scores(hidden, Fused(head), tokens, temperature=1.0, with_entropy=False)
        logp.sum().backward()
    twice = head.weight.grad.clone()
    head.weight.grad = None
    token_scores(hidden, Fused(head), tokens, temperature=1.0, with_entropy=False)[0].sum().backward()
    assert torch.allclose(twice, 2 * head.weight.grad)


def test_logits_exist_a_chunk_at_a_time(monkeypatch):
    seen = []
    kept = heads.logits_of
    monkeypatch.setattr(heads, "logits_of", lambda x, *rest: seen.append(len(x)) or kept(x, *rest))
    hidden, head, tokens = factors(25)
    logp, _ = token_scores(hidden, Fused(head), tokens, temperature=1.0, with_entropy=False, chunk=10)
    assert seen == [10, 10, 5]
    logp.sum().backward()
    assert seen == [10, 10, 5] * 2


# ------------------------------------------------------------------------------------------ what is not rounded


@pytest.mark.parametrize(("n", "width", "vocabulary"), [(1, 16, 130), (70, 33, 300), (3, 576, 4099), (5, 7, 1)])
@pytest.mark.parametrize("scored_token", [True, False])
def test_logits_that_carry_mass_are_those_of_a_product_in_float32(n, width, vocabulary, scored_token):
    random = np.random.default_rng(n)
    x = torch.from_numpy(random.normal(size=(n, width)).astype(np.float32)).bfloat16()
    weight = torch.from_numpy(random.normal(size=(vocabulary, width)).astype(np.float32) * 4 / width**0.5).bfloat16()
    tokens = torch.from_numpy(random.integers(0, vocabulary, n)) if scored_token else None
    rough, exact = x @ weight.T, x.double() @ weight.double().T
    seen = logits_of(x, weight, tokens)
    assert seen.dtype is torch.float32 and seen.shape == (n, vocabulary)
    close = rough.float() > rough.float().amax(-1, keepdim=True) - REACH
    if scored_token:
        close = close.scatter(1, tokens[:, None], True)
    assert int(close.sum(1).max()) <= 512  # more are not computed again
    largest = float(exact.abs().max())
    assert float((seen - exact)[close].abs().max()) < 1e-5 * max(1.0, largest)
    assert torch.equal(seen[~close], rough.float()[~close])  # the rest is left as it was
    if vocabulary > 1:
        assert float((rough.float() - exact)[close].abs().max()) > 1e-3  # there was something to compute again
        assert bool((~close).any())


def test_no_more_than_so_many_are_computed_again():
    """With a flat distribution over a large vocabulary the first 512 are exact, and the token that is scored."""
    random = torch.Generator().manual_seed(0)
    x, weight = torch.randn(4, 32, generator=random).bfloat16(), torch.randn(3000, 32, generator=random).bfloat16() / 8
    tokens = torch.tensor([2999, 1500, 0, 2000])
    exact, rough = x.double() @ weight.double().T, (x @ weight.T).float()
    seen = logits_of(x, weight, tokens)
    assert float((seen - exact)[:, :512].abs().max()) < 1e-5
    assert float((seen - exact).gather(1, tokens[:, None]).abs().max()) < 1e-5
    changed = (seen != rough).sum(1)
    assert int(changed.max()) <= 513


def test_the_sampler_and_the_learner_read_the_same_logits():
    """The sampler names no token and may bring a product made another way; what carries mass is the same bits."""
    hidden, head, tokens = factors(40, spread=2.0)
    x, weight = hidden.bfloat16(), head.weight.detach().bfloat16()
    rough = x @ weight.T
    drawn, learned = logits_of(x, weight, rough=rough), logits_of(x, weight, tokens)
    close = rough.float() > rough.float().amax(-1, keepdim=True) - REACH + 0.2
    assert torch.equal(drawn[close], learned[close])


def test_float32_is_a_plain_product():
    hidden, head, tokens = factors(5)
    assert torch.equal(logits_of(hidden, head.weight.detach(), tokens), hidden @ head.weight.detach().T)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_stay_none(value):
    hidden, head, tokens = factors(3)
    hidden[1, 0] = value
    for dtype in ("float32", "bfloat16"):
        with compute(dtype):
            logp, _ = token_scores(hidden, Fused(head), tokens, temperature=1.0, with_entropy=False)
        assert torch.isfinite(logp).tolist() == [True, False, True]


def test_whole_logits_and_their_gradient():
    """What a truncated distribution is made of: the same logits with and without a gradient, which is rounded once."""
    hidden, head, _ = factors(70)
    dlogits = random_like(70, VOCABULARY)
    h = hidden.clone().requires_grad_()
    logits = refined_logits(h, Fused(head))
    with torch.no_grad():
        assert torch.equal(refined_logits(hidden, Fused(head)), logits)
        assert torch.equal(logits_of(hidden.bfloat16(), head.weight.bfloat16()), logits)
    (logits * dlogits).sum().backward()
    a = hidden.bfloat16().double().requires_grad_()
    b = head.weight.detach().bfloat16().double().requires_grad_()
    ((a @ b.T) * dlogits).sum().backward()
    near(h.grad, a.grad, 0.01)
    near(head.weight.grad, b.grad, 0.01)
    head.weight.grad = None
    head.weight.requires_grad_(False)
    refined_logits(h, Fused(head)).sum().backward()
    assert head.weight.grad is None


def random_like(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


# ------------------------------------------------------------------------------------------------ which heads


def test_which_heads_are_plain(monkeypatch):
    model, _ = build_tiny("llama", 0)
    fused = plain_head(model)
    assert fused is not None and plain_head(model) is fused
    model.config.final_logit_softcapping = 3.0
    assert plain_head(model) is None
    model.config.final_logit_softcapping = None
    monkeypatch.setenv("SIBLING_KERNELS", "torch")
    assert plain_head(model) is None
    monkeypatch.delenv("SIBLING_KERNELS")
    model.lm_head = nn.Linear(64, 259)
    assert plain_head(model) is None  # a bias
    model.lm_head = nn.Linear(64, 259, bias=False).to(torch.bfloat16)
    assert plain_head(model) is None
    model.lm_head = type("Own", (nn.Linear,), {})(64, 259, bias=False)
    assert plain_head(model) is None


def test_a_tied_head_follows_the_embeddings():
    model, _ = build_tiny("qwen2", 0)
    hidden = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), compute("bfloat16"):
        before = head_logits(model, hidden)
        model.model.embed_tokens.weight.mul_(2.0)
        after = head_logits(model, hidden)
        assert not torch.equal(after, before)
        assert torch.equal(after, head_logits(copy.deepcopy(model), hidden))  # nothing is kept of a copy
