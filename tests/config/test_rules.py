"""Every rule of combination fires on its own smallest recipe, alone, and not on the corrected one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest

from sibling.config import RULES, Aggregation, Recipe, refusal, warnings
from sibling.config import facts as f
from sibling.config.legal import holding, table
from sibling.errors import RequestError
from sibling.maths.aggregation import sequence_weights
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.objectives import OBJECTIVES
from sibling.maths.ratios import geometric_ratio, geometric_token_ratio
from sibling.maths.surrogates import clip, policy_gradient

Build = Callable[[Mapping[str, Any]], Recipe]
Changes = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """The smallest recipe under a rule, and one change that puts it right."""

    rule: str
    bad: Changes
    right: Changes  # on top of `bad`


def objective(row: str, **fields: Any) -> Changes:
    return {"objective.type": row} | {f"objective.{name.replace('__', '.')}": value for name, value in fields.items()}


FINAL, FORMAT = {"type": "final_number"}, {"type": "format_tags"}
OVERLONG, CALLABLE = {"type": "overlong", "cache": 4}, {"type": "callable", "target": "mine.py:score"}
GEOMETRIC = {"level": "geometric", "action": "mask", "min": 0.999, "max": 1.002}
NONE = {"type": "group", "scale": "none"}
KL = {"objective.kl.beta": 0.05}
REWARD_KL = KL | {"objective.kl.placement": "reward"}


def weights(*pairs: tuple[Changes, float]) -> list[Changes]:
    return [{**reward, "weight": weight} for reward, weight in pairs]


CASES = (
    Case("group baseline with one completion", {"sampling.group_size": 1}, {"sampling.group_size": 3}),
    Case(
        "token advantages with a sequence term",
        objective("gspo", advantage={"type": "gae"}),
        {"objective.type": "gspo_token"},
    ),
    Case("std in a row without std", objective("dr_grpo", advantage={"scale": "group"}), {"objective.type": "dapo"}),
    Case(
        "k larger than the group",
        objective("passk", advantage={"k": 9}),
        {"objective.advantage": {"k": 8}},
    ),
    Case(
        "binary estimator with other rewards",
        objective("maxrl") | {"rewards": weights((FINAL, 1.0), (OVERLONG, 0.5))},
        {"rewards": weights((FINAL, 1.0), (OVERLONG, 0.0))},
    ),
    Case(
        "Beta normalisation with rewards outside 0 to 1",
        objective("bnpo") | {"rewards": [FINAL, FORMAT]},
        {"rewards": weights((FINAL, 0.9), (FORMAT, 0.1))},
    ),
    Case(
        "bounded estimator with rewards of unknown range",
        objective("bnpo") | {"rewards": [CALLABLE]},
        {"rewards": [FINAL]},
    ),
    Case("pass@k with k of 1", objective("pkpo", advantage={"k": 1}), {"objective.advantage": {"k": 2}}),
    Case(
        "process supervision without step scores",
        objective("grpo_process") | {"rewards": [{**CALLABLE, "signature": "trl"}]},
        {"rewards": [CALLABLE]},
    ),
    Case("GDPO with one reward", objective("gdpo"), {"rewards": [FINAL, FORMAT]}),
    Case("group std of two completions", {"sampling.group_size": 2}, {"objective.advantage": {"scale": "batch"}}),
    Case(
        "row with another estimator",
        objective("rloo", advantage={"type": "opo"}),
        {"objective.advantage": {"type": "rloo"}},
    ),
    Case(
        "scale of another row",
        objective("kimi", advantage={"scale": "group"}),
        {"objective.advantage": {"scale": "none"}},
    ),
    Case(
        "critic warm-up without training",
        objective("ppo", advantage={"critic": {"warmup_steps": 30}}),
        {"objective.advantage": {"critic": {"warmup_steps": 29}}},
    ),
    Case(
        "Dr. GRPO divided by length",
        objective("dr_grpo", aggregation="token_mean"),
        {"objective.aggregation": "seq_mean_token_sum"},
    ),
    Case("constant without use", {"objective.constant": 16}, {"objective.aggregation": "constant"}),
    Case(
        "sequence term summed over tokens",
        objective("gspo", aggregation="token_mean"),
        {"objective.type": "gspo_token"},
    ),
    Case("LUSPO without length", objective("luspo", aggregation="seq_mean_token_mean"), {"objective.type": "gspo"}),
    Case(
        "count of masked sequences without use",
        {"objective.count_masked_sequences": False},
        {"objective.aggregation": "seq_mean_token_mean"},
    ),
    Case("mean of micro-batches", objective("local_mean"), {"objective.aggregation": "token_mean"}),
    Case("adaptive KL without KL", {"objective.kl.adaptive": {}}, KL),
    Case(
        "adaptive KL with a short horizon",
        KL | {"objective.kl.adaptive": {"horizon": 12}},  # 64 completions a step
        {"objective.kl.adaptive": {"horizon": 13}},
    ),
    Case("reference that nobody reads", {"objective.kl.reference": {"type": "ema"}}, KL),
    Case(
        "reference that never changes",
        KL | {"objective.kl.reference": {"type": "refresh", "every": 30}},
        {"objective.kl.reference": {"type": "refresh", "every": 29}},
    ),
    Case(
        "KL estimator of the loss in the reward",
        REWARD_KL | objective("rloo", kl__estimator="k2"),
        {"objective.kl.estimator": "k1"},
    ),
    Case("k1 in the loss", KL | {"objective.kl.estimator": "k1"}, {"objective.kl.estimator": "k2"}),
    Case(
        "KL in a reward that is not read",
        REWARD_KL | objective("gdpo") | {"rewards": [FINAL, FORMAT]},
        {"objective.kl.placement": "loss"},
    ),
    Case("KL in a bounded reward", REWARD_KL | objective("passk"), {"objective.kl.placement": "loss"}),
    Case("KL in a standardised reward", REWARD_KL, {"objective.advantage": NONE}),
    Case("dual clip inside the clip", {"objective.dual_clip": 1.28}, {"objective.dual_clip": 3}),
    Case("token clip on a sequence ratio", objective("gspo", clip_high=0.2), {"objective.clip_high": 4e-4}),
    Case(
        "sequence clip on a token ratio", objective("dapo", clip_low=3e-4, clip_high=4e-4), {"objective.type": "gspo"}
    ),
    Case("lower clip that never acts", objective("grpo", clip_low=10, clip_high=10), {"objective.clip_low": 0.2}),
    Case("log-ratio clamp inside the clip", {"objective.log_ratio_clamp": 0.24}, {"objective.log_ratio_clamp": 0.25}),
    Case("CISPO without bounds", objective("cispo", ratio_max=None), {"objective.ratio_min": 0.5}),
    Case("CISPO bounds that leave out 1", objective("cispo", ratio_max=0.28), {"objective.ratio_max": 1.28}),
    Case("DPPO cap below 1", objective("dppo_tv", ratio_cap=0.5), {"objective.ratio_cap": 1}),
    Case("Clip-Cov without a band", objective("clip_cov", score_low=5), {"objective.score_high": 6}),
    Case("KL-Cov without penalty", objective("kl_cov", coefficient=0), {"objective.coefficient": 1}),
    Case("entropy mask with a sequence ratio", objective("gmpo", entropy_mask={}), {"objective.type": "gspo_token"}),
    Case(
        "token weights with a sequence term",
        objective("kimi", sampler_correction={}),
        {"objective.sampler_correction": GEOMETRIC},
    ),
    Case(
        "sequence weights in VESPO",
        objective("vespo", sampler_correction={"level": "sequence"}),
        {"objective.sampler_correction": {"level": "token"}},
    ),
    Case(
        "filter of single tokens",
        {"objective.sampler_correction": {"action": "filter", "min": 0.5}},
        {"objective.sampler_correction": {"action": "mask", "min": 0.5}},
    ),
    Case(
        "sampler correction without bounds",
        {"objective.sampler_correction": {"max": None}},
        {"objective.sampler_correction": {"max": None, "min": 0.5}},
    ),
    Case(
        "sampler correction that leaves out 1",
        {"objective.sampler_correction": {"min": 3, "max": 2}},
        {"objective.sampler_correction": {"min": 0.5, "max": 2}},
    ),
    Case(
        "wide bound on a geometric mean",
        {"objective.sampler_correction": {"level": "geometric"}},
        {"objective.sampler_correction": GEOMETRIC},
    ),
    Case(
        "off-policy mask with token advantages",
        objective("ppo", off_policy_mask={}),
        {"objective.off_policy_mask": None},
    ),
    Case(
        "entropy bonus without weight",
        {"objective.entropy_bonus": {"coefficient": 0}},
        {"objective.entropy_bonus": {"coefficient": 0, "target": 0.2}},
    ),
    Case("80/20 without its mask", objective("high_entropy", entropy_mask=None), {"objective.entropy_mask": {}}),
    Case("truncated sampling with KL", KL | {"sampling.top_p": 0.9}, {"sampling.top_p": 1}),
    Case(
        "truncated sampling with several updates",
        {"sampling.min_p": 0.1, "learner.passes": 2},
        {"learner.passes": 1},
    ),
    Case("truncated sampling with experts", objective("luffy") | {"sampling.top_k": 5}, {"sampling.top_k": 0}),
    Case(
        "truncated sampling with entropy", {"sampling.top_k": 5, "objective.entropy_bonus": {}}, {"sampling.top_k": 0}
    ),
    Case("several updates without a ratio", objective("gpg") | {"learner.minibatches": 2}, {"objective.type": "dapo"}),
    Case(
        "OPO baseline with several updates",
        objective("dapo", advantage={"type": "opo"}) | {"learner.passes": 2},
        {"learner.passes": 1},
    ),
    Case(
        "dynamic sampling with one completion",
        objective("dapo", advantage={"type": "reinforce"})
        | {"sampling.group_size": 1, "filters.dynamic_sampling.enabled": True},
        {"filters.dynamic_sampling.enabled": False},
    ),
    Case(
        "dynamic sampling of groups that teach",
        objective("ppo") | {"filters.dynamic_sampling.enabled": True},
        {"objective.type": "dapo"},
    ),
    Case(
        "overlong punishment of masked completions",
        {"filters.mask_truncated": True, "rewards": [FINAL, OVERLONG]},
        {"filters.mask_truncated": False},
    ),
    Case("no reward with weight", {"rewards": weights((FINAL, 0.0))}, {"rewards": [FINAL]}),
    Case(
        "LUFFY with one completion",
        objective("luffy", advantage={"type": "reinforce"}) | {"sampling.group_size": 1},
        {"sampling.group_size": 3},
    ),
    Case("LUFFY without experts", objective("luffy") | {"task": {"type": "counting"}}, {"objective.type": "dapo"}),
)
BESIDES = {
    "dynamic sampling with one completion": {"dynamic sampling of groups that teach"},
}
"""What these recipes cannot help falling under as well."""


def names(recipe: Recipe) -> set[str]:
    return {rule.name for rule in holding(recipe)}


def test_every_rule_has_its_case() -> None:
    assert sorted(case.rule for case in CASES) == sorted(rule.name for rule in RULES)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.rule)
def test_a_rule_fires_on_its_own_recipe_and_not_on_the_corrected_one(case: Case, unchecked: Build) -> None:
    assert names(unchecked(case.bad)) - BESIDES.get(case.rule, set()) == {case.rule}
    assert case.rule not in names(unchecked(case.bad | case.right))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.rule)
def test_the_reader_refuses_or_warns_with_reason_and_way_out(case: Case, checked: Build) -> None:
    rule = next(rule for rule in RULES if rule.name == case.rule)
    if rule.severity == "refuse":
        with pytest.raises(RequestError) as caught:
            checked(case.bad)
        text = str(caught.value)
        assert caught.value.exit_code == 2
    else:
        recipe = checked(case.bad)
        assert refusal(recipe) is None
        (text,) = warnings(recipe)
    assert all(part in text for part in (rule.name, rule.reason, rule.do))


def test_rules_are_phrased_alike() -> None:
    """The sentence is: name (objective row): reason; way out. Nothing ends it twice, and knobs have their paths."""
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        for text in (rule.name, rule.reason, rule.do):
            assert text == text.strip() and not text.endswith("."), rule.name
    assert [verdict for _, verdict, _, _ in table()] == sorted(verdict for _, verdict, _, _ in table())
    assert len(table()) == len(RULES)


def test_the_paths_that_rules_name_are_knobs(knob_paths: frozenset[str]) -> None:
    for rule in RULES:
        for path in re.findall(r"\b(?:objective|sampling|learner|filters)\.[a-z_.]+[a-z_]", f"{rule.reason} {rule.do}"):
            assert path in knob_paths, (rule.name, path)


# ------------------------------------------------------------------- the facts are those of the maths


def test_the_rows_without_a_ratio_are_those_of_the_plain_policy_gradient() -> None:
    assert {n for n, row in OBJECTIVES.items() if row.surrogate is policy_gradient} == f.WITHOUT_RATIO


def test_the_rows_of_one_term_a_sequence_are_those_of_the_table() -> None:
    listed = {n for n, row in OBJECTIVES.items() if row.sequence_level}
    assert listed - {"gspo_token"} == f.SEQUENCE_TERM  # gspo_token: its gradient is each token's own
    geometric = {n for n, row in OBJECTIVES.items() if row.ratio in (geometric_ratio, geometric_token_ratio)}
    assert geometric == f.GEOMETRIC_MEAN_RATIO
    assert {n for n, row in OBJECTIVES.items() if row.absorbs_sampler_weight} == {"vespo"}


def test_the_rows_that_clip_a_token_ratio_are_those_of_the_table() -> None:
    clipped = {n for n, row in OBJECTIVES.items() if row.surrogate is clip} | {"clip_cov"}
    assert clipped - f.GEOMETRIC_MEAN_RATIO - {"rloo_clip"} == f.TOKEN_RATIO_CLIP


def test_the_named_estimators_are_the_rows_own() -> None:
    assert {n: OBJECTIVES[n].estimator for n in f.NAMED_AFTER} == f.NAMED_AFTER
    known = set(ESTIMATORS)
    for group in (
        f.NEEDS_SIBLINGS,
        f.TOKEN_ADVANTAGES,
        f.SIGNAL_FROM_EQUAL_REWARDS,
        f.BOUNDED_REWARDS,
        f.WITHOUT_TOTAL,
    ):
        assert group <= known


@pytest.mark.parametrize("mode", get_args(Aggregation))
def test_what_an_aggregation_divides_by(mode: str) -> None:
    def weight(tokens: list[int], constant: float = 8.0, count_masked: bool = True) -> float:
        n = len(tokens)
        parts: dict[str, Any] = {"constant": constant, "count_masked": count_masked, "micro_batches": [list(range(n))]}
        return float(sequence_weights(np.array(tokens), np.zeros(n, dtype=np.int64), mode=mode, **parts)[0])

    assert (weight([2, 3]) != weight([2, 3], constant=4.0)) == (mode in f.WITH_CONSTANT)
    assert (weight([2, 0]) != weight([2, 0], count_masked=False)) == (mode in f.WITH_COUNT)
    assert (weight([2, 3]) == weight([4, 6])) == (mode in f.LENGTH_FREE)
