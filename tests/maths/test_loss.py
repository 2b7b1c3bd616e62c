import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RequestError
from sibling.maths.aggregation import sequence_weights
from sibling.maths.diagnostics import ClipMarks
from sibling.maths.loss import policy_loss
from sibling.maths.objectives import OBJECTIVES

N, T = 6, 7


def batch(seed, dtype=torch.float64, scale=0.3):
    """Random log-probs, a ragged mask, advantages and token-mean weights."""
    rng = np.random.default_rng(seed)
    new = rng.normal(-1, 0.5, (N, T))
    mask = rng.random((N, T)) < 0.8
    mask[0] = True
    group = np.array([0, 0, 0, 1, 1, 1])
    weight = sequence_weights(mask.sum(axis=1), group, mode="seq_mean_token_mean")
    return {
        "logp_new": torch.tensor(new, dtype=dtype),
        "logp_old": torch.tensor(new + rng.normal(0, scale, (N, T)), dtype=dtype),
        "logp_ref": torch.tensor(new + rng.normal(0, 0.5, (N, T)), dtype=dtype),
        "advantage": torch.tensor(rng.normal(size=N), dtype=dtype),
        "mask": torch.tensor(mask),
        "weight": torch.tensor(weight, dtype=dtype),
    }


def loss_and_gradient(inputs, objective="grpo", **options):
    new = inputs["logp_new"].clone().requires_grad_()
    parts = policy_loss(OBJECTIVES[objective], **{**inputs, "logp_new": new}, **options)
    (gradient,) = torch.autograd.grad(parts.loss, new)
    return parts, gradient


def naive(inputs, low, high, beta):
    """The GRPO loss as three loops."""
    total = 0.0
    rows = {k: v.tolist() for k, v in inputs.items()}
    for i in range(len(rows["weight"])):
        for t in range(len(rows["mask"][i])):
            if not rows["mask"][i][t]:
                continue
            r = math.exp(rows["logp_new"][i][t] - rows["logp_old"][i][t])
            a = rows["advantage"][i]
            d = rows["logp_new"][i][t] - rows["logp_ref"][i][t]
            term = -min(r * a, min(max(r, 1 - low), 1 + high) * a) + beta * (math.exp(-d) - 1 + d)
            total += rows["weight"][i] * term
    return total


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.05]))
@settings(deadline=None, max_examples=40)
def test_against_a_plain_second_implementation(seed, beta):
    inputs = batch(seed)
    parts, _ = loss_and_gradient(inputs, "dapo", beta=beta)
    assert parts.loss.item() == pytest.approx(naive(inputs, 0.2, 0.28, beta), rel=1e-12)
    assert parts.loss.item() == pytest.approx((parts.policy + parts.kl).item(), rel=1e-12)


@pytest.mark.parametrize("kl", ["k1", "k2", "k3", "k3_is"])  # k3_st's gradient is not its value's, on purpose
def test_gradient_of_every_kl_estimator_against_central_differences(kl):
    inputs, step = batch(1), 1e-6
    options = {"beta": 0.1, "kl": kl, "dual_clip": 3.0}
    _, gradient = loss_and_gradient(inputs, **options)
    for i, t in ((0, 0), (2, 3), (3, 1), (5, 6)):
        ends = []
        for sign in (1, -1):
            moved = inputs["logp_new"].clone()
            moved[i, t] += sign * step
            ends.append(policy_loss(OBJECTIVES["grpo"], **{**inputs, "logp_new": moved}, **options).loss.item())
        assert gradient[i, t].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9)


