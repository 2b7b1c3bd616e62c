"""Facts about rows and estimators that rules of combination rest on, and what rules ask of a recipe.

A set says something of its members that is true whatever the recipe says; a predicate reads one recipe.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sibling.config.rule import Holds, Settings

# ---------------------------------------------------------------------------------------- rows

ONE_TERM_A_SEQUENCE = frozenset(("gspo", "luspo", "rloo_clip", "gmpo", "vespo", "kimi"))
"""Rows whose ratio, weight or term is one of the whole completion: single tokens cannot be taken out or reweighted."""

SEQUENCE_TERM = ONE_TERM_A_SEQUENCE - {"vespo"}
"""Those whose policy term itself is one number a completion, repeated at each of its tokens."""

GEOMETRIC_MEAN_RATIO = frozenset(("gspo", "gspo_token", "luspo"))
"""Rows that clip the geometric mean of a completion's token ratios, which moves a hundred times less than a token's."""

TOKEN_RATIO_CLIP = frozenset(
    (
        *("grpo", "grpo_process", "dr_grpo", "dapo", "high_entropy", "deepseek_v3_2", "lite_ppo", "local_mean", "bnpo"),
        *("reinforce_pp", "reinforce_pp_baseline", "ppo", "clip_cov", "passk", "gdpo"),
    )
)
"""Rows that clip the ratio of every token."""

WITHOUT_RATIO = frozenset(("reinforce", "rloo", "gpg", "opo", "maxrl", "pkpo", "passk_max"))
"""Rows whose term is -A log pi: nothing corrects for a policy that has moved since the rollout."""

WITHOUT_STD = frozenset(("dr_grpo", "deepseek_v3_2"))
"""Rows that are defined by dropping the standard deviation."""

NAMED_AFTER = {
    "grpo_process": "process",
    "lite_ppo": "group",
    "bnpo": "beta",
    "rloo": "rloo",
    "rloo_clip": "rloo",
    "reinforce": "reinforce",
    "reinforce_pp": "reinforce_pp",
    "reinforce_pp_baseline": "reinforce_pp_baseline",
    "ppo": "gae",
    "gpg": "gpg",
    "opo": "opo",
    "maxrl": "maxrl",
    "passk": "passk",
    "pkpo": "pkpo",
    "passk_max": "best",
    "gdpo": "gdpo",
}
"""Rows whose name promises an estimator."""

# ---------------------------------------------------------------------------------- estimators

NEEDS_SIBLINGS = frozenset(
    (
        *("group", "process", "rloo", "opo", "gpg", "maxrl", "gdpo", "passk", "pkpo", "best", "beta"),
        "reinforce_pp_baseline",
    )
)
"""Estimators that compare the completions of one prompt."""

TOKEN_ADVANTAGES = frozenset(("process", "gae", "reinforce_pp", "reinforce_pp_baseline"))
"""Estimators that give every token an advantage of its own."""

SIGNAL_FROM_EQUAL_REWARDS = frozenset(("reinforce", "gae", "reinforce_pp", "pkpo", "process", "gdpo"))
"""Estimators under which a group whose total rewards are all equal still teaches."""

PASS_AT_K = frozenset(("passk", "pkpo"))
BINARY_REWARDS = PASS_AT_K | {"maxrl"}
"""Estimators made for rewards that are 0 or 1."""

BOUNDED_REWARDS = BINARY_REWARDS | {"beta"}
"""Estimators made for rewards between 0 and 1."""

WITHOUT_TOTAL = frozenset(("process", "gdpo"))
"""Estimators that read the scores of steps or of single rewards, not the total reward."""

# ------------------------------------------------------------------------ rewards, tasks, modes

RIGHT_OR_WRONG = frozenset(("final_number", "exact_match", "regex", "format_tags"))
"""Rewards that are 0 or 1."""

KNOWN_REWARDS = RIGHT_OR_WRONG | {"overlong", "step_match", "learned"}
"""Rewards whose range is known before the run."""

TASKS_WITH_COLUMNS = frozenset(("jsonl", "parquet", "dataset", "callable"))

WITH_CONSTANT = frozenset(("token_sum_norm", "constant"))
"""Aggregations that divide by the constant C."""

WITH_COUNT = frozenset(("seq_mean_token_mean", "seq_mean_token_sum", "token_sum_norm"))
"""Aggregations that divide by the number of completions."""

LENGTH_FREE = WITH_CONSTANT | {"seq_mean_token_sum"}
"""Aggregations in which no number of tokens divides."""

# -------------------------------------------------------------------------------- predicates


def scaled_by(*scales: str) -> Holds:
    """Whether the group estimator divides by one of these deviations."""
    return lambda r: r.objective.advantage.type == "group" and r.objective.advantage.scale in scales


def penalised(r: Settings) -> bool:
    """A KL penalty has weight."""
    return bool(r.objective.kl.beta > 0)


def penalised_in(placement: str) -> Holds:
    """Whether a KL penalty has weight there: in the loss or in the reward."""
    return lambda r: penalised(r) and r.objective.kl.placement == placement


def several_updates(r: Settings) -> bool:
    """More than one optimizer step is taken on one rollout."""
    return bool(r.learner.passes * r.learner.minibatches > 1)


def truncated_sampling(r: Settings) -> bool:
    """Some tokens cannot be drawn."""
    s = r.sampling
    return bool(s.top_p < 1 or s.top_k > 0 or s.min_p > 0)


def completions_a_step(r: Settings) -> int:
    """N of a rollout step."""
    return int(r.sampling.prompts_per_step * r.sampling.group_size)


def weighted(r: Settings) -> Iterator[Any]:
    """The rewards that enter the total."""
    return (w for w in r.rewards if w.weight != 0)


def unknown_range(r: Settings) -> bool:
    """Some reward's range shows only when it is called."""
    return any(w.type not in KNOWN_REWARDS for w in weighted(r))


