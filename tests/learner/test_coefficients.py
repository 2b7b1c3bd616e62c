"""Coefficients that follow a measured quantity, by hand."""

import pytest

from sibling.config import DapoObjective, EntropyBonus, Kl, RlooObjective
from sibling.learner.coefficients import Coefficients


def test_a_fixed_beta_stays_and_acts_where_it_is_placed():
    loss, reward = Coefficients(DapoObjective(kl=Kl(beta=0.1))), Coefficients(RlooObjective(kl={"beta": 0.2}))
    for c in (loss, reward):
        c.follow({"kl": 9.0}, completions=10)
    assert (loss.loss_beta, loss.reward_beta) == (0.1, 0.0)
    assert (reward.loss_beta, reward.reward_beta) == (0.0, 0.2)
    assert loss.statistics() == {"kl_beta": 0.1} and Coefficients(DapoObjective()).statistics() == {}


@pytest.mark.parametrize(
    ("kl", "factor"),
    [(0.55, 1 + 0.1 * 0.5), (5.0, 1 + 0.2 * 0.5), (0.45, 1 - 0.1 * 0.5), (0.0, 1 - 0.2 * 0.5), (None, 1.0)],
)
def test_an_adaptive_beta_moves_towards_its_target(kl, factor):
    """Ziegler et al., 1909.08593: beta (1 + clip(KL / target - 1, -0.2, 0.2) n / horizon), n = 50, horizon 100."""
    c = Coefficients(DapoObjective(kl=Kl(beta=0.1, adaptive={"target": 0.5, "horizon": 100})))
    c.follow({} if kl is None else {"kl": kl}, completions=50)
    assert c.beta == pytest.approx(0.1 * factor)


def test_a_bonus_without_a_target_is_constant():
    c = Coefficients(DapoObjective(entropy_bonus=EntropyBonus(coefficient=0.3)))
    for entropy in (0.1, 9.0):
        assert c.bonus == 0.3 and c.statistics() == {"entropy_coefficient": 0.3}
        c.follow({"entropy": entropy}, completions=1)


def test_a_bonus_with_a_target_acts_at_or_below_it_only():
    c = Coefficients(DapoObjective(entropy_bonus=EntropyBonus(coefficient=0.1, target=2.0, change=0.01)))
    assert c.bonus == 0.0  # nothing was measured yet
    seen = []
    for entropy in (1.0, 1.5, 3.0, 1.0):
        c.follow({"entropy": entropy}, completions=1)
        seen.append(c.bonus)
    assert seen == pytest.approx([0.11, 0.12, 0.0, 0.12])
    c.follow({}, completions=1)  # a step without an update measures nothing
    assert c.bonus == pytest.approx(0.12)


def test_state_comes_back():
    objective = DapoObjective(
        kl=Kl(beta=0.1, adaptive={"target": 0.5, "horizon": 100}), entropy_bonus=EntropyBonus(target=2.0)
    )
    c, other = Coefficients(objective), Coefficients(objective)
    c.follow({"kl": 1.0, "entropy": 1.0}, completions=20)
    assert c.state() != other.state()
    other.restore(c.state())
    assert other.state() == c.state() and other.bonus == c.bonus > 0
