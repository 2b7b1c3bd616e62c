from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_directory import P, Run, envelopes, finished_run, policy, resumed_run, rewrite, rows_of

from sibling.batch import Fate, Row
from sibling.canonical import canonical_json, digest, file_digest
from sibling.errors import RecordError
from sibling.record.findings import CODES
from sibling.record.reader import read_log
from sibling.record.samples import read_samples, sample_metadata
from sibling.record.verify import VerifyReport, render, verify_run


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("clean") / "run")


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resumed_run(tmp_path_factory.mktemp("resumed") / "run")


@pytest.fixture
def run(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "run"))


@pytest.fixture
def twice(resumed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(resumed, tmp_path / "run"))


def errors(report: VerifyReport) -> set[str]:
    assert report.ok == (not any(f.severity == "error" for f in report.findings))
    assert {f.code for f in report.findings} <= set(CODES)
    return {f.code for f in report.findings if f.severity == "error"}


def found(directory: Path, head: str | None = None) -> set[str]:
    return errors(verify_run(directory, head))


def edit(directory: Path, type: str, change: Callable[[dict[str, Any]], object], nth: int = 0) -> None:
    """Change the body of the nth event of a type, and fix every hash after it."""
    items = envelopes(directory)
    change([i for i in items if i["type"] == type][nth]["body"])
    rewrite(directory, items)


# ------------------------------------------------------------------------------------------- sound records


def test_a_finished_run_verifies_and_the_facts_are_its_numbers(clean: Path) -> None:
    report = verify_run(clean)
    assert report.findings == []
    assert report.facts["steps"] == 4 and report.facts["segments"] == 1 and report.facts["status"] == "finished"
    # 4 steps of 3 groups of 4: one group dead, one reward failed, 7 trained
    assert report.facts["generated"] == 48 and report.facts["trained"] == 28
    assert report.facts["rejected"] == {"dead_group": 16, "reward_error": 4}
    assert report.facts["advantages_recomputed"] == report.facts["bit_equal"] == 48
    assert report.facts["checkpoints"] == 1 and report.facts["evaluations"] == 2
    assert report.facts["head"] == read_log(clean).head


def test_a_resumed_run_verifies_and_its_replayed_events_are_compared(resumed: Path) -> None:
    report = verify_run(resumed)
    assert report.findings == []
    assert report.facts["segments"] == 2 and report.facts["superseded_events"] == 2
    assert report.facts["events_replayed"] == 2  # rollout and update of step 3
    assert report.facts["generated"] == 48


def test_a_run_going_on_is_a_notice_and_not_a_failure(tmp_path: Path) -> None:
    run = Run(tmp_path / "run").open()
    run.step(1)
    report = verify_run(run.directory)
    run.writer.close()
    assert report.ok and [(f.code, f.severity) for f in report.findings] == [("UNCLOSED", "notice")]


def test_what_a_kill_can_leave_behind_is_a_notice(tmp_path: Path) -> None:
    run = Run(tmp_path / "run").open()
    run.step(1)
    run.writer.close()
    samples = run.directory / "samples"
    shutil.copy(samples / "step-000001.parquet", samples / "step-000002.parquet")
    (samples / ".step-000002.parquet.partial").write_bytes(b"half")
    (run.directory / "checkpoints" / "step-000001").mkdir(parents=True)
    report = verify_run(run.directory)
    assert report.ok and [f.code for f in report.findings].count("UNLISTED") == 3


def test_without_a_log_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no record"):
        verify_run(tmp_path)


# -------------------------------------------------------------------------------------- tampering with the log


def test_an_edited_line_breaks_the_link_of_the_next(run: Path) -> None:
    items = envelopes(run)
    next(i for i in items if i["type"] == "update.applied")["body"]["stats"]["loss"] = 0.5
    rewrite(run, items, relink=False)
    report = verify_run(run)
    assert errors(report) == {"LINK"}
    assert [f.where for f in report.findings] == ["events.jsonl:9"]


def test_a_deleted_line_shows_in_number_and_link(run: Path) -> None:
    items = envelopes(run)
    del items[3]
    rewrite(run, items, relink=False)
    assert {"SEQ", "LINK"} <= found(run)