def surely_not_binary(r: Settings) -> bool:
    """The total reward can be something other than 0 and 1, as far as the recipe tells."""
    terms = list(weighted(r))
    known = any(w.type in KNOWN_REWARDS - RIGHT_OR_WRONG for w in terms)
    return known or len(terms) > 1 or any(w.weight != 1 for w in terms)


def surely_outside_one(r: Settings) -> bool:
    """The total reward can leave [0, 1], as far as the recipe tells."""
    terms = list(weighted(r))
    negative = any((w.weight < 0) != (w.type == "overlong") for w in terms)  # that one gives -1 to 0
    return negative or sum(abs(w.weight) for w in terms) > 1 + 1e-9


def scores_steps(r: Settings) -> bool:
    """Some reward can score steps."""
    return any(w.type == "step_match" or (w.type == "callable" and w.signature == "task") for w in r.rewards)


def correction(level: str | None = None, action: str | None = None) -> Holds:
    """Whether the sampler correction is on, of this level and this action."""

    def holds(r: Settings) -> bool:
        own = r.objective.sampler_correction
        return own is not None and level in (None, own.level) and action in (None, own.action)

    return holds


def correction_bounds(r: Settings) -> tuple[float, float]:
    """Smallest and largest ratio that the sampler correction lets through; ask only where it is on."""
    own = r.objective.sampler_correction
    return (own.min or 0.0), (math.inf if own.max is None else own.max)


def ratio_bounds(r: Settings) -> tuple[float, float]:
    """Bounds of CISPO's weight; ask only of that row."""
    own = r.objective
    return (own.ratio_min or 0.0), (math.inf if own.ratio_max is None else own.ratio_max)


def leaves_out_one(bounds: tuple[float, float]) -> bool:
    """The ratio of equal probabilities is not inside, or nothing else is."""
    low, high = bounds
    return not low <= 1.0 <= high or low == high
