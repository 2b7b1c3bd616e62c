"""StepStats: the named numbers of one step, each with a unit and a definition.

Plots, displays, detectors, trackers and the record use only these names. A quantity whose value is not
defined in a step (say, the KL without a reference) is absent, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sibling.errors import RunError


@dataclass(frozen=True)
class Quantity:
    """A number that can be measured in a step."""

    unit: str
    definition: str
    wall_clock: bool = False  # depends on the clock: left out when two runs are compared bit by bit


QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        "reward_mean": Quantity("score", "mean total reward over the scorable completions of the step"),
        "reward_std": Quantity("score", "standard deviation (n - 1) of the total reward over scorable completions"),
        "accuracy": Quantity("share", "completions whose first reward says right, of those it scored"),
        "completion_length_mean": Quantity("tokens", "mean completion length, truncated ones included"),
        "length_right_mean": Quantity("tokens", "mean length of completions whose first reward says right"),
        "length_wrong_mean": Quantity("tokens", "mean length of completions whose first reward says wrong"),
        "truncated_share": Quantity("share", "completions that ended at max_tokens"),
        "error_share": Quantity("share", "verdicts with status error, of all verdicts"),
        "abstain_share": Quantity("share", "verdicts with status abstain, of all verdicts"),
        "generated": Quantity("completions", "completions generated in the step"),
        "trained": Quantity("completions", "completions that entered the update"),
        "live_groups": Quantity("groups", "groups of the step's batch with an advantage other than exactly 0"),
        "dead_groups_all_right": Quantity("groups", "dead groups generated in which every verdict says right"),
        "dead_groups_all_wrong": Quantity("groups", "dead groups generated in which some verdict does not"),
        "sampling_rounds": Quantity("rounds", "sampling rounds, refills included"),
        "sampled_tokens": Quantity("tokens", "tokens drawn in the step"),
        "trained_tokens": Quantity("tokens", "tokens with a non-zero mask in the update"),
        "loss": Quantity("nats", "loss with global denominators, mean over the updates of the last pass"),
        "policy_loss": Quantity("nats", "the loss without its KL term"),
        "kl": Quantity("nats/token", "mean KL estimate to the reference over active tokens (the chosen estimator)"),
        "entropy": Quantity("nats/token", "mean entropy of the sampling distribution at trained positions"),
        "ratio_mean": Quantity("ratio", "mean of pi_new / pi_old over active tokens, last pass"),
        "ratio_identity_gap": Quantity(
            "ratio", "largest |ratio - 1| before the first update: 0, as pi_old is pi_new then"
        ),
        "clip_low_share": Quantity("share", "active tokens below the lower clip bound with a negative advantage"),
        "clip_high_share": Quantity("share", "active tokens above the upper clip bound with a positive advantage"),
        "clip_dual_share": Quantity("share", "trained tokens at the dual clip, with a negative advantage"),
        "clip_sequence_share": Quantity("share", "trained completions at a clip bound, for ratios of whole sequences"),
        "entropy_coefficient": Quantity("1", "weight of the entropy bonus in this step"),
        "kl_beta": Quantity("1", "weight of the KL penalty in this step"),
        "sampler_weight_mean": Quantity("1", "mean weight of the sampler correction over trained tokens"),
        "sampler_dropped_share": Quantity("share", "trained tokens that the sampler correction drops"),
        "off_policy_dropped_share": Quantity("share", "trained completions that the off-policy mask drops"),
        "selected_share": Quantity("share", "trained tokens that the objective's selector picked"),
        "value_loss": Quantity("score^2", "half the mean squared error of the critic, last pass, before its update"),
        "value_clip_share": Quantity("share", "tokens where the clipped error of the value is the larger, last pass"),
        "explained_variance": Quantity("share", "1 - var(return - value) / var(return) at the rollout"),
        "critic_grad_norm": Quantity("norm", "gradient norm of the critic before clipping, last update of the step"),
        "grad_norm": Quantity("norm", "global gradient norm before clipping, last update of the step"),
        "learning_rate": Quantity("1/step", "learning rate of the last update of the step"),
        "updates": Quantity("updates", "optimizer updates in the step"),
        "sampler_gap_mean": Quantity("nats/token", "mean |log pi_old - log pi_sampler| over trained tokens"),
        "sampler_gap_max": Quantity("nats/token", "largest |log pi_old - log pi_sampler| over trained tokens"),
        "advantage_std": Quantity("score", "standard deviation of the advantages of the batch"),
        "held_out_accuracy": Quantity("share", "greedy accuracy on held-out prompts, when evaluated in this step"),
        "seconds_sampling": Quantity("s", "time spent drawing completions", wall_clock=True),
        "seconds_rewards": Quantity("s", "time spent in rewards", wall_clock=True),
        "seconds_learning": Quantity("s", "time spent in log-probs, backward passes and updates", wall_clock=True),
        "seconds_evaluation": Quantity("s", "time spent in evaluation during the step", wall_clock=True),
        "seconds_step": Quantity("s", "time of the whole step", wall_clock=True),
        "sampled_tokens_per_second": Quantity("tokens/s", "tokens drawn over sampling time", wall_clock=True),
        "trained_tokens_per_second": Quantity("tokens/s", "scored tokens over learning time", wall_clock=True),
        "sampling_roofline_share": Quantity(
            "share",
            "least time for the useful products of sampling on this machine, over sampling time",
            wall_clock=True,
        ),
        "learning_roofline_share": Quantity(
            "share",
            "least time for the useful products of the updates on this machine, over learning time",
            wall_clock=True,
        ),
        "memory_peak": Quantity("bytes", "largest resident set size of the process so far", wall_clock=True),
    }
)


@dataclass(frozen=True)
class StepStats:
    """The numbers of one step. Names are those of `QUANTITIES`; anything else is refused."""

    step: int
    values: Mapping[str, float]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.values) - set(QUANTITIES))
        if unknown:
            raise RunError("A step statistic has no definition", seen=unknown, wanted="names in stats.QUANTITIES")
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def get(self, name: str) -> float | None:
        """The value, or None where it was not defined in this step."""
        return self.values.get(name)

    def reproducible(self) -> dict[str, float]:
        """The values that do not depend on the clock."""
        return {k: v for k, v in self.values.items() if not QUANTITIES[k].wall_clock}

    def wall_clock(self) -> dict[str, float]:
        """The values that do."""
        return {k: v for k, v in self.values.items() if QUANTITIES[k].wall_clock}