def test_the_log_ratio_clamp_reaches_ratio_and_kl():
    inputs = batch(12)
    free, _ = loss_and_gradient(inputs, "deepseek_v3_2", beta=0.1, clip_low=9.0, clip_high=9.0)
    held, gradient = loss_and_gradient(
        inputs, "deepseek_v3_2", beta=0.1, clip_low=9.0, clip_high=9.0, log_ratio_clamp=0.2
    )
    gap = inputs["logp_new"] - inputs["logp_old"]
    clamped = (gap.abs() > 0.2) & inputs["mask"]
    assert held.policy != free.policy and held.kl != free.kl and clamped.any()
    assert held.ratio_gap_max.item() == pytest.approx(math.exp(0.2) - 1)
    # Clamped tokens keep the KL's own gradient r (1 - e^-d), not the one through r.
    d = inputs["logp_new"] - inputs["logp_ref"]
    wanted = 0.1 * inputs["weight"][:, None] * gap.clamp(-0.2, 0.2).exp() * (1 - (-d).exp())
    assert gradient[clamped].numpy() == pytest.approx(wanted[clamped].numpy(), rel=1e-12)


def test_counts_and_sums_by_hand():
    inputs = {
        "logp_new": torch.log(torch.tensor([[0.2, 0.5, 0.5], [0.6, 0.1, 0.5]])),
        "logp_old": torch.log(torch.tensor([[0.1, 0.5, 0.9], [0.1, 0.5, 0.5]])),
        "advantage": torch.tensor([1.0, -1.0]),
        "mask": torch.tensor([[True, True, False], [True, True, True]]),
        "weight": torch.tensor([0.5, 0.25]),
    }
    # Ratios 2, 1 | 6, 0.2, 1. Bounds 0.8, 1.2, dual 3. Terms -1.2, -1 | 3 (dual), 0.8, 1.
    parts = policy_loss(OBJECTIVES["grpo"], **inputs, dual_clip=3.0)
    assert parts.loss.item() == pytest.approx(0.5 * -2.2 + 0.25 * 4.8)
    assert (parts.clip_low.item(), parts.clip_high.item(), parts.clip_dual.item()) == (1, 1, 1)
    assert parts.clip_sequences.item() == 2
    assert parts.ratio_sum.item() == pytest.approx(10.2)
    assert parts.ratio_gap_max.item() == pytest.approx(5.0)
    assert parts.kl_sum.item() == parts.kl.item() == parts.entropy.item() == 0
    falling = policy_loss(OBJECTIVES["grpo"], **{**inputs, "advantage": torch.tensor([1.0, 1.0])}, clip_high=7.0)
    assert (falling.clip_low.item(), falling.clip_high.item(), falling.clip_sequences.item()) == (0, 0, 0)


def test_the_gap_counts_ratios_below_one():
    ones = torch.ones(1, 2, dtype=torch.float64)
    inputs = {"logp_new": -ones, "logp_old": -ones + math.log(2), "advantage": ones[0, :1], "mask": ones.bool()}
    parts = policy_loss(OBJECTIVES["grpo"], **inputs, weight=ones[0, :1])  # a ratio of 1/2, twice
    assert parts.ratio_gap_max.item() == pytest.approx(0.5) and parts.ratio_sum.item() == pytest.approx(1.0)


def test_a_batch_of_no_tokens_or_no_sequences_is_zero():
    for shape in ((2, 0), (0, 3)):
        empty = torch.zeros(shape, dtype=torch.float64)
        inputs = {"logp_new": empty, "logp_old": empty, "advantage": empty, "mask": empty.bool()}
        parts, gradient = loss_and_gradient({**inputs, "weight": torch.ones(shape[0], dtype=torch.float64)})
        assert parts.loss == parts.ratio_gap_max == parts.ratio_sum == 0 and gradient.shape == shape


def test_kl_sum_is_reported_without_weights_or_beta():
    inputs = batch(4)
    gap = (inputs["logp_new"] - inputs["logp_ref"])[inputs["mask"]]
    wanted = (torch.exp(-gap) - 1 + gap).sum().item()
    for beta in (0.0, 0.3):
        parts, _ = loss_and_gradient(inputs, beta=beta)
        assert parts.kl_sum.item() == pytest.approx(wanted)
    assert loss_and_gradient(inputs, beta=0.0)[0].kl.item() == 0
    # Beta 0 is no KL term at all, whatever the reference.
    far = {**inputs, "logp_ref": inputs["logp_ref"] - 2000.0}
    assert loss_and_gradient(far, beta=0.0)[0].loss.isfinite()


