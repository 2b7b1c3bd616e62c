"""Invariant micro-batch: any split of a step into micro-batches gives the same gradient.

Bound: float32, 1e-5 relative.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_batches import (
    CASES,
    counted_tokens,
    learner,
    plain_model,
    ragged_batch,
    relative_gap,
    tokens_of,
    watched_gradients,
)

from sibling.config import DapoObjective, DrGrpoObjective, GrpoObjective, Kl, Learner, LoraFinetune, Optimizer

BOUND = 1e-5
UNCLIPPED = Optimizer(max_grad_norm=1e9)
WHOLE = 100_000  # tokens: everything in one micro-batch
OBJECTIVES = [
    GrpoObjective(kl=Kl(beta=0.1)),
    GrpoObjective(count_masked_sequences=False),
    DrGrpoObjective(),
    DapoObjective(),
    DapoObjective(aggregation="group_token_mean", kl=Kl(beta=0.05, estimator="k2")),
]
BATCH = ragged_batch(seed=11, groups=4, siblings=3, longest=12)


def partly_masked(batch):
    """Row 1 leaves the loss, row 4 loses its first token, and group 2 is dead."""
    mask = [m.copy() for m in batch.mask]
    mask[1][:] = False
    mask[4][0] = False
    advantage, live = batch.advantage.copy(), batch.live.copy()
    advantage[[1, 6, 7, 8]], live[[1, 6, 7, 8]] = 0.0, False
    return dataclasses.replace(batch, mask=tuple(mask), advantage=advantage, live=live)


def gradient(batch, budget, objective=OBJECTIVES[0], *, finetune=None, model=None):
    """The gradient handed to the optimizer, the step's statistics, and the size of each forward pass."""
    options = {"finetune": finetune} if finetune else {}
    step = learner(objective, Learner(micro_batch_tokens=budget, optimizer=UNCLIPPED, **options), model=model)
    with watched_gradients(step) as seen, counted_tokens(step.state.model) as passes:
        stats = step(batch)
    (found,) = seen
    return found, stats, passes


def assert_same_step(seen, wanted):
    assert relative_gap(seen[0], wanted[0]) <= BOUND
    assert seen[1] == pytest.approx(wanted[1], rel=1e-4, abs=1e-6)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{o.type}-{o.kl.beta}")
@pytest.mark.parametrize("budget", [1, 25, 60])
def test_the_token_budget_changes_nothing(objective, budget):
    batch = partly_masked(BATCH)
    assert_same_step(gradient(batch, budget, objective), gradient(batch, WHOLE, objective))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("architecture", "window"), CASES)
def test_one_row_at_a_time_is_the_whole_at_once(architecture, window):
    one, whole = (gradient(BATCH, b, model=plain_model(architecture, window)) for b in (1, WHOLE))
    assert len(one[2]) == BATCH.size and len(whole[2]) == 1
    assert_same_step(one, whole)


def test_a_budget_of_one_token_goes_down_to_one_row():
    _, _, passes = gradient(BATCH, 1, DapoObjective())
    assert passes == [tokens_of(BATCH, [r]) for r in range(BATCH.size)]


def test_lora_adapters_get_the_same_gradient():
    lora = LoraFinetune(rank=4)
    assert_same_step(gradient(BATCH, 20, finetune=lora), gradient(BATCH, WHOLE, finetune=lora))


@settings(max_examples=12, deadline=None)
@given(budget=st.integers(1, 200), seed=st.integers(0, 1000), siblings=st.integers(1, 4))
def test_any_budget_and_any_batch(budget, seed, siblings):
    batch = ragged_batch(seed=seed, groups=3, siblings=siblings)
    cut, whole = (gradient(batch, b, DapoObjective()) for b in (budget, WHOLE))
    assert_same_step(cut, whole)
    assert all(n <= budget or n <= max(tokens_of(batch, [r]) for r in range(batch.size)) for n in cut[2])


def test_must_fail_denominators_of_the_part_are_noticed():
    """The check has teeth: two halves, each normalised by its own tokens, give another gradient."""
    rows = np.arange(BATCH.size)
    halves = [gradient(BATCH.select(part), WHOLE, DapoObjective())[0] for part in (rows[:6], rows[6:])]
    mean = {name: (halves[0][name] + halves[1][name]) / 2 for name in halves[0]}
    assert relative_gap(mean, gradient(BATCH, WHOLE, DapoObjective())[0]) > 1000 * BOUND
