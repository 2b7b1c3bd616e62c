"""First-minutes diagnosis: the ways a run can be wasted that show before it or in its first steps.

Covers: rewards that refuse their own references, one prompt a step, settings that seldom go together, rewards
that are all equal, dead groups by cause, truncation, completions that never end, failing rewards, the gap
between sampler and learner, importance ratios that are not 1 at first, a policy without entropy left.
Leaves out: slow failures (reward hacking, length bias, drift), which take many steps to tell from noise.

Every function is pure. The bounds are constants here, each with its reason; how often a finding is told,
and for how many steps in a row it must hold first, is `watch`'s concern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from sibling.monitors.finding import Finding, Severity
from sibling.stats import StepStats

Detector = Callable[[StepStats], list[Finding]]
"""A detector: the numbers of one step in, what they show out. It keeps no state."""

DEAD_SHARE = 0.9
"""Dead groups of one cause, of all groups: above it a step learns from fewer than one prompt in ten."""

TRUNCATED_SHARE = 0.5
"""Truncated completions: above it the typical completion was never finished, so it was graded half-written."""

ERROR_SHARE, ABSTAIN_SHARE = 0.1, 0.2
"""Verdicts without a score: above it the samples left are a selection that the reward made, not the policy."""

SAMPLER_GAP = {"float32": 1e-4, "bfloat16": 0.04}
"""Mean |log-prob gap| in nats a token. float32: ten times the rounding seen between two kernels. bfloat16: what
a naive loop with a separate forward pass shows; more than that is a fault, not rounding."""

IDENTITY_GAP = 1e-6
"""|ratio - 1| before any update: the same numbers through the same kernel differ by nothing."""

LOW_ENTROPY = 0.01
"""Nats a token. A policy that puts 0.999 on one token and the rest on another has 0.008: its siblings are copies."""

MASTERED = 0.95
"""Accuracy above which a policy with little entropy is simply sure of right answers."""

Check = Mapping[str, Mapping[str, int]]
"""Reward name -> {n, accepted, refused, error}: how it graded completions that state the reference answer."""


# ------------------------------------------------------------------------------------- before the run


def references(check: Check, policy: Literal["stop", "warn"] = "stop") -> list[Finding]:
    """Rewards that do not accept reference answers as right: an error, or a warning under the policy `warn`.

    A reward that was graded on no reference (`n` 0) says nothing. One that failed, or that declined every
    reference, is told as well: it would fail or decline on a perfect answer.
    """
    severity: Severity = "error" if policy == "stop" else "warning"
    found = []
    for name, count in check.items():
        n, accepted, refused, failed = (count.get(k, 0) for k in ("n", "accepted", "refused", "error"))
        if refused:
            found.append(_refused(name, refused, n, severity))
        if failed:
            found.append(_failed(name, failed, n, severity))
        if n and not (accepted or refused or failed):
            found.append(_declined(name, n))
    return found


def one_prompt(prompts_per_step: int) -> list[Finding]:
    """One prompt a step: legal, and seldom meant."""
    if prompts_per_step > 1:
        return []
    return [
        Finding(
            "one_prompt",
            "warning",
            None,
            "Each step has one prompt only, so a step whose group is dead learns nothing and gradients are noisy.",
            "Set sampling.prompts_per_step to 8 or more, with a smaller sampling.group_size if that is too slow.",
        )
    ]


def unusual(rules: Iterable[tuple[str, str, str]]) -> list[Finding]:
    """Combinations of settings that are legal and unusual: (name, reason, what to do) of each."""
    return [
        Finding("unusual_combination", "warning", None, f"Unusual: {name}; {reason}.", f"{do[0].upper()}{do[1:]}.")
        for name, reason, do in rules
    ]


def _refused(name: str, refused: int, n: int, severity: Severity) -> Finding:
    return Finding(
        "reference_refused",
        severity,
        None,
        f"The reward {name!r} calls {refused} of {n} reference answers wrong, so it would punish right answers.",
        "Look at how the reward reads an answer and at the references of those prompts; if this is meant "
        "(say, the reference lacks a required format), set reward_policy.refused_references=warn.",
    )


def _failed(name: str, failed: int, n: int, severity: Severity) -> Finding:
    return Finding(
        "reference_failed",
        severity,
        None,
        f"The reward {name!r} fails on {failed} of {n} reference answers, so it would fail on right answers.",
        "Call the reward by hand on one of those references and mend what it raises; if this is meant, "
        "set reward_policy.refused_references=warn.",
    )


def _declined(name: str, n: int) -> Finding:
    return Finding(
        "reference_declined",
        "warning",
        None,
        f"The reward {name!r} gives no score to any of {n} reference answers.",
        "Check that the prompts carry what the reward needs: a reference, or the columns it reads.",
    )


# ----------------------------------------------------------------------------------- in the first steps


def equal_rewards(stats: StepStats) -> list[Finding]:
    """Every completion of the step got the same reward: there is nothing to compare."""
    mean, spread, accuracy = stats.get("reward_mean"), stats.get("reward_std"), stats.get("accuracy")
    if mean is None or spread is None or spread > 1e-9 * max(1.0, abs(mean)):
        return []
    if accuracy == 1.0:
        return [
            Finding(
                "all_right",
                "notice",
                stats.step,
                f"Every completion of step {stats.step} is right (reward {mean:.3g}), so nothing is left to learn.",
                "Make the task harder or end the run; if this is the first step, check that the reward can say wrong.",
            )
        ]
    return [
        Finding(
            "all_equal",
            "warning",
            stats.step,
            f"Every completion of step {stats.step} has the reward {mean:.3g} and none stands out, so nothing is "
            "learned.",
            "Read some with `sibling samples`: if answers are right but written otherwise, loosen the reward or say "
            "in the prompt how to answer; if they are wrong, start with an easier task or a larger group_size.",
        )
    ]


def dead_groups(stats: StepStats) -> list[Finding]:
    """Nearly every group has equal rewards, by cause: all siblings right, or all wrong."""
    right, wrong = stats.get("dead_groups_all_right") or 0.0, stats.get("dead_groups_all_wrong") or 0.0
    groups = right + wrong + (stats.get("live_groups") or 0.0)
    told = equal_rewards(stats)
    if groups == 0 or told:
        return []  # a step in which everything is equal is told once
    found = []
    if right / groups >= DEAD_SHARE:
        found.append(
            Finding(
                "dead_groups_right",
                "notice",
                stats.step,
                f"In {right:.0f} of {groups:.0f} groups of step {stats.step} every sibling is right, so most of the "
                "step teaches nothing.",
                "Make the task harder, end the run, or set filters.dynamic_sampling.enabled=true.",
            )
        )
    if wrong / groups >= DEAD_SHARE:
        found.append(
            Finding(
                "dead_groups_wrong",
                "warning",
                stats.step,
                f"In {wrong:.0f} of {groups:.0f} groups of step {stats.step} no sibling is better than another, so "
                "most of the step teaches nothing.",
                "Start with an easier task, raise sampling.group_size, or set filters.dynamic_sampling.enabled=true.",
            )
        )
    return found


def truncation(stats: StepStats) -> list[Finding]:
    """Completions cut at max_tokens: most of them, or all (the policy never ends an answer)."""
    share = stats.get("truncated_share")
    if share is None or share < TRUNCATED_SHARE:
        return []
    if share == 1.0:
        return [
            Finding(
                "never_ends",
                "warning",
                stats.step,
                f"No completion of step {stats.step} ended before max_tokens.",
                "Check that the model's end-of-sequence token is the one its template uses; otherwise raise "
                "sampling.max_tokens, ask for shorter answers, or give sampling.stop.",
            )
        ]
    return [
        Finding(
            "truncated",
            "notice",
            stats.step,
            f"{share:.0%} of the completions of step {stats.step} were cut at max_tokens and graded unfinished.",
            "Raise sampling.max_tokens, ask for shorter answers, or set filters.mask_truncated=true.",
        )
    ]


def failing_rewards(stats: StepStats) -> list[Finding]:
    """Verdicts without a score. Any error is worth a notice; a large share of either is a warning."""
    found = []
    errors, abstentions = stats.get("error_share") or 0.0, stats.get("abstain_share") or 0.0
    if errors > 0:
        found.append(
            Finding(
                "reward_errors",
                "warning" if errors >= ERROR_SHARE else "notice",
                stats.step,
                f"{_share(errors)} of the verdicts of step {stats.step} are errors; those samples have no score.",
                "Read the reasons with `sibling samples` and mend the reward.",
            )
        )
    if abstentions >= ABSTAIN_SHARE:
        found.append(
            Finding(
                "reward_abstentions",
                "warning",
                stats.step,
                f"Rewards decline to score {_share(abstentions)} of the verdicts of step {stats.step}.",
                "Check that prompts carry what the reward needs, and that declining is not how it says wrong.",
            )
        )
    return found


def low_entropy(stats: StepStats) -> list[Finding]:
    """The policy is as good as deterministic while it is still often wrong: siblings are copies."""
    entropy, accuracy = stats.get("entropy"), stats.get("accuracy")
    if entropy is None or entropy >= LOW_ENTROPY or (accuracy is not None and accuracy >= MASTERED):
        return []
    return [
        Finding(
            "low_entropy",
            "warning",
            stats.step,
            f"The policy has {entropy:.2g} nats of entropy a token in step {stats.step}, so siblings hardly differ.",
            "Raise sampling.temperature towards 1, lower the learning rate, or widen objective.clip_high.",
        )
    ]


def identity_ratio(stats: StepStats) -> list[Finding]:
    """Importance ratios before any update of the step must be exactly 1: pi_old is pi_new."""
    gap = stats.get("ratio_identity_gap")
    if gap is None or gap <= IDENTITY_GAP:
        return []
    return [
        Finding(
            "identity_ratio",
            "error",
            stats.step,
            f"In the first pass of step {stats.step} an importance ratio is {gap:.2g} away from 1, where the policy "
            "has not changed yet.",
            "The old and the new log-probs are computed in two ways, so clipping acts on rounding: report it with "
            "the recipe, and use learner.compute_dtype=float32 meanwhile.",
        )
    ]


def sampler_gap(compute_dtype: Literal["float32", "bfloat16"]) -> Detector:
    """The detector of a gap between the sampler's and the learner's log-probs, for this compute type."""
    bound = SAMPLER_GAP[compute_dtype]

    def observe(stats: StepStats) -> list[Finding]:
        gap = stats.get("sampler_gap_mean")
        if gap is None or gap <= bound:
            return []
        return [
            Finding(
                "sampler_gap",
                "warning",
                stats.step,
                f"Sampler and learner differ by {gap:.2g} nats a token on average in step {stats.step} "
                f"({compute_dtype}, at most {bound:g} expected), so updates are off-policy from the start.",
                "Set learner.compute_dtype=float32 to see whether it is rounding; if the gap stays, the two "
                "compute different models: report it with the recipe.",
            )
        ]

    return observe


def step_detectors(compute_dtype: Literal["float32", "bfloat16"]) -> tuple[Detector, ...]:
    """Every detector of the first steps, in the order they are told."""
    return (
        equal_rewards,
        dead_groups,
        truncation,
        failing_rewards,
        low_entropy,
        sampler_gap(compute_dtype),
        identity_ratio,
    )


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.01 else f"{value:.2%}"