def test_swapped_lines_show_in_number_and_link(run: Path) -> None:
    items = envelopes(run)
    items[1], items[2] = items[2], items[1]
    rewrite(run, items, relink=False)
    assert found(run) == {"SEQ", "LINK"}


def test_events_in_an_illegal_order_with_fixed_hashes(run: Path) -> None:
    items = envelopes(run)
    place = next(n for n, i in enumerate(items) if i["type"] == "update.applied")
    items[place], items[place - 1] = items[place - 1], items[place]
    rewrite(run, items)
    assert "ORDER" in found(run)


def test_a_forged_append_after_the_close(run: Path) -> None:
    items = envelopes(run)
    rewrite(run, [*items, items[5]])
    assert "ORDER" in found(run)


def test_a_cut_tail_is_noticed_and_refused_where_the_head_was_kept(run: Path) -> None:
    head = read_log(run).head
    log = run / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    report = verify_run(run)
    assert report.ok and [f.code for f in report.findings] == ["UNCLOSED"]
    assert found(run, head) == {"LINK"}


def test_a_torn_line(run: Path) -> None:
    log = run / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-5])
    assert found(run) == {"TORN"}


def test_a_line_not_in_canonical_form(run: Path) -> None:
    log = run / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'":', b'": ', 1)
    log.write_bytes(b"".join(lines))
    assert found(run) == {"CANON", "LINK"}


@pytest.mark.parametrize(
    ("type", "field"),
    [
        ("template.bound", "template_digest"),
        ("rollout.batch", "counts"),
        ("run.opened", "reward_names"),
        ("reward.bound", "rewards"),
        ("checkpoint.saved", "files"),
        ("run.closed", "counts"),
    ],
)
def test_a_missing_body_field_with_fixed_hashes(run: Path, type: str, field: str) -> None:
    edit(run, type, lambda body: body.pop(field))
    report = verify_run(run)
    assert any(f.code == "FIELD" and f"{type}: lacks '{field}'" in f.sentence for f in report.findings)


def test_a_line_of_another_run(run: Path) -> None:
    items = envelopes(run)
    items[3]["run"] = "another"
    rewrite(run, items)
    assert found(run) == {"LINK"}


def test_the_kept_head_catches_a_log_rewritten_with_all_its_hashes(run: Path) -> None:
    head = read_log(run).head
    assert verify_run(run, head).facts["events_after_head"] == 0
    edit(run, "data.loaded", lambda body: body.update(held_out=11))
    assert found(run) == set()  # nothing inside the record can show this
    assert found(run, head) == {"LINK"}


def test_a_head_kept_while_the_run_went_on_is_found(run: Path) -> None:
    log = read_log(run)
    report = verify_run(run, log.lines[4].digest)
    assert report.ok and report.facts["events_after_head"] == len(log.lines) - 5


# ------------------------------------------------------------------------------------------ tampering with files


def test_an_edited_resolved_json(run: Path) -> None:
    resolved = json.loads((run / "resolved.json").read_bytes())
    (run / "resolved.json").write_bytes(canonical_json({**resolved, "seed": 8}))
    assert found(run) == {"ARTIFACT"}


def test_an_edited_resolved_json_whose_file_digest_was_fixed(run: Path) -> None:
    resolved = json.loads((run / "resolved.json").read_bytes())
    resolved["objective"]["advantage"]["ddof"] = 0
    (run / "resolved.json").write_bytes(canonical_json(resolved))
    edit(run, "run.opened", lambda body: body.update(resolved_sha256=file_digest(run / "resolved.json")))
    report = verify_run(run)
    assert errors(report) == {"ARTIFACT"}
    assert any("recipe digest" in f.sentence for f in report.findings)
    assert any("objective.advantage" in f.sentence for f in report.findings)


