import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RequestError
from sibling.maths.aggregation import MODES, sequence_weights
from sibling.maths.diagnostics import ClipMarks
from sibling.maths.kl import ESTIMATORS
from sibling.maths.masked import blank, finite_exp, token_sum
from sibling.maths.objectives import OBJECTIVES, policy_loss

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


@pytest.mark.parametrize("objective", list(OBJECTIVES))
@pytest.mark.parametrize("kl", [k for k in ESTIMATORS if k != "k3_st"])  # whose gradient is not its value's, on purpose
def test_gradient_against_central_differences(objective, kl):
    inputs, step = batch(1), 1e-6
    options = {"beta": 0.1, "kl": kl, "dual_clip": 3.0}
    _, gradient = loss_and_gradient(inputs, objective, **options)
    for i, t in ((0, 0), (2, 3), (3, 1), (5, 6)):
        ends = []
        for sign in (1, -1):
            moved = inputs["logp_new"].clone()
            moved[i, t] += sign * step
            ends.append(policy_loss(OBJECTIVES[objective], **{**inputs, "logp_new": moved}, **options).loss.item())
        assert gradient[i, t].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("garbage", [60.0, -1e30, math.nan, math.inf])
def test_masked_positions_add_exactly_nothing(garbage):
    inputs = batch(2)
    mask = inputs["mask"]
    dirty = {k: v.masked_fill(~mask, garbage) if k.startswith("logp") else v for k, v in inputs.items()}
    dirty["advantage"] = inputs["advantage"][:, None].expand(N, T).masked_fill(~mask, garbage)
    clean, wanted = loss_and_gradient(inputs, beta=0.1)
    got, gradient = loss_and_gradient(dirty, beta=0.1)
    assert all(torch.equal(value, getattr(clean, name)) for name, value in vars(got).items())
    assert torch.equal(gradient, wanted) and not gradient[~mask].any()


@given(st.integers(0, 10_000), st.sampled_from([m for m in MODES if m != "micro_token_mean"]), st.randoms())
@settings(deadline=None, max_examples=40)
def test_any_split_into_micro_batches_gives_the_same_gradient(seed, mode, random):
    inputs = batch(seed)
    counts = inputs["mask"].sum(dim=1).numpy()
    weight = sequence_weights(counts, np.array([0, 0, 1, 1, 2, 2]), mode=mode, constant=9)
    inputs["weight"] = torch.tensor(weight)
    whole, gradient = loss_and_gradient(inputs, beta=0.1)
    rows = list(range(N))
    random.shuffle(rows)
    cuts = sorted(random.sample(range(1, N), 2))
    total = 0.0
    for part in (rows[: cuts[0]], rows[cuts[0] : cuts[1]], rows[cuts[1] :]):
        piece, grad = loss_and_gradient({k: v[part] for k, v in inputs.items()}, beta=0.1)
        assert grad.numpy() == pytest.approx(gradient[part].numpy(), rel=1e-12, abs=1e-15)
        total += piece.loss.item()
    assert total == pytest.approx(whole.loss.item(), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [60.0, 100.0, 800.0])
def test_extreme_ratios_never_give_nan(gap, dtype):
    # Ratios exp(+-gap), each with an advantage of each sign and 0; exp(100) is infinite in float32.
    shift = torch.tensor([[gap, -gap, 0.0]] * 3, dtype=dtype)
    inputs = {
        "logp_new": torch.full((3, 3), -1.0, dtype=dtype),
        "logp_old": -1.0 - shift,
        "advantage": torch.tensor([1.0, -1.0, 0.0], dtype=dtype),
        "mask": torch.ones(3, 3, dtype=torch.bool),
        "weight": torch.full((3,), 1 / 9, dtype=dtype),
    }
    for options in ({}, {"dual_clip": 3.0}, {"log_ratio_clamp": 20.0}):
        parts, gradient = loss_and_gradient(inputs, **options)
        assert not torch.isnan(parts.loss) and torch.isfinite(gradient).all()
        assert gradient[0, 0] == 0 and gradient[1, 1] == 0 and not gradient[2].any()
        assert parts.loss.dtype == gradient.dtype == dtype
    # Without a bound on the ratio nothing hides a step that would explode.
    assert loss_and_gradient(inputs)[1][1, 0] > 1e20


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
    assert parts.ratio_sum.item() == pytest.approx(10.2)
    assert parts.ratio_gap_max.item() == pytest.approx(5.0)
    assert parts.kl_sum.item() == parts.kl.item() == 0


def test_kl_sum_is_reported_without_weights_or_beta():
    inputs = batch(4)
    gap = (inputs["logp_new"] - inputs["logp_ref"])[inputs["mask"]]
    wanted = (torch.exp(-gap) - 1 + gap).sum().item()
    for beta in (0.0, 0.3):
        parts, _ = loss_and_gradient(inputs, beta=beta)
        assert parts.kl_sum.item() == pytest.approx(wanted)
    assert loss_and_gradient(inputs, beta=0.0)[0].kl.item() == 0


def test_token_level_advantages():
    inputs = batch(5)
    repeated = {**inputs, "advantage": inputs["advantage"][:, None].repeat(1, T)}
    assert torch.equal(loss_and_gradient(inputs)[1], loss_and_gradient(repeated)[1])
    repeated["advantage"][0, 1:] = 0
    gradient = loss_and_gradient(repeated)[1]
    assert not gradient[0, 1:].any() and torch.equal(gradient[1:], loss_and_gradient(inputs)[1][1:])


