"""The published methods as recipes: each loads, is not refused, and says what its paper says."""

import re
from pathlib import Path

import pytest

from sibling.config import Recipe, load_recipe, warnings

FOLDER = Path(__file__).parents[1] / "recipes" / "papers"
RECIPES = sorted(FOLDER.glob("*.yaml"))


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml")


def test_the_methods_that_ship() -> None:
    assert [p.stem for p in RECIPES] == ["dapo", "deepseekmath", "dr-grpo", "iterative-grpo", "ppo", "r1-zero", "rloo"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_names_its_paper_and_its_command(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert re.search(r"\b\d{4}\.\d{5}\b", lines[0]), "an arXiv number"
    assert any(f"sibling train recipes/papers/{path.name}" in line for line in lines)
    assert load_recipe(path).name == path.stem


def test_only_r1_is_unusual_and_it_means_it() -> None:
    assert {p.stem for p in RECIPES if warnings(load_recipe(p))} == {"r1-zero"}
    assert [w for w in warnings(load("r1-zero")) if "lower clip that never acts" not in w] == []


def test_what_the_papers_say() -> None:
    grpo = load("deepseekmath").objective
    assert (grpo.type, grpo.kl.beta, grpo.kl.estimator, grpo.aggregation) == ("grpo", 0.04, "k3", "seq_mean_token_mean")
    iterative = load("iterative-grpo")
    assert iterative.objective.kl.reference.type == "refresh"
    assert [r.replay_share for r in iterative.rewards if r.type == "learned"] == [0.1]
    r1 = load("r1-zero")
    assert (r1.objective.clip_high, r1.objective.kl.beta, r1.sampling.group_size) == (10, 0.001, 16)
    assert [r.weight for r in r1.rewards] == [1.0, 1.0]
    dapo = load("dapo")
    assert (dapo.objective.clip_low, dapo.objective.clip_high, dapo.objective.kl.beta) == (0.2, 0.28, 0)
    assert dapo.filters.dynamic_sampling.enabled
    dr = load("dr-grpo").objective
    assert (dr.advantage.scale, dr.aggregation, dr.kl.beta) == ("none", "token_sum_norm", 0)
    ppo = load("ppo").objective
    assert (ppo.advantage.type, ppo.kl.placement) == ("gae", "reward")
    rloo = load("rloo").objective
    assert (rloo.advantage.type, rloo.kl.placement, rloo.kl.beta) == ("rloo", "reward", 0.03)
