from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_directory import RUN, Run, finished_run, setup_events, ticking

from sibling.errors import RecordError
from sibling.record.events import GENESIS
from sibling.record.reader import read_log
from sibling.record.verify import verify_run
from sibling.record.writer import RecordWriter

NOTE: dict[str, Any] = {"code": "x", "severity": "notice", "step": None, "sentence": "s", "advice": "a"}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "run").open()
    yield run
    run.writer.close()


def child(script: str, *arguments: str) -> subprocess.Popen[str]:
    """A real second Python process with the test helpers importable."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


# -------------------------------------------------------------------------------------------------- appending


def test_lines_are_canonical_numbered_and_linked(run: Run) -> None:
    log = read_log(run.directory)
    assert log.faults() == [] and log.torn_bytes == 0
    assert [e.seq for e in log.events] == list(range(6))
    assert log.events[0].prev == GENESIS and log.events[1].prev == log.lines[0].digest
    assert run.writer.head == log.head and run.writer.seq == 6


def test_an_event_is_on_disk_when_write_returns_and_is_what_was_returned(run: Run) -> None:
    event = run.writer.write("diagnosis.noted", NOTE)
    assert (run.directory / "events.jsonl").read_bytes().endswith(event.raw + b"\n")
    assert read_log(run.directory).events[-1] == event


def test_every_event_is_fsynced_before_write_returns(run: Run, tmp_path: Path) -> None:
    """Seen from outside, by tracing system calls, where a tracer is installed."""
    trace = tmp_path / "trace"
    script = (
        "import sys; from pathlib import Path; from sibling.record.writer import RecordWriter;"
        "w = RecordWriter(Path(sys.argv[1]), sys.argv[2], segment=0);"
        f"[w.write('diagnosis.noted', {NOTE!r}) for _ in range(3)]"
    )
    run.writer.close()
    command = ["strace", "-f", "-e", "trace=write,fsync", "-P", str(run.directory / "events.jsonl"), "-o", str(trace)]
    try:
        subprocess.run([*command, sys.executable, "-c", script, str(run.directory), RUN], check=True)
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    calls = [line.split("(")[0].split()[-1] for line in trace.read_text().splitlines() if "(" in line]
    assert calls == ["write", "fsync"] * 3


def test_time_comes_from_the_clock_in_utc(tmp_path: Path) -> None:
    moment = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    run = Run(tmp_path / "run", clock=lambda: moment).open()
    run.writer.close()
    assert {e.t for e in read_log(run.directory).events} == {"2026-05-06T07:08:09.123Z"}


def test_two_runs_with_one_clock_write_the_same_bytes(tmp_path: Path) -> None:
    logs = [(finished_run(tmp_path / name) / "events.jsonl").read_bytes() for name in "ab"]
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    ("type", "body", "words"),
    [
        ("diagnosis.noted", {**NOTE, "severity": "loud"}, "severity: is 'loud', wanted one of"),
        ("diagnosis.noted", {k: v for k, v in NOTE.items() if k != "advice"}, "lacks 'advice'"),
        ("diagnosis.noted", {**NOTE, "extra": float("nan")}, "cannot be recorded"),
        ("diagnosis.noted", {**NOTE, "extra": 2**60}, "cannot be recorded"),
        ("diagnosis.noted", {**NOTE, "extra": {1}}, "cannot be recorded"),
        ("no.such", {}, "is not known"),
        ("run.resumed", {}, "lacks"),
        ("run.closed", {"steps": 3, "status": "failed", "counts": {}, "summary": {}, "wall": {}}, "lacks 'generated'"),
    ],
)
def test_a_refused_event_changes_nothing(run: Run, type: str, body: dict[str, Any], words: str) -> None:
    before = (run.directory / "events.jsonl").read_bytes()
    with pytest.raises(RecordError, match=words):
        run.writer.write(type, body)
    assert (run.directory / "events.jsonl").read_bytes() == before
    run.writer.write("diagnosis.noted", NOTE)
    assert read_log(run.directory).faults() == []


def test_an_event_out_of_order_is_refused(run: Run) -> None:
    with pytest.raises(RecordError, match="Wanted: step 1"):
        run.step(2)


def test_unknown_fields_are_kept(run: Run) -> None:
    run.writer.write("diagnosis.noted", {**NOTE, "unheard_of": [1, {"a": None}]})
    assert read_log(run.directory).events[-1].body["unheard_of"] == [1, {"a": None}]


# ------------------------------------------------------------------------------------------------- continuing


def test_a_log_is_continued_in_its_segment(run: Run) -> None:
    run.step(1)
    head = run.writer.head
    run.writer.close()
    with RecordWriter(run.directory, RUN, segment=0, clock=ticking()) as writer:
        assert writer.head == head and writer.seq == 8
        writer.write("diagnosis.noted", NOTE)
    assert read_log(run.directory).faults() == []


def test_a_new_segment_begins_with_run_resumed(run: Run) -> None:
    run.writer.close()
    with (
        RecordWriter(run.directory, RUN, segment=1) as writer,
        pytest.raises(RecordError, match="wrong segment"),
    ):
        writer.write("diagnosis.noted", NOTE)
    run.resume(0)
    assert read_log(run.directory).segment == 1


@pytest.mark.parametrize("segment", [0, 3])
def test_a_segment_out_of_order_is_refused(run: Run, segment: int) -> None:
    run.resume(0)
    run.writer.close()
    with pytest.raises(RecordError, match="cannot be continued in this segment"):
        RecordWriter(run.directory, RUN, segment=segment)


def test_a_new_log_begins_in_segment_0(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be continued in this segment"):
        RecordWriter(tmp_path, RUN, segment=1)


def test_the_log_of_another_run_is_refused(run: Run) -> None:
    run.writer.close()
    with pytest.raises(RecordError, match="another run"):
        RecordWriter(run.directory, "other", segment=0)


def test_a_damaged_log_is_not_continued(run: Run) -> None:
    run.writer.close()
    path = run.directory / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"held_out":10', b'"held_out":11'))
    with pytest.raises(RecordError, match=r"damaged at events.jsonl:5 \(LINK\).*sibling verify"):
        RecordWriter(run.directory, RUN, segment=0)


@pytest.mark.parametrize("tail", [b'{"v":1,"run"', b"\0" * 700, b"\0\0\n", b'{"v":1}', b"}{\n"])
def test_a_torn_tail_blocks_writing_until_it_is_cut(run: Run, tail: bytes) -> None:
    run.writer.close()
    path = run.directory / "events.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    with RecordWriter(run.directory, RUN, segment=0) as writer:
        assert writer.torn_bytes == len(tail)
        with pytest.raises(RecordError, match="incomplete"):
            writer.write("diagnosis.noted", NOTE)
        assert path.read_bytes() == whole + tail
        assert writer.repair_tail() == len(tail)
        assert path.read_bytes() == whole
        assert writer.repair_tail() == 0
        writer.write("diagnosis.noted", NOTE)
    assert read_log(run.directory).faults() == []


def test_somebody_else_writing_to_the_log_is_noticed(run: Run) -> None:
    with (run.directory / "events.jsonl").open("ab") as f:
        f.write(b"{}\n")
    with pytest.raises(RecordError, match="changed by somebody else"):
        run.writer.write("diagnosis.noted", NOTE)


def test_a_deleted_log_is_noticed(run: Run) -> None:
    (run.directory / "events.jsonl").unlink()
    with pytest.raises(RecordError, match="deleted"):
        run.writer.write("diagnosis.noted", NOTE)


def test_a_closed_writer_writes_nothing_and_closes_twice(run: Run) -> None:
    run.writer.close()
    run.writer.close()
    with pytest.raises(RecordError, match="closed"):
        run.writer.write("diagnosis.noted", NOTE)


# --------------------------------------------------------------------------------------------- two processes


def test_a_second_process_is_refused_and_told_who_holds_the_directory(run: Run) -> None:
    script = (
        "import sys; from pathlib import Path; from sibling.record.writer import RecordWriter\n"
        "try: RecordWriter(Path(sys.argv[1]), sys.argv[2], segment=0)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    output = child(script, str(run.directory), RUN).communicate()[0]
    assert output.startswith("RecordError") and "in use" in output and f"process {os.getpid()} holds" in output
    run.writer.write("diagnosis.noted", NOTE)  # the refusal did the holder no harm


LOOP = """
import sys
from pathlib import Path
from run_directory import RUN
from sibling.record.reader import read_log
from sibling.record.writer import RecordWriter

