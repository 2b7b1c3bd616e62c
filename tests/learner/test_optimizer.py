"""AdamW, its schedules, and its state as plain tensors."""

import math

import pytest
import torch

from sibling.config import Optimizer
from sibling.errors import RunError
from sibling.learner.optimizer import build, clipped_step, learning_rate, load_state_tensors, state_tensors


def parameters():
    random = torch.Generator().manual_seed(0)
    shapes = {"matrix": (4, 3), "bias": (3,), "norm": (4,), "cube": (2, 2, 2)}
    return [(n, torch.nn.Parameter(torch.randn(s, generator=random))) for n, s in shapes.items()]


def give_gradients(named, seed):
    random = torch.Generator().manual_seed(seed)
    for _, p in named:
        p.grad = torch.randn(p.shape, generator=random)


def test_one_update_by_hand():
    """m = (1-b1) g, v = (1-b2) g^2, both corrected: the first update is -lr (g / (|g| + eps) + decay w)."""
    config = Optimizer(learning_rate=0.1, betas=(0.8, 0.9), epsilon=0.5, weight_decay=0.25)
    named = parameters()
    before = {n: p.detach().clone() for n, p in named}
    give_gradients(named, 1)
    build(named, config).step()
    for n, p in named:
        g, decay = p.grad, 0.25 if p.ndim >= 2 else 0.0
        wanted = before[n] * (1 - 0.1 * decay) - 0.1 * g / (g.abs() + 0.5)
        assert torch.allclose(p.detach(), wanted, atol=1e-6), n


def test_weight_decay_acts_on_matrices_only():
    named = parameters()
    before = {n: p.detach().clone() for n, p in named}
    for _, p in named:
        p.grad = torch.zeros_like(p)
    build(named, Optimizer(learning_rate=0.1, weight_decay=0.5)).step()
    for n, p in named:
        wanted = before[n] * (0.95 if n in ("matrix", "cube") else 1.0)
        assert torch.allclose(p.detach(), wanted)


def test_models_of_matrices_or_of_vectors_alone():
    for names in (("matrix",), ("bias",)):
        named = [(n, p) for n, p in parameters() if n in names]
        assert len(build(named, Optimizer()).param_groups) == 1


# ------------------------------------------------------------------------------------------------- schedules


def rates(schedule, warmup, total):
    config = Optimizer(learning_rate=2.0, schedule=schedule, warmup_steps=warmup)
    return [learning_rate(config, u, total) for u in range(total + 2)]


def test_schedules_by_hand():
    assert rates("constant", 0, 3) == [2.0] * 5
    assert rates("linear", 0, 4) == pytest.approx([2.0, 1.5, 1.0, 0.5, 0.0, 0.0])
    assert rates("cosine", 0, 4) == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5), 0.0, 0.0])
    # Three warm-up updates at 1/4, 2/4 and 3/4 of the rate; then the schedule over the other four.
    assert rates("constant", 3, 7) == pytest.approx([0.5, 1.0, 1.5, 2, 2, 2, 2, 2, 2])
    assert rates("linear", 3, 7) == pytest.approx([0.5, 1.0, 1.5, 2.0, 1.5, 1.0, 0.5, 0.0, 0.0])
    assert rates("cosine", 2, 4) == pytest.approx([2 / 3, 4 / 3, 2.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_no_update_of_a_run_has_a_rate_of_zero(schedule):
    for warmup in (0, 2, 5, 9):
        assert all(0 < r <= 2.0 for r in rates(schedule, warmup, 5)[:5])


# ---------------------------------------------------------------------------------------------- clipped steps


@pytest.mark.parametrize("max_norm", [0.5, 1e9])
def test_a_clipped_step_is_a_step_with_scaled_gradients(max_norm):
    ours, theirs = parameters(), parameters()
    optimizers = [build(named, Optimizer(epsilon=1.0)) for named in (ours, theirs)]
    give_gradients(ours, 1)
    give_gradients(theirs, 1)
    norm = math.sqrt(sum(float(p.grad.double().square().sum()) for _, p in theirs))
    assert clipped_step(optimizers[0], ours, max_norm, 0.3) == pytest.approx(norm, rel=1e-6)
    for _, p in theirs:
        p.grad *= min(1.0, max_norm / norm)
    for group in optimizers[1].param_groups:
        group["lr"] = 0.3
    optimizers[1].step()
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for (_, a), (_, b) in zip(ours, theirs, strict=True))
    assert all(p.grad is None for _, p in ours)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_is_not_taken(value):
    named = parameters()
    optimizer = build(named, Optimizer(learning_rate=0.1))
    before = {n: p.detach().clone() for n, p in named}
    give_gradients(named, 1)
    named[1][1].grad[0] = value
    assert not math.isfinite(clipped_step(optimizer, named, 1.0, 0.3))
    assert all(torch.equal(p, before[n]) for n, p in named) and state_tensors(optimizer, named) == {}
    assert optimizer.param_groups[0]["lr"] == 0.1 and all(p.grad is None for _, p in named)


# ------------------------------------------------------------------------------------------------ its state


def run(named, optimizer, seeds):
    for seed in seeds:
        give_gradients(named, seed)
        optimizer.step()


def test_put_back_state_goes_on_bit_for_bit():
    config = Optimizer(learning_rate=0.05, weight_decay=0.1)
    first = parameters()
    ours = build(first, config)
    run(first, ours, [1, 2])
    saved = {n: t.clone() for n, t in state_tensors(ours, first).items()}
    weights = {n: p.detach().clone() for n, p in first}
    run(first, ours, [3])

    second = parameters()
    theirs = build(second, config)
    run(second, theirs, [7])  # an optimizer that has been elsewhere before
    with torch.no_grad():
        for n, p in second:
            p.copy_(weights[n])
    load_state_tensors(theirs, second, saved)
    run(second, theirs, [3])
    for (_, a), (_, b) in zip(first, second, strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(t, state_tensors(theirs, second)[n]) for n, t in state_tensors(ours, first).items())


def test_the_names_of_the_state():
    named = parameters()[:2]
    optimizer = build(named, Optimizer())
    assert state_tensors(optimizer, named) == {}
    run(named, optimizer, [1])
    names = {f"{n}/{s}" for n in ("matrix", "bias") for s in ("exp_avg", "exp_avg_sq", "step")}
    assert set(state_tensors(optimizer, named)) == names


def test_loading_nothing_forgets_what_was_there():
    named = parameters()
    optimizer = build(named, Optimizer())
    run(named, optimizer, [1])
    load_state_tensors(optimizer, named, {})
    assert state_tensors(optimizer, named) == {}


def test_loaded_tensors_are_copied():
    named = parameters()[:1]
    optimizer = build(named, Optimizer())
    run(named, optimizer, [1])
    saved = {n: t.clone() for n, t in state_tensors(optimizer, named).items()}
    kept = saved["matrix/exp_avg"].clone()
    load_state_tensors(optimizer, named, saved)
    run(named, optimizer, [2])
    assert torch.equal(saved["matrix/exp_avg"], kept)


def test_state_of_other_parameters_is_refused():
    named = parameters()
    with pytest.raises(RunError, match="belongs to other parameters"):
        load_state_tensors(build(named, Optimizer()), named, {"stranger/step": torch.ones(())})