def test_no_gradient_reaches_anything_but_the_new_policy():
    inputs = {k: v.requires_grad_() if v.is_floating_point() else v for k, v in batch(6).items()}
    policy_loss(OBJECTIVES["grpo"], **inputs, beta=0.1).loss.backward()
    assert inputs["logp_new"].grad is not None
    assert all(inputs[k].grad is None for k in ("logp_old", "logp_ref", "advantage", "weight"))


def test_a_sequence_level_row_needs_no_branch():
    # GSPO (2507.18071): s_i = exp(mean_t lr_it), repeated at every token; its gradient spreads over the tokens.
    def sequence_ratio(log_ratio, mask):
        mean = token_sum(log_ratio, mask) / mask.sum(dim=1).clamp(min=1)
        return finite_exp(mean[:, None].expand(log_ratio.shape))

    row = replace(OBJECTIVES["grpo"], name="gspo", ratio=sequence_ratio)
    inputs = batch(7)
    new = inputs["logp_new"].clone().requires_grad_()
    parts = policy_loss(row, **{**inputs, "logp_new": new}, clip_low=5.0, clip_high=5.0)  # too wide to bind
    (gradient,) = torch.autograd.grad(parts.loss, new)
    for i in range(N):
        active = inputs["mask"][i]
        s = (inputs["logp_new"] - inputs["logp_old"])[i][active].mean().exp()
        wanted = -(1 / N) * s * inputs["advantage"][i] / active.sum()
        assert gradient[i][active].numpy() == pytest.approx(wanted.item(), rel=1e-12)
    # Masked positions carry the sequence's ratio too, and are not counted as clipped.
    narrow = policy_loss(row, **inputs, clip_low=1e-9, clip_high=1e-9)
    s = sequence_ratio(blank(inputs["logp_new"] - inputs["logp_old"], inputs["mask"]), inputs["mask"])[:, 0]
    clipped = ((s - 1) * inputs["advantage"] > 0) * inputs["mask"].sum(dim=1)
    assert (narrow.clip_low + narrow.clip_high).item() == clipped.sum().item() > 0


def test_a_surrogate_other_than_clip_brings_its_own_numbers():
    # CISPO (2506.13585): l = -sg(min(r, cap)) A log pi_new.
    def capped(terms, *, cap):
        return -terms.ratio.clamp(max=cap).detach() * terms.advantage * terms.logp_new

    def unmarked(terms, *, cap):
        none = torch.zeros_like(terms.mask)
        return ClipMarks(low=none, high=terms.ratio > cap, dual=none)

    row = replace(OBJECTIVES["dapo"], name="cispo", surrogate=capped, marks=unmarked, numbers={"cap": 1.1})
    inputs = batch(8)
    new = inputs["logp_new"].clone().requires_grad_()
    parts = policy_loss(row, **{**inputs, "logp_new": new})
    (gradient,) = torch.autograd.grad(parts.loss, new)
    ratio = (inputs["logp_new"] - inputs["logp_old"]).exp()
    wanted = -inputs["weight"][:, None] * ratio.clamp(max=1.1) * inputs["advantage"][:, None] * inputs["mask"]
    assert gradient.numpy() == pytest.approx(wanted.numpy(), rel=1e-12)
    assert parts.clip_high.item() == int(((ratio > 1.1) & inputs["mask"]).sum())
    with pytest.raises(RequestError, match="clip_low"):
        policy_loss(row, **inputs, clip_low=0.1)


def test_bad_requests_are_refused():
    inputs = batch(9)
    with pytest.raises(RequestError, match="clip_lo"):
        policy_loss(OBJECTIVES["grpo"], **inputs, clip_lo=0.1)
    with pytest.raises(RequestError, match="k1, k2, k3"):
        policy_loss(OBJECTIVES["grpo"], **inputs, beta=0.1, kl="k4")
    with pytest.raises(RequestError, match="reference"):
        policy_loss(OBJECTIVES["grpo"], **{**inputs, "logp_ref": None}, beta=0.1)


def test_the_table_is_complete():
    assert list(OBJECTIVES) == ["grpo", "dr_grpo", "dapo"]
    for name, row in OBJECTIVES.items():
        assert row.name == name and row.aggregation in MODES and row.kl in ESTIMATORS
        assert row.title and "arXiv" in row.paper and row.equation.startswith("loss = ") and row.notes
        assert row.equation.isascii() and all(note.isascii() for note in row.notes)
        reward = np.array([1.0, 0.0])
        assert row.advantage(reward, np.zeros(2, dtype=np.int64), **row.advantage_defaults)[0] > 0


def test_defaults_of_the_rows():
    grpo, dr_grpo, dapo = (OBJECTIVES[n] for n in ("grpo", "dr_grpo", "dapo"))
    assert dict(grpo.numbers) == dict(dr_grpo.numbers) == {"clip_low": 0.2, "clip_high": 0.2, "dual_clip": None}
    assert dapo.numbers["clip_high"] == 0.28
    assert [r.aggregation for r in (grpo, dr_grpo, dapo)] == ["seq_mean_token_mean", "token_sum_norm", "token_mean"]
    assert [r.advantage_defaults["scale"] for r in (grpo, dr_grpo, dapo)] == ["group", "none", "group"]
