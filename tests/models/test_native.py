"""Every kernel against plain torch in float64, in both element types and at odd sizes; and how one does without."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sibling.maths.likelihood import draw as draw_plainly
from sibling.models import native

needs_kernels = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)

SHAPES = [(1, 16), (3, 7), (64, 64), (65, 100), (130, 33), (200, 2)]
both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
every_shape = pytest.mark.parametrize(("n", "w"), SHAPES)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def near(seen: Tensor, wanted: Tensor, bound: float = 2e-6) -> None:
    """Within `bound` of the largest entry; what is kept in bfloat16 within half a unit in the last of its 8 bits."""
    assert seen.shape == wanted.shape
    bound = 2**-8 if seen.dtype is torch.bfloat16 else bound
    scale = float(wanted.abs().max()) if wanted.numel() else 0.0
    assert float((seen.double() - wanted).abs().max()) <= bound * max(scale, 1e-30)


# -------------------------------------------------------------------------------------------------------- norms


def norm_by_hand(y, weight, offset, eps):
    return y * (y.square().mean(-1, keepdim=True) + eps).rsqrt() * (offset + weight)


@needs_kernels
@both_types
@every_shape
@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("adds", [True, False])
def test_add_norm_forward_and_backward(n, w, dtype, offset, adds):
    x, weight = random(n, w), random(w, seed=1)
    add = random(n, w, seed=2, dtype=dtype) if adds else None
    out, y, scale = torch.empty(n, w, dtype=dtype), torch.empty(n, w), torch.empty(n)
    native.add_norm(x, add, weight, offset=offset, eps=1e-5, out=out, y=y, scale=scale)

    a, b = x.double().requires_grad_(), weight.double().requires_grad_()
    total = a if add is None else a + add.double()
    wanted = norm_by_hand(total, b, offset, 1e-5)
    near(y, total.detach())
    near(out, wanted.detach())
    near(scale, (total.detach().square().mean(-1) + 1e-5).rsqrt())

    dout, dy = random(n, w, seed=3, dtype=dtype), random(n, w, seed=4)
    again, dadd = torch.empty_like(out), torch.empty(n, w, dtype=dtype)
    dx, dweight = native.norm_backward(dout, dy, y, weight, scale, offset=offset, again=again, dadd=dadd)
    ((wanted * dout.double()).sum() + (total * dy.double()).sum()).backward()
    near(dx, a.grad, 1e-5)
    near(dweight, b.grad, 1e-5)
    near(dadd, a.grad)
    assert torch.equal(again, out)
    alone, _ = native.norm_backward(dout, None, y, weight, scale, offset=offset)  # without what may be left out
    near(alone, a.grad - dy.double(), 1e-5)


@needs_kernels
def test_add_norm_without_what_may_be_left_out():
    x, weight, out = random(3, 7), random(7, seed=1), torch.empty(3, 7)
    before = x.clone()
    native.add_norm(x, None, weight, offset=0.0, eps=1e-5, out=out)
    assert torch.equal(x, before)
    near(out, norm_by_hand(x.double(), weight.double(), 0.0, 1e-5))


@needs_kernels
def test_the_residual_stream_is_brought_up_to_date_in_place():
    x, add, weight, out = random(5, 20), random(5, 20, seed=1), torch.ones(20), torch.empty(5, 20)
    wanted = x + add
    native.add_norm(x, add, weight, offset=0.0, eps=1e-6, out=out, y=x)
    assert torch.equal(x, wanted)


@needs_kernels
def test_rounding_is_to_the_nearest_and_ties_go_to_even():
    """Bit for bit as torch rounds, with infinity, NaN, subnormal numbers and what is too large for 8 bits."""
    ties = 1 + torch.arange(-300, 300) * 2.0**-9  # every other one of them lies half-way between two neighbours
    odd = torch.tensor([0.0, np.inf, -np.inf, 3.4e38, -3.4e38, 3.38e38, 1e-40, -1e-45, np.nan])
    weight = torch.cat([ties, -ties, odd, random(1000, seed=5)])
    out, ones = torch.empty(1, len(weight), dtype=torch.bfloat16), torch.ones(1, len(weight))
    native.add_norm(ones, None, weight, offset=0.0, eps=0.0, out=out)  # a norm of exactly 1
    wanted = weight.bfloat16()
    assert torch.equal(out[0].isnan(), wanted.isnan())
    numbers = ~wanted.isnan()
    assert torch.equal(out[0].view(torch.int16)[numbers], wanted.view(torch.int16)[numbers])


@needs_kernels
def test_a_row_of_zeros_has_a_norm():
    out = torch.empty(1, 16, dtype=torch.float32)
    native.add_norm(torch.zeros(1, 16), None, torch.ones(16), offset=0.0, eps=1e-6, out=out)
    assert torch.equal(out, torch.zeros(1, 16))


# ---------------------------------------------------------------------------------------------- rotation, gates


def rotate_by_hand(x, cosine, sine):
    """[n, heads, size]."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * cosine[:, None] + turned * sine[:, None]


