"""JSON lines, Parquet and directories of `datasets`: what is read, and what is refused with its line."""

import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sibling.config import DatasetTask, JsonLinesTask, ParquetTask
from sibling.errors import TaskError
from sibling.tasks.files import open_file_source

ROWS = [{"question": f"What is {n} + 1?", "answer": str(n + 1), "level": n} for n in range(40)]
MAPPED = {"prompt": "question", "reference": "answer"}


def write_lines(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")


def jsonl(folder, text, **options):
    (folder / "data.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_file_source(JsonLinesTask(path="data.jsonl", **options), base=folder)


def test_json_lines_with_mapped_columns(tmp_path):
    write_lines(tmp_path / "data.jsonl", ROWS)
    source = open_file_source(JsonLinesTask(path="data.jsonl", **MAPPED), base=tmp_path)
    facts = source.describe()
    assert facts["train"] + facts["held_out"] == 40
    assert facts["held_out"] == len(source.held_out(100)) > 0
    task = source.train(0, 0, 0, 4)
    assert task == source.train(0, 0, 0, 4)
    line = int(source.location(task.id).removeprefix("data.jsonl line "))
    assert ROWS[line - 1]["question"] == task.messages[0]["content"]
    assert ROWS[line - 1]["answer"] == task.reference
    assert task.columns["level"] == line - 1
    assert source.held_out(2) == source.held_out(100)[:2]
    held_out = source.held_out(1)[0]
    assert source.location(held_out.id).startswith("data.jsonl line ")
    assert source.location("unknown") == "prompt unknown"
    json.dumps(facts)


def test_an_epoch_of_steps_shows_every_train_prompt(tmp_path):
    write_lines(tmp_path / "data.jsonl", ROWS)
    source = open_file_source(JsonLinesTask(path="data.jsonl", **MAPPED), base=tmp_path)
    size = source.describe()["train"]
    shown = {source.train(5, n // 4, n % 4, 4).id for n in range(size)}
    assert len(shown) == size
    assert shown.isdisjoint(t.id for t in source.held_out(100))


def test_all_formats_give_the_same_tasks(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    write_lines(tmp_path / "data.jsonl", ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "data.parquet")
    whole = datasets.Dataset.from_list(ROWS)
    whole.save_to_disk(tmp_path / "single", num_shards=3)
    datasets.DatasetDict({"train": whole, "test": whole.select([0])}).save_to_disk(tmp_path / "several")
    sources = [
        open_file_source(config, base=tmp_path)
        for config in (
            JsonLinesTask(path="data.jsonl", **MAPPED),
            ParquetTask(path="data.parquet", **MAPPED),
            DatasetTask(path="single", **MAPPED),
            DatasetTask(path="several", **MAPPED),
        )
    ]
    assert len({tuple(s.train(1, 2, i, 8) == sources[0].train(1, 2, i, 8) for i in range(8)) for s in sources}) == 1
    assert all(s.held_out(9) == sources[0].held_out(9) for s in sources)
    assert sources[1].location(sources[1].train(0, 0, 0, 1).id).startswith("data.parquet row ")
    assert len({s.digest for s in sources}) == 4


def test_dates_in_parquet_reach_rewards_as_text(tmp_path):
    rows = [{"prompt": f"{n}?", "reference": str(n), "day": datetime.date(2026, 1, 2)} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data.parquet")
    source = open_file_source(ParquetTask(path="data.parquet"), base=tmp_path)
    assert source.train(0, 0, 0, 1).columns["day"] == "2026-01-02"


def test_held_out_file(tmp_path):
    write_lines(tmp_path / "train.jsonl", ROWS[:10])
    write_lines(tmp_path / "test.jsonl", [*ROWS[10:15], ROWS[10]])
    config = JsonLinesTask(path="train.jsonl", held_out="test.jsonl", **MAPPED)
    source = open_file_source(config, base=tmp_path)
    assert {t.messages[0]["content"] for t in source.held_out(9)} == {r["question"] for r in ROWS[10:15]}
    assert source.describe()["train"] == 10
    assert source.describe()["problems"] == ["test.jsonl line 6 repeats test.jsonl line 1; used once"]
    assert set(source.describe()["files"]) == {"train.jsonl", "test.jsonl"}
    write_lines(tmp_path / "test.jsonl", ROWS[9:15])
    with pytest.raises(TaskError, match=r"test.jsonl line 1: this held-out prompt is also at train.jsonl line 10"):
        open_file_source(config, base=tmp_path)


def test_every_problem_is_counted_and_five_are_named(tmp_path):
    text = '{"prompt": "a", "reference": "1"}\n\n{"prompt": \n[1]\n{"prompt": "", "reference": "1"}\n' + "x\n" * 4
    with pytest.raises(TaskError) as caught:
        jsonl(tmp_path, text)
    message = str(caught.value)
    assert "7 problems" in message and "(and 2 more)" in message
    places = [message.index(f"data.jsonl line {n}: {why}") for n, why in [
        (3, "not JSON (Expecting value"), (4, "a JSON list, not an object"), (5, "the prompt is empty"),
        (6, "not JSON"), (7, "not JSON"),
    ]]  # fmt: skip
    assert places == sorted(places)
    assert "line 8" not in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ('{"prompt": "a"}\n', "line 1: no column 'reference' \\(columns: prompt\\)"),
        ('{"prompt": " ", "reference": "1"}\n', "line 1: the prompt is empty"),
        (b'{"prompt": "\xff", "reference": "1"}\n', "line 1: not JSON"),
        ('{"prompt": "a", "reference": "1"}\n', "1 held-out prompts"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, reason):
    with pytest.raises(TaskError, match=reason):
        jsonl(tmp_path, text)


def test_duplicate_ids_are_refused_with_both_lines(tmp_path):
    text = '{"prompt": "a", "reference": "1", "k": 1}\n{"prompt": "b", "reference": "1", "k": 1}\n'
    with pytest.raises(TaskError, match=r"line 2: the id '1' is already used by data.jsonl line 1"):
        jsonl(tmp_path, text, id="k")


def test_byte_order_mark_and_missing_references_are_fine(tmp_path):
    lines = [json.dumps({"prompt": f"question {n}"}) for n in range(10)]
    source = jsonl(tmp_path, b"\xef\xbb\xbf" + "\n".join(lines).encode(), reference=None)
    assert source.train(0, 0, 0, 1).reference is None


def test_missing_and_unreadable_files(tmp_path, monkeypatch):
    with pytest.raises(TaskError, match="does not exist"):
        open_file_source(JsonLinesTask(path="none.jsonl"), base=tmp_path)
    (tmp_path / "data.parquet").write_text("not parquet")
    with pytest.raises(TaskError, match="cannot be read as parquet"):
        open_file_source(ParquetTask(path="data.parquet"), base=tmp_path)
    with pytest.raises(TaskError, match="cannot be read as jsonl"):
        open_file_source(JsonLinesTask(path="."), base=tmp_path)
    write_lines(tmp_path / "data.jsonl", ROWS)
    monkeypatch.chdir(tmp_path)  # not below the recipe's folder: the working folder serves
    assert open_file_source(JsonLinesTask(path="data.jsonl", **MAPPED), base=tmp_path / "recipes").held_out(1)


def test_data_set_directories_that_are_none(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(TaskError, match="splits: none"):
        open_file_source(DatasetTask(path="."), base=tmp_path)
    (tmp_path / "train" / "state.json").write_text("{}")
    with pytest.raises(TaskError, match=r"no data set split 'test'.*splits: train"):
        open_file_source(DatasetTask(path=".", split="test"), base=tmp_path)
    with pytest.raises(TaskError, match="lists no data files"):
        open_file_source(DatasetTask(path="."), base=tmp_path)


def test_digest_follows_bytes_and_options(tmp_path):
    write_lines(tmp_path / "data.jsonl", ROWS)
    first = open_file_source(JsonLinesTask(path="data.jsonl", **MAPPED), base=tmp_path).digest
    shared = open_file_source(JsonLinesTask(path="data.jsonl", held_out_share=0.3, **MAPPED), base=tmp_path).digest
    write_lines(tmp_path / "data.jsonl", ROWS[1:])
    assert len({first, shared, open_file_source(JsonLinesTask(path="data.jsonl", **MAPPED), base=tmp_path).digest}) == 3
