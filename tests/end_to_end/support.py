"""Runs of the real command line at the price of a fork, and the comparison of two run directories.

Importing PyTorch takes seconds and a tiny run takes one, so a parent process imports everything once and forks a
child for each run: a process of its own, with the default signal handlers, that can be killed at any instant.
The parent is this file run as a script: one JSON request a line on standard input, answered by the pid, then
by the end of the child, then by its wait status. Nothing is made before the fork that a fork would break: no
thread, no state that a run reads.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PARITY = '''
import time
from pathlib import Path

GATE = Path(__file__).with_name("gate")
calls = 0


def wait_at(place):
    """Stand still while the file `gate` holds this place; the file `waiting` says so."""
    if GATE.exists() and GATE.read_text() == str(place):
        GATE.with_name("waiting").touch()
        while GATE.exists():
            time.sleep(0.005)


def score(task, completion):
    """1 for an even first character: a policy learns it within steps. Some samples fail, some are declined."""
    global calls
    calls += 1
    wait_at(calls)
    first = ord(completion.text[:1] or "!")
    if first % 17 == 0:
        raise ValueError("an odd character")
    return None if first % 23 == 0 else float(first % 2 == 0)


wait_at("import")
'''
"""A reward that a random model sometimes earns, so that weights move, groups die and every fate occurs.

A file `gate` beside it that holds a number stops the run inside that call, until the file is gone."""

RECIPE = """
name: tiny
steps: 12
model: {type: tiny}
task: {type: largest_number, count: 3, digits: 1}
audit: {triples: 0}
rewards:
  - {type: callable, target: "parity.py:score", name: parity}
sampling: {prompts_per_step: 3, group_size: 4, max_tokens: 8}
learner: {compute_dtype: float32, optimizer: {learning_rate: 3e-3}}
evaluation: {prompts: 6, samples: 2, every: 4}
checkpoints: {every: 3, keep_last: 2}
"""


def write_recipe(folder: Path) -> Path:
    """The recipe and its reward in `folder`; the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "parity.py").write_text(PARITY)
    path = folder / "tiny.yaml"
    path.write_text(RECIPE)
    return path


# ------------------------------------------------------------------------------------------ processes


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: the signal that killed it) and what it wrote."""

    code: int
    out: str
    err: str


class Child:
    """One run of the command line, under way."""

    def __init__(self, runner: Runner, pid: int, out: Path, err: Path) -> None:
        self.pid, self._runner, self._out, self._err = pid, runner, out, err

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; harmless when the process has ended (its parent has not waited for it yet)."""
        os.kill(self.pid, number)

    def out(self) -> str:
        """What it has written to standard output so far."""
        return self._out.read_text()

    def wait(self) -> Ended:
        """Wait for the end."""
        status = self._runner.status()
        return Ended(os.waitstatus_to_exitcode(status), self._out.read_text(), self._err.read_text())


class Runner:
    """The parent process. `start` forks a child that runs `sibling ARGUMENTS`; one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        environment = {**os.environ, **_ENVIRONMENT}
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.reply()  # ready

    def reply(self) -> dict[str, Any]:
        """The next line of the parent."""
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, f"the parent process ended with {self._server.poll()}"
        reply: dict[str, Any] = json.loads(line)
        return reply

    def status(self) -> int:
        """The wait status of the child, once it has ended."""
        self.reply()
        self._say("wait")
        return int(self.reply()["status"])

    def _say(self, line: str) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()

    def start(self, *arguments: object, cwd: Path | None = None, **request: Any) -> Child:
        """Run `sibling ARGUMENTS`. `die_at`, `watched` and `operations`: see `_watch`."""
        self._count += 1
        out, err = self._folder / f"{self._count}.out", self._folder / f"{self._count}.err"
        request |= {"argv": [str(a) for a in arguments], "cwd": str(cwd or self._folder)}
        self._say(json.dumps({**request, "out": str(out), "err": str(err)}))
        return Child(self, self.reply()["pid"], out, err)

    def run(self, *arguments: object, cwd: Path | None = None, **request: Any) -> Ended:
        """Run `sibling ARGUMENTS` to its end."""
        return self.start(*arguments, cwd=cwd, **request).wait()

    def close(self) -> None:
        """End the parent."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(timeout=60)
        self._server.stdout.close()


