"""Trouble with the parts of an objective: a blind critic, corrections and masks that drop most of a step.

Covers: explained variance of the critic, the share of tokens that the sampler correction drops, the share of
completions that the off-policy mask drops. Leaves out: a KL that drifts and clip shares, which have no bound that is
wrong in every run.
"""

from __future__ import annotations

from sibling.monitors.finding import Finding
from sibling.stats import StepStats

DROPPED_SHARE = 0.5
"""Of tokens or completions: above it a step learns from the smaller part of what it sampled."""


def critic_explains_nothing(stats: StepStats) -> list[Finding]:
    """Explained variance below 0: the mean return would be a better baseline than the critic's values."""
    explained = stats.get("explained_variance")
    if explained is None or explained >= 0:
        return []
    return [
        Finding(
            "critic_explains_nothing",
            "warning",
            stats.step,
            f"The critic explains {explained:.2g} of the variance of the returns of step {stats.step}: below 0 it is "
            "a worse baseline than their mean.",
            "Raise objective.advantage.critic.learning_rate or warmup_steps, or take an objective without a critic.",
        )
    ]


def corrections_drop_most(stats: StepStats) -> list[Finding]:
    """Most of the step is dropped by the sampler correction or by the off-policy mask."""
    found = []
    dropped, sequences = stats.get("sampler_dropped_share"), stats.get("off_policy_dropped_share")
    if dropped is not None and dropped > DROPPED_SHARE:
        found.append(
            Finding(
                "correction_drops_most",
                "warning",
                stats.step,
                f"The sampler correction drops {dropped:.0%} of the tokens of step {stats.step}.",
                "Widen objective.sampler_correction.min and max, or use action truncate; if sampler and learner should "
                "agree, set learner.compute_dtype=float32 to see whether it is rounding.",
            )
        )
    if sequences is not None and sequences > DROPPED_SHARE:
        found.append(
            Finding(
                "mask_drops_most",
                "warning",
                stats.step,
                f"The off-policy mask drops {sequences:.0%} of the completions of step {stats.step}.",
                "Raise objective.off_policy_mask.delta, or take fewer updates a rollout.",
            )
        )
    return found


OBJECTIVE_DETECTORS = (critic_explains_nothing, corrections_drop_most)
"""Every detector of this module, in the order they are told."""