@needs_kernels
@both_types
@pytest.mark.parametrize(("n", "heads", "rest", "size"), [(1, 1, 0, 2), (5, 3, 1, 6), (70, 6, 2, 64)])
def test_rope_turns_the_first_heads_and_back(n, heads, rest, size, dtype):
    x = random(n, (heads + rest) * size, dtype=dtype)
    angle = torch.rand(n, size // 2, generator=torch.Generator().manual_seed(1)).repeat(1, 2) * 6
    cosine, sine = angle.cos(), angle.sin()
    seen = x.clone()
    native.rope_(seen, cosine, sine, heads=heads)
    whole = x.double().view(n, heads + rest, size)
    near(seen.view(n, -1, size)[:, :heads], rotate_by_hand(whole[:, :heads], cosine.double(), sine.double()))
    assert torch.equal(seen.view(n, -1, size)[:, heads:], x.view(n, -1, size)[:, heads:])
    native.rope_(seen, cosine, sine, heads=heads, backward=True)  # a rotation's gradient is its inverse
    assert torch.allclose(seen.float(), x.float(), atol=3e-2 if dtype is torch.bfloat16 else 1e-6)


@needs_kernels
@pytest.mark.parametrize("size", [2, 6, 64])
def test_the_backward_direction_is_the_transpose(size):
    """Even where cosine and sine are not one angle's (scaled positions): <R x, y> = <x, R^T y>."""
    cosine, sine = random(4, size), random(4, size, seed=1)
    x, y = random(4, 2 * size, seed=2), random(4, 2 * size, seed=3)
    there, back = x.clone(), y.clone()
    native.rope_(there, cosine, sine, heads=2)
    native.rope_(back, cosine, sine, heads=2, backward=True)
    a = x.double().requires_grad_()
    turned = rotate_by_hand(a.view(4, 2, size), cosine.double(), sine.double())
    near(there, turned.detach().view(4, -1))
    if torch.equal(cosine[:, : size // 2], cosine[:, size // 2 :]):
        (turned.view(4, -1) * y.double()).sum().backward()
        near(back, a.grad)


@needs_kernels
@both_types
@every_shape
@pytest.mark.parametrize("tanh_form", [False, True], ids=["silu", "gelu"])
def test_gated_forward_and_backward(n, w, tanh_form, dtype):
    both, dout = random(n, 2 * w, dtype=dtype) * 3, random(n, w, seed=1, dtype=dtype)
    a = both.double().requires_grad_()
    gate, up = a.split(w, 1)
    wanted = (F.gelu(gate, approximate="tanh") if tanh_form else F.silu(gate)) * up
    (wanted * dout.double()).sum().backward()
    near(native.gated(both, tanh_form=tanh_form), wanted.detach())
    out, dboth = native.gated_backward(both, dout, tanh_form=tanh_form)
    near(out, wanted.detach())
    near(dboth, a.grad, 4e-6)


@needs_kernels
@pytest.mark.parametrize("tanh_form", [False, True], ids=["silu", "gelu"])
def test_gates_far_from_zero(tanh_form):
    gate = torch.tensor([[-200.0, -90.0, -30.0, 30.0, 90.0, 200.0]])
    seen = native.gated(torch.cat([gate, torch.ones(1, 6)], 1), tanh_form=tanh_form)
    assert torch.allclose(seen, gate.clamp(min=0.0), atol=1e-10)
    _, slope = native.gated_backward(torch.cat([gate, torch.ones(1, 6)], 1), torch.ones(1, 6), tanh_form=tanh_form)
    assert torch.allclose(slope[:, :6], (gate > 0).float(), atol=1e-10)


# ---------------------------------------------------------------------------------------------------- attention

SPANS = [((3, (2, 5, 1))), (1, (3, 70)), (40, ()), (65, (33, 1, 32, 4)), (32, (32,))]
HEADS = [(1, 1, 16), (4, 4, 8), (6, 2, 32), (5, 1, 64), (9, 3, 6)]


def layout(spans):
    """groups and lengths as the kernel wants them, and the [S, S] mask of causality within a group."""
    groups, lengths, where, start = [], [], [], 0
    for u, (prompt, siblings) in enumerate(spans):
        groups.append((start, prompt, len(lengths), len(siblings)))
        lengths += siblings
        where += [(u, 0, p) for p in range(prompt)]
        for s, n in enumerate(siblings):
            where += [(u, s + 1, prompt + t) for t in range(n)]
        start += prompt + sum(siblings)
    u, part, position = (torch.tensor(column) for column in zip(*where, strict=True))
    same = (u[:, None] == u) & ((part == 0) | (part[:, None] == part))
    distance = position[:, None] - position
    return torch.tensor(groups, dtype=torch.int32), torch.tensor(lengths, dtype=torch.int32), same, distance


def attend_by_hand(qkv, heads, same, distance):
    s = len(qkv)
    q, k, v = qkv.split([heads.heads * heads.size, *[heads.kv_heads * heads.size] * 2], 1)
    q, k, v = (x.reshape(s, -1, heads.size).transpose(0, 1) for x in (q, k, v))
    k, v = (x.repeat_interleave(heads.heads // heads.kv_heads, 0) for x in (k, v))
    seen = same & (distance >= 0)
    if heads.window:
        seen = seen & (distance < heads.window)
    scores = (q @ k.transpose(1, 2) * heads.scale).masked_fill(~seen, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(0, 1).reshape(s, -1), scores.logsumexp(-1).T


@needs_kernels
@both_types
@pytest.mark.parametrize("window", [None, 1, 5, 33, 100])
@pytest.mark.parametrize(("count", "kv_heads", "size"), HEADS)
def test_group_attention_forward_and_backward(count, kv_heads, size, window, dtype):
    heads = native.Heads(count, kv_heads, size, size**-0.5, window)
    groups, lengths, same, distance = layout(SPANS)
    qkv = random(len(same), (count + 2 * kv_heads) * size, dtype=dtype)
    dout = random(len(same), count * size, seed=1, dtype=dtype)
    out, norm = native.group_attention(qkv, groups, lengths, heads)
    a = qkv.double().requires_grad_()
    wanted, level = attend_by_hand(a, heads, same, distance)
    near(out, wanted.detach())
    near(norm, level.detach(), 1e-2 if dtype is torch.bfloat16 else 2e-6)
    dqkv = native.group_attention_backward(qkv, groups, lengths, heads, out, norm, dout)
    (wanted * dout.double()).sum().backward()
    assert dqkv.dtype is dtype
    bound = 0.02 if dtype is torch.bfloat16 else 5e-6  # on the way back `out` and `norm` come rounded, too
    assert float((dqkv.double() - a.grad).abs().max() / a.grad.abs().max()) < bound


@needs_kernels
def test_a_sharp_attention_overflows_nowhere():
    """Scores of hundreds of nats: the largest is taken out first, page by page."""
    heads = native.Heads(2, 1, 16, 20.0, None)
    groups, lengths, same, distance = layout(SPANS)
    qkv = random(len(same), 4 * 16)
    out, norm = native.group_attention(qkv, groups, lengths, heads)
    wanted, _ = attend_by_hand(qkv.double(), heads, same, distance)
    near(out, wanted, 1e-4)
    assert bool(torch.isfinite(native.group_attention_backward(qkv, groups, lengths, heads, out, norm, out)).all())


@needs_kernels
def test_a_group_does_not_see_another():
    heads = native.Heads(4, 2, 16, 0.25, None)
    groups, lengths, same, _ = layout(SPANS)
    qkv = random(len(same), 8 * 16)
    before, _ = native.group_attention(qkv, groups, lengths, heads)
    first = int(groups[1, 0])
    qkv[:first] = float("nan")
    after, _ = native.group_attention(qkv, groups, lengths, heads)
    assert torch.equal(after[first:], before[first:]) and bool(after[:first].isnan().all())


PAGE = 32


def pages(tokens):
    return -(-tokens // PAGE)


@needs_kernels
@both_types
@pytest.mark.parametrize("window", [None, 1, 20, 33, 64])
@pytest.mark.parametrize(("count", "kv_heads", "size"), HEADS)
def test_decode_attention(count, kv_heads, size, window, dtype):
    """Rows of three prompts, each with some tokens of its own, against attention by hand; the new token is kept."""
    heads = native.Heads(count, kv_heads, size, size**-0.5, window)
    prompts, rows = (33, 1, 64), ((0, 0), (0, 31), (0, 40), (1, 5), (2, 63), (2, 32))  # (prompt, tokens of its own)
    spans = torch.tensor([(0, 3), (3, 4), (4, 6)], dtype=torch.int32)
    generator = torch.Generator().manual_seed(3)
    order = torch.randperm(40, generator=generator).tolist()  # pages lie anywhere
    keys = torch.full((40, kv_heads, size, PAGE), float("nan"), dtype=dtype)  # nothing unwritten may be read
    values = torch.full((40, kv_heads, PAGE, size), float("nan"), dtype=dtype)

    def write(tokens):
        """Pages with random keys and values; [tokens, K, size] of both."""
        taken = [order.pop() for _ in range(pages(tokens + 1))]
        k, v = (torch.randn(tokens, kv_heads, size, generator=generator).to(dtype) for _ in range(2))
        for t in range(tokens):
            keys[taken[t // PAGE], :, :, t % PAGE] = k[t]
            values[taken[t // PAGE], :, t % PAGE] = v[t]
        return taken, k, v

    shared = [write(n) for n in prompts]
    shared = [(taken[: pages(n)], k, v) for (taken, k, v), n in zip(shared, prompts, strict=True)]
    own = [write(n) for _, n in rows]
    table = torch.zeros(len(rows), 8, dtype=torch.int32)
    for r, (p, _) in enumerate(rows):
        line = shared[p][0] + own[r][0]
        table[r, : len(line)] = torch.tensor(line)
    qkv = torch.randn(len(rows), (count + 2 * kv_heads) * size, generator=generator).to(dtype)
    angle = torch.rand(len(rows), size // 2, generator=generator).repeat(1, 2) * 6
    cosine, sine = angle.cos(), angle.sin()
    out = torch.empty(len(rows), count * size, dtype=dtype)
    native.decode_attention(
        qkv, (cosine, sine), keys, values,
        table=table, prompt=torch.tensor([prompts[p] for p, _ in rows], dtype=torch.int32),
        own=torch.tensor([n for _, n in rows], dtype=torch.int32), spans=spans, heads=heads, out=out,
    )  # fmt: skip

    turned = qkv.clone()
    native.rope_(turned, cosine, sine, heads=count + kv_heads)
    for r, (p, n) in enumerate(rows):
        q, new_k, new_v = turned[r].split([count * size, kv_heads * size, kv_heads * size])
        k = torch.cat([shared[p][1], own[r][1], new_k.view(1, kv_heads, size)]).double()
        v = torch.cat([shared[p][2], own[r][2], new_v.view(1, kv_heads, size)]).double()
        k, v = (x[-(window or len(x)) :].repeat_interleave(count // kv_heads, 1) for x in (k, v))
        weights = (torch.einsum("hd,lhd->hl", q.double().view(count, size), k) * heads.scale).softmax(-1)
        near(out[r], torch.einsum("hl,lhd->hd", weights, v).reshape(-1))
        page = own[r][0][n // PAGE]
        assert torch.equal(keys[page, :, :, n % PAGE], new_k.view(kv_heads, size))
        assert torch.equal(values[page, :, n % PAGE], new_v.view(kv_heads, size))


# ------------------------------------------------------------------------------------------------- transposition


@needs_kernels
@pytest.mark.parametrize(("n", "w"), [(1, 1), (1, 40), (31, 33), (32, 32), (64, 96), (65, 130), (200, 3)])
def test_transpositions(n, w):
    x = random(n, w, dtype=torch.bfloat16)
    assert torch.equal(native.transposed(x), x.T) and native.transposed(x).is_contiguous()
    seen = native.transposed_float(x)
    assert seen.dtype is torch.float32 and torch.equal(seen, x.float().T)
    total = random(w, n, seed=1)
    before = total.clone()
    assert native.transposed_float(x, total) is total
    assert torch.equal(total, before + x.float().T)


# ------------------------------------------------------------------------------------- softmax over the vocabulary


def spread(n, v, seed=0, scale=4.0):
    return random(n, v, seed=seed) * scale


@needs_kernels
@pytest.mark.parametrize(("n", "v"), [(1, 1), (3, 127), (65, 128), (70, 129), (2, 5000)])
def test_score_and_its_gradient(n, v):
    logits, tokens = spread(n, v), torch.randint(0, v, (n,), generator=torch.Generator().manual_seed(1))
    weights = random(2, n, seed=2)
    a = logits.double().requires_grad_()
    logp = a.log_softmax(-1)
    chosen, entropy = logp.gather(1, tokens[:, None])[:, 0], -(logp.exp() * logp).sum(-1)
    seen, level, norm = native.score(logits, tokens, with_entropy=True)
    assert torch.allclose(seen.double(), chosen.detach(), atol=2e-6, rtol=2e-6)
    assert torch.allclose(level.double(), entropy.detach(), atol=4e-6)
    alone, none, same = native.score(logits, tokens, with_entropy=False)
    assert none is None and torch.equal(alone, seen) and torch.equal(same, norm)

    for entropies in (True, False):
        total = (chosen * weights[0]).sum() + (entropy * weights[1]).sum() * entropies
        (wanted,) = torch.autograd.grad(total, a, retain_graph=True)
        given = {"entropy": level, "dentropy": weights[1]} if entropies else {}
        for dtype, bound in ((torch.float32, 1e-6), (torch.bfloat16, 2**-8)):
            out = torch.empty(n, v, dtype=dtype)
            native.score_backward(logits, tokens, norm, weights[0], out=out, **given)
            assert float((out.double() - wanted).abs().max()) < bound * max(1.0, float(wanted.abs().max())) * 4


@needs_kernels
def test_tokens_outside_the_support_add_nothing():
    """-inf is a probability of 0: an entropy that is finite, a gradient that is 0 there."""
    logits = spread(6, 300)
    kept = torch.zeros(6, 300, dtype=torch.bool)
    kept[:, 128:140] = True  # whole blocks of 128 have no mass
    kept[0], kept[0, 299] = False, True  # one token alone
    logits = logits.masked_fill(~kept, float("-inf"))
    tokens = torch.tensor([299, *[130] * 5])
    logp = logits.double().log_softmax(-1)
    wanted = -(logp.exp() * logp.clamp(min=-1e30)).sum(-1)
    seen, entropy, norm = native.score(logits, tokens, with_entropy=True)
    assert torch.allclose(entropy.double(), wanted, atol=1e-6) and bool(torch.isfinite(entropy).all())
    assert torch.allclose(seen.double(), logp.gather(1, tokens[:, None])[:, 0], atol=1e-6)
    assert seen[0] == 0 and entropy[0] == 0
    out = torch.empty(6, 300)
    native.score_backward(logits, tokens, norm, torch.ones(6), out=out, entropy=entropy, dentropy=torch.ones(6))
    assert bool((out[~kept] == 0).all()) and bool(torch.isfinite(out).all())
    assert native.score(logits, torch.zeros(6, dtype=torch.long), with_entropy=False)[0].tolist() == [-np.inf] * 6


@needs_kernels
def test_logits_far_apart():
    """exp has its limits at -87 and 88; beyond them a softmax has its own, exact ones."""
    logits = torch.tensor([[0.0, -86.9, -87.1, -1e4, -3e38], [3e38, 0.0, 0.0, 0.0, 0.0], [1e4, 1e4, 0.0, 0.0, 0.0]])
    for token in range(5):
        seen, entropy, _ = native.score(logits, torch.full((3,), token), with_entropy=True)
        wanted = logits.double().log_softmax(-1)
        assert torch.allclose(seen.double(), wanted[:, token], rtol=1e-6)
        assert torch.allclose(entropy.double(), torch.tensor([0.0, 0.0, np.log(2)], dtype=torch.double), atol=1e-6)


@needs_kernels
def test_exp_over_its_whole_range():
    """Of two logits x apart, the lower has probability e^x / (1 + e^x); that much of exp is seen from outside."""
    x = torch.linspace(-87, 0, 5001)
    logits = torch.stack([x, torch.zeros_like(x)], 1)
    gradient = torch.empty(5001, 2)
    tokens = torch.ones(5001, dtype=torch.long)
    _, _, norm = native.score(logits, tokens, with_entropy=False)
    native.score_backward(logits, tokens, norm, torch.ones(5001), out=gradient)
    p = torch.sigmoid(x.double())  # the gradient of log p(1) with respect to logit 0 is -p(0)
    inside = x > -86
    assert float(((-gradient[:, 0].double() - p) / p)[inside].abs().max()) < 6e-6  # exp of a float32 near -87
    assert bool((gradient[:, 0] <= 0).all())


@needs_kernels
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["one", "all"])
def test_a_row_that_is_no_number_has_a_log_prob_of_nan(value, where):
    logits = spread(3, 200)
    logits[1, slice(None) if where == "all" else slice(150, 151)] = value
    tokens, logp = native.draw(logits, torch.full((3,), 0.5, dtype=torch.float64))
    assert logp.isnan().tolist() == [False, True, False]
    assert bool(((tokens >= 0) & (tokens < 200)).all())
    seen, entropy, _ = native.score(logits, tokens, with_entropy=True)
    assert seen.isnan().tolist() == entropy.isnan().tolist() == [False, True, False]


@needs_kernels
def test_a_row_without_any_mass_has_a_log_prob_of_nan():
    _, logp = native.draw(torch.full((2, 5), float("-inf")), torch.zeros(2, dtype=torch.float64))
    assert bool(logp.isnan().all())


@needs_kernels
@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 70),
    v=st.integers(1, 700),
    scale=st.sampled_from([0.0, 0.1, 3.0, 30.0]),
    cut=st.sampled_from([0.0, 0.5, 0.98]),
    seed=st.integers(0, 2**31),
)
def test_draws_are_those_of_the_maths(n, v, scale, cut, seed):
    """But for ties: where the uniform meets the border of two tokens, rounding may choose either."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, v, generator=generator) * scale
    out = torch.rand(n, v, generator=generator) < cut
    out[torch.arange(n), torch.randint(0, v, (n,), generator=generator)] = False
    logits = logits.masked_fill(out, float("-inf"))
    uniform = torch.rand(n, generator=generator, dtype=torch.float64)
    uniform[0] = 0.0
    uniform[-1] = 1.0 - 2.0**-53
    tokens, logp = native.draw(logits, uniform)
    exact = logits.double().log_softmax(-1)
    assert torch.allclose(logp.double(), exact.gather(1, tokens[:, None])[:, 0], atol=2e-5, rtol=2e-6)
    assert bool((logp > -np.inf).all())  # never a token without mass
    other = draw_plainly(logits, uniform)
    for row in (tokens != other).nonzero()[:, 0].tolist():
        low, high = sorted((int(tokens[row]), int(other[row])))
        p = exact[row].exp()
        assert float((p[: low + 1].sum() - uniform[row]).abs()) < 1e-6  # the uniform lies at the border,
        assert float(p[low + 1 : high].sum()) < 1e-6  # and next to nothing lies between the two


@needs_kernels
def test_a_draw_is_the_inverse_of_the_cumulative_distribution():
    p = torch.tensor([0.1, 0.0, 0.2, 0.3, 0.0, 0.4, 0.0])
    uniform = torch.tensor([0.0, 0.0999, 0.1001, 0.2999, 0.3001, 0.5999, 0.6001, 0.9999999999], dtype=torch.float64)
    tokens, logp = native.draw(p.log().expand(8, 7).contiguous(), uniform)
    assert tokens.tolist() == [0, 0, 2, 2, 3, 3, 5, 5]
    assert torch.allclose(logp, p[tokens].log(), atol=1e-6)


# --------------------------------------------------------------------------------------------------- determinism


def everything():
    """One call of every kernel that shares its rows among threads."""
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        x, weight, out = random(200, 100), random(100, seed=1), torch.empty(200, 100, dtype=dtype)
        y, scale = torch.empty(200, 100), torch.empty(200)
        add = random(200, 100, seed=2, dtype=dtype)
        native.add_norm(x, add, weight, offset=1.0, eps=1e-5, out=out, y=y, scale=scale)
        found += [out, y, *native.norm_backward(out, y, y, weight, scale, offset=1.0)]
        both = random(200, 100, seed=3, dtype=dtype)
        found += [*native.gated_backward(both, out[:, :50].contiguous(), tanh_form=True)]
        heads = native.Heads(6, 2, 16, 0.25, 40)
        groups, lengths, same, _ = layout(SPANS)
        qkv = random(len(same), 160, seed=4, dtype=dtype)
        attended, norm = native.group_attention(qkv, groups, lengths, heads)
        found += [attended, norm]
        found.append(native.group_attention_backward(qkv, groups, lengths, heads, attended, norm, attended))
        logits, tokens = spread(100, 500), torch.arange(100)
        logp, entropy, level = native.score(logits, tokens, with_entropy=True)
        slope = torch.empty(100, 500, dtype=dtype)
        native.score_backward(logits, tokens, level, logp, out=slope, entropy=entropy, dentropy=logp)
        found += [logp, entropy, level, slope, *native.draw(logits, torch.rand(100, dtype=torch.float64) * 0 + 0.3)]
    a, b = random(90, 40, dtype=torch.bfloat16), random(300, 40, seed=1, dtype=torch.bfloat16)
    rough = torch.ones(90, 300, dtype=torch.bfloat16)
    return [*found, native.refine(rough, a, b), native.transposed(a), native.transposed_float(a)]


@needs_kernels
def test_the_number_of_threads_changes_no_bit():
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(everything())
    finally:
        torch.set_num_threads(before)
    for others in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], others, strict=True))


@needs_kernels
def test_what_is_not_contiguous_is_refused():
    with pytest.raises(AssertionError):
        native.gated(random(8, 8).T, tanh_form=False)


# ------------------------------------------------------------------------------------------ with and without them


@pytest.fixture
def anew(tmp_path, monkeypatch):
    """`state` works itself out again, in a cache of its own; afterwards it is that of the machine again.

    The library that is loaded stays: the functions of the other tests go on calling it.
    """
    monkeypatch.setenv("SIBLING_CACHE", str(tmp_path))
    native.state.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    native.state.cache_clear()
    native.state()


def test_without_a_compiler_the_modules_run(anew, monkeypatch):
    monkeypatch.setenv("CC", "/nonexistent")
    assert not native.available() and native.describe() == "torch"
    state = native.state()
    assert state.library is None and state.digest is None
    assert "no C compiler was found" in state.reason and "\n" not in state.reason
    assert not list(anew.rglob("*.so"))


def test_a_compiler_that_fails_is_quoted_in_one_line(anew, monkeypatch):
    broken = anew / "cc"
    broken.write_text("#!/bin/sh\necho 'first trouble' >&2\necho 'second trouble' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert not native.available()
    assert native.state().reason == f"{broken} did not make them: first trouble second trouble"
    assert not list(anew.rglob("*.so")) and [p.name for p in (anew / "kernels").iterdir()] == []


def test_what_is_no_library_is_told(anew, monkeypatch):
    """The compiler says all is well but leaves rubbish."""
    broken = anew / "cc"
    broken.write_text('#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = -o ] && echo rubbish > "$2"; shift; done\n')
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert not native.available() and "did not make them" in native.state().reason


def test_a_cache_that_cannot_be_written_is_told(anew, monkeypatch):
    (anew / "file").write_text("")
    monkeypatch.setenv("SIBLING_CACHE", str(anew / "file"))
    if native.state().library is None:
        assert "\n" not in native.state().reason
    assert native.state().library is None


@needs_kernels
def test_they_are_compiled_once_and_kept(anew):
    state = native.state()
    assert state.library is not None and native.describe() == "native"
    (made,) = anew.rglob("*.so")
    assert made.stem == state.digest and str(made) in state.reason
    when = made.stat().st_mtime_ns
    native.state.cache_clear()
    assert native.state().library is not None and made.stat().st_mtime_ns == when


@needs_kernels
def test_the_environment_is_asked_at_every_call(monkeypatch):
    for wanted, on in (("torch", False), ("native", True), ("torch", False)):
        monkeypatch.setenv("SIBLING_KERNELS", wanted)
        assert native.available() is on and native.describe() == wanted
    monkeypatch.delenv("SIBLING_KERNELS")
    assert native.available()


@needs_kernels
def test_two_processes_compile_at_once(tmp_path):
    program = (
        "import torch; from sibling.models import native; x = torch.full((1, 2), 2.0);"
        "print(float(native.gated(x, tanh_form=False)), native.state().digest)"
    )
    env = {**os.environ, "SIBLING_CACHE": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    said = [p.communicate(timeout=250)[0].split() for p in both]
    assert [p.returncode for p in both] == [0, 0]
    assert said[0] == said[1] and float(said[0][0]) == pytest.approx(4 / (1 + np.exp(-2)), rel=1e-6)
    assert [p.name for p in (tmp_path / "kernels").iterdir()] == [f"{said[0][1]}.so"]  # and nothing half made
