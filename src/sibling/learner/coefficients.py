"""The coefficients of a loss that may follow a measured quantity: beta of the KL, and that of the entropy bonus.

A step uses them as they were before it; `follow` moves them afterwards. They are part of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping

from sibling.config import ObjectiveConfig
from sibling.maths.controllers import adaptive_beta, adaptive_entropy


class Coefficients:
    """beta, and the coefficient c of the entropy bonus, of one run."""

    def __init__(self, objective: ObjectiveConfig) -> None:
        self.kl, self.entropy_bonus = objective.kl, objective.entropy_bonus
        self.beta = objective.kl.beta
        self.entropy = self.entropy_bonus.coefficient if self.entropy_bonus else 0.0
        # With a target the bonus applies at or below it, so not before an entropy was measured.
        self.applies = self.entropy_bonus is not None and self.entropy_bonus.target is None

    @property
    def loss_beta(self) -> float:
        """The KL coefficient in the loss; 0 when the penalty is in the reward."""
        return self.beta if self.kl.placement == "loss" else 0.0

    @property
    def reward_beta(self) -> float:
        """The KL coefficient in the reward; 0 when the penalty is in the loss."""
        return self.beta if self.kl.placement == "reward" else 0.0

    @property
    def bonus(self) -> float:
        """The coefficient of the entropy bonus in this step."""
        return self.entropy if self.applies else 0.0

    def follow(self, measured: Mapping[str, float], *, completions: int) -> None:
        """Move towards the targets, after a step whose statistics are `measured`, over so many completions."""
        if self.kl.adaptive is not None and "kl" in measured:
            adaptive = self.kl.adaptive
            self.beta = adaptive_beta(
                self.beta, measured["kl"], target=adaptive.target, horizon=adaptive.horizon, n=completions
            )
        bonus = self.entropy_bonus
        if bonus is not None and bonus.target is not None and "entropy" in measured:
            entropy = measured["entropy"]
            self.entropy = adaptive_entropy(self.entropy, entropy, target=bonus.target, change=bonus.change)
            self.applies = entropy <= bonus.target

    def statistics(self) -> dict[str, float]:
        """The coefficients of this step, where they weigh anything."""
        out = {"kl_beta": self.beta} if self.kl.beta > 0 else {}
        return out | ({"entropy_coefficient": self.bonus} if self.entropy_bonus is not None else {})

    def state(self) -> dict[str, float | bool]:
        """What a checkpoint keeps."""
        return {"beta": self.beta, "entropy": self.entropy, "applies": self.applies}

    def restore(self, state: Mapping[str, float | bool]) -> None:
        """Put back what `state` gave."""
        self.beta, self.entropy, self.applies = float(state["beta"]), float(state["entropy"]), bool(state["applies"])
