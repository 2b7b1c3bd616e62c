import json
from pathlib import Path

import pytest
from recorded import Recorded, make_run

from sibling.errors import RecordError, RequestError
from sibling.record.reader import read_log
from sibling.record.writer import RecordWriter
from sibling.report.gather import find_run, gather


def test_a_run_is_read_whole(tmp_path: Path) -> None:
    view = gather(make_run(tmp_path / "run"))
    log = read_log(tmp_path / "run")
    assert (view.name, view.planned, view.done, view.status) == ("run", 12, 12, "finished")
    assert view.head == log.head
    assert view.events == len(log.lines)
    assert len(view.series["reward_mean"]) == 12
    assert view.series["reward:final_number"][0][0] == 1
    assert view.counts["generated"] == 12 * 24
    assert view.counts["generated"] == view.counts["trained"] + sum(view.counts["rejected"].values())
    assert [e["label"] for e in view.evaluations] == ["before", "after"]
    assert view.seconds == 212.4


def test_what_is_missing_stays_missing(tmp_path: Path) -> None:
    what = Recorded(steps=3, planned=9, evaluations=False, close=False, leave_out=frozenset({"entropy"}))
    view = gather(make_run(tmp_path / "run", what))
    assert view.status == "unfinished"
    assert view.seconds is None
    assert view.comparison is None
    assert "entropy" not in view.series


def test_steps_done_again_after_a_resume_appear_once(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=4, planned=4, close=False, evaluations=False))
    log = read_log(folder)
    with RecordWriter(folder, "run-0001", segment=1) as writer:
        body = {
            "from_step": 0,
            "checkpoint_digest": None,
            "previous_segment": log.previous_segment(),
            "discarded": log.discarded(0),
            "torn_bytes": 0,
        }
        writer.write("run.resumed", body)
    view = gather(folder)
    assert view.done == 0
    assert view.resumes == 1
    assert view.counts["generated"] == 0


def test_an_interruption_counts_until_the_run_goes_on(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=2, planned=4, close=False, evaluations=False))
    with RecordWriter(folder, "run-0001", segment=0) as writer:
        writer.write("run.interrupted", {"step": 2, "cause": "SIGINT", "message": None})
    assert gather(folder).status == "interrupted"


def test_repeated_findings_are_counted_and_the_gravest_come_first(tmp_path: Path) -> None:
    def finding(code: str, severity: str, step: int | None) -> dict[str, object]:
        return {"code": code, "severity": severity, "step": step, "sentence": code, "advice": "do"}

    noted = [finding("a", "notice", None), finding("a", "notice", None), finding("b", "error", None)]
    view = gather(make_run(tmp_path / "run", Recorded(steps=1, planned=1, findings=noted)))
    assert [(f["code"], f["times"]) for f in view.findings] == [("b", 1), ("a", 2)]


def test_a_torn_comparison_is_absent(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=1, planned=1))
    (folder / "evaluation" / "compare.json").write_text('{"n": 1')
    assert gather(folder).comparison is None


def test_a_directory_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        gather(tmp_path)
    (tmp_path / "events.jsonl").write_text("")
    with pytest.raises(RecordError, match=r"run\.opened"):
        gather(tmp_path)


def test_a_damaged_line_does_not_hide_the_rest(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=3, planned=3))
    lines = (folder / "events.jsonl").read_bytes().split(b"\n")
    update = next(i for i, line in enumerate(lines) if b'"update.applied"' in line)
    event = json.loads(lines[update])
    event["body"]["stats"] = {"reward_mean": "high"}
    lines[update] = json.dumps(event, separators=(",", ":"), sort_keys=True).encode()
    (folder / "events.jsonl").write_bytes(b"\n".join(lines))
    assert [step for step, _ in gather(folder).series["reward_mean"]] == [2, 3]


def test_a_run_is_found_by_path_or_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path / "runs" / "one", Recorded(steps=1, planned=1))
    monkeypatch.chdir(tmp_path)
    assert find_run(str(folder)) == folder
    assert find_run("one") == Path("runs/one")
    with pytest.raises(RequestError, match="such as one"):
        find_run("two")
