"""The invariants micro-batch, dead-group, permutation and identity ratio, for every row of the table of objectives.

Bounds: float32, 1e-5 relative for the first gradient, 1e-4 for the second (it follows an update); ratios are exact.
"""

import dataclasses

import numpy as np
import pytest
import torch
from small_batches import (
    BY_TOKEN,
    ROWS,
    counted_tokens,
    for_row,
    learner,
    objective_of,
    ragged_batch,
    relative_gap,
    tokens_of,
    watched_gradients,
)

from sibling.config import EntropyBonus, EntropyMask, Kl, Learner, LoraFinetune, Optimizer
from sibling.learner.sums import Sums
from sibling.learner.values import learn_values
from sibling.maths.aggregation import BY_MICRO_BATCH
from sibling.maths.objectives import OBJECTIVES

WHOLE = 100_000  # tokens: everything in one micro-batch
# An epsilon far above rounding, so that AdamW does not blow up the last bits of a gradient near 0.
UNCLIPPED = Optimizer(max_grad_norm=1e9, learning_rate=0.002, epsilon=1e-3)
BATCH = ragged_batch(seed=11, groups=4, siblings=3, longest=9)
DEAD = np.isin(BATCH.group, [1, 3])
ALIVE = np.ones(BATCH.size, bool)
SPLIT_DEPENDENT = ("local_mean",)
"""Exempt from the invariant micro-batch: its aggregation is the mean of each micro-batch, as its name says."""


def with_dead(*, computed):
    """Groups 1 and 3 have no advantage; `computed` sends them through the model all the same."""
    return dataclasses.replace(BATCH, advantage=np.where(DEAD, 0.0, BATCH.advantage), live=ALIVE if computed else ~DEAD)


def run(objective, batch, budget=WHOLE, **options):
    """The gradients handed to the optimizer, the statistics, and the tokens of every forward pass."""
    config = Learner(**{"micro_batch_tokens": budget, "optimizer": UNCLIPPED, "passes": 2, **options})
    step = learner(objective, config)
    with watched_gradients(step) as seen, counted_tokens(step.state.model) as tokens:
        stats = step(for_row(batch, objective))
    return seen, stats, tokens


def assert_same_step(seen, wanted):
    assert len(seen[0]) == len(wanted[0])
    for i, (a, b) in enumerate(zip(seen[0], wanted[0], strict=True)):
        assert relative_gap(a, b) <= (1e-4 if i else 1e-5)
    assert seen[1] == pytest.approx(wanted[1], rel=1e-3, abs=1e-5)


def test_every_row_is_here():
    assert set(ROWS) == set(OBJECTIVES)
    assert {r for r in ROWS if objective_of(r).aggregation in BY_MICRO_BATCH} == set(SPLIT_DEPENDENT)


# --------------------------------------------------------------------------------------------- micro-batch


@pytest.mark.parametrize("row", [r for r in ROWS if r not in SPLIT_DEPENDENT])
@pytest.mark.parametrize("budget", [1, 45])
def test_any_split_gives_the_same_gradients(row, budget):
    """One row at a time, and three groups cut in odd places: losses, selections and the critic's statistics too."""
    objective = objective_of(row)
    cut, whole = run(objective, BATCH, budget), run(objective, BATCH)
    assert len(cut[2]) > len(whole[2]) > 1
    assert_same_step(cut, whole)


def test_the_exempt_row_depends_on_the_split():
    objective = objective_of("local_mean")
    assert relative_gap(run(objective, BATCH, 45)[0][0], run(objective, BATCH)[0][0]) > 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        {"entropy_mask": EntropyMask(keep_top=0.3)},
        {"entropy_bonus": EntropyBonus(coefficient=0.2)},
        {"kl": Kl(beta=0.3, estimator="k3_is")},
        {"off_policy_mask": {"delta": 0.02}},
        {"sampler_correction": {"action": "mask", "level": "geometric", "min": 0.5, "max": 2.0}},
    ],
    ids=lambda c: next(iter(c)),
)
@pytest.mark.parametrize("row", ["dapo", "kl_cov"])
def test_any_split_gives_the_same_gradients_with_parts_around(row, changes):
    objective = objective_of(row, **changes)
    cut, whole = run(objective, with_dead(computed=False), 30), run(objective, with_dead(computed=False))
    assert_same_step(cut, whole)
    plain = run(objective_of(row), with_dead(computed=False))
    # Every part changes an update: without it the comparison would say nothing.
    assert max(relative_gap(a, b) for a, b in zip(whole[0], plain[0], strict=True)) > 1e-3


