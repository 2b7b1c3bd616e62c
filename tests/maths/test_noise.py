import itertools

import numpy as np
import pytest

from sibling.errors import RequestError, RunError
from sibling.maths.advantages import group_advantages
from sibling.maths.noise import backward_rewards, forward_weights, true_rate

RATES = [(0.0, 0.0), (0.0, 0.3), (0.1, 0.0), (0.05, 0.4), (0.3, 0.6), (0.45, 0.45)]


def column(*values):
    return np.array(values, dtype=np.float64)


def test_by_hand():
    # c = 1 - 0.1 - 0.4 = 0.5: (0 - 0.1) / 0.5 = -0.2 and (1 - 0.1) / 0.5 = 1.8
    assert backward_rewards(column(0, 1), 0.1, 0.4) == pytest.approx([-0.2, 1.8])
    assert forward_weights(column(0, 1), 0.4) == pytest.approx([-0.6, 0.4])
    assert true_rate(0.4, 0.1, 0.4) == pytest.approx(0.6)  # 0.6 * 0.6 + 0.4 * 0.1 = 0.4
    assert true_rate(0.05, 0.1, 0.4) == pytest.approx(-0.1), "not cut off"


def test_a_perfect_verifier_needs_no_correction():
    reward = column(0, 1, np.nan)
    assert np.array_equal(backward_rewards(reward, 0.0, 0.0), reward, equal_nan=True)
    assert np.array_equal(forward_weights(reward, 0.0), reward - 1, equal_nan=True)


def test_missing_rewards_stay_missing_and_rates_may_differ():
    found = backward_rewards(column(1, np.nan, 1), column(0, 0, 0.2), column(0.5, 0.5, 0.3))
    assert np.isnan(found[1]) and found[[0, 2]] == pytest.approx([2.0, 1.6])


@pytest.mark.parametrize(("rho0", "rho1"), RATES)
def test_backward_is_unbiased_by_enumeration(rho0, rho1):
    hat = dict(zip((0, 1), backward_rewards(column(0, 1), rho0, rho1), strict=True))
    for truth in (0, 1):
        says_right = rho0 if truth == 0 else 1 - rho1
        assert says_right * hat[1] + (1 - says_right) * hat[0] == pytest.approx(truth)


def expected_gradients(logits, truth, rho0, rho1, weights):
    """E[w(r) grad log pi] of a softmax policy over arms, and E[r* grad log pi], by enumeration."""
    pi = np.exp(logits) / np.exp(logits).sum()
    score = np.eye(len(pi)) - pi  # grad log pi of each arm
    says_right = np.where(truth == 1, 1 - rho1, rho0)
    w = says_right * weights[1] + (1 - says_right) * weights[0]
    return (pi * w) @ score, (pi * truth) @ score


@pytest.mark.parametrize(("rho0", "rho1"), RATES)
def test_gradients_by_enumeration(rho0, rho1):
    logits, truth = column(0.3, -1.0, 0.8, 0.1), column(1, 0, 0, 1)
    backward = backward_rewards(column(0, 1), rho0, rho1)
    noisy, clean = expected_gradients(logits, truth, rho0, rho1, backward)
    assert noisy == pytest.approx(clean), "backward: the clean gradient"
    forward = forward_weights(column(0, 1), rho1)
    noisy, clean = expected_gradients(logits, truth, rho0, rho1, forward)
    assert noisy == pytest.approx((1 - rho0 - rho1) * clean), "forward: its direction, without knowing rho0"


@pytest.mark.parametrize("rho0", [0.0, 0.2, 0.5])
def test_forward_moves_no_right_completion_on_average(rho0):
    low, high = forward_weights(column(0, 1), 0.3)
    assert 0.7 * high + 0.3 * low == pytest.approx(0)
    assert rho0 * high + (1 - rho0) * low == pytest.approx(-(1 - rho0 - 0.3))


