"""The interface of the sandbox, at the weakest and at the strongest level of this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sibling.errors import RequestError, RunError
from sibling.sandbox import cgroups
from sibling.sandbox import probe as probing
from sibling.sandbox.levels import Level
from sibling.sandbox.limits import Limits
from sibling.sandbox.probe import probe
from sibling.sandbox.run import Sandbox

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
ATTACKS = Path(__file__).with_name("attacks.py")
LEVELS = ["weak", "filtered", "strongest"]


@pytest.fixture(params=LEVELS)
def ground(request):
    return request.getfixturevalue(request.param)


def test_output_and_exit_code(ground):
    ended = ground.end("print_both", "out é", "err")
    assert (ended.how, ended.code, ended.signal) == ("exited", 0, None)
    assert ended.stdout == "out énull\n".encode() and ended.stderr == b"err"
    assert 0 < ended.seconds < 5 and 1 << 20 < ended.peak_memory < 1 << 29
    ended = ground.end("leave", 3)
    assert (ended.how, ended.code) == ("exited", 3)
    assert ground.end("leave", "a word").stderr == b"a word\n"


def test_an_exception_is_exit_code_1_with_its_traceback(ground):
    ended = ground.end("leave")
    assert (ended.how, ended.code) == ("exited", 1) and b"TypeError" in ended.stderr


def test_a_signal_it_sends_itself(ground):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGALRM):
        ended = ground.end("die", number)
        assert (ended.how, ended.signal, ended.code) == ("signalled", number, None)


def test_wall_time_and_processor_time(ground):
    ended = ground.end("sleep", 60, seconds=0.2)
    assert ended.how == "timeout" and 0.2 <= ended.seconds < 5
    ended = ground.end("spin", seconds=20, cpu_seconds=1)
    assert ended.how == "timeout" and ended.seconds < 19


def test_the_payload_arrives_whole(ground):
    text = "x" * (3 << 20)
    ended = ground.end("print_both", "", text, output_bytes=4 << 20)
    assert ended.how == "exited" and len(ended.stderr) == 3 << 20


def test_output_up_to_the_limit_is_allowed(ground):
    assert ground.end("print_both", "x" * 995, "", output_bytes=1000).how == "exited"  # and "null\n"
    ended = ground.end("print_both", "x" * 996, "", output_bytes=1000)
    assert ended.how == "output" and len(ended.stdout) == 1000


def test_channels(ground):
    pairs = [socket.socketpair() for _ in range(3)]
    for ours, theirs in pairs:
        ours.settimeout(5)
        theirs.settimeout(5)  # the program gets it blocking all the same
    running = ground.sandbox.start(
        "attacks", b'{"name": "say", "args": ["hello"]}', channels=[theirs for _, theirs in pairs]
    )
    for ours, theirs in pairs:
        theirs.close()
        with ours:
            assert ours.recv(9) == b"hello" and ours.recv(9) == b""
    assert running.wait().stdout == b"3\n"


def test_kill_and_wait_twice(ground):
    running = ground.sandbox.start("attacks", b'{"name": "sleep", "args": [60]}', limits=Limits(seconds=60))
    threading.Timer(0.2, running.kill).start()
    ended = running.wait()
    assert (ended.how, ended.signal) == ("signalled", signal.SIGKILL) and ended.seconds < 30
    assert running.wait() is ended
    running.kill()  # late: nothing happens


def test_a_program_that_nobody_waits_for_is_ended(ground):
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            ground.sandbox.start(
                "attacks", b'{"name": "daemon", "args": []}', channels=[theirs], limits=Limits(seconds=60)
            )  # not kept
        ours.settimeout(0.9)
        assert ours.recv(9) == b""


def test_lazy_imports_and_threads(ground):
    found = ground.run("modules", seconds=30)
    assert found == [42, "decimal", "encodings.idna", "sha256", "zoneinfo"]
    assert ground.run("threads") == [0, 1, 2, 3]


def test_many_at_once_from_many_threads(ground):
    def one(number):
        return ground.end("print_both", str(number), "", seconds=60).stdout

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(60))) == [b"%dnull\n" % number for number in range(60)]


def test_processes_of_its_own(ground):
    """A pool of processes of the standard library works within the limits."""
    if ground.sandbox.level == Level.filtered:  # named semaphores lie in a directory that all of the machine share
        assert b"PermissionError" in ground.end("pool").stderr
    else:
        assert ground.run("pool", seconds=20, processes=16) == [0, 1, 4, 9]
    assert ground.run("argv") == ["attacks"]


def test_runs_are_alike(ground):
    """The order of a set does not change from server to server, so that a verdict does not either."""
    with Sandbox([ATTACKS], level=ground.sandbox.level) as other:
        payload = b'{"name": "order", "args": []}'
        assert other.start("attacks", payload).wait().stdout == ground.end("order").stdout


def test_several_servers_that_are_lost(place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    before = set(_children())
    with Sandbox([ATTACKS], level=probe().level, servers=2) as sandbox:
        keepers = set(_children()) - before
        assert len(keepers) == 2
        for keeper in keepers:
            os.kill(keeper, signal.SIGKILL)  # these two are ours: nothing else is ever killed here
        time.sleep(0.3)
        payload = b'{"name": "print_both", "args": ["x", ""]}'
        assert [sandbox.start("attacks", payload).wait().stdout for _ in range(4)] == [b"xnull\n"] * 4
        assert sandbox.restarts == 2
        assert len(list(place.iterdir())) == 2  # those of the lost ones are gone
    left = _traces(place, keepers)
    assert (left["folders"], left["groups"]) == (0, 0)


def test_wrong_use(tmp_path, ground):
    sandbox = ground.sandbox
    with pytest.raises(RequestError, match="No such entry"):
        sandbox.start("other", b"")
    with socket.socket() as network, pytest.raises(RequestError, match="Unix family"):
        sandbox.start("attacks", b"", channels=[network])
    with pytest.raises(RequestError, match=r"did not start.*FileNotFound"):
        Sandbox([tmp_path / "missing.py"], level=Level.limits)
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(RequestError, match="ZeroDivisionError"):
        Sandbox([tmp_path / "broken.py"], level=Level.limits)
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(RequestError, match="main"):
        Sandbox([tmp_path / "empty.py"], level=Level.limits)


def test_after_close():
    sandbox = Sandbox([ATTACKS], level=Level.limits)
    running = sandbox.start("attacks", b'{"name": "sleep", "args": [60]}', limits=Limits(seconds=60))
    sandbox.close()
    assert running.wait().how == "signalled"
    with pytest.raises(RunError, match="closed"):
        sandbox.start("attacks", b"")
    sandbox.close()


def test_a_weaker_machine_is_refused(monkeypatch):
    works = dict.fromkeys(("limits", "seccomp", "landlock", "namespaces", "cgroups"), "")
    monkeypatch.setattr(probing, "_tried", lambda: {**works, "namespaces": "OSError: not here"})
    assert probe().level == Level.filtered
    with pytest.raises(RequestError, match=r"`filtered`.*private root: no \(OSError: not here\)"):
        Sandbox([ATTACKS])
    with pytest.raises(RequestError, match="not here"):
        Sandbox([ATTACKS], level=Level.isolated)
    with Sandbox([ATTACKS], minimum="limits") as sandbox:
        assert sandbox.level == Level.filtered


def test_a_program_that_cannot_be_confined_does_not_run(strongest, tmp_path):
    """A temp file system smaller than a page cannot be made; then the program is not run with less."""
    running = strongest.sandbox.start("attacks", b'{"name": "sleep", "args": [0]}', limits=Limits(file_bytes=-1))
    with pytest.raises(RunError, match="could not be confined"):
        running.wait()


@pytest.fixture
def place():
    """A directory that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.slow