def test_the_value_loss_has_any_split():
    """Gradients of the critic, whose denominators are the tokens of the minibatch."""
    found = []
    for budget in (1, 45, WHOLE):
        objective = objective_of("ppo")
        step = learner(objective, Learner(micro_batch_tokens=budget, optimizer=UNCLIPPED))
        critic, seen = step.state.critic, {}

        def note(*_, critic=critic, seen=seen):
            seen.update({n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in critic.parameters})

        with torch.no_grad():
            critic.model.head.weight += 0.1  # at 0 the trunk has no gradient
        critic.optimizer.register_step_pre_hook(note)
        sums = Sums()
        learn_values(critic, step.passes, for_row(BATCH, objective), np.arange(BATCH.size), sums)
        found.append((seen, sums.values))
    assert found[0][1] == pytest.approx(found[2][1], rel=1e-4)
    assert found[1][1] == pytest.approx(found[2][1], rel=1e-4)
    assert relative_gap(found[0][0], found[2][0]) <= 1e-5 >= relative_gap(found[1][0], found[2][0])
    assert any(float(g.abs().max()) > 0 for n, g in found[2][0].items() if "trunk" in n)


# ----------------------------------------------------------------------------------------------- dead-group


@pytest.mark.parametrize("row", ROWS)
def test_a_dead_group_changes_nothing_by_being_computed(row):
    """Skipped or computed, an update is the same, later passes included; denominators count it either way."""
    objective = objective_of(row)
    skipped, computed = (run(objective, with_dead(computed=c)) for c in (False, True))
    for a, b in zip(skipped[0], computed[0], strict=True):
        assert relative_gap(a, b) <= 1e-5


WITHOUT_SKIPPING = {"clip_cov", "kl_cov", "local_mean", "kimi"}
"""Rows whose selector looks at every token of the minibatch, whose denominators are those of the micro-batches, or
whose term has a gradient at A = 0 once the policy has moved."""


@pytest.mark.parametrize("row", ROWS)
def test_a_dead_group_is_not_computed_where_only_the_policy_term_reaches_it(row):
    objective = objective_of(row)
    _, stats, _ = run(objective, with_dead(computed=False), passes=1)
    alive = int(BATCH.token_counts[~DEAD].sum())
    wanted = int(BATCH.token_counts.sum()) if row in WITHOUT_SKIPPING else alive
    assert stats["trained_tokens"] == wanted
    if row not in WITHOUT_SKIPPING and objective.entropy_mask is None:
        assert run(objective, with_dead(computed=False), passes=1)[2] == [tokens_of(BATCH, np.flatnonzero(~DEAD))]


@pytest.mark.parametrize("row", ROWS)
def test_a_group_whose_advantages_are_zero_has_no_policy_gradient(row):
    """Computed alone at the weights of the rollout, its gradient is 0 in every entry."""
    batch = BATCH.select(np.flatnonzero(DEAD))
    batch = dataclasses.replace(batch, advantage=np.zeros(batch.size))
    (found,), stats, _ = run(objective_of(row), batch, passes=1)
    assert stats["policy_loss"] == 0
    # KL-Cov's penalty is c abs(log-ratio), whose (sub)gradient at a log-ratio of 0 is 0 as well.
    assert all(bool((g == 0).all()) for g in found.values())


