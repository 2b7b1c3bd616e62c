"""Prompts that a reward cannot grade, or only weakly, are named with their rows before a run."""

import json
from pathlib import Path

import pytest
from small_runs import small_recipe

from sibling.errors import TaskError
from sibling.pipeline.binding import first_findings
from sibling.pipeline.parts import build


def parts_of(folder: Path, rows, reward, **changes):
    text = "\n".join(json.dumps({"prompt": f"Say {i}", **row}) for i, row in enumerate(rows))
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
    task = {"type": "jsonl", "path": "rows.jsonl", "held_out_share": 0.3}
    recipe = small_recipe(folder, task=task, rewards=[reward], evaluation={"prompts": 50, "samples": 1}, **changes)
    return build(recipe, base=folder)


ROWS = [{"reference": str(i)} for i in range(8)]


def test_unparsable_references_are_named_with_their_rows(tmp_path):
    rows = [*ROWS, {"reference": "\\frac{1}{"}, *ROWS[:3], {"reference": "{[("}]
    parts = parts_of(tmp_path, [{**r, "prompt": f"{i}"} for i, r in enumerate(rows)], {"type": "math"})
    with pytest.raises(TaskError, match="2 prompts cannot be graded by the reward math") as caught:
        first_findings(parts)
    assert "rows.jsonl line 9" in str(caught.value) and "rows.jsonl line 13" in str(caught.value)


def test_under_warn_they_are_a_finding(tmp_path):
    rows = [*ROWS, {"reference": "six"}]
    policy = {"refused_references": "warn"}
    found = first_findings(parts_of(tmp_path, rows, {"type": "final_number"}, reward_policy=policy))
    (finding,) = [f for f in found if f.code == "ungradable"]
    assert finding.severity == "warning"
    assert "rows.jsonl line 9: the reference 'six' is not a number" in finding.sentence


def test_columns_that_are_missing_are_named(tmp_path):
    with pytest.raises(TaskError, match=f"{len(ROWS)} prompts cannot be graded by the reward code") as caught:
        first_findings(parts_of(tmp_path, ROWS, {"type": "code", "sandbox": "limits"}))
    assert "and 5 more" in str(caught.value)


def test_what_can_be_graded_only_weakly_is_a_warning(tmp_path):
    rows = [
        {"reference": f"select {i} from t", "databases": ["create table t (a); insert into t values (1)"]}
        for i in range(8)
    ]
    found = first_findings(parts_of(tmp_path, rows, {"type": "sql"}))
    (finding,) = [f for f in found if f.code == "weakly_graded"]
    assert "8 prompts can be graded only weakly by the reward sql" in finding.sentence
