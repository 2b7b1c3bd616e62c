from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from run_directory import Run, finished_run, resumed_run

from sibling.errors import RecordError
from sibling.record.events import GENESIS
from sibling.record.reader import read_log


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resumed_run(tmp_path_factory.mktemp("resumed") / "run")


def test_accessors_of_a_finished_run(finished: Path) -> None:
    log = read_log(finished)
    opened, closed, checkpoint = log.opened(), log.closed(), log.last_checkpoint()
    assert opened is not None and opened.body["name"] == "small"
    assert closed is not None and closed.body["status"] == "finished"
    assert [e.step for e in log.steps()] == [e.step for e in log.rollouts()] == [1, 2, 3, 4]
    assert log.latest_step() == 4
    assert {label: e.step for label, e in log.evaluations().items()} == {"before": 0, "after": 4}
    assert [e.step for e in log.checkpoints()] == [4]  # the one of step 2 was deleted
    assert checkpoint is not None and checkpoint.step == 4


def test_the_effective_view_leaves_out_what_a_resume_threw_away(resumed: Path) -> None:
    log = read_log(resumed)
    gone = [(e.type, e.step, e.seg) for e in log.superseded()]
    assert gone == [("rollout.batch", 3, 0), ("update.applied", 3, 0)]
    assert [(e.step, e.seg) for e in log.steps()] == [(1, 0), (2, 0), (3, 1), (4, 1)]
    assert len(log.effective()) + len(gone) == len(log.events)
    assert [e.type for e in log.effective()].count("run.resumed") == 1


def test_a_resume_supersedes_checkpoints_evaluations_and_incidents_of_later_steps(tmp_path: Path) -> None:
    run = Run(tmp_path / "run").open()
    for step in (1, 2, 3):
        run.step(step)
        run.checkpoint(step)
        run.evaluate(f"step-{step:06d}", step)
        note = {"code": "c", "severity": "notice", "step": step, "sentence": "s", "advice": "a"}
        run.writer.write("diagnosis.noted", note)
    run.writer.write("run.interrupted", {"step": 3, "cause": "SIGTERM", "message": None})
    assert read_log(run.directory).discarded(1) == {"events": 10, "steps": 2}
    run.resume(1)
    log = read_log(run.directory)
    assert {e.step for e in log.effective() if e.type != "run.interrupted"} == {None, 0, 1}
    assert [e.type for e in log.effective()].count("run.interrupted") == 1  # the run's own story stays
    assert [e.step for e in log.checkpoints()] == [1] and list(log.evaluations()) == ["before", "step-000001"]
    assert log.latest_step() == 1
    run.step(2)
    assert [(e.step, e.seg) for e in read_log(run.directory).steps()] == [(1, 0), (2, 1)]
    run.writer.close()


def test_a_failed_run_that_was_resumed_is_not_closed(tmp_path: Path) -> None:
    run = Run(tmp_path / "run").open()
    zero = {"generated": 0, "trained": 0, "rejected": {}}
    run.writer.write("run.closed", {"steps": 0, "status": "failed", "counts": zero, "summary": {}, "wall": {}})
    assert read_log(run.directory).closed() is not None
    run.resume(0)
    assert read_log(run.directory).closed() is None
    run.writer.close()


def test_reading_beside_a_live_writer_follows_it(tmp_path: Path) -> None:
    run = Run(tmp_path / "run").open()
    log = read_log(run.directory)
    assert log.follow() == log
    for step in (1, 2):
        run.step(step)
        log = log.follow()
        assert log.latest_step() == step
        assert log == read_log(run.directory)
    run.writer.close()


def test_follow_takes_a_line_only_when_it_is_complete(tmp_path: Path, finished: Path) -> None:
    whole = (finished / "events.jsonl").read_bytes()
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"")
    log = read_log(tmp_path)
    for end in range(0, len(whole) + 1, 97):
        path.write_bytes(whole[:end])
        log = log.follow()
        assert len(log.lines) == whole[:end].count(b"\n")
        assert log.size + log.torn_bytes == end
        assert log.faults() == []
    path.write_bytes(whole[:50])
    assert log.follow().torn_bytes == 50  # the file became shorter: read afresh


def test_an_empty_log(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"")
    log = read_log(tmp_path)
    assert log.head == GENESIS and log.latest_step() == 0
    assert log.opened() is log.closed() is log.last_checkpoint() is None


def test_damaged_lines_are_faults_with_their_number_and_the_rest_is_read(finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "events.jsonl", tmp_path)
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)
    lines[2] = b"garbage\n"
    (tmp_path / "events.jsonl").write_bytes(b"".join(lines))
    log = read_log(tmp_path)
    assert [(line.number, code) for line, code, _ in log.faults()] == [(3, "CANON"), (4, "LINK")]
    assert len(log.events) == len(lines) - 1
    with pytest.raises(RecordError, match=r"events\.jsonl:3"):
        log.require_sound()


def test_no_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"holds no record.*events\.jsonl"):
        read_log(tmp_path / "none")


def test_a_file_too_large_to_be_a_log_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "events.jsonl").open("wb") as f:
        f.truncate((2 << 30) + 1)  # sparse
    with pytest.raises(RecordError, match="cannot be a record"):
        read_log(tmp_path)