@pytest.mark.parametrize(
    "name", ["recipe.yaml", "samples/step-000003.parquet", "evaluation/after.json", "model/model.safetensors"]
)
def test_a_changed_or_missing_file(run: Path, name: str) -> None:
    data = bytearray((run / name).read_bytes())
    data[len(data) // 2] ^= 1
    (run / name).write_bytes(data)
    assert found(run) == {"ARTIFACT"}
    (run / name).unlink()
    assert found(run) == {"ARTIFACT"}


def test_swapped_checkpoint_weights(run: Path) -> None:
    (run / "checkpoints" / "step-000004" / "model.safetensors").write_bytes(b"other weights")
    assert found(run) == {"ARTIFACT"}


def test_a_checkpoint_that_should_still_be_there(run: Path) -> None:
    shutil.rmtree(run / "checkpoints" / "step-000004")
    assert found(run) == {"ARTIFACT"}


def test_a_link_in_place_of_a_file_is_not_followed(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    shutil.move(run / "evaluation" / "after.json", target)
    (run / "evaluation" / "after.json").symlink_to(target)
    assert found(run) == {"ARTIFACT"}


@pytest.mark.parametrize("path", ["../elsewhere.json", "/etc/hostname", "evaluation//x", "a\0b", "", "x" * 5000])
def test_paths_that_leave_the_run_are_not_followed(run: Path, path: str) -> None:
    edit(run, "eval.completed", lambda body: body.update(file=path))
    assert found(run) == {"ARTIFACT"}


def test_files_that_no_event_speaks_of(run: Path) -> None:
    (run / "samples" / "step-000009.parquet").write_bytes(b"")
    (run / "checkpoints" / "step-000004" / "extra.bin").write_bytes(b"")
    report = verify_run(run)
    assert errors(report) == {"UNLISTED"} and len(report.findings) == 2


def test_swapped_sample_files(run: Path) -> None:
    one, two = run / "samples" / "step-000001.parquet", run / "samples" / "step-000002.parquet"
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    assert found(run) == {"ARTIFACT"}


def test_swapped_sample_files_whose_digests_were_fixed(run: Path) -> None:
    name = "samples/step-000001.parquet"
    shutil.copy(run / "samples" / "step-000002.parquet", run / name)
    edit(run, "rollout.batch", lambda body: body.update(samples_sha256=file_digest(run / name)))
    assert {"ARTIFACT", "BALANCE"} <= found(run)


# --------------------------------------------------------------------------- completions, rewards, advantages


def forge(directory: Path, change: Callable[[list[dict[str, Any]]], object], name: str = "step-000001") -> None:
    """Change the rows of a sample file and fix every hash, as somebody with full control of the record would."""
    path = directory / "samples" / f"{name}.parquet"
    table = read_samples(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, compression="zstd")
    edit(directory, "rollout.batch", lambda body: body.update(samples_sha256=file_digest(path)))


def test_rewriting_a_sample_file_unchanged_is_accepted(run: Path) -> None:
    forge(run, lambda rows: None)
    assert found(run) == set()


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("advantage", 0.125, "ADV"),
        ("reward", 0.75, "REWARD"),
        ("reward", None, "REWARD"),
        ("reward", float("inf"), "FIELD"),
        ("score", [float("nan"), 0.0], "FIELD"),
        ("score", [0.5, 0.0], "REWARD"),
        ("score", [None, 0.0], "REWARD"),
        ("status", ["error", "right"], "REWARD"),
        ("status", ["right"], "FIELD"),
        ("status", ["wrong", "right"], "REWARD"),
        ("fate", "refilled", "BALANCE"),
        ("fate", "dead_group", "ADV"),
        ("fate", "forgotten", "FIELD"),
        ("trained", False, "BALANCE"),
        ("finish", "never", "FIELD"),
        ("sibling", 1, "BALANCE"),
        ("prompt", 2**31 - 1, "BALANCE"),
        ("prompt", -1, "BALANCE"),
        ("task_id", "another", "BALANCE"),
        ("step", 2, "BALANCE"),
        ("length", 99, "FIELD"),
        ("sampler_logprobs", [], "FIELD"),
    ],
)
def test_one_altered_value_with_every_hash_fixed(run: Path, column: str, value: object, code: str) -> None:
    forge(run, lambda rows: rows[0].update({column: value}))
    assert code in found(run)


