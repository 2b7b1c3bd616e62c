"""Coefficients that follow a measured quantity from step to step. Plain numbers in, plain numbers out."""

from __future__ import annotations


def adaptive_beta(beta: float, kl: float, *, target: float, horizon: int, n: int) -> float:
    """The KL coefficient after a step (Ziegler et al., 1909.08593 sec. 2.2).

        beta <- beta (1 + clip(KL / target - 1, -0.2, 0.2) n / horizon)

    `kl` in nats a token, measured over `n` completions; `target` > 0 in nats; `horizon` in completions.
    """
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return beta * (1.0 + error * n / horizon)


def adaptive_entropy(coefficient: float, entropy: float, *, target: float, change: float) -> float:
    """The coefficient of the entropy bonus after a step (Skywork-OR1, 2505.22312).

        c <- c + change if H <= target, else max(0, c - change)

    `entropy` and `target` in nats a token; `change` >= 0. The bonus itself applies only at or below the target.
    """
    return coefficient + change if entropy <= target else max(0.0, coefficient - change)
