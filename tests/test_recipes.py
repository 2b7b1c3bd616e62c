"""Every recipe that ships loads, is short, and is what its name says."""

from pathlib import Path

import pytest

from sibling.config import Recipe, load_recipe, warnings

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))


def load(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.yaml")


def test_the_recipes_that_ship() -> None:
    generated = {"arithmetic", "json-records", "largest-number", "python-functions", "reverse-letters", "tiny"}
    assert {p.stem for p in RECIPES} == {*generated, "json-lines"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_loads_is_named_after_its_file_and_is_short(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.directory() == Path("runs") / path.stem
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 25
    assert max(len(line) for line in lines) <= 120
    assert lines[0].startswith("# ")
    assert any(f"sibling train recipes/{path.name}" in line for line in lines), "the command is in the recipe"


def test_the_demo_is_the_embedded_model_on_largest_number() -> None:
    demo = load("largest-number")
    assert demo.model.type == "embedded"
    assert demo.task.type == "largest_number"
    assert (demo.sampling.prompts_per_step, demo.sampling.group_size, demo.sampling.max_tokens) == (8, 8, 16)
    assert (demo.evaluation.prompts, demo.evaluation.samples) == (200, 4)
    assert demo.objective.type == "dapo"
    assert demo.objective.kl.beta == 0


def test_the_recipes_together_show_three_objectives_and_both_ways_to_finetune() -> None:
    recipes = [load_recipe(p) for p in RECIPES]
    assert {r.objective.type for r in recipes} == {"grpo", "dr_grpo", "dapo"}
    assert {r.learner.finetune.type for r in recipes} == {"full", "lora"}


def test_no_recipe_that_ships_is_unusual() -> None:
    assert {p.stem: warnings(load_recipe(p)) for p in RECIPES} == {p.stem: [] for p in RECIPES}


def test_the_data_of_the_json_lines_recipe_is_beside_it() -> None:
    recipe = load("json-lines")
    assert recipe.task.type == "jsonl"
    assert (FOLDER / recipe.task.path).is_file()


def test_the_tiny_recipe_stays_tiny() -> None:
    tiny = load("tiny")
    assert tiny.model.type == "tiny"
    assert tiny.learner.compute_dtype == "float32"
    completions = tiny.sampling.prompts_per_step * tiny.sampling.group_size
    assert tiny.steps * completions * tiny.sampling.max_tokens <= 256
    assert tiny.evaluation.prompts * (1 + tiny.evaluation.samples) <= 16
