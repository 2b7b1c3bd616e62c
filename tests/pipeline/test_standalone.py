"""Evaluating a target outside a run."""

from pathlib import Path

import pytest

from sibling.config import load_recipe
from sibling.errors import RequestError
from sibling.models.tiny import save_tiny
from sibling.pipeline.run import train
from sibling.pipeline.standalone import evaluate_target

TINY = Path(__file__).parents[2] / "recipes" / "tiny.yaml"


def test_a_finished_run_evaluates_to_its_own_numbers_after(tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = train(load_recipe(TINY, [f"run_dir={run}"]), base=TINY.parent)
    document = evaluate_target(str(run))
    recorded = (run / "evaluation" / "after.json").read_text()
    assert document["policy_digest"] == result.summary["policy_digest"]
    for item in document["items"]:
        assert item["greedy"]["text"] in recorded
    before = sorted(p.name for p in run.iterdir())
    evaluate_target(str(run))
    assert sorted(p.name for p in run.iterdir()) == before


def test_a_model_directory_needs_a_recipe(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", "llama", 0)
    with pytest.raises(RequestError, match="a recipe is needed"):
        evaluate_target(str(tmp_path / "model"))
    document = evaluate_target(str(tmp_path / "model"), recipe=TINY, overrides=["evaluation.samples=0"])
    assert document["summary"]["n"] == 4
    assert document["summary"]["mean_at_k"] is None


@pytest.mark.parametrize("target", ["nothing-here", "./no/such/place"])
def test_what_is_neither_a_run_nor_a_model_is_named(target: str) -> None:
    with pytest.raises(RequestError, match="no run or model"):
        evaluate_target(target, recipe=TINY)


def test_a_recipe_without_evaluation_is_refused(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", "llama", 0)
    with pytest.raises(RequestError, match="no evaluation"):
        evaluate_target(str(tmp_path / "model"), recipe=TINY, overrides=["evaluation.prompts=0"])
