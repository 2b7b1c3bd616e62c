"""Each attack is tried where it must fail and where it must succeed, so that each of these tests can fail."""

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sibling.sandbox.levels import Level
from sibling.sandbox.run import Sandbox

ATTACKS = Path(__file__).with_name("attacks.py")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stronger levels are Linux's")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="shows what root could do")


@pytest.fixture
def victim():
    """A process of ours that may be attacked."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("the hidden tests")
    return path


def test_a_program_has_no_privilege_and_nothing_is_handed_down(strongest):
    itself = strongest.run("itself")
    assert itself["uids"] == [65534] * 6 and itself["pid"] == 2
    assert not itself["capabilities"] and itself["bounding"] == [] and itself["ambient"] == []
    assert (itself["no_new_privs"], itself["dumpable"], itself["seccomp"]) == (1, 0, 2)
    assert itself["core"] == [0, 0] and itself["fds"] == [0, 1, 2] and itself["stdin"] == ""
    assert itself["environment"] == ["HOME", "LANG", "TMPDIR"] and itself["cwd"] == "/tmp"
    assert not {"proc", "sys", "root", "home", "work", "var"} & (set(itself["root"]) - {_top_of_the_library()})


def _top_of_the_library():
    return os.path.realpath(os.__file__).split("/")[1]


def test_a_program_at_filtered_has_no_privilege_either(filtered):
    itself = filtered.run("itself")
    assert not itself["capabilities"] and itself["bounding"] == [] and itself["fds"] == [0, 1, 2]
    assert (itself["no_new_privs"], itself["dumpable"], itself["seccomp"]) == (1, 0, 2)
    if os.geteuid() == 0:
        assert min(itself["uids"]) > 0x70000000 and itself["groups"] == []


@root
def test_without_walls_the_same_program_is_root(weak):
    itself = weak.run("itself")
    assert itself["uids"] == [0] * 6 and itself["capabilities"] and itself["seccomp"] == 0
    assert itself["environment"] == ["HOME", "LANG", "TMPDIR"] and itself["fds"] == [0, 1, 2]


@root
def test_the_programs_user_is_nobody_elses_on_the_machine(strongest):
    """Seen from outside: the user ids of the server, the program's first process and the program."""
    before = set(_children(os.getpid()))
    with Sandbox([ATTACKS], level=strongest.sandbox.level) as sandbox:
        (keeper,) = set(_children(os.getpid())) - before
        running = sandbox.start("attacks", b'{"name": "sleep", "args": [20]}')
        uids: list[int] = []
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and len(uids) < 4:
            uids = [_uid(pid) for pid in _descendants(keeper)]
        running.kill()
        assert running.wait().how == "signalled"
    assert len(uids) >= 4 and min(uids) > 0x70000000


def _descendants(pid):
    return [each for child in _children(pid) for each in (child, *_descendants(child))]


def _uid(pid):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[2]) for line in lines if line.startswith("Uid:"))


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as names:
        return [int(name) for name in names.read().split()]


def test_the_environment_of_the_caller_and_the_server(strongest, filtered, weak, monkeypatch, tmp_path):
    marker = "sibling-secret-5b1e"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"], env={**os.environ, "TOKEN": marker}
    )
    try:
        assert strongest.run("environment", marker) == []
        assert filtered.run("environment", marker) == []
        assert weak.run("environment", marker) == ["environment of another process"]
    finally:
        process.kill()
        process.wait()


@root
def test_the_server_has_no_environment_of_ours(weak, monkeypatch):
    for keeper in _children(os.getpid()):
        for pid in (keeper, *_children(keeper)):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as line:
                if b"keeper.py" in line.read():
                    with open(f"/proc/{pid}/environ", "rb") as variables:
                        assert variables.read().strip(b"\0") in (b"", b"PYTHONHASHSEED=0")


def test_the_memory_of_another_process(strongest, filtered, weak, victim):
    assert strongest.run("memory_of", victim.pid) == []
    assert filtered.run("memory_of", victim.pid) == []
    assert weak.run("memory_of", victim.pid) == [
        "open its memory", "read its maps", "list its descriptors", "copy its memory"
    ]  # fmt: skip


def test_files_outside(strongest, filtered, weak, secret, tmp_path):
    assert strongest.run("files", str(secret), str(tmp_path)) == []
    assert filtered.run("files", str(secret), str(tmp_path)) == []
    managed = weak.run("files", str(secret), str(tmp_path))
    assert {"read /etc/passwd", f"read {secret}", f"write in {tmp_path}", "write in /var/tmp"} <= set(managed)
    assert "list" in managed
    assert strongest.run("files", __file__, os.path.dirname(__file__)) == []


def test_attributes_of_files_outside(strongest, filtered, weak, secret):
    assert strongest.run("attributes", str(secret)) == []
    assert filtered.run("attributes", str(secret)) == []
    assert secret.read_text() == "the hidden tests"
    assert weak.run("attributes", str(secret)) == [
        "chmod", "chmod what is open", "utime", "truncate", "rename", "unlink"
    ]  # fmt: skip