@pytest.mark.parametrize("observed", list(itertools.product((0.0, 1.0), repeat=4)))
def test_a_group_divided_by_its_own_spread_cannot_be_corrected(observed):
    reward, group = column(*observed), np.zeros(4, dtype=np.int64)
    fixed = backward_rewards(reward, 0.1, 0.4)

    def advantages(r, scale):
        return group_advantages(r, group, scale=scale, ddof=1, eps=0.0)

    assert advantages(fixed, "group") == pytest.approx(advantages(reward, "group"))
    assert advantages(fixed, "none") == pytest.approx(advantages(reward, "none") / 0.5)


@pytest.mark.parametrize(
    ("rho0", "rho1"), [(-0.1, 0.2), (0.2, -0.1), (0.5, 0.5), (0.7, 0.4), (np.nan, 0.1), (0.1, np.inf)]
)
def test_rates_that_are_none(rho0, rho1):
    with pytest.raises(RequestError, match="less than 1"):
        backward_rewards(column(0, 1), rho0, rho1)
    with pytest.raises(RequestError, match="less than 1"):
        true_rate(0.5, rho0, rho1)


def test_columns_and_rewards_that_are_none():
    with pytest.raises(RunError, match="length"):
        backward_rewards(column(0, 1), column(0.1, 0.1, 0.1), 0.0)
    for reward in (0.5, -1.0, np.inf):
        with pytest.raises(RunError, match="0 and 1"):
            backward_rewards(column(0, reward), 0.1, 0.1)
    with pytest.raises(RequestError, match="less than 1"):
        forward_weights(column(0, 1), 1.0)


# -- a run: one policy over three arms for two strata of prompts, which want different arms

SHARE = column(0.55, 0.45)  # of the prompts; the best policy takes arm 0 and is right on 55 %
RHO1 = column(0.3, 0.0)  # false refusals: only the larger stratum has them. 0.55 * 0.7 < 0.45: the other looks better


def accuracy_after(seed, *, rho1, assumed=None, scale="none", steps=200, P=40, G=8, rate=2.0):
    """The expected accuracy of the policy after GRPO on rewards with false refusals, corrected for `assumed`."""
    random = np.random.default_rng(seed)
    logits = np.zeros(3)
    strata = np.repeat((np.arange(P) >= round(SHARE[0] * P)).astype(np.int64), G)
    group = np.repeat(np.arange(P), G)
    for _ in range(steps):
        pi = np.exp(logits - logits.max())
        pi /= pi.sum()
        arms = random.choice(3, size=P * G, p=pi)
        truth = (arms == strata).astype(np.float64)
        reward = truth * (random.random(P * G) >= rho1[strata])
        if assumed is not None:
            reward = backward_rewards(reward, 0.0, assumed[strata])
        advantage = group_advantages(reward, group, scale=scale, ddof=1, eps=1e-4)
        logits = logits + rate * (advantage @ (np.eye(3)[arms] - pi)) / (P * G)
    pi = np.exp(logits - logits.max())
    return float(SHARE @ (pi / pi.sum())[:2])


def test_a_run_with_correction_ends_where_the_clean_one_does():
    for seed in range(3):
        clean = accuracy_after(seed, rho1=0 * RHO1)
        assert clean > 0.53
        assert accuracy_after(seed, rho1=RHO1, assumed=RHO1) > clean - 0.02
        assert accuracy_after(seed, rho1=RHO1) < clean - 0.05, "uncorrected: drawn to the stratum without noise"


def test_runs_that_must_fail():
    clean = accuracy_after(0, rho1=0 * RHO1)
    swapped = accuracy_after(0, rho1=RHO1, assumed=RHO1[::-1])
    assert swapped < clean - 0.05, "rates of the wrong stratum correct nothing"
    assert accuracy_after(0, rho1=0 * RHO1, scale="group") > clean - 0.02
    plain, fixed = (accuracy_after(0, rho1=RHO1, assumed=a, scale="group") for a in (None, RHO1))
    assert fixed == pytest.approx(plain, abs=0.005), "divided by the group's spread, the correction cancels"
    assert fixed < clean - 0.05


def test_the_spread_of_the_batch_leaves_the_correction_in():
    assert accuracy_after(0, rho1=RHO1, assumed=RHO1, scale="batch") > 0.53
    assert accuracy_after(0, rho1=RHO1, scale="batch") < 0.48
