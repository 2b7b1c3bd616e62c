"""Groups of version 1 or 2 here; the files of the other version on a directory that stands for its file system."""

import os
import sys
from pathlib import Path

import pytest

from sibling.sandbox import cgroups
from sibling.sandbox.levels import Level
from sibling.sandbox.limits import Limits
from sibling.sandbox.probe import missing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cgroups are Linux's")
LIMITS = Limits(memory=64 << 20, processes=3)


def test_a_group_here_holds_and_goes(apart):
    if missing(Level.contained):
        pytest.skip(missing(Level.contained))
    done = apart("""
        import os
        from sibling.sandbox import cgroups
        from sibling.sandbox.limits import Limits
        place = cgroups.make(f"sibling-test-{os.getpid()}", None)
        groups = cgroups.Groups(place)
        name = groups.new(Limits(memory=64 << 20, processes=3), 0)
        pid = os.fork()
        if not pid:
            try:
                groups.enter(name)
                made = 0
                try:
                    for _ in range(9):
                        if not os.fork():
                            os.read(0, 1) or os._exit(0)
                        made += 1
                except OSError:
                    os._exit(made)
            finally:
                os._exit(99)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        killed, peak = groups.end(name)
        print(code, killed, 0 < peak < 64 << 20)
        cgroups.remove(place)
        print([folder for folder in place.folders if os.path.exists(folder)])
    """)
    assert done.stdout == "2 False True\n[]\n", done.stderr


@pytest.fixture
def version_2(tmp_path, monkeypatch):
    """A directory with the files of version 2, where making a directory makes its files."""
    own = tmp_path / "own"
    own.mkdir()
    for folder, handed in ((tmp_path, "cpu memory pids"), (own, "")):
        (folder / "cgroup.subtree_control").write_text(handed)
        (folder / "cgroup.procs").write_text("")
    (own / "cgroup.type").write_text("domain")
    (tmp_path / "cgroup.type").write_text("domain")
    make = os.mkdir

    def mkdir(path, mode=0o777, *, dir_fd=None):
        make(path, mode, dir_fd=dir_fd)
        for name in ("cgroup.procs", "cgroup.subtree_control", "memory.max", "memory.swap.max", "memory.oom.group",
                     "memory.events", "memory.peak", "pids.max"):  # fmt: skip
            os.close(os.open(f"{path}/{name}", os.O_CREAT | os.O_WRONLY, dir_fd=dir_fd))

    def rmdir(path, *, dir_fd=None):
        os.rename(path, f"{path}.gone", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    monkeypatch.setattr(cgroups.os, "mkdir", mkdir)
    monkeypatch.setattr(cgroups.os, "rmdir", rmdir)
    monkeypatch.setattr(cgroups, "mounts", lambda: {"": str(own)})
    return tmp_path


def test_version_2_writes_its_files_beside_the_own_group(version_2):
    place = cgroups.make("sibling-x", os.geteuid())
    assert place == cgroups.Place(2, str(version_2 / "sibling-x"), str(version_2 / "sibling-x"))
    assert place.folders == [str(version_2 / "sibling-x")] and cgroups.Place(**place.plain()) == place
    assert (version_2 / "sibling-x/cgroup.subtree_control").read_text() == "+memory +pids"
    groups = cgroups.Groups(place)
    groups.join()
    assert (version_2 / "sibling-x/server/cgroup.procs").read_text() == "0"
    folder = version_2 / "sibling-x" / groups.new(LIMITS, 1)
    texts = {
        name: (folder / name).read_text() for name in ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
    }
    assert texts == {
        "memory.max": str(64 << 20), "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "4"
    }  # fmt: skip
    groups.enter(folder.name)
    assert (folder / "cgroup.procs").read_text() == "0"
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n")
    (folder / "memory.peak").write_text("123456\n")
    assert groups.end(folder.name) == (True, 123456)
    assert Path(f"{folder}.gone").is_dir()
    for fd in (groups._memory, groups._pids):
        os.close(fd)


def test_version_2_without_controllers_says_so(version_2):
    (version_2 / "cgroup.subtree_control").write_text("cpu")
    with pytest.raises(OSError, match="not handed down"):
        cgroups.make("sibling-x", None)


def test_no_cgroups_at_all(monkeypatch):
    monkeypatch.setattr(cgroups, "mounts", dict)
    with pytest.raises(OSError, match="no cgroup file system"):
        cgroups.make("sibling-x", None)


@pytest.mark.parametrize("owner", [None, 1])
def test_what_cannot_be_finished_is_taken_back(owner, tmp_path, monkeypatch):
    """The second controller cannot be had, or the directories not be handed over."""
    for name in ("memory", "pids"):
        (tmp_path / name).mkdir()
    pids = tmp_path / ("pids" if owner else "missing")
    monkeypatch.setattr(cgroups, "mounts", lambda: {"memory": str(tmp_path / "memory"), "pids": str(pids)})

    def refuse(*_):
        raise PermissionError(1, "no")

    monkeypatch.setattr(cgroups.os, "chown", refuse)
    with pytest.raises(OSError, match=r"No such file|no"):
        cgroups.make("sibling-x", owner)
    assert list((tmp_path / "memory").iterdir()) == []