@pytest.mark.parametrize("level", ["strongest", "filtered", "weak"])
def test_links_in_the_temp_directory(level, secret, tmp_path, request):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    managed = request.getfixturevalue(level).run("links", str(secret), str(outside))
    assert (outside / "kept").exists()  # what is left behind is not followed when it is removed
    if level == "weak":
        assert {"read through a symbolic link", "write through a symbolic link", "climb"} <= set(managed)
    else:
        assert managed == [] and sorted(os.listdir(outside)) == ["kept"]


def test_proc_and_core_pattern(strongest, filtered, weak):
    assert strongest.run("proc") == []
    assert filtered.run("proc") == []
    managed = weak.run("proc")
    assert {"read its own status", "read the first process's command", "list /sys"} <= set(managed)
    if os.geteuid() == 0 and os.access("/proc/sys/kernel/core_pattern", os.W_OK):
        assert "open kernel/core_pattern to write" in managed


def test_signals(strongest, filtered, weak, victim):
    assert strongest.run("kill", victim.pid) == []
    assert filtered.run("kill", victim.pid) == []
    assert victim.poll() is None
    assert weak.run("kill", victim.pid) == ["signal the parent", "pidfd", "kill"]
    assert victim.wait(10) == -signal.SIGKILL


def test_scheduling_of_another_process(strongest, filtered, weak, victim):
    assert strongest.run("renice", victim.pid) == []
    assert filtered.run("renice", victim.pid) == []
    assert weak.run("renice", victim.pid) == ["renice", "pin"]


def test_tracing(strongest, filtered, weak, victim):
    assert strongest.run("trace", victim.pid) == []
    assert filtered.run("trace", victim.pid) == []
    managed = weak.run("trace", victim.pid)
    assert "seize" in managed