def until(true: Callable[[], object]) -> None:
    """Wait until it is so."""
    for _ in range(12_000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("the run did not get that far")


@contextmanager
def running(folder: Path) -> Iterator[Runner]:
    """A runner whose children write their output to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    runner = Runner(folder)
    try:
        yield runner
    finally:
        runner.close()


_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "COLUMNS": "80",
    "NO_COLOR": "1",
}


def _serve() -> None:
    """Import everything a run needs, then fork a child for each request."""
    import peft  # noqa: F401  # imported for its cost only
    import pyarrow

    import sibling.cli
    import sibling.pipeline.run
    from sibling.models.tiny import save_tiny

    with tempfile.TemporaryDirectory() as folder:  # the rest is imported when first used: use it once
        save_tiny(Path(folder), "llama", 0)
        pyarrow.Table.from_pylist([{"a": 1}])

    print(json.dumps({"ready": True}), flush=True)
    while line := sys.stdin.readline():
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(request, sibling.cli.main)
        print(json.dumps({"pid": pid}), flush=True)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        print(json.dumps({"ended": True}), flush=True)
        sys.stdin.readline()  # only now is the child waited for: until then its pid can be signalled
        print(json.dumps({"status": os.waitpid(pid, 0)[1]}), flush=True)


def _become(request: dict[str, Any], main: Any) -> None:
    """In the child: be the command line, and never return."""
    for number, name in ((1, "out"), (2, "err")):
        fd = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(fd, number)
    os.chdir(request["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite run in the background inherits "ignored"
    sys.argv = ["sibling", *request["argv"]]
    if "watched" in request:
        _watch(request["watched"], request.get("die_at"), request.get("operations"))
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # what the interpreter would do
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _watch(watched: str, die_at: str | None, operations: str | None) -> None:
    """Look on at file operations below `watched`: append their names to the file `operations`; die before `die_at`.

    Events have two names each: `half TYPE`, when half of the line is written, and `whole TYPE`, right after it.
    """
    log = open(operations, "w", buffering=1) if operations else None  # noqa: SIM115  # open until the process ends
    write = os.write

    def reached(name: str) -> None:
        if log is not None:
            log.write(name + "\n")
        if name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.scandir"):
            return
        path = arguments[0]
        path = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        if str(path).startswith(watched):
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            reached(re.sub(r"\d+", "#", f"{'write' if writes else event} {os.path.relpath(str(path), watched)}"))

    def watched_write(fd: int, data: Any) -> int:
        line = bytes(data)
        if not line.startswith(b'{"actor"'):
            return write(fd, data)
        type_ = json.loads(line)["type"]
        done = write(fd, line[: len(line) // 2])
        reached(f"half {type_}")
        done += write(fd, line[len(line) // 2 :])
        reached(f"whole {type_}")
        return done

    os.write = watched_write
    sys.addaudithook(hook)


# ----------------------------------------------------------------------------------- two run directories


@dataclass
class Facts:
    """What two runs of one recipe must have in common, wall-clock values apart."""

    files: dict[str, bytes]  # weights, samples, evaluations
    checkpoints: dict[str, bytes]
    events: list[tuple[str, dict[str, Any]]] = field(repr=False)


_STORY = ("run.resumed", "run.interrupted")
_TREE = ("code", "code_digest")  # what the source tree was like at the time: it may be edited while tests run


def facts(run: Path, *, without: tuple[str, ...] = ()) -> Facts:
    """Read `run`. Events are the effective ones, without the envelope, `wall`, the story of its sittings, and the
    types `without`."""
    from sibling.record.reader import read_log

    log = read_log(run).require_sound()
    events = [(e.type, _lasting(e.body)) for e in log.effective() if e.type not in (*_STORY, *without)]
    files = {n: b for folder in ("model", "samples", "evaluation") for n, b in _tree(run, folder).items()}
    return Facts(files, _tree(run, "checkpoints"), events)


def _tree(run: Path, folder: str) -> dict[str, bytes]:
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in sorted((run / folder).rglob("*")) if p.is_file()}


def _lasting(body: Any) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k not in ("wall", *_TREE)}


def assert_equal(seen: Facts, wanted: Facts, *, checkpoints: bool = True) -> None:
    """Bit for bit. `checkpoints` false: only those that both have, because an interrupted sitting saved one more."""
    assert sorted(seen.files) == sorted(wanted.files)
    assert [n for n in wanted.files if seen.files[n] != wanted.files[n]] == []
    if checkpoints:
        assert sorted(seen.checkpoints) == sorted(wanted.checkpoints)
    common = set(seen.checkpoints) & set(wanted.checkpoints)
    assert [n for n in sorted(common) if seen.checkpoints[n] != wanted.checkpoints[n]] == []
    assert [t for t, _ in seen.events] == [t for t, _ in wanted.events]
    for (type_, a), (_, b) in zip(seen.events, wanted.events, strict=True):
        assert [(type_, k, a.get(k), b.get(k)) for k in {*a, *b} if a.get(k) != b.get(k)] == []


def assert_verified(run: Path) -> None:
    """`sibling verify` finds nothing wrong and nothing to remark."""
    from sibling.record.verify import verify_run

    report = verify_run(run)
    assert report.ok and report.findings == []


def last_event(run: Path) -> str:
    """The type of the last event; what there is instead when none was written."""
    from sibling.record.reader import read_log

    if not (run / "events.jsonl").exists():
        return "(no log)"
    log = read_log(run)
    return log.events[-1].type if log.events else "(empty log)"


if __name__ == "__main__":
    _serve()