def test_the_entropy_bonus():
    inputs = batch(10)
    entropy = torch.rand(N, T, dtype=torch.float64).masked_fill(~inputs["mask"], math.nan).requires_grad_()
    plain = policy_loss(OBJECTIVES["grpo"], **inputs)
    parts = policy_loss(OBJECTIVES["grpo"], **inputs, entropy=entropy, entropy_coefficient=0.3)
    bonus = sum(
        w * h[m].sum().item() for w, h, m in zip(inputs["weight"].tolist(), entropy, inputs["mask"], strict=True)
    )
    assert parts.entropy.item() == pytest.approx(-0.3 * bonus)
    assert parts.loss.item() == pytest.approx(plain.loss.item() - 0.3 * bonus) and parts.policy == plain.policy
    (gradient,) = torch.autograd.grad(parts.loss, entropy)
    assert torch.allclose(gradient, torch.where(inputs["mask"], -0.3 * inputs["weight"][:, None], 0.0))
    assert not any(v.requires_grad for k, v in vars(parts).items() if k != "loss")
    measured = policy_loss(OBJECTIVES["grpo"], **inputs, entropy=entropy)
    assert measured.entropy == 0 and measured.loss == plain.loss


def test_factors_and_sampler_weights_multiply_the_policy_term():
    inputs = batch(11)
    generator = torch.Generator().manual_seed(0)
    factor, sampler = (torch.rand(N, T, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    plain, plain_gradient = loss_and_gradient(inputs)
    parts, gradient = loss_and_gradient(inputs, factor=factor, sampler_weight=sampler)
    assert torch.allclose(gradient, plain_gradient * factor * sampler, rtol=1e-12)
    assert torch.equal(loss_and_gradient(inputs, factor=factor)[1], loss_and_gradient(inputs, sampler_weight=factor)[1])
    loss = policy_loss(
        OBJECTIVES["grpo"], **{**inputs, "logp_new": inputs["logp_new"].requires_grad_()}, factor=factor
    ).loss
    loss.backward()
    assert factor.grad is None
    assert (parts.clip_low, parts.clip_high) == (plain.clip_low, plain.clip_high)


def test_a_whole_expert_trace_is_an_expert_at_every_token():
    inputs = batch(13)
    expert = torch.tensor([True, False, False, True, False, False])
    parts, gradient = loss_and_gradient(inputs, "luffy", expert=expert)
    p = inputs["logp_new"].exp()
    f, slope = p / (p + 0.1), 0.1 * p / (p + 0.1) ** 2
    ratio = (inputs["logp_new"] - inputs["logp_old"]).exp()
    scale = -inputs["weight"][:, None] * inputs["advantage"][:, None] * inputs["mask"]
    assert torch.allclose(gradient, scale * torch.where(expert[:, None], slope, ratio), rtol=1e-12)
    assert parts.loss.item() == pytest.approx((scale * torch.where(expert[:, None], f, ratio)).sum().item())


def test_token_level_advantages():
    inputs = batch(5)
    repeated = {**inputs, "advantage": inputs["advantage"][:, None].repeat(1, T)}
    assert torch.equal(loss_and_gradient(inputs)[1], loss_and_gradient(repeated)[1])
    repeated["advantage"][0, 1:] = 0
    gradient = loss_and_gradient(repeated)[1]
    assert not gradient[0, 1:].any() and torch.equal(gradient[1:], loss_and_gradient(inputs)[1][1:])


def test_no_gradient_reaches_anything_but_the_new_policy():
    inputs = {k: v.requires_grad_() if v.is_floating_point() else v for k, v in batch(6).items()}
    parts = policy_loss(OBJECTIVES["grpo"], **inputs, beta=0.1)
    assert not any(v.requires_grad for k, v in vars(parts).items() if k != "loss")
    parts.loss.backward()
    assert inputs["logp_new"].grad is not None
    assert all(inputs[k].grad is None for k in ("logp_old", "logp_ref", "advantage", "weight"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_is_computed_in_the_dtype_of_the_log_probs(dtype):
    inputs = {k: v.to(dtype) if k.startswith("logp") else v for k, v in batch(14, torch.float64).items()}
    parts, gradient = loss_and_gradient(inputs, factor=torch.ones(N, T, dtype=torch.float64), beta=0.1)
    assert gradient.dtype == dtype
    assert {getattr(parts, f).dtype for f in ("loss", "policy", "kl", "kl_sum", "ratio_sum")} == {dtype}


def test_an_exploding_step_is_not_hidden():
    # Without a bound on the ratio nothing hides a step that would explode.
    ones = torch.ones(1, 1)
    inputs = {"logp_new": -ones, "logp_old": -101 * ones, "advantage": -ones[0], "mask": ones.bool(), "weight": ones[0]}
    assert loss_and_gradient(inputs)[1].item() > 1e20
    assert loss_and_gradient(inputs, dual_clip=3.0)[1].item() == 0
    assert loss_and_gradient(inputs, log_ratio_clamp=20.0)[1].item() == 0


def test_a_surrogate_of_ones_own_brings_its_own_numbers():
    # CISPO (2506.13585): l = -sg(min(r, cap)) A log pi_new.
    def capped(terms, *, cap):
        return -terms.ratio.clamp(max=cap).detach() * terms.advantage * terms.logp_new

    def unmarked(terms, *, cap):
        none = torch.zeros_like(terms.mask)
        return ClipMarks(low=none, high=terms.ratio > cap, dual=none)

    row = replace(OBJECTIVES["dapo"], name="own", surrogate=capped, marks=unmarked, numbers={"cap": 1.1})
    inputs = batch(8)
    new = inputs["logp_new"].clone().requires_grad_()
    parts = policy_loss(row, **{**inputs, "logp_new": new})
    (gradient,) = torch.autograd.grad(parts.loss, new)
    ratio = (inputs["logp_new"] - inputs["logp_old"]).exp()
    wanted = -inputs["weight"][:, None] * ratio.clamp(max=1.1) * inputs["advantage"][:, None] * inputs["mask"]
    assert gradient.numpy() == pytest.approx(wanted.numpy(), rel=1e-12)
    assert parts.clip_high.item() == int(((ratio > 1.1) & inputs["mask"]).sum())
    with pytest.raises(RequestError, match=r"own has no such number.*clip_low.*Wanted: cap"):
        policy_loss(row, **inputs, clip_low=0.1)


def test_bad_requests_are_refused():
    inputs = batch(9)
    with pytest.raises(RequestError, match="clip_lo"):
        policy_loss(OBJECTIVES["grpo"], **inputs, clip_lo=0.1)
    with pytest.raises(RequestError, match="k1, k2, k3"):
        policy_loss(OBJECTIVES["grpo"], **inputs, beta=0.1, kl="k4")
    with pytest.raises(RequestError, match=r"reference.*Seen: beta 0.1"):
        policy_loss(OBJECTIVES["grpo"], **{**inputs, "logp_ref": None}, beta=0.1)
    with pytest.raises(RequestError, match=r"kl_cov was given no selection.*selector picked"):
        policy_loss(OBJECTIVES["kl_cov"], **inputs)
    with pytest.raises(RequestError, match=r"grpo was given a selection.*has no selector"):
        policy_loss(OBJECTIVES["grpo"], **inputs, selected=inputs["mask"])


def test_a_row_names_its_settings():
    assert OBJECTIVES["dr_grpo"].advantage_defaults == {"scale": "none", "ddof": 1, "eps": 1e-4}
    assert OBJECTIVES["rloo"].advantage_defaults == {}
    with pytest.raises(RequestError, match=r"Seen: a, b, c, d, e, f\. "):
        OBJECTIVES["grpo"].with_numbers(dict.fromkeys("fcadeb", 1.0))
    assert OBJECTIVES["grpo"].with_numbers({"clip_high": 0.3}) == {"clip_low": 0.2, "clip_high": 0.3, "dual_clip": None}
