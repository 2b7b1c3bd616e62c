import io
from pathlib import Path

import pytest
from recorded import Recorded, make_run
from rich.console import Console

from sibling.errors import RecordError
from sibling.record.reader import read_log
from sibling.record.writer import RecordWriter
from sibling.report.live import PlainDisplay
from sibling.report.siblings import Group
from sibling.report.watching import watch
from sibling.stats import StepStats


class Seen(PlainDisplay):
    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.steps: list[tuple[int, int, bool]] = []
        self.ended = False

    def show_step(self, stats: StepStats, total: int, group: Group | None) -> None:
        super().show_step(stats, total, group)
        self.steps.append((stats.step, total, group is not None))

    def close(self) -> None:
        self.ended = True


def test_a_finished_run_is_shown_and_left(tmp_path: Path) -> None:
    seen = Seen()
    watch(make_run(tmp_path / "run", Recorded(steps=3, planned=3)), seen)
    assert seen.steps == [(1, 3, False), (2, 3, False), (3, 3, True)]
    assert seen.ended
    assert seen.screen.title == "run"
    assert seen.screen.held_out == 0.97
    assert seen.screen.stats is not None and seen.screen.stats.get("seconds_step") is not None


def test_a_growing_run_is_followed_until_it_closes(tmp_path: Path) -> None:
    whole = make_run(tmp_path / "whole", Recorded(steps=4, planned=4))
    lines = (whole / "events.jsonl").read_bytes().splitlines(keepends=True)
    growing = tmp_path / "growing"
    growing.mkdir()
    (growing / "samples").symlink_to(whole / "samples")
    (growing / "events.jsonl").write_bytes(lines[0])
    rest = lines[1:]

    def sleep(seconds: float) -> None:
        line = rest.pop(0)
        with (growing / "events.jsonl").open("ab") as file:
            file.write(line[:-1] if rest and len(rest) % 2 else line)  # half of the time a line still lacks its end
            if rest and len(rest) % 2:
                rest[0] = b"\n" + rest[0]

    seen = Seen()
    watch(growing, seen, sleep=sleep)
    assert [step for step, _, _ in seen.steps] == [1, 2, 3, 4]
    assert seen.ended and not rest


def test_an_interrupted_run_is_waited_for(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=2, planned=3, close=False, evaluations=False))
    with RecordWriter(folder, "run-0001", segment=0) as writer:
        writer.write("run.interrupted", {"step": 2, "cause": "SIGINT", "message": None})
    seen, slept = Seen(), []

    def sleep(seconds: float) -> None:
        slept.append(seen.screen.phase if seen.screen.step == 0 else "waiting")
        if len(slept) == 3:
            raise KeyboardInterrupt  # the person stops watching

    watch(folder, seen, sleep=sleep)
    assert len(slept) == 3 and seen.ended


def test_watching_writes_nothing(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=1, planned=1))
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    watch(folder, Seen())
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert read_log(folder).closed() is not None


def test_missing_samples_leave_the_group_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=2, planned=2))
    (folder / "samples" / "step-000002.parquet").unlink()
    seen = Seen()
    watch(folder, seen)
    assert seen.steps[-1] == (2, 2, False)


def test_a_directory_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        watch(tmp_path, Seen())
