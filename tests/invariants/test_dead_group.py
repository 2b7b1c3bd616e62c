"""Invariant dead-group: a group whose rewards are all equal contributes exactly 0 (policy term) and is not computed
when beta = 0; denominators are as if it had been. Exact."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_batches import counted_tokens, learner, ragged_batch, relative_gap, tokens_of, watched_gradients

from sibling.config import DapoObjective, DrGrpoObjective, GrpoObjective, Kl, Learner, Optimizer
from sibling.maths.advantages import group_advantages

LEARNER = Learner(optimizer=Optimizer(max_grad_norm=1e9))
BATCH = ragged_batch(seed=21, groups=4, siblings=3, longest=12)
DEAD = np.isin(BATCH.group, [1, 3])
ROWS = np.arange(BATCH.size)
OBJECTIVES = [GrpoObjective(), DrGrpoObjective(), DapoObjective(), DapoObjective(aggregation="group_token_mean")]


def with_dead(batch=BATCH, *, live=~DEAD):
    return dataclasses.replace(batch, advantage=np.where(DEAD, 0.0, batch.advantage), live=live)


def gradient(batch, objective):
    step = learner(objective, LEARNER)
    with watched_gradients(step) as seen, counted_tokens(step.state.model) as passes:
        stats = step(batch)
    return (seen[0] if seen else None), stats, sum(passes)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{o.type}-{getattr(o, 'aggregation', '')}")
def test_a_dead_group_that_is_computed_contributes_exactly_nothing(objective):
    """Forced through the model, its gradient is 0 in every entry: skipping it leaves nothing out."""
    dead = BATCH.select(ROWS[DEAD])
    forced = dataclasses.replace(dead, advantage=np.zeros(dead.size), live=np.ones(dead.size, bool))
    found, stats, tokens = gradient(forced, objective)
    assert tokens == tokens_of(forced, range(forced.size))
    assert all(bool((g == 0).all()) for g in found.values())
    assert stats["loss"] == 0 and stats["grad_norm"] == 0


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{o.type}-{getattr(o, 'aggregation', '')}")
def test_the_step_is_as_if_it_had_been_computed(objective):
    skipped, stats, tokens = gradient(with_dead(), objective)
    computed, others, all_tokens = gradient(with_dead(live=np.ones(BATCH.size, bool)), objective)
    assert tokens == tokens_of(BATCH, ROWS[~DEAD]) < all_tokens
    assert relative_gap(skipped, computed) <= 1e-6
    assert stats["loss"] == pytest.approx(others["loss"], rel=1e-6)


def share_of_denominator(objective):
    """What the live rows' gradient shrinks by when dead rows join the denominators."""
    tokens = BATCH.token_counts
    if objective.type == "dapo":
        if objective.aggregation == "group_token_mean":
            return 1 / 2  # 2 live groups of 4
        return tokens[~DEAD].sum() / tokens.sum()
    return (~DEAD).sum() / BATCH.size


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{o.type}-{getattr(o, 'aggregation', '')}")
def test_dead_rows_stay_in_the_denominators(objective):
    together, _, _ = gradient(with_dead(), objective)
    alone, _, _ = gradient(BATCH.select(ROWS[~DEAD]), objective)
    share = share_of_denominator(objective)
    assert 0.2 < share < 0.8
    assert relative_gap(together, {n: g * share for n, g in alone.items()}) <= 1e-6


def test_with_a_reference_dead_groups_are_computed_for_their_kl():
    objective = DapoObjective(kl=Kl(beta=0.5, estimator="k1"))
    found, stats, tokens = gradient(with_dead(), objective)
    assert tokens == tokens_of(BATCH, ROWS)
    assert stats["trained_tokens"] == BATCH.token_counts.sum()
    without, _, _ = gradient(with_dead(), DapoObjective())
    assert relative_gap(found, without) > 1e-3


def test_a_step_of_dead_groups_touches_nothing():
    step = learner(GrpoObjective(), LEARNER)
    before = step.state.digest()
    dead = dataclasses.replace(BATCH, advantage=np.zeros(BATCH.size), live=np.zeros(BATCH.size, bool))
    with counted_tokens(step.state.model) as passes:
        stats = step(dead)
    assert passes == [] and stats == {"updates": 0.0, "trained_tokens": 0.0}
    assert step.state.digest() == before and step.state.updates == 0
    assert not step.state.optimizer.state


def test_a_minibatch_of_dead_groups_is_no_update():
    """Groups 1 and 3 are dead; three minibatches hold groups (0, 1), (2) and (3): two updates."""
    step = learner(GrpoObjective(), Learner(minibatches=3, passes=2))
    assert step(with_dead())["updates"] == 4.0 == step.state.updates


@settings(max_examples=60, deadline=None)
@given(
    reward=st.floats(-1e3, 1e3),
    size=st.integers(1, 16),
    scale=st.sampled_from(["group", "batch", "none"]),
    ddof=st.sampled_from([0, 1]),
)
def test_equal_rewards_have_an_advantage_of_exactly_zero(reward, size, scale, ddof):
    """Not nearly: a rounding error divided by another rounding error would be of the order of 1."""
    rewards = np.array([reward] * size + [0.0, 1.0])
    group = np.array([0] * size + [1, 1])
    values = group_advantages(rewards, group, scale=scale, ddof=ddof, eps=0.0)
    assert (values[:size] == 0.0).all() and (values[size:] != 0.0).all()
