"""The biases that papers state, by exact enumeration: the expected gradient of each objective over every group.

The policy writes up to three tokens: at each it stops with probability 1 - sigmoid(theta_t) or goes on, so there are
four answers of lengths 1, 2, 3 and 3. The expectation runs over all 4^G groups of G siblings, without sampling.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sibling.maths.aggregation import sequence_weights
from sibling.maths.estimators import Evidence, advantages
from sibling.maths.objectives import OBJECTIVES, policy_loss

ANSWERS = ((0,), (1, 0), (1, 1, 0), (1, 1, 1))
THETA = (0.3, -0.4, 0.6)
C = 7.0


def log_probs(theta):
    """[4, 3] log-probs of the tokens of each answer, 0 after its end, and the mask."""
    go, stop = torch.nn.functional.logsigmoid(theta), torch.nn.functional.logsigmoid(-theta)
    rows = [[(go if token else stop)[t] for t, token in enumerate(answer)] for answer in ANSWERS]
    table = torch.stack([torch.stack([*row, *[torch.zeros_like(theta[0])] * (3 - len(row))]) for row in rows])
    return table, torch.tensor([[t < len(a) for t in range(3)] for a in ANSWERS])


def expected_gradient(row, rewards, size=3, theta=THETA, **numbers):
    """E over all groups of `size` siblings of d loss / d theta; one group a step."""
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    table, mask = log_probs(theta)
    chance = table.sum(dim=1).exp().detach().numpy()
    groups = np.array(list(itertools.product(range(len(ANSWERS)), repeat=size)))
    rows, group = groups.ravel(), np.repeat(np.arange(len(groups)), size)
    tokens = mask.sum(dim=1).numpy()[rows]
    evidence = Evidence(reward=np.array(rewards)[rows], group=group, mask=tuple(mask.numpy()[rows]))
    own = advantages(row.estimator, evidence, **{**row.advantage_defaults, **numbers}).sequence
    constant = C if row.aggregation == "token_sum_norm" else None
    weight = np.concatenate(
        [
            chance[g].prod() * sequence_weights(t, np.zeros(size, int), mode=row.aggregation, constant=constant)
            for g, t in zip(groups, tokens.reshape(-1, size), strict=True)
        ]
    )
    new = table[rows]
    parts = policy_loss(
        row,
        logp_new=new,
        logp_old=new.detach(),
        advantage=torch.tensor(own),
        mask=mask[rows],
        weight=torch.tensor(weight),
    )
    return torch.autograd.grad(parts.loss, theta)[0].numpy()


def gradient_of(rewards, transform=lambda p: p, theta=THETA):
    """d/d theta of transform(expected reward)."""
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    value = (log_probs(theta)[0].sum(dim=1).exp() * torch.tensor(rewards, dtype=torch.float64)).sum()
    return torch.autograd.grad(transform(value), theta)[0].numpy()


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


REWARDS = (0.2, 1.0, 0.0, 0.7)


@pytest.mark.parametrize("size", [2, 3])
def test_dr_grpo_and_rloo_follow_the_gradient_of_the_expected_reward(size):
    # E sum_i (R_i - mean) grad log pi_i / (G C) = (1 - 1/G) grad J / C: one's own reward is 1/G of the baseline.
    wanted = gradient_of(REWARDS)
    got = expected_gradient(OBJECTIVES["dr_grpo"], REWARDS, size)
    assert got == pytest.approx(-(1 - 1 / size) / C * wanted, rel=1e-12)
    assert expected_gradient(OBJECTIVES["rloo"], REWARDS, size) == pytest.approx(-wanted, rel=1e-12)
    plain = replace(OBJECTIVES["reinforce"], aggregation="seq_mean_token_sum")
    assert expected_gradient(plain, REWARDS, size) == pytest.approx(-wanted, rel=1e-12)


def test_grpo_does_not_and_neither_of_its_two_changes_is_enough():
    wanted, row = -gradient_of(REWARDS), OBJECTIVES["dr_grpo"]
    assert cosine(expected_gradient(row, REWARDS), wanted) == pytest.approx(1, abs=1e-12)
    for name in ("grpo", "dapo", "lite_ppo", "gspo", "reinforce"):
        assert cosine(expected_gradient(OBJECTIVES[name], REWARDS), wanted) < 0.9999
    with_std = replace(row, estimator_numbers={"scale": "group"})
    with_length = replace(row, aggregation="seq_mean_token_mean")
    assert cosine(expected_gradient(with_std, REWARDS), wanted) < 0.9999
    assert cosine(expected_gradient(with_length, REWARDS), wanted) < 0.9999


def push(name, *, right=0):
    """|gradient| at each token of four siblings of lengths 1, 2, 4, 8, one of them right, on-policy."""
    row, tokens = OBJECTIVES[name], np.array([1, 2, 4, 8])
    mask = torch.arange(8) < torch.tensor(tokens)[:, None]
    reward = np.array([float(i == right) for i in range(4)])
    own = advantages(row.estimator, Evidence(reward, np.zeros(4, int), tuple(mask.numpy())), **row.advantage_defaults)
    constant = C if row.aggregation == "token_sum_norm" else None
    weight = sequence_weights(tokens, np.zeros(4, int), mode=row.aggregation, constant=constant)
    new = torch.full((4, 8), -1.0, dtype=torch.float64, requires_grad=True)
    loss = policy_loss(
        row,
        logp_new=new,
        logp_old=new.detach(),
        advantage=torch.tensor(own.sequence),
        mask=mask,
        weight=torch.tensor(weight),
    ).loss
    return torch.autograd.grad(loss, new)[0].abs()


def test_a_sequence_mean_punishes_long_wrong_answers_less_a_token():
    wrong = push("grpo")[1:, 0]  # lengths 2, 4, 8, the same reward
    assert (wrong[0] / wrong).tolist() == pytest.approx([1, 2, 4])
    for name in ("dr_grpo", "dapo", "lite_ppo", "luspo", "rloo"):
        wrong = push(name)[1:, 0]
        assert (wrong[0] / wrong).tolist() == pytest.approx([1, 1, 1])


def test_a_group_std_weighs_prompts_by_difficulty():
    # Right with probability p: only the first token matters, J = 1 - p(go). The expected gradient over that of J
    # must not depend on p; with a std it is larger where all siblings mostly agree.
    rewards = (1.0, 0.0, 0.0, 0.0)

    # (With three siblings every mixed group has the same std, so five.)
    def strength(row, first):
        theta = (first, *THETA[1:])
        return expected_gradient(row, rewards, 5, theta)[0] / gradient_of(rewards, theta=theta)[0]

    fair = OBJECTIVES["dr_grpo"]
    biased = replace(fair, estimator_numbers={"scale": "group"})
    easy, even, hard = -3.0, 0.0, 3.0
    for first in (easy, hard):
        assert strength(fair, first) / strength(fair, even) == pytest.approx(1.0, rel=1e-9)
        assert strength(biased, first) / strength(biased, even) > 1.08


@pytest.mark.parametrize("size", [2, 3])
def test_maxrl_is_the_gradient_of_the_truncated_expansion(size):
    # log p = -sum_j (1 - p)^j / j; the centred form with N siblings is the gradient of the order N - 1 truncation.
    right = (0.0, 1.0, 0.0, 1.0)
    row = replace(OBJECTIVES["maxrl"], aggregation="seq_mean_token_sum")
    wanted = gradient_of(right, lambda p: -sum((1 - p) ** j / j for j in range(1, size)))
    assert expected_gradient(row, right, size, eps=0.0) == pytest.approx(-wanted, rel=1e-10)
    full = gradient_of(right, lambda p: -sum((1 - p) ** j / j for j in range(1, size + 1)))
    assert not np.allclose(expected_gradient(row, right, size, eps=0.0), -full, rtol=1e-3)


@pytest.mark.parametrize(("size", "k"), [(2, 2), (3, 1), (3, 2), (3, 3)])
def test_pkpo_is_the_gradient_of_pass_at_k(size, k):
    right = (0.0, 1.0, 0.0, 0.0)
    row = replace(OBJECTIVES["pkpo"], aggregation="seq_mean_token_sum")
    # The weights add up over the siblings; the aggregation's 1/N is taken back.
    got = size * expected_gradient(row, right, size, k=k)
    assert got == pytest.approx(-gradient_of(right, lambda p: 1 - (1 - p) ** k), rel=1e-10)
    closed = replace(OBJECTIVES["passk"], aggregation="seq_mean_token_sum")
    if k < size:
        other = size * expected_gradient(closed, right, size, k=k)
        assert not np.allclose(other, got, rtol=1e-2)


def test_whitening_over_tokens_is_not_centred_over_completions():
    mask = (np.ones(1, bool), np.ones(9, bool))
    evidence = Evidence(np.array([1.0, 0.0]), np.zeros(2, int), mask)
    tokens = advantages("reinforce_pp", evidence, eps=0.0).token
    # 10 tokens, one of them 1: mean 0.1, variance 0.09.
    assert tokens[0].tolist() == pytest.approx([3.0]) and tokens[1].tolist() == pytest.approx([-1 / 3] * 9)
    sequences = advantages("reinforce_pp", evidence, eps=0.0, whiten="sequences").token
    assert sequences[0].tolist() == pytest.approx([1.0]) and sequences[1].tolist() == pytest.approx([-1.0] * 9)
    assert math.fsum(t[0] for t in tokens) > 2.6
