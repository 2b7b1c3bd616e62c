"""What every row of the table of objectives must show. A new row joins by one line of LINES."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from battery import (
    GROUPS,
    LENGTHS,
    Line,
    N,
    T,
    but_selected,
    estimate,
    frozen_sequence_ratio,
    frozen_weight,
    run,
    sample,
    select,
    shaped_on_experts,
    table,
    times_length,
    weights,
)

from sibling.errors import RunError
from sibling.maths.estimators import Advantages
from sibling.maths.loss import minibatch_terms, policy_loss
from sibling.maths.masked import token_sum
from sibling.maths.objectives import OBJECTIVES

NO_BASELINE = "no baseline: equal rewards carry signal"
WHITENED = "the z-score subtracts the mean of the whole batch, not of the group"
CRITIC = "the baseline is the critic's, not the group's"

LINES = {
    "grpo": Line(),
    "grpo_process": Line(),
    "dr_grpo": Line(scale="linear"),
    "dapo": Line(),
    "high_entropy": Line(),
    "deepseek_v3_2": Line(scale="linear"),
    "lite_ppo": Line(),
    "local_mean": Line(split="the mean is taken in each micro-batch, by definition"),
    "bnpo": Line(rewards="unit", shift="matters", scale="matters"),
    "gdpo": Line(),
    "passk": Line(rewards="binary", shift="refused", scale="refused"),
    "luffy": Line(scale="linear", on_policy=shaped_on_experts),
    "gspo": Line(),
    "gspo_token": Line(freeze=frozen_sequence_ratio),
    "luspo": Line(),
    "gmpo": Line(),
    "cispo": Line(freeze=frozen_weight, numbers={"ratio_min": 0.8, "ratio_max": 1.2}),
    "sapo": Line(),
    "vespo": Line(freeze=frozen_weight),
    "dppo_tv": Line(freeze=frozen_weight, numbers={"delta_low": 0.03, "delta_high": 0.05, "ratio_cap": 1.3}),
    "dppo_kl": Line(freeze=frozen_weight, numbers={"delta_low": 0.003, "delta_high": 0.005, "ratio_cap": 1.3}),
    "clip_cov": Line(on_policy=but_selected, numbers={"share": 0.1, "score_low": 0.05, "score_high": 0.6}),
    "kl_cov": Line(pull="the penalty holds the picked tokens to the old policy", numbers={"share": 0.2}),
    "ppo": Line(shift="matters", scale="matters", dead=CRITIC),
    "rloo": Line(scale="linear"),
    "rloo_clip": Line(scale="linear", on_policy=times_length),
    "reinforce": Line(shift="matters", scale="linear", dead=NO_BASELINE),
    "reinforce_pp": Line(dead=WHITENED),
    "reinforce_pp_baseline": Line(dead=WHITENED),
    "gpg": Line(scale="linear"),
    "opo": Line(scale="linear"),
    "maxrl": Line(rewards="unit", shift="matters"),
    "pkpo": Line(rewards="binary", shift="refused", scale="refused", dead=NO_BASELINE),
    "passk_max": Line(scale="linear"),
    "kimi": Line(
        scale="linear", on_policy=times_length, pull="the squared log-ratio holds the sequence to the old policy"
    ),
}
ROWS = pytest.mark.parametrize("name", list(LINES))


def setting(name, **options):
    """The row, its line and a batch."""
    line = LINES[name]
    return OBJECTIVES[name], line, sample(11, line.rewards, **options)


def close(got, wanted, tolerance=1e-12):
    scale = max(1.0, float(np.abs(np.asarray(wanted)).max(initial=0.0)))
    return bool(np.allclose(np.asarray(got), np.asarray(wanted), rtol=0, atol=tolerance * scale))


def test_every_row_has_its_line():
    assert list(LINES) == list(OBJECTIVES)


@ROWS
def test_the_order_of_siblings_and_groups_has_no_say(name):
    row, line, batch = setting(name)
    straight = run(row, batch, numbers=line.numbers)
    assert straight.gradient.abs().sum() > 0
    order = np.random.default_rng(5).permutation(N)
    shuffled = replace(batch.order(order), group=np.array([2, 0, 1])[batch.group[order]])  # groups renamed too
    got = run(row, shuffled, numbers=line.numbers)
    assert got.loss == pytest.approx(straight.loss, rel=1e-12)
    assert close(got.gradient, straight.gradient[order]) and close(got.advantage, straight.advantage[order])


@ROWS
@pytest.mark.parametrize("change", ["shift", "scale"])
def test_a_change_of_every_reward(name, change):
    row, line, batch = setting(name)
    claim = getattr(line, change)
    moved = batch.rewarded((lambda r: r + 0.125) if change == "shift" else (lambda r: 0.5 * r))
    exact = {"eps": 0.0} if "eps" in row.advantage_defaults else {}
    if claim == "refused":
        with pytest.raises(RunError, match="0 or 1"):
            estimate(row, moved, **exact)
        return
    before, after = (table(estimate(row, b, **exact)) for b in (batch, moved))
    assert np.abs(before).max() > 0.01
    cancels, linear = close(after, before, 1e-9), close(after, 0.5 * before, 1e-9)
    assert (claim, cancels, linear) in {
        ("cancels", True, False),
        ("linear", False, True),
        ("matters", False, False),
    }


@ROWS
def test_micro_batches_add_up(name):
    row, line, batch = setting(name)
    order = np.random.default_rng(3).permutation(N).tolist()
    split = [order[:2], order[2:9], order[9:]]
    whole, parts = run(row, batch, numbers=line.numbers), run(row, batch, split=split, numbers=line.numbers)
    same = close(parts.gradient, whole.gradient) and close(parts.loss, whole.loss)
    assert same == (line.split == "any")
    assert sum(int(p.clip_low + p.clip_high) for p in parts.parts) == int(
        sum(p.clip_low + p.clip_high for p in whole.parts)
    )


@ROWS
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
def test_masked_positions_may_hold_anything(name, garbage):
    row, line, batch = setting(name)
    more = {"sampler_weight": torch.full((N, T), 0.9, dtype=torch.float64), "factor": torch.ones(N, T).double()}
    clean = run(row, batch, numbers=line.numbers, **more)
    dirty = run(row, batch, numbers=line.numbers, garbage=garbage, **more)
    assert dirty.loss == clean.loss and torch.equal(dirty.gradient, clean.gradient)
    assert not clean.gradient[torch.tensor(~batch.mask)].any()
    for mine, theirs in zip(dirty.parts, clean.parts, strict=True):
        assert all(torch.equal(value, getattr(theirs, field)) for field, value in vars(mine).items())


@ROWS
def test_wider_padding_changes_nothing(name):
    row, line, batch = setting(name)
    own = estimate(row, batch)
    narrow = run(row, batch, own=own, numbers=line.numbers)
    wide = replace(
        batch,
        mask=np.pad(batch.mask, ((0, 0), (0, 3))),
        columns={f: np.pad(c, ((0, 0), (0, 3)), constant_values=np.nan) for f, c in batch.columns.items()},
    )
    padded = Advantages(token=tuple(np.pad(table(own), ((0, 0), (0, 3)))))
    got = run(row, wide, own=padded, numbers=line.numbers)
    assert got.loss == pytest.approx(narrow.loss, rel=1e-13) and close(got.gradient[:, :T], narrow.gradient, 1e-14)
    assert not got.gradient[:, T:].any()


@ROWS
def test_weights_and_masks_touch_the_policy_term_only(name):
    # Twice the weight, twice the policy term: gradient = policy + KL, so policy(2 w) - policy(w) = policy(w).
    row, line, batch = setting(name)
    ones = torch.ones(N, T, dtype=torch.float64)
    policy = run(row, batch, beta=0.0, numbers=line.numbers).gradient
    both = run(row, batch, numbers=line.numbers).gradient
    for kind in ("factor", "sampler_weight"):
        double = run(row, batch, numbers=line.numbers, **{kind: 2 * ones}).gradient
        multiplied = close(double - both, policy, 1e-13)
        assert multiplied == (kind == "factor" or not row.absorbs_sampler_weight)
    none = run(row, batch, numbers=line.numbers, factor=0 * ones)
    assert close(none.gradient, both - policy, 1e-13) and none.parts[0].policy == 0
    assert none.parts[0].kl == run(row, batch, numbers=line.numbers).parts[0].kl


@ROWS
def test_gradient_against_central_differences(name):
    row, line, batch = setting(name)
    numbers, step = row.with_numbers(line.numbers), 1e-6
    outcome = run(row, batch, beta=0.0, numbers=line.numbers)
    mask, expert = torch.tensor(batch.mask), torch.tensor(batch.expert)[:, None].expand(N, T)

    def terms(new):
        own = minibatch_terms(
            row,
            logp_new=new,
            logp_old=torch.tensor(batch.columns["logp_old"]),
            advantage=outcome.advantage,
            mask=mask,
        )
        return replace(own, selected=outcome.selected, expert=expert)

    base = terms(torch.tensor(batch.columns["logp_new"]))

    def value(i, t, shift):
        new = torch.tensor(batch.columns["logp_new"])
        new[i, t] += shift
        moved = terms(new)
        moved = moved if line.freeze is None else line.freeze(base, moved)
        return (outcome.weight * token_sum(row.surrogate(moved, **numbers), mask)).sum().item()

    for i, t in ((0, 0), (0, 5), (1, 1), (2, 3), (4, 2), (5, 4), (7, 0), (8, 1), (10, 2)):
        slope = (value(i, t, step) - value(i, t, -step)) / (2 * step)
        assert outcome.gradient[i, t].item() == pytest.approx(slope, rel=1e-6, abs=1e-9)


@ROWS
def test_the_kl_term_against_central_differences(name):
    # On-policy, where every policy term is smooth or has a gradient by definition: the KL part is a difference.
    row, _, batch = setting(name)
    mask = torch.tensor(batch.mask)
    weight = torch.tensor(weights(row, batch, [range(N)]))
    columns = {f: torch.tensor(batch.columns[f]) for f in ("logp_old", "logp_ref")}
    chosen = torch.zeros_like(mask) if row.select else None

    def parts(new):
        return policy_loss(
            row,
            logp_new=new,
            **columns,
            advantage=torch.zeros(N, dtype=torch.float64),
            mask=mask,
            weight=weight,
            beta=0.7,
            factor=torch.zeros(N, T, dtype=torch.float64),  # leaves the KL term alone
            selected=chosen,
        )

    new = torch.tensor(batch.columns["logp_new"]).requires_grad_()
    (gradient,) = torch.autograd.grad(parts(new).loss, new)
    for i, t in ((0, 0), (4, 2), (8, 1)):
        ends = []
        for sign in (1, -1):
            moved = torch.tensor(batch.columns["logp_new"])
            moved[i, t] += sign * 1e-6
            ends.append(parts(moved).loss.item())
        assert gradient[i, t].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-9)


@ROWS
def test_the_on_policy_gradient_is_that_of_reinforce(name):
    # At ratio 1: d loss / d log pi_it = -w_i A_it, but for what the line says.
    row, line, batch = setting(name)
    on_policy = batch.with_columns(logp_old=batch.columns["logp_new"])
    got = run(row, on_policy, beta=0.0, numbers=line.numbers)
    factor = 1.0 if line.on_policy is None else line.on_policy(on_policy, got)
    reinforce = -got.weight[:, None] * got.advantage
    assert close(got.gradient, factor * reinforce, 1e-14)
    if line.on_policy is not None:
        assert not close(got.gradient, reinforce, 1e-3)


@ROWS
@pytest.mark.parametrize("value", [0.0, 1.0, 0.7])
def test_groups_with_equal_rewards_are_exactly_zero(name, value):
    row, line, batch = setting(name)
    value = 1.0 if line.rewards == "binary" and value == 0.7 else value
    batch = batch.with_dead_group(1, value)
    assert row.acts_without_advantage == bool(line.pull)  # by which a run knows whether such groups may be skipped
    own = np.array(GROUPS) == 1
    outcome = run(row, batch, beta=0.0, numbers=line.numbers)
    if line.dead == "zero":
        assert not outcome.advantage[own].any()
        assert bool(outcome.gradient[own].any()) == bool(line.pull)
        assert not estimate(row, batch).live(batch.group)[own].any()
    elif value:
        assert outcome.advantage[own].any()
    assert outcome.gradient[~own].any()


@ROWS
def test_float32_agrees_with_float64(name):
    row, line, batch = setting(name)
    double, single = (run(row, batch, dtype=d, numbers=line.numbers) for d in (torch.float64, torch.float32))
    assert single.gradient.dtype == torch.float32
    assert single.loss == pytest.approx(double.loss, rel=1e-4, abs=1e-6)
    scale = double.gradient.abs().max().item()
    assert np.allclose(single.gradient.numpy(), double.gradient.numpy(), rtol=0, atol=3e-6 * scale)
    for field in ("clip_low", "clip_high", "clip_dual", "clip_sequences"):
        assert getattr(single.parts[0], field) == getattr(double.parts[0], field)


@ROWS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [60.0, 700.0, 1e4])
def test_extreme_ratios_give_finite_gradients(name, dtype, gap):
    # Log-ratios of +-gap with an advantage of each sign and 0: exp(gap) is infinite from 89 on in float32.
    row, line, _ = setting(name)
    new = torch.tensor([[-1.0, -1.0 - gap, -1.0]] * 3, dtype=dtype, requires_grad=True)
    old = torch.tensor([[-1.0 - gap, -1.0, -1.0]] * 3, dtype=dtype)
    mask = torch.ones(3, 3, dtype=torch.bool)
    advantage = torch.tensor([1.0, -1.0, 0.0], dtype=dtype)
    tensors = {"logp_new": new.detach(), "logp_old": old, "uniform": torch.zeros(3, 3, dtype=dtype)}
    parts = policy_loss(
        row,
        logp_new=new,
        logp_old=old,
        logp_ref=old if gap == 60.0 else None,
        beta=0.001 if gap == 60.0 else 0.0,
        advantage=advantage,
        mask=mask,
        weight=torch.full((3,), 1 / 9, dtype=dtype),
        expert=torch.tensor([False, True, False]),
        selected=select(row, tensors, advantage, mask, line.numbers),
        **line.numbers,
    )
    (gradient,) = torch.autograd.grad(parts.loss, new)
    assert not parts.loss.isnan() and gradient.isfinite().all()
    assert parts.loss.dtype == gradient.dtype == dtype


def test_the_batch_of_the_battery_is_not_trivial():
    batch = sample(11)
    assert sorted(set(batch.mask.sum(axis=1).tolist())) == [0, 1, 3, 4, 5]
    assert (batch.mask.sum(axis=1) < np.array(LENGTHS)).sum() == 4
    gap = batch.columns["logp_new"] - batch.columns["logp_old"]
    assert np.exp(gap)[batch.mask].min() < 0.8 and np.exp(gap)[batch.mask].max() > 1.2