def test_inflated_rewards_with_consistent_totals_show_in_the_advantages(run: Path) -> None:
    def inflate(rows: list[dict[str, Any]]) -> None:
        rows[1].update(score=[1.0, rows[1]["score"][1]], reward=1.0 + 0.5 * rows[1]["score"][1])

    forge(run, inflate)
    assert {"ADV", "REWARD"} <= found(run)  # REWARD: the mean of the event


def test_a_removed_completion(run: Path) -> None:
    forge(run, lambda rows: rows.pop(5))
    assert found(run) >= {"BALANCE", "REWARD"}


def test_a_completion_removed_with_every_count_fixed_leaves_a_gap_among_its_siblings(run: Path) -> None:
    forge(run, lambda rows: rows.pop(7))  # the last sibling of the dead group

    def recount(body: dict[str, Any]) -> None:
        body["counts"]["generated"] -= 1
        body["counts"]["rejected"]["dead_group"] -= 1

    edit(run, "rollout.batch", recount)
    report = verify_run(run)
    assert any("siblings are not 0 .. 3" in f.sentence for f in report.findings)


def test_a_fate_that_its_row_does_not_bear_out_with_every_count_fixed(run: Path) -> None:
    """A trained completion is called truncated, though it ended by itself."""
    forge(run, lambda rows: rows[0].update(fate="truncated", trained=False, advantage=0.0))

    def recount(counts: dict[str, Any]) -> None:
        counts["trained"] -= 1
        counts["rejected"]["truncated"] = 1

    edit(run, "rollout.batch", lambda body: recount(body["counts"]))
    edit(run, "run.closed", lambda body: recount(body["counts"]))
    edit(run, "update.applied", lambda body: body["stats"].update(trained=6))
    report = verify_run(run)
    assert [f.code for f in report.findings] == ["ADV"]
    assert "it is not so that it was truncated" in report.findings[0].sentence


def test_weights_in_the_file_that_are_not_those_bound(run: Path) -> None:
    path = run / "samples" / "step-000001.parquet"
    table = read_samples(path)
    note = {**sample_metadata(table), "reward_weights": [1.0, 0.75]}
    pq.write_table(table.replace_schema_metadata({b"sibling": canonical_json(note)}), path)
    edit(run, "rollout.batch", lambda body: body.update(samples_sha256=file_digest(path)))
    assert found(run) == {"REWARD"}


def test_counts_that_do_not_add_up(run: Path) -> None:
    edit(run, "rollout.batch", lambda body: body["counts"].update(generated=13))
    report = verify_run(run)
    assert errors(report) == {"BALANCE"}
    assert any("trained + rejected is 12" in f.sentence for f in report.findings)


@pytest.mark.parametrize("name", ["generated", "trained", "sampled_tokens"])
def test_update_statistics_that_contradict_the_rows(run: Path, name: str) -> None:
    edit(run, "update.applied", lambda body: body["stats"].update({name: 1}))
    assert found(run) == {"BALANCE"}


def test_run_counts_that_are_not_the_sum_of_the_steps(run: Path) -> None:
    edit(run, "run.closed", lambda body: body["counts"].update(trained=29, generated=49))
    assert found(run) == {"BALANCE"}


def test_other_weights_than_were_bound(run: Path) -> None:
    edit(run, "reward.bound", lambda body: body["rewards"][1].update(weight=0.25))
    assert found(run) == {"REWARD"}


def test_another_objective_gives_other_advantages(run: Path) -> None:
    edit(run, "run.opened", lambda body: body["objective"]["advantage"].update(scale="none"))
    assert found(run) == {"ADV", "ARTIFACT"}  # ARTIFACT: resolved.json says otherwise


def test_an_objective_that_says_too_little(run: Path) -> None:
    edit(run, "run.opened", lambda body: body["objective"]["advantage"].pop("eps"))
    assert found(run) == {"FIELD", "ARTIFACT"}


def test_a_false_mean_in_the_event(run: Path) -> None:
    edit(run, "rollout.batch", lambda body: body["rewards"]["right"].update(mean=0.9))
    assert found(run) == {"REWARD"}


