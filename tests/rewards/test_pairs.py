"""Labelled pairs: read, graded in order, counted."""

import json
from pathlib import Path

import pytest

from sibling.batch import Status, Verdict
from sibling.config import parse_reward
from sibling.errors import RequestError
from sibling.rewards.grade import Grader
from sibling.rewards.pairs import Graded, grade_pairs, read_pairs, totals

ROWS = [
    {"id": "same", "reference": "42", "completion": "So 42.", "want": "accept"},
    {"id": "other", "reference": "42", "completion": "So 41.", "want": "refuse"},
    {"id": "missed", "reference": "42", "completion": "forty-two", "want": "accept"},
    {"id": "fooled", "reference": "42", "completion": "Not 42", "want": "refuse"},
    {"id": "argued", "reference": 42, "completion": "It is 42 or 42", "want": "refuse", "contested": True},
    {"completion": "7", "reference": "7"},
    {"id": "bad", "reference": "six", "completion": "6", "want": "accept"},
]


def written(folder: Path, rows) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return path


def grader(name="final_number") -> Grader:
    return Grader((parse_reward(name),), base=Path.cwd(), max_tokens=1)


def test_pairs_are_graded_in_order_and_mistakes_named(tmp_path):
    graded = list(grade_pairs(grader(), read_pairs(written(tmp_path, ROWS))))
    assert [g.line()["verdict"] for g in graded] == ["right", "wrong", "wrong", "right", "right", "right", "error"]
    assert [g.mistake for g in graded] == [
        *(None, None, "false_refusal", "false_accept", "false_accept", None, "false_refusal")
    ]
    assert [g.pair.id for g in graded] == ["same", "other", "missed", "fooled", "argued", "6", "bad"]
    assert "want" not in graded[5].line()
    found = totals(graded)
    assert (found["pairs"], found["labelled"]) == (7, 5)
    assert (found["right"], found["wrong"], found["abstain"], found["error"]) == (4, 2, 0, 1)
    assert found["false_accepts"] == ["fooled"]
    assert found["false_refusals"] == ["missed", "bad"]  # a verdict without a score accepts nothing
    assert found["contested_otherwise"] == ["argued"]


def test_lines_hold_what_a_program_needs(tmp_path):
    (graded,) = grade_pairs(grader(), read_pairs(written(tmp_path, [ROWS[1]])))
    line = graded.line()
    assert list(line)[:7] == ["id", "verdict", "score", "reason", "code", "span", "seconds"]
    assert (line["score"], line["code"], line["mistake"]) == (0.0, "other_value", None)
    assert line["seconds"] > 0


def test_more_pairs_than_are_handed_over_at_once(tmp_path):
    rows = [{"id": str(i), "reference": str(i), "completion": f"is {i}"} for i in range(150)]
    graded = list(grade_pairs(grader(), read_pairs(written(tmp_path, rows))))
    assert [g.pair.id for g in graded] == [str(i) for i in range(150)]
    assert all(g.verdict.status is Status.right for g in graded)
    assert "labelled" not in totals(graded)


def test_the_columns_of_a_row_reach_the_verifier(tmp_path):
    (pair,) = read_pairs(written(tmp_path, [{"completion": "{}", "schema": {"type": "object"}, "prompt": "Why?"}]))
    assert pair.task.columns == {"schema": {"type": "object"}, "prompt": "Why?"}
    assert pair.task.messages[0]["content"] == "Why?"
    assert pair.task.reference is None


def test_quantiles_of_times(tmp_path):
    (pair,) = read_pairs(written(tmp_path, [ROWS[5]]))
    graded = [Graded(pair, Verdict(Status.right, 1.0, seconds=float(i))) for i in range(1, 101)]
    found = totals(graded)["seconds"]
    assert (found["median"], found["p99"], found["total"]) == (51.0, 100.0, 5050.0)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: a JSON list, not an object"),
        ({"reference": "1"}, "line 2: no text under `completion`"),
        ({"completion": "1", "want": "yes"}, "line 2: `want` is 'yes'"),
        ("[" * 100_000, "line 2: not JSON"),
    ],
)
def test_rows_that_are_no_pairs_are_named(tmp_path, row, said):
    with pytest.raises(RequestError, match=r"1 rows of .* are not pairs") as caught:
        read_pairs(written(tmp_path, [ROWS[0], row]))
    assert said in str(caught.value)


def test_files_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(RequestError, match="does not exist"):
        read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(RequestError, match="holds no pairs"):
        read_pairs(written(tmp_path, [""]))