@pytest.mark.parametrize(
    "changes", [{"kl": Kl(beta=0.3, estimator="k2")}, {"entropy_bonus": EntropyBonus(coefficient=0.1)}], ids=str
)
@pytest.mark.parametrize("row", ROWS)
def test_a_dead_group_is_computed_where_another_term_reaches_it(row, changes):
    """In the loss, KL and entropy pull at all tokens; the second update feels it in dead groups."""
    objective = objective_of(row, **changes)
    batch = dataclasses.replace(BATCH, advantage=np.zeros(BATCH.size), live=np.zeros(BATCH.size, bool))
    seen, stats, _ = run(objective, batch, optimizer=UNCLIPPED, passes=1)
    assert stats["trained_tokens"] == BATCH.token_counts.sum() and len(seen) == 1
    if "entropy_bonus" in changes:
        assert stats["grad_norm"] > 1e-4


# ---------------------------------------------------------------------------------------------- permutation


def reordered(batch, order):
    """The batch with its groups in another order."""
    rows = np.concatenate([np.flatnonzero(batch.group == g) for g in order])
    place = {g: n for n, g in enumerate(order)}
    columns = ("completions", "sampler_logprobs", "mask", "token_advantage", "values", "returns")
    changed = {n: tuple(getattr(batch, n)[r] for r in rows) for n in columns if getattr(batch, n) is not None}
    return dataclasses.replace(
        batch,
        prompts=tuple(batch.prompts[g] for g in order),
        group=np.array([place[g] for g in batch.group[rows].tolist()]),
        advantage=batch.advantage[rows],
        live=batch.live[rows],
        expert=None if batch.expert is None else batch.expert[rows],
        **changed,
    )


@pytest.mark.parametrize("row", ROWS)
def test_the_order_of_groups_changes_nothing(row):
    """Clip-Cov draws by place, so it is asked for all of its candidates."""
    objective = objective_of(row, **({"share": 0.99} if row == "clip_cov" else {}))
    batch = for_row(BATCH, objective)
    found = []
    for given in (batch, reordered(batch, [2, 0, 3, 1])):
        step = learner(objective, Learner(optimizer=UNCLIPPED, passes=2))
        with watched_gradients(step) as seen:
            found.append((seen, step(given)))
    assert_same_step(*found)


# ------------------------------------------------------------------------------------------- identity ratio


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("row", ROWS)
def test_the_ratio_is_exactly_one_before_the_first_update(row, passes, dtype):
    objective = objective_of(row)
    config = Learner(passes=passes, micro_batch_tokens=40, optimizer=UNCLIPPED)
    stats = learner(objective, config, compute_dtype=dtype)(for_row(with_dead(computed=False), objective))
    assert stats["ratio_identity_gap"] == 0.0
    if passes == 2 and row != "luffy":
        assert stats["ratio_mean"] != 1.0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("finetune", [{}, {"finetune": LoraFinetune(rank=4)}], ids=["full", "lora"])
@pytest.mark.parametrize(
    "changes",
    [
        {"entropy_mask": EntropyMask(keep_top=0.3)},
        {"entropy_bonus": EntropyBonus(coefficient=0.2)},
        {"kl": Kl(beta=0.3)},
        {"entropy_mask": EntropyMask(keep_top=0.3), "entropy_bonus": EntropyBonus(coefficient=0.2)},
    ],
    ids="-".join,
)
def test_the_ratio_is_exactly_one_with_parts_around(changes, finetune, dtype):
    for row in ("dapo", "kl_cov"):
        config = Learner(passes=2, minibatches=2, micro_batch_tokens=40, optimizer=UNCLIPPED, **finetune)
        step = learner(objective_of(row, **changes), config, compute_dtype=dtype)
        assert step(with_dead(computed=False))["ratio_identity_gap"] == 0.0


def test_token_advantages_are_what_the_rows_of_tokens_get():
    """The helper gives each estimator of token advantages a column of them, and no other."""
    for row in ROWS:
        objective = objective_of(row)
        given = for_row(BATCH, objective).token_advantage is not None
        assert given == (objective.advantage.type in BY_TOKEN)
