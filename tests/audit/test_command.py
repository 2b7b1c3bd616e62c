import json
from pathlib import Path

import pytest

from sibling.audit.command import audit_command, recipe_tasks
from sibling.config import load_recipe
from sibling.errors import RequestError

HERE = Path(__file__).parent
RECIPES = HERE.parent.parent / "recipes"
SUBJECT = f"{HERE / 'subjects.py'}:any_box"


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": f"{n} + 1?", "reference": str(n + 1)}) + "\n" for n in range(20, 60)),
        encoding="utf-8",
    )
    return path


def test_text_files_and_exit_code(rows, tmp_path, capsys):
    out = {"html": tmp_path / "a.html", "markdown": tmp_path / "a.md", "write_baseline": tmp_path / "b.json"}
    assert audit_command(SUBJECT, tasks=rows, budget=150, **out) == 1
    assert "any_box: fail" in capsys.readouterr().out
    assert all(path.stat().st_size > 100 for path in out.values())
    # What is in the baseline does not fail.
    assert audit_command(SUBJECT, tasks=rows, budget=150, baseline=out["write_baseline"]) == 0
    assert "in the baseline" in capsys.readouterr().out


def test_json(rows, capsys):
    audit_command(SUBJECT, tasks=rows, budget=60, as_json=True, probes=("corruption", "degenerate"))
    body = json.loads(capsys.readouterr().out)
    assert body["document"] == "sibling-audit/1"
    assert {p["group"] for p in body["probes"]} == {"corruption", "degenerate"}
    assert body["checks"] == []


def test_a_type_with_options(capsys):
    audit_command("final_number", options=["tolerance=0.1"], budget=40, probes=("presentation",))
    assert "final_number" in capsys.readouterr().out


@pytest.mark.slow
def test_every_reward_of_a_recipe(tmp_path, capsys):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "steps: 1\ntask: {type: arithmetic}\nrewards: [{type: final_number}, {type: format_tags, weight: 0.1}]\n",
        encoding="utf-8",
    )
    page = tmp_path / "a.html"
    assert audit_command(str(recipe), budget=60, html=page, as_json=True) == 1
    bodies = json.loads(capsys.readouterr().out)
    assert [b["name"] for b in bodies] == ["final_number", "format_tags"]
    assert {p.name for p in tmp_path.glob("*.html")} == {"a-final_number.html", "a-format_tags.html"}


def test_tasks_of_a_recipe_are_its_training_prompts_each_once():
    recipe = load_recipe(RECIPES / "json-lines.yaml")
    tasks = recipe_tasks(recipe.task, RECIPES, recipe.seed)
    assert 40 <= len(tasks) <= 60
    assert len({t.digest for t in tasks}) == len(tasks)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"template": "no place"}, "template"),
        ({"budget": 0}, "positive"),
        ({"seconds": -1.0}, "positive"),
        ({"probes": ("nonsense",)}, "no such probe"),
        ({"suppress": ("x",)}, "suppression"),
        ({"tasks": Path("absent.jsonl")}, "cannot be read"),
        ({"baseline": Path("absent.json")}, "cannot be read"),
    ],
)
def test_wrong_requests_are_refused_before_anything_runs(options, word):
    with pytest.raises(RequestError, match=word):
        audit_command(SUBJECT, **options)


def test_unknown_rewards_are_refused():
    with pytest.raises(RequestError):
        audit_command("no_such_verifier")
    with pytest.raises(RequestError, match="does not exist"):
        audit_command("absent.yaml")
    with pytest.raises(RequestError, match="does not exist"):
        audit_command("absent.py:f")