def test_a_step_whose_batch_was_refilled_verifies(tmp_path: Path) -> None:
    """Dynamic sampling: the dead group is replaced in round 1 by a live one."""

    def refill(rows: list[Row]) -> list[Row]:
        first = [replace(r, fate=Fate.refilled) if r.fate is Fate.dead_group else r for r in rows]
        return [*first, *(replace(r, round=1) for r in rows_of(9) if r.prompt == 0)]

    run = Run(tmp_path / "run", steps=1).open()
    run.step(1, refill)
    run.finish()
    report = verify_run(run.directory)
    assert report.findings == []
    assert report.facts["rejected"] == {"refilled": 4, "reward_error": 1} and report.facts["trained"] == 11


# ------------------------------------------------------------------------------------------ policy and resume


def test_a_gap_in_the_history_of_the_policy(run: Path) -> None:
    edit(run, "update.applied", lambda body: body.update(policy_digest_after=digest("x")), nth=2)
    report = verify_run(run)
    assert errors(report) == {"POLICY"} and len(report.findings) == 2  # the next rollout, the next update


@pytest.mark.parametrize("type", ["eval.completed", "checkpoint.saved", "model.exported", "rollout.batch"])
def test_an_event_that_names_another_policy(run: Path, type: str) -> None:
    edit(run, type, lambda body: body.update(policy_digest=digest("x")), nth=-1)
    assert found(run) == {"POLICY"}


def test_no_update_means_the_same_policy(run: Path) -> None:
    edit(run, "update.applied", lambda body: body.update(optimizer_updates=0), nth=3)
    assert found(run) == {"POLICY"}


def test_a_replay_that_differs(twice: Path) -> None:
    edit(twice, "update.applied", lambda body: body["stats"].update(loss=9.0), nth=2)  # step 3, superseded
    items = envelopes(twice)
    rewrite(twice, items)
    _fix_previous_segment(twice)
    report = verify_run(twice)
    assert errors(report) == {"REPLAY"} and "stats" in report.findings[0].sentence


def test_a_replay_after_a_reward_was_mended_is_not_compared(twice: Path) -> None:
    edit(twice, "update.applied", lambda body: body["stats"].update(loss=9.0), nth=2)
    _fix_previous_segment(twice)
    assert found(twice) == {"REPLAY"}
    edit(twice, "reward.bound", lambda body: body["rewards"][0].update(code_digest=digest("mended")), nth=1)
    assert found(twice) == set()


def test_a_replay_may_differ_in_wall_clock_values(twice: Path) -> None:
    edit(twice, "update.applied", lambda body: body.update(wall={"seconds_step": 7.0}), nth=2)
    _fix_previous_segment(twice)
    assert found(twice) == set()


def _fix_previous_segment(directory: Path) -> None:
    log = read_log(directory)
    place = next(n for n, e in enumerate(log.events) if e.type == "run.resumed")
    head = log.lines[place - 1].digest
    edit(directory, "run.resumed", lambda body: body["previous_segment"].update(head=head))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body["previous_segment"].update(size=1), "LINK"),
        (lambda body: body["previous_segment"].update(head=digest("x")), "LINK"),
        (lambda body: body["discarded"].update(steps=0), "BALANCE"),
        (lambda body: body.update(checkpoint_digest=digest("x")), "POLICY"),
        (lambda body: body.update(from_step=1), "ORDER"),
    ],
)
def test_a_resume_that_misstates_what_came_before(twice: Path, change: Callable[[Any], object], code: str) -> None:
    edit(twice, "run.resumed", change)
    assert code in found(twice)


# ------------------------------------------------------------------------------------------------ hostile bytes