def test_nothing_is_left_after_fifty_programs(ground, place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    existing = set(_children())
    before = _traces(place, [])
    entries = [("print_both", ["a", "b"]), ("forks", [3]), ("leave", [1]), ("sleep", [9]), ("links", ["/etc", "/etc"])]
    counts = []
    with Sandbox([ATTACKS], level=ground.sandbox.level) as sandbox:
        keepers = list(set(_children()) - existing)
        for number in range(51):
            name, args = entries[number % 5]
            limits = Limits(seconds=0.1 if name == "sleep" else 5)
            payload = json.dumps({"name": name, "args": args}).encode()
            sandbox.start("attacks", payload, limits=limits).wait()
            if number % 25 == 0:
                time.sleep(0.2)  # the server closes its last descriptors after the answer
                counts.append(_traces(place, keepers))
    assert counts[0] == counts[-1]  # processes, descriptors, mounts, directories, cgroups: nothing of a program
    assert counts[0]["processes"] > 0 and counts[0]["folders"] > 0
    assert counts[0]["groups"] == (2 if ground.sandbox.level == Level.contained else 0)
    assert _traces(place, keepers) == before


def test_nothing_is_left_when_the_caller_is_killed(ground, place):
    script = f"""
import time
from pathlib import Path
from sibling.sandbox.levels import Level
from sibling.sandbox.limits import Limits
from sibling.sandbox.run import Sandbox
sandbox = Sandbox([Path({str(ATTACKS)!r})], level=Level({int(ground.sandbox.level)}), servers=2)
order = b'{{"name": "daemon_forever", "args": []}}'
running = [sandbox.start("attacks", order, limits=Limits(seconds=60)) for _ in range(3)]
time.sleep(0.3)
print("up", flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"up\n"
        below, keepers = _descendants(process.pid), _children(process.pid)
        assert (
            len(below) >= 9
        )  # two keepers, two servers, three programs with two processes each (one found by its parent)
        assert len(keepers) == 2 and _traces(place, keepers)["folders"] >= 2
        process.kill()
        process.wait()
    none = {"folders": 0, "groups": 0}
    until = time.monotonic() + 10
    while time.monotonic() < until and any(map(_alive, below)):
        time.sleep(0.05)
    assert not any(map(_alive, below))
    assert none.items() <= _traces(place, keepers).items()


def _children(pid=None):
    pid = pid or os.getpid()
    with open(f"/proc/{pid}/task/{pid}/children") as names:
        return [int(name) for name in names.read().split()]


def _descendants(pid):
    return [each for child in _children(pid) for each in (child, *_descendants(child))]


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as line:
            return line.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _traces(folder, keepers):
    """What programs could leave behind: processes of the keepers, and descriptors, mounts, directories and cgroups."""
    with open("/proc/self/mountinfo") as lines:
        mounts = sum(1 for _ in lines)
    processes = [each for keeper in keepers if _alive(keeper) for each in _descendants(keeper)]
    groups = [
        found
        for parent in set(cgroups.mounts().values())
        for keeper in keepers
        for found in Path(parent).glob(f"sibling-sandbox-{keeper}/**/")
    ]
    return {
        "processes": len(processes),
        "descriptors": len(os.listdir("/proc/self/fd")) + sum(_descriptors(pid) for pid in processes),
        "mounts": mounts + sum(_mounts(pid) for pid in processes),
        "folders": sum(1 for _ in folder.rglob("*")),
        "groups": len(groups),
    }


def _descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd")) if os.geteuid() == 0 else 0


def _mounts(pid):
    if os.geteuid():
        return 0
    with open(f"/proc/{pid}/mountinfo") as lines:
        return sum(1 for _ in lines)
