"""Rewards of a verifier with known error rates: corrections of the reward, and what they cannot correct.

A verifier is a noisy channel (2510.00915). Of a completion that is truly right (r* = 1) or wrong (r* = 0) it says

    P(r = 1 | r* = 0) = rho0    false accepts            P(r = 0 | r* = 1) = rho1    false refusals

given r*, whatever the completion. Then E[r | r*] = rho0 + (1 - rho0 - rho1) r*: an affine map of the truth, which keeps
its order if rho0 + rho1 < 1. Rates may differ from prompt to prompt (strata), not within what is truly right or wrong
of one prompt: a verifier that errs on some answers more than on others is not described by two numbers.

What follows for group-relative advantages, where c = 1 - rho0 - rho1:

- less the group's mean, divided by nothing ("none"): the noise scales the expected advantage of a group by c. Strata
  with different rates are then weighted by their c; backward correction takes that weight out.
- divided by the group's own standard deviation ("group"): if the rates are the same for all siblings, any affine map
  of their rewards cancels, so that corrected and uncorrected advantages are the same numbers. Nothing is corrected.
- divided by the standard deviation of the batch ("batch"): strata are corrected against each other, the scale is not.

Neither correction brings back what the noise destroys: the variance grows (by 1 / c^2 for the backward one), and a
group whose verdicts all agree carries no signal. Wrong rates make a wrong correction: measure them on answers of known
worth. NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RequestError, RunError

Rate = float | NDArray[np.float64]
"""A probability in [0, 1], one for all completions or [N], one for each (that of its stratum)."""


def backward_rewards(reward: NDArray[np.float64], false_accept: Rate, false_refuse: Rate) -> NDArray[np.float64]:
    """Rewards whose expectation is the truth (backward correction, 2510.00915).

        r_hat = (r - rho0) / (1 - rho0 - rho1)              r_hat(0) = -rho0 / c,  r_hat(1) = (1 - rho0) / c

    Unbiased: E[r_hat | r* = 1] = [(1 - rho1)(1 - rho0) - rho1 rho0] / c = (1 - rho0 - rho1) / c = 1, and
    E[r_hat | r* = 0] = [rho0 (1 - rho0) - (1 - rho0) rho0] / c = 0. So is every statistic that is linear in the
    rewards, the gradient of E[r*] with a baseline that does not depend on the completion above all.

    Arguments: `reward` [N] of 0, 1, or NaN where there is no score (kept); the rates rho0, rho1. Returns float64 [N].
    Raises `RequestError` for rates that are no probabilities or add up to 1 or more, `RunError` for other rewards.
    """
    rho0, rho1 = _rates(reward, false_accept, false_refuse)
    return (reward - rho0) / (1.0 - rho0 - rho1)


def forward_weights(reward: NDArray[np.float64], false_refuse: Rate) -> NDArray[np.float64]:
    """Weights of the score-function terms that need the rate of false refusals alone (forward correction, 2510.00915).

        w(r) = r - (1 - rho1)              w(1) = rho1,  w(0) = rho1 - 1

    Derived: let g = grad log pi(y), so that E[g] = 0, and G = E[r* g] the gradient wanted. Since the noise depends on
    y through r* alone, E[w g] = E[ E[w | r*] g ], and

        E[w | r* = 1] = (1 - rho1) rho1 + rho1 (rho1 - 1) = 0
        E[w | r* = 0] = rho0 rho1 + (1 - rho0)(rho1 - 1)  = -(1 - rho0 - rho1) = -c
        E[w g] = -c E[(1 - r*) g] = -c (E[g] - G) = c G

    The direction is that of the clean gradient whatever rho0 is, as long as c > 0; its length is c times that. A
    completion that is truly right is pushed nowhere on average, one that is wrong is pushed down. Strata with
    different c stay weighted by it: that takes rho0 too, and is what `backward_rewards` is for.

    The weights stand in the place of advantages: take no mean of the group off them, for w is r less a constant, and
    the mean would take the constant off again. The same expectation as without correction, then, and another variance.

    Arguments: `reward` [N] of 0, 1, or NaN (kept); the rate rho1. Returns float64 [N]. Raises as `backward_rewards`.
    """
    _, rho1 = _rates(reward, 0.0, false_refuse)
    return reward - (1.0 - rho1)


def true_rate(accepted: float, false_accept: float, false_refuse: float) -> float:
    """The share of right completions behind a share accepted.

        p = (a - rho0) / (1 - rho0 - rho1)

    An estimate: outside [0, 1] where the sample is small or the rates are not those of this verifier. It is not cut
    off there, for that would bias it. Raises `RequestError` for rates that are none.
    """
    rho0, rho1 = _rates(np.zeros(1), false_accept, false_refuse)
    return float(((accepted - rho0) / (1.0 - rho0 - rho1))[0])


def _rates(
    reward: NDArray[np.float64], false_accept: Rate, false_refuse: Rate
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both rates as [N] columns, checked, as the rewards are."""
    rho0, rho1 = np.asarray(false_accept, dtype=np.float64), np.asarray(false_refuse, dtype=np.float64)
    if rho0.shape not in ((), reward.shape) or rho1.shape not in ((), reward.shape):
        raise RunError(
            "Error rates and rewards differ in length",
            seen=f"{rho0.shape} and {rho1.shape} for {reward.shape}",
            wanted="one rate, or one a completion",
        )
    both = rho0 + rho1
    if not (np.all(rho0 >= 0) and np.all(rho1 >= 0) and np.all(both < 1)):  # NaN fails as well
        raise RequestError(
            "These error rates of a verifier cannot be corrected for",
            seen=f"false accepts up to {np.max(rho0):g}, false refusals up to {np.max(rho1):g}",
            wanted="rates of 0 or more that add up to less than 1: beyond, a verdict says nothing, or the opposite",
            do="Measure the rates again, or use another verifier",
        )
    other = ~np.isin(reward, (0.0, 1.0)) & ~np.isnan(reward)
    if other.any():
        raise RunError(
            "The correction for a verifier's errors is made for rewards of 0 and 1",
            seen=np.unique(reward[other])[:5].tolist(),
            wanted="0, 1, or NaN where there is no score",
        )
    return np.broadcast_to(rho0, reward.shape), np.broadcast_to(rho1, reward.shape)
