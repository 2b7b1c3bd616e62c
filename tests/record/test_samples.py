from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_directory import NAMES, WEIGHTS, prompts_of, rows_of

from sibling.batch import Fate, Row, Status, TokenEvidence, Verdict
from sibling.canonical import file_digest
from sibling.errors import RecordError
from sibling.record.samples import SCHEMA, counts, read_samples, sample_metadata, sample_rows, write_samples

COLUMNS = [
    *("step", "prompt", "round", "sibling", "task_id", "prompt_text", "prompt_ids", "reference", "text", "token_ids"),
    *("sampler_logprobs", "finish", "length", "status", "score", "reason", "code", "span"),
    *("reward", "advantage", "fate", "trained"),
    *("advantages", "kl", "values", "step_ends", "step_scores"),
]


def write(path: Path, rows: list[Row]) -> tuple[str, dict[str, Any]]:
    return write_samples(path, 3, "run-x", reward_names=NAMES, reward_weights=WEIGHTS, prompts=prompts_of(3), rows=rows)


def test_every_column_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "samples" / "step-000003.parquet"
    rows = rows_of(3)
    sha, counted = write(path, rows)
    assert sha == file_digest(path)
    assert counted == {"generated": 12, "trained": 7, "rejected": {"dead_group": 4, "reward_error": 1}}
    table = read_samples(path)
    assert table.schema.names == SCHEMA.names == COLUMNS
    assert sample_metadata(table) == {
        "schema": 1, "run": "run-x", "step": 3, "reward_names": list(NAMES), "reward_weights": list(WEIGHTS),
    }  # fmt: skip
    prompts = prompts_of(3)
    for got, row in zip(sample_rows(path), rows, strict=True):
        prompt, completion = prompts[row.prompt], row.completion
        assert (got["step"], got["prompt"], got["round"], got["sibling"]) == (3, row.prompt, 0, row.sibling)
        assert (got["task_id"], got["prompt_text"], got["reference"]) == (prompt.id, prompt.text, prompt.reference)
        assert got["prompt_ids"] == prompt.token_ids.tolist() and got["token_ids"] == completion.token_ids.tolist()
        assert np.array_equal(np.float32(got["sampler_logprobs"]), completion.logprobs)
        assert (got["text"], got["finish"], got["length"]) == (completion.text, "eos", len(completion.token_ids))
        assert got["status"] == [v.status for v in row.verdicts]
        assert got["score"] == [v.score for v in row.verdicts] and got["reason"] == [v.reason for v in row.verdicts]
        assert got["code"] == [v.code for v in row.verdicts]
        assert got["span"] == [None if v.span is None else list(v.span) for v in row.verdicts]
        assert (got["reward"], got["advantage"]) == (row.reward, row.advantage)
        assert (got["fate"], got["trained"]) == (row.fate, row.fate is Fate.trained)


def test_equal_rows_give_equal_bytes_in_whatever_order_they_come(tmp_path: Path) -> None:
    rows = rows_of(3)
    slower = [replace(r, verdicts=tuple(replace(v, seconds=9.0) for v in r.verdicts)) for r in rows]
    digests = {write(tmp_path / f"{n}.parquet", r)[0] for n, r in enumerate((rows, rows[::-1], slower))}
    assert len(digests) == 1  # the time a reward took is not in the file
    other = [replace(rows[0], advantage=rows[0].advantage + 1e-16), *rows[1:]]
    assert write(tmp_path / "other.parquet", other)[0] not in digests


TOKEN_COLUMNS = ("advantages", "kl", "values", "step_ends", "step_scores")


def with_evidence(row: Row, **columns: Any) -> Row:
    return replace(row, evidence=TokenEvidence(**columns))


def test_token_columns_are_null_where_the_objective_looks_at_whole_completions(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows_of(3))
    for row in sample_rows(tmp_path / "a.parquet"):
        assert [row[name] for name in TOKEN_COLUMNS] == [None] * 5


def test_token_columns_come_back_exactly(tmp_path: Path) -> None:
    rows = rows_of(3)
    random = np.random.default_rng(0)
    length = len(rows[0].completion.token_ids)
    advantage = random.normal(size=length)
    kl, values = random.normal(size=(2, length)).astype(np.float32)
    ends, scores = np.array([0, length - 1]), np.array([0.1, 1 / 3])
    rows[0] = with_evidence(rows[0], advantage=advantage, kl=kl, values=values, step_ends=ends, step_scores=scores)
    rows[1] = with_evidence(rows[1], kl=np.zeros(0, np.float32), step_ends=np.zeros(0, int), step_scores=np.zeros(0))
    write(tmp_path / "a.parquet", rows)
    first, second, third, *_ = sample_rows(tmp_path / "a.parquet")
    assert first["advantages"] == advantage.tolist() and first["step_scores"] == scores.tolist()
    assert first["step_ends"] == ends.tolist()
    assert np.array_equal(np.float32(first["kl"]), kl) and np.array_equal(np.float32(first["values"]), values)
    assert [second[name] for name in TOKEN_COLUMNS] == [None, [], None, [], []]  # none and null are told apart
    assert [third[name] for name in TOKEN_COLUMNS] == [None] * 5


@pytest.mark.parametrize("column", ["advantage", "kl", "values", "step_scores"])
def test_a_change_in_the_last_bit_of_a_token_column_changes_the_bytes(tmp_path: Path, column: str) -> None:
    kind = np.float64 if column in ("advantage", "step_scores") else np.float32
    own = np.array([0.25, -0.5], kind)
    other = np.array([0.25, np.nextafter(own[1], kind(0))], kind)
    rows = rows_of(3)
    made = [
        write(tmp_path / f"{n}.parquet", [with_evidence(rows[0], **{column: c}), *rows[1:]])[0]
        for n, c in enumerate((own, own.copy(), other))
    ]
    assert made[0] == made[1] != made[2]
    assert write(tmp_path / "without.parquet", rows)[0] not in made


def test_counts_balance() -> None:
    counted = counts(rows_of(1))
    assert counted["generated"] == counted["trained"] + sum(counted["rejected"].values())
    assert counts([]) == {"generated": 0, "trained": 0, "rejected": {}}


def test_a_step_without_completions(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [])
    assert sample_rows(tmp_path / "a.parquet") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sibling": 1}, "one place"),
        ({"prompt": 3}, "no prompt of the step"),
        ({"prompt": -1}, "no prompt of the step"),
        ({"verdicts": (Verdict(Status.right, 1.0),)}, "lacks a verdict"),
        ({"fate": Fate.refilled}, r"not trained \(refilled\) has an advantage"),
        ({"verdicts": (Verdict(Status.right, 1.0, "\ud800"), Verdict(Status.right, 1.0))}, "cannot be recorded"),
    ],
)
def test_rows_that_cannot_be_recorded_as_they_are(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    rows = rows_of(3)
    with pytest.raises(RecordError, match=words):
        write(tmp_path / "a.parquet", [replace(rows[0], **change), *rows[1:]])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"x" * 5000])
def test_a_damaged_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    with pytest.raises(RecordError, match="cannot be read"):
        read_samples(path)


def test_a_missing_file_and_one_with_other_columns(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read_samples(tmp_path / "none.parquet")
    pq.write_table(pa.table({"step": [1]}), tmp_path / "a.parquet")
    with pytest.raises(RecordError, match="other columns"):
        read_samples(tmp_path / "a.parquet")


def test_metadata_that_is_no_json(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([], schema=SCHEMA.with_metadata({b"sibling": b"{"}))
    assert sample_metadata(table) == sample_metadata(table.replace_schema_metadata(None)) == {}
