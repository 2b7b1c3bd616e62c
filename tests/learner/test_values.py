"""The critic's part of a step: one update of it, and how well it explains the returns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_batches import for_row, learner, objective_of, ragged_batch

from sibling.config import Learner
from sibling.errors import NonFiniteError
from sibling.learner.sums import Sums
from sibling.learner.values import explained_variance, learn_values

OBJECTIVE = objective_of("ppo")
BATCH = for_row(ragged_batch(seed=71), OBJECTIVE)
ROWS = np.arange(BATCH.size)


def with_values(values, returns):
    make = [np.zeros(len(c)) for c in BATCH.completions]
    columns = {"values": [m.astype(np.float32) for m in make], "returns": make}
    columns["values"][0] = np.array(values, np.float32)
    columns["returns"][0] = np.array(returns, np.float64)
    completions = (np.arange(len(values)), *BATCH.completions[1:])
    sampler = (np.zeros(len(values), np.float32), *BATCH.sampler_logprobs[1:])
    mask = (np.ones(len(values), bool), *(np.zeros(len(c), bool) for c in BATCH.completions[1:]))
    token = (np.zeros(len(values)), *BATCH.token_advantage[1:])
    return replace(
        BATCH,
        completions=completions,
        sampler_logprobs=sampler,
        mask=mask,
        token_advantage=token,
        **{n: tuple(v) for n, v in columns.items()},
    )


@pytest.mark.parametrize(
    ("values", "returns", "wanted"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 1.0),
        ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], 0.0),
        ([5.0, 5.0, 5.0], [1.0, 2.0, 3.0], 0.0),  # an offset explains nothing and costs nothing
        ([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], -3.0),
        ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0], None),
    ],
)
def test_explained_variance_over_trained_tokens(values, returns, wanted):
    assert explained_variance(with_values(values, returns)) == (None if wanted is None else pytest.approx(wanted))


def test_a_batch_without_values_explains_nothing():
    assert explained_variance(replace(BATCH, values=None, returns=None)) is None
    masked = replace(BATCH, mask=tuple(np.zeros(len(c), bool) for c in BATCH.completions))
    assert explained_variance(masked) is None


def test_an_update_lowers_the_loss_and_counts_every_token():
    step = learner(
        objective_of("ppo", advantage={"type": "gae", "critic": {"learning_rate": 3e-3, "value_clip": None}})
    )
    losses = []
    for _ in range(5):
        sums = Sums()
        learn_values(step.state.critic, step.passes, BATCH, ROWS, sums)
        assert sums.values["norm"] > 0 and sums.values["updates"] == 1
        losses.append(sums.values["loss"])
        assert sums.values["tokens"] == BATCH.token_counts.sum() and sums.values["clipped"] == 0
    every = np.concatenate(BATCH.returns)
    assert losses[0] == pytest.approx(0.5 * (every**2).mean(), rel=1e-5)  # values start at 0
    assert losses == sorted(losses, reverse=True)


def test_rows_without_a_token_are_no_update():
    step = learner(OBJECTIVE)
    before = step.state.critic.digest()
    masked = replace(BATCH, mask=tuple(np.zeros(len(c), bool) for c in BATCH.completions))
    sums = Sums()
    learn_values(step.state.critic, step.passes, masked, ROWS, sums)
    assert step.state.critic.digest() == before and sums.values == {}


def test_the_loss_is_a_mean_over_the_updates_that_were_made():
    """Three groups asked for in five minibatches are three updates, as in three minibatches."""
    three, five = (learner(OBJECTIVE, Learner(minibatches=n))(BATCH) for n in (3, 5))
    assert three == five and three["value_loss"] > 0


@pytest.mark.parametrize(("value", "words"), [(1e200, "value loss of a micro-batch"), (5e18, "gradient of the critic")])
def test_what_is_not_finite_leaves_the_critic_alone(value, words):
    step = learner(objective_of("ppo", advantage={"type": "gae", "critic": {"value_clip": None}}))
    with torch.no_grad():
        step.state.critic.model.head.weight += 10.0  # so that the trunk's gradients overflow before the loss does
    before = step.state.critic.digest()
    returns = tuple(np.full(len(c), value) for c in BATCH.completions)
    with pytest.raises(NonFiniteError, match=words):
        learn_values(step.state.critic, step.passes, replace(BATCH, returns=returns), ROWS, None)
    assert step.state.critic.digest() == before
