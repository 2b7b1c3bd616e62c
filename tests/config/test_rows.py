"""Every row of objectives and every advantage estimator as a recipe writes it: defaults, parts left out, overrides."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

from sibling.config import (
    AdvantageConfig,
    Aggregation,
    GroupAdvantage,
    Kl,
    ObjectiveConfig,
    Recipe,
    load_recipe,
    parse_recipe,
)
from sibling.errors import RequestError
from sibling.maths.aggregation import sequence_weights
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.kl import ESTIMATORS as KL_ESTIMATORS
from sibling.maths.objectives import OBJECTIVES

PLAIN: dict[str, Any] = {
    "name": "plain",
    "steps": 30,
    "task": {"type": "jsonl", "path": "prompts.jsonl"},
    "rewards": [{"type": "step_match"}],
}


def tags(union: Any) -> list[str]:
    return [option.model_fields["type"].default for option in get_args(get_args(union)[0])]


ROWS, ADVANTAGES = tags(ObjectiveConfig), tags(AdvantageConfig)


def plain(row: str, **fields: Any) -> Recipe:
    binary = (fields.get("advantage") or {}).get("type", row) in ("passk", "pkpo", "maxrl")
    rewards = {"rewards": [{"type": "final_number"}]} if binary else {}
    return parse_recipe(PLAIN | rewards | {"objective": {"type": row, **fields}})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(PLAIN), encoding="utf-8")
    return tmp_path / "plain.yaml"


# -------------------------------------------------------------------------------------------- defaults


def test_the_rows_of_a_recipe_are_the_rows_of_the_table() -> None:
    assert set(ROWS) == set(OBJECTIVES)
    assert set(ADVANTAGES) == set(ESTIMATORS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_s_defaults_are_those_of_the_table(row: str) -> None:
    own, listed = plain(row).objective, OBJECTIVES[row]
    assert own.aggregation == listed.aggregation
    assert own.advantage.model_dump(exclude={"type", "critic"}) == listed.advantage_defaults
    assert own.advantage.type == listed.estimator
    assert own.kl.estimator == listed.kl
    assert {name: getattr(own, name) for name in listed.numbers} == dict(listed.numbers)


@pytest.mark.parametrize("row", ROWS)
def test_the_resolved_recipe_of_a_row_reads_back_as_itself(row: str) -> None:
    first = plain(row)
    again = parse_recipe(json.loads(json.dumps(first.resolved())))
    assert again == first
    assert again.digest() == first.digest()


@pytest.mark.parametrize("advantage", ADVANTAGES)
def test_every_estimator_is_read_back_as_itself(advantage: str) -> None:
    first = plain("dapo", advantage={"type": advantage})
    assert first.objective.advantage.type == advantage
    assert Recipe.model_validate(json.loads(json.dumps(first.resolved()))) == first


def test_what_a_recipe_may_name_is_what_the_maths_knows() -> None:
    assert set(get_args(Kl.model_fields["estimator"].annotation)) == set(KL_ESTIMATORS)
    ones, group = np.ones(2, dtype=np.int64), np.zeros(2, dtype=np.int64)
    for mode in get_args(Aggregation):
        assert (sequence_weights(ones, group, mode=mode, constant=4, micro_batches=[[0], [1]]) > 0).all()


# ---------------------------------------------------------------------------------- what is left out


def test_one_field_of_a_part_leaves_the_rest_of_the_row_s_own() -> None:
    assert plain("rloo", kl={"beta": 0.05}).objective.kl == Kl(beta=0.05, placement="reward")
    assert plain("deepseek_v3_2", kl={"beta": 0.05}).objective.kl.estimator == "k3_is"
    assert plain("dr_grpo", advantage={"ddof": 0}).objective.advantage == GroupAdvantage(scale="none", ddof=0)
    own = plain("ppo", advantage={"lam": 0.9}).objective.advantage
    assert (own.type, own.lam, own.ddof) == ("gae", 0.9, 1)
    assert plain("high_entropy", entropy_mask={"keep_top": 0.5}).objective.entropy_mask.keep_top == 0.5


def test_a_part_of_another_type_starts_from_its_own_defaults() -> None:
    whole = plain("dr_grpo", advantage={"type": "gae"}).objective.advantage
    assert (whole.lam, whole.critic.value_clip) == (0.95, 0.2)
    assert plain("kimi", advantage={"type": "best"}).objective.advantage.eps == 1e-6
    assert plain("dapo", kl={"beta": 1, "reference": {"type": "ema"}}).objective.kl.reference.decay == 0.99


def test_null_turns_a_part_of_the_row_off() -> None:
    assert plain("deepseek_v3_2", off_policy_mask=None).objective.off_policy_mask is None
    assert plain("high_entropy", entropy_mask=None).objective.entropy_mask is None
    with pytest.raises(RequestError, match=r"objective\.advantage"):
        plain("dapo", advantage=None)


@pytest.mark.parametrize(
    ("overrides", "knob", "value"),
    [
        ("type=rloo kl.beta=0.05", lambda o: (o.kl.beta, o.kl.placement), (0.05, "reward")),
        ("advantage.scale=none", lambda o: o.advantage, GroupAdvantage(scale="none")),
        ("advantage.type=process", lambda o: o.advantage.type, "process"),
        ("advantage.type=gae advantage.critic.value_clip=null", lambda o: o.advantage.critic.value_clip, None),
        ("advantage.lam=0.9 type=ppo", lambda o: (o.advantage.lam, o.advantage.ddof), (0.9, 1)),
        ("entropy_mask.keep_top=0.3", lambda o: o.entropy_mask.keep_top, 0.3),
        ("type=high_entropy entropy_mask=null", lambda o: o.entropy_mask, None),
        ("sampler_correction.level=sequence", lambda o: o.sampler_correction.max, 2.0),
        ("kl.beta=1 kl.adaptive.target=0.2", lambda o: o.kl.adaptive.horizon, 10_000),
        ("kl.beta=1 kl.reference.every=5 kl.reference.type=refresh", lambda o: o.kl.reference.every, 5),
    ],
)
def test_an_override_on_the_command_line(overrides: str, knob: Any, value: Any, path: Path) -> None:
    assert knob(load_recipe(path, [f"objective.{item}" for item in overrides.split()]).objective) == value


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("advantage.scal=none", "unknown key 'objective.advantage.scal'; did you mean 'scale'?"),
        ("advantage.type=grop", "did you mean 'group'?"),
        ("kl.reference.type=emma", "reference.type is 'emma', wanted one of initial, refresh, ema"),
        ("kl.reference=initial", "'objective.kl.reference' is 'initial'"),
        ("type=deepseek", "did you mean 'deepseek_v3_2'?"),
        ("aggregation=token_men", "'objective.aggregation' is 'token_men'"),
    ],
)
def test_a_wrong_override_is_refused_in_words(override: str, words: str, path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        load_recipe(path, [f"objective.{override}"])
    assert words in str(caught.value)