folder = Path(sys.argv[1])
log = read_log(folder)
writer = RecordWriter(folder, RUN, segment=log.segment + 1)
body = {"from_step": 0, "checkpoint_digest": None, "previous_segment": log.previous_segment(),
        "discarded": log.discarded(0), "torn_bytes": writer.repair_tail()}
writer.write("run.resumed", body)
print("ready", flush=True)
n = 0
while True:
    n += 1
    writer.write("diagnosis.noted", {"code": "x", "severity": "notice", "step": None, "sentence": "s" * (n % 900),
                                     "advice": str(n)})
"""


def test_kill_9_at_any_instant_leaves_a_log_that_is_read_and_continued(run: Run) -> None:
    run.writer.close()
    path = run.directory / "events.jsonl"
    chance = random.Random(5)
    for kill in range(4):
        process = child(LOOP, str(run.directory))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        wanted = path.stat().st_size + chance.randrange(1, 40_000)
        while path.stat().st_size < wanted and process.poll() is None:
            pass
        process.kill()
        assert process.wait() == -9
        process.stdout.close()
        log = read_log(run.directory).require_sound()
        assert log.segment == kill + 1
    run.resume(0)
    run.step(1)
    assert {f.code for f in verify_run(run.directory).findings if f.severity == "error"} == set()


# ------------------------------------------------------------------------------------------------ failing disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("no mount command")
    if done.returncode:
        pytest.skip("this user cannot mount a file system")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def fill(run: Run) -> None:
    for _ in range(200):
        run.writer.write("diagnosis.noted", {**NOTE, "sentence": "s" * 1500})


def test_a_full_disk_is_said_clearly_and_the_log_stays_valid(small_disk: Path) -> None:
    run = Run(small_disk / "run").open()
    with pytest.raises(RecordError, match=r"No space left on device.*Free some space"):
        fill(run)
    log = read_log(run.directory).require_sound()
    assert log.torn_bytes == 0 and run.writer.head == log.head
    (run.directory / "recipe.yaml").unlink()  # space again: the same writer goes on
    run.writer.write("diagnosis.noted", NOTE)
    assert read_log(run.directory).require_sound().events[-1].body["sentence"] == "s"
    run.writer.close()


def test_a_read_only_disk_is_said_clearly(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RecordError, match=r"read-only.*run_dir=PATH"):
        RecordWriter(small_disk, RUN, segment=0)


LIMITED = """
import json, resource, sys
from pathlib import Path
from run_directory import RUN
from sibling.errors import RecordError
from sibling.record.writer import RecordWriter

folder, note = Path(sys.argv[1]), json.loads(sys.argv[2])
size = (folder / "events.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, size + 1000))
writer = RecordWriter(folder, RUN, segment=0)
try:
    while True:
        writer.write("diagnosis.noted", note)
except RecordError as error:
    print(error)
"""


def test_a_write_that_stops_half_way_is_cut_back(run: Run) -> None:
    run.writer.close()
    output = child(LIMITED, str(run.directory), json.dumps(NOTE)).communicate()[0]
    assert "Cannot write to" in output and "File too large" in output
    log = read_log(run.directory).require_sound()
    assert log.torn_bytes == 0 and len(log.events) > 6


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="does not exist"):
        RecordWriter(tmp_path / "none", RUN, segment=0)


def test_setup_events_cover_all_types_between_open_and_the_first_step() -> None:
    assert set(setup_events()) == {"model.loaded", "template.bound", "data.loaded", "reward.bound"}
