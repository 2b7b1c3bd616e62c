import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from sibling.config import load_recipe
from sibling.learner.explain import KL, WEIGHTS, explain
from sibling.maths.objectives import OBJECTIVES
from sibling.report.objectives import check_text, describe, equation_lines, facts, in_short, listing

RECIPE = Path(__file__).parents[2] / "recipes" / "largest-number.yaml"
DAPO = dataclasses.replace(
    OBJECTIVES["dapo"],
    equation="loss = -min(r A, clip(r) A),  A = R - mean",
    notes=("A note that is long enough to be wrapped when the terminal is as narrow as it is here.",),
)


def explained(*overrides: str, width: int = 100) -> str:
    recipe = load_recipe(RECIPE, overrides)
    return explain(recipe, OBJECTIVES[recipe.objective.type], width)


def told(*overrides: str) -> str:
    """The explanation with its line breaks taken out."""
    return " ".join(explained(*overrides).split())


# ---------------------------------------------------------------------------------- list and describe


def test_an_equation_has_one_part_a_line() -> None:
    assert equation_lines(DAPO.equation) == ["loss = -min(r A, clip(r) A),", "A = R - mean"]


def test_an_objective_in_full() -> None:
    text = describe(DAPO, width=50)
    assert text.startswith("objective dapo: DAPO\nDAPO, arXiv 2503.14476")
    assert "  A = R - mean\n" in text
    assert "scale group, ddof 1, eps 0.0001" in " ".join(text.split())
    assert "clip_low 0.2, clip_high 0.28" in " ".join(text.split())
    assert "w_i = 1 / sum_j T_j" in text
    assert max(map(len, text.splitlines())) <= 50
    assert "note" in text and "note" not in describe(DAPO, notes=False)


def test_an_objective_in_short() -> None:
    assert in_short(DAPO).splitlines() == [
        "objective dapo: DAPO, arXiv 2503.14476",
        "  loss = -min(r A, clip(r) A),",
        "  A = R - mean",
    ]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_row_says_what_it_computes_and_what_it_is_called_elsewhere(name: str) -> None:
    row = OBJECTIVES[name]
    text = describe(row, width=80)
    assert row.title in text and "Elsewhere:" in text
    assert all(number in text for number in row.numbers if row.numbers[number] is not None)
    assert max(map(len, text.splitlines())) <= 80


def test_a_list_names_each_with_its_source_and_fits_the_terminal() -> None:
    rows = [OBJECTIVES["dapo"], OBJECTIVES["reinforce"]]
    assert listing(rows).splitlines() == [
        "dapo       DAPO       arXiv 2503.14476",
        "reinforce  REINFORCE  Williams, 1992",
    ]
    assert max(map(len, listing(list(OBJECTIVES.values()), width=60).splitlines())) <= 60


def test_the_facts_of_a_row_are_json() -> None:
    found = json.loads(json.dumps(facts(OBJECTIVES["ppo"])))
    assert found["advantage"] == {**found["advantage"], "type": "gae", "lam": 0.95}
    assert found["numbers"] == {"clip_low": 0.2, "clip_high": 0.2, "dual_clip": None}


def test_a_check_shows_misses_and_counts() -> None:
    results = [
        SimpleNamespace(id="a", title="t", status="pass", detail=""),
        SimpleNamespace(id="b", title="t", status="miss", detail="loss: 1, wanted 2"),
    ]
    assert check_text({"float64": results}).splitlines() == [
        "float64  miss  b (t): loss: 1, wanted 2",
        "float64: 1 pass, 1 miss",
    ]


# ------------------------------------------------------------------------------------------- explain


def test_every_aggregation_and_estimator_of_the_table_can_be_explained() -> None:
    assert {row.aggregation for row in OBJECTIVES.values()} <= set(WEIGHTS)
    assert {row.kl for row in OBJECTIVES.values()} <= set(KL)


def test_the_default_is_told_with_its_numbers_and_normaliser() -> None:
    text = told()
    assert "8 prompts x 8 completions = 64 of at most 16 tokens at temperature 1" in text
    assert "makes 1 update: 1 pass over 1 minibatch of 8 groups" in text
    assert "clip_low = 0.2, clip_high = 0.28" in text
    assert "w_i = 1 / sum_j T_j (token_mean)" in text
    assert "apart from groups that dynamic sampling replaced" in text
    assert "0: no reference policy is kept" in text
    assert "R = 1 final_number" in text


def test_it_fits_a_narrow_terminal() -> None:
    lines = explained("objective.type=ppo", width=60).splitlines()
    assert max(map(len, lines[5:])) <= 60


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["objective.type=dr_grpo"], "w_i = 1 / (N C) (token_sum_norm)"),
        (["objective.type=dr_grpo"], "C = 16 (sampling.max_tokens)"),
        (["objective.type=dr_grpo", "objective.constant=30"], "C = 30, N the completions"),
        (["objective.type=grpo", "objective.count_masked_sequences=false"], "without those that have no token"),
        (["filters.mask_truncated=true"], "0 in completions cut at max_tokens"),
        (["learner.passes=2", "learner.minibatches=4"], "makes 8 updates: 2 passes over 4 minibatches of 2 groups"),
        (["objective.log_ratio_clamp=20"], "lr is held to [-20, 20]"),
        (["objective.type=rloo", "objective.kl.beta=0.05"], "- 0.05 sum_t (log pi_old - log pi_ref)"),
        (["objective.type=rloo", "objective.kl.beta=0.05"], "0 here: in the reward; beta 0.05"),
        (["objective.kl.beta=0.1", "objective.kl.estimator=k3_is"], "with the gradient through r"),
        (["objective.kl.beta=0.1"], "beta 0.1, pi_ref the policy before the first step"),
        (
            ["objective.kl.beta=0.1", "objective.kl.reference.type=refresh", "objective.kl.reference.every=5"],
            "the policy of the last multiple of 5 steps",
        ),
        (
            ["objective.kl.beta=0.1", "objective.kl.reference.type=ema", "objective.kl.reference.decay=0.9"],
            "an average of the policy, decay 0.9, every 1 steps",
        ),
        (["objective.kl.beta=0.1", "objective.kl.adaptive.target=0.2"], "beta follows a KL of 0.2 nats a token"),
        (["objective.sampler_correction.max=2"], "exp(log pi_old - log pi_sampler) by token, truncate at [none, 2]"),
        (["objective.off_policy_mask.delta=0.5"], "mean_t (log pi_sampler - log pi_new) > 0.5"),
        (["objective.entropy_mask.keep_top=0.2"], "the 20% of the minibatch's tokens with the highest entropy"),
        (["objective.entropy_bonus.coefficient=0.01"], "c = 0.01, H the entropy"),
        (["objective.entropy_bonus.target=0.5"], "towards 0.5 nats"),
        (["objective.type=ppo", "objective.advantage.critic.value_clip=null"], "no clip, G = A + V"),
        (["objective.type=ppo", "objective.advantage.critic.warmup_steps=3"], "the first 3 steps train the critic"),
        (["sampling.top_p=0.9"], "temperature 1, top_p 0.9 (in the learner's log-probs too)"),
        (["objective.type=reinforce", "learner.passes=2"], "unusual several updates without a ratio"),
    ],
)
def test_what_a_setting_changes_is_told(overrides: list[str], said: str) -> None:
    assert said in told(*overrides)
    assert said not in told()