@pytest.fixture(scope="module")
def scratch(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(clean, tmp_path_factory.mktemp("hostile") / "run"))


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_hostile_every_change_to_the_log_is_seen_and_none_crashes(
    clean: Path, scratch: Path, data: st.DataObject
) -> None:
    original = (clean / "events.jsonl").read_bytes()
    head = read_log(clean).head
    place = data.draw(st.integers(0, len(original) - 1))
    if data.draw(st.booleans()):
        bit = 1 << data.draw(st.integers(0, 7))
        changed = original[:place] + bytes([original[place] ^ bit]) + original[place + 1 :]
    else:
        changed = original[:place]
    (scratch / "events.jsonl").write_bytes(changed)
    alone, with_head = verify_run(scratch), verify_run(scratch, head)
    render(alone)
    assert not with_head.ok
    last = original.rstrip(b"\n").rfind(b"\n") + 1
    if place < last and len(changed) == len(original):  # inside a line that has a successor
        assert not alone.ok
    else:
        assert not alone.ok or alone.findings or alone.facts["head"] != head


@given(st.integers(0, 2**16), st.binary(min_size=1, max_size=4))
@settings(deadline=None, max_examples=60)
def test_hostile_sample_files_with_fixed_digests_never_crash(
    clean: Path, tmp_path_factory: pytest.TempPathFactory, place: int, noise: bytes
) -> None:
    run = Path(shutil.copytree(clean, tmp_path_factory.mktemp("parquet") / "run"))
    path = run / "samples" / "step-000001.parquet"
    data = path.read_bytes()
    place %= len(data)
    path.write_bytes(data[:place] + noise + data[place + len(noise) :])
    edit(run, "rollout.batch", lambda body: body.update(samples_sha256=file_digest(path)))
    render(verify_run(run))


_leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_json = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@given(st.data(), _json)
@settings(deadline=None, max_examples=150)
def test_hostile_any_json_in_place_of_any_value_never_crashes(
    resumed: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, value: object
) -> None:
    run = tmp_path_factory.mktemp("values")
    items = envelopes(resumed)
    item = data.draw(st.sampled_from(items))
    key = data.draw(st.sampled_from(sorted({*item, *item["body"]})))
    (item["body"] if key in item["body"] else item)[key] = value
    (run / "events.jsonl").write_bytes(b"\n".join(json.dumps(i).encode() for i in items) + b"\n")
    render(verify_run(run))


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"1" * 10_000,
        b'{"v":1e999}',
        b"\xff\xfe",
        b'{"run":"\\ud800"}',
        b"null",
        b"",
    ],
)
def test_hostile_lines_become_findings(run: Path, line: bytes) -> None:
    log = run / "events.jsonl"
    log.write_bytes(line + b"\n" + log.read_bytes())
    report = verify_run(run)
    assert errors(report) & {"CANON", "FIELD"}
    assert all(c.isprintable() or c == "\n" for c in render(report))


def test_many_findings_of_one_kind_are_counted_and_not_all_kept(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"nonsense\n" * 1000)
    report = verify_run(tmp_path)
    assert len(report.findings) < 200 and any("more of this kind" in f.sentence for f in report.findings)


def test_a_fifo_in_place_of_the_log_does_not_hang(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "events.jsonl")
    with pytest.raises(RecordError, match="not a regular file"):
        verify_run(tmp_path)


# ------------------------------------------------------------------------------------------------------- output


def test_render_fits_80_columns_and_says_what_was_checked(run: Path) -> None:
    text = render(verify_run(run))
    assert text.startswith("The record is consistent.")
    assert "48 generated = 28 trained + rejected (16 dead_group, 4 reward_error)" in " ".join(text.split())
    assert read_log(run).head in text
    assert max(map(len, text.splitlines())) <= 80


def test_render_of_findings(run: Path) -> None:
    (run / "recipe.yaml").write_bytes(b"other")
    text = render(verify_run(run))
    assert text.startswith("The record is NOT consistent.") and "ARTIFACT  recipe.yaml:" in text


def test_verification_loads_no_torch(run: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sibling.record.verify import verify_run;"
        "assert verify_run(Path(sys.argv[1])).ok; assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True)


def test_the_policy_helper_and_the_groups_of_the_fixture_are_what_the_tests_assume() -> None:
    rows = rows_of(1)
    assert len(rows) == 4 * P and policy(1) != policy(2)
    assert np.mean([r.fate is Fate.trained for r in rows]) == 7 / 12