@pytest.fixture
def listeners(tmp_path):
    """A TCP, a UDP, an abstract and a path socket to reach; what arrived is in `heard`."""
    heard: list[bytes] = []
    abstract, path = f"sibling-test-{os.getpid()}", str(tmp_path / "socket")
    with contextlib.ExitStack() as stack:
        tcp, udp = (stack.enter_context(socket.socket(type=kind)) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        unix, named = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        for each, address in ((tcp, ("127.0.0.1", 0)), (udp, ("127.0.0.1", 0)), (unix, "\0" + abstract), (named, path)):
            each.bind(address)
        for each in (tcp, unix, named):
            each.listen()
        os.chmod(path, 0o777)

        def hear():
            with contextlib.suppress(OSError):
                tcp.settimeout(5)
                link, _ = tcp.accept()
                with link:
                    heard.append(link.recv(9))

        listener = threading.Thread(target=hear)
        listener.start()
        yield tcp.getsockname()[1], udp.getsockname()[1], abstract, path, heard, udp
        with contextlib.suppress(OSError), socket.create_connection(tcp.getsockname(), timeout=1):
            pass
        listener.join()


def test_network(strongest, filtered, weak, listeners):
    *where, heard, udp = listeners
    assert strongest.run("network", *where) == []
    assert filtered.run("network", *where) == []
    udp.settimeout(0.05)
    with pytest.raises(TimeoutError):
        udp.recv(9)
    assert heard == []
    managed = weak.run("network", *where)
    assert {"tcp", "udp", "abstract", "path", "listen", "bind abstract"} <= set(managed)
    assert udp.recv(9) == b"udp"


def test_pairs_of_sockets_lead_nowhere(strongest, filtered, weak):
    address = f"sibling-pairs-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address)
        assert strongest.run("pairs", address) == ["stream"]
        assert filtered.run("pairs", address) == ["stream"]
        assert weak.run("pairs", address) == ["stream", "datagram", "address"]


@pytest.mark.parametrize("level", ["strongest", "filtered", "weak"])
def test_descriptors_cannot_be_passed(level, request):
    ground = request.getfixturevalue(level)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            managed = ground.run("send_descriptor", channels=[theirs])
        _, fds, _, _ = socket.recv_fds(ours, 9, 4)
        for fd in fds:
            os.close(fd)
    assert (managed, len(fds)) == ((["send"], 1) if level == "weak" else ([], 0))


@pytest.mark.parametrize("level", ["strongest", "weak"])
def test_descriptors_cannot_be_received(level, request, secret):
    ground = request.getfixturevalue(level)
    ours, theirs = socket.socketpair()
    with ours, theirs, open(secret) as file:
        socket.send_fds(ours, [b"x"], [file.fileno()])
        managed = ground.run("receive_descriptor", channels=[theirs])
    assert managed == (["receive"] if level == "weak" else [])


def test_the_other_end_of_a_channel(strongest, filtered, weak):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert strongest.run("peer", channels=[theirs]) == []
        assert filtered.run("peer", channels=[theirs]) == []
        assert "option" in weak.run("peer", channels=[theirs])


def test_fork_bomb(strongest, filtered, bare):
    assert strongest.run("forks", 60, processes=8) == 7
    assert filtered.run("forks", 60, processes=8) <= 7
    assert bare.run("forks", 60) == 60


def test_programs_at_the_same_time_do_not_share_the_count_of_processes(strongest, filtered):
    for ground in (strongest, filtered) if os.geteuid() == 0 else (strongest,):
        payload = b'{"name": "forks", "args": [3]}'
        running = [ground.sandbox.start("attacks", payload) for _ in range(6)]
        assert [each.wait().stdout for each in running] == [b"3\n"] * 6


def test_threads_count_as_processes(strongest, bare):
    assert strongest.run("many_threads", 40, processes=8) == 7
    assert bare.run("many_threads", 40) == 40


def test_memory(strongest, filtered, weak, bare):
    size = 4 << 30
    for ground in (strongest, filtered, weak):
        assert ground.run("reserve", size) == []
        ended = ground.end("touch", size)
        assert ended.how == "memory" and ended.peak_memory < 1 << 30
    assert bare.run("reserve", size) == ["reserved"]
    assert strongest.run("touch", 32 << 20) == 32 << 20


def test_memory_of_several_processes(strongest, at):
    contained = at(Level.contained)
    ended = contained.end("touch_together", 4, 60 << 20, memory=128 << 20)
    assert ended.how == "memory"
    assert 100 << 20 < ended.peak_memory <= 130 << 20
    assert at(Level.isolated).run("touch_together", 4, 60 << 20, memory=128 << 20) == [0] * 4


def test_disk(strongest, weak, tmp_path):
    assert strongest.run("fill", ".", 16, 4 << 20, file_bytes=8 << 20) <= 8 << 20
    assert weak.run("fill", ".", 16, 4 << 20, file_bytes=8 << 20) == 64 << 20
    assert weak.run("fill", ".", 1, 16 << 20, file_bytes=8 << 20) == 8 << 20
    assert strongest.run("fill", "/dev/shm", 16, 4 << 20, file_bytes=8 << 20) <= 8 << 20
    assert strongest.run("memory_files", 3, 8 << 20) == []
    assert weak.run("memory_files", 3, 8 << 20) == ["memory file"] * 3


@pytest.mark.parametrize("level", ["strongest", "filtered", "weak", "bare"])
def test_output_flood(level, request):
    ended = request.getfixturevalue(level).end("flood", output_bytes=100_000)
    assert ended.how == "output" and ended.stdout == b"x" * 100_000 and ended.seconds < 5


@pytest.mark.parametrize("level", ["strongest", "filtered", "weak", "bare"])
def test_a_daemon_ends_with_the_program(level, request):
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            assert request.getfixturevalue(level).end("daemon", channels=[theirs]).seconds < 5
        ours.settimeout(10)
        assert ours.recv(9) == (b"alive" if level == "bare" else b"")


def test_limits_cannot_be_raised(strongest, filtered):
    assert strongest.run("raise_limits") == []
    assert filtered.run("raise_limits") == []


def test_mounts(strongest, filtered, weak):
    assert strongest.run("mounts") == []
    assert filtered.run("mounts") == []
    if os.geteuid() == 0 and strongest:  # namespaces work here, so that root can make one
        assert {"new mount namespace", "mount tmpfs", "bind"} <= set(weak.run("mounts"))


def test_new_namespaces(strongest, filtered, weak):
    assert strongest.run("namespaces") == []
    assert filtered.run("namespaces") == []
    assert "user" in weak.run("namespaces")
    assert strongest.run("clone_namespace") == ["clone"]
    assert "clone user" in weak.run("clone_namespace")


def test_chroot_escape(strongest, filtered, weak):
    assert strongest.run("chroot") == []
    assert filtered.run("chroot") == []
    if os.geteuid() == 0:
        assert weak.run("chroot") == ["chroot", "escape"]


def test_other_programs(strongest, filtered, weak):
    assert strongest.run("execute") == []
    assert filtered.run("execute") == []
    assert weak.run("execute") == ["exec"]


def test_wide_calls(strongest, filtered, weak):
    """io_uring, userfaultfd, BPF, performance events, keys."""
    assert strongest.run("wide") == []
    assert filtered.run("wide") == []
    assert "keyctl" in weak.run("wide") and len(weak.run("wide")) >= 3


def test_system_v_ipc(strongest, filtered, weak):
    assert strongest.run("ipc") == []
    assert filtered.run("ipc") == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")
def test_the_32_bit_calling_convention_kills(strongest, filtered, weak):
    for ground in (strongest, filtered):
        ended = ground.end("old_calls")
        assert (ended.how, ended.signal) == ("signalled", signal.SIGSYS)
    ended = weak.end("old_calls")
    assert ended.how == "exited" or ended.signal == signal.SIGSEGV  # a kernel without that convention
