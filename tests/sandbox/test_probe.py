"""What works here is found by trying it; a means that is taken away is noticed."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from sibling.errors import RequestError
from sibling.sandbox import probe as probing
from sibling.sandbox.levels import Level
from sibling.sandbox.probe import missing, probe, require

ALL = ("limits", "seccomp", "landlock", "namespaces", "cgroups")


@pytest.mark.parametrize(
    ("broken", "level"),
    [
        ((), Level.contained),
        (("cgroups",), Level.isolated),
        (("landlock",), Level.contained),
        (("namespaces",), Level.filtered),
        (("namespaces", "landlock"), Level.limits),
        (("seccomp",), Level.limits),
        (ALL, Level.none),
    ],
)
def test_the_level_follows_from_what_works(broken, level, monkeypatch):
    monkeypatch.setattr(probing, "_tried", lambda: {name: "not here" if name in broken else "" for name in ALL})
    found = probe()
    assert found.level == level and require("none") == level
    assert len(found.words) == len(ALL)
    assert sum("no (not here)" in word for word in found.words) == len(broken)
    for each in Level:
        if each > level:
            with pytest.raises(RequestError, match="not here"):
                require(each)
            assert "not here" in missing(each)
        else:
            assert require(each.name) == level


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's means")
def test_each_means_is_tried_for_real(tmp_path, apart):
    """Under a filter that denies them, the same trials fail and say with what."""
    deny = """
        import contextlib, io, json
        from sibling.sandbox import calls, privileges, seccomp, trial
        privileges.drop()
        seccomp.put_on(seccomp.build(alone=True))
        with contextlib.redirect_stdout(io.StringIO()) as said:
            trial.everything(FOLDER)
        print(said.getvalue())
    """
    done = apart(deny.replace("FOLDER", repr(str(tmp_path))))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert all("Operation not permitted" in result[name] for name in ("seccomp", "namespaces"))
    assert result["limits"] == ""
    assert not missing(Level.limits)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's means")
def test_what_this_machine_has_is_found(apart):
    """Or a fault in a wall would look like a machine without it, and its tests would be skipped."""
    with open("/proc/self/status") as lines:
        if any(line.startswith("Seccomp_filters:") for line in lines):
            assert not [word for word in probe().words if "seccomp" in word and "no (" in word]
    if apart("from sibling.sandbox import landlock; landlock.version()").returncode == 0:
        assert not missing(Level.filtered)
    unshare = shutil.which("unshare")
    if unshare and subprocess.run([unshare, "-Urmpfn", "true"], capture_output=True, check=False).returncode == 0:
        assert not missing(Level.isolated)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's means")
def test_a_trial_that_is_killed_is_told(apart):
    done = apart("""
        import os, signal
        from sibling.sandbox import trial
        print(trial._tried(lambda: os.kill(os.getpid(), signal.SIGKILL)))
        print(trial._tried(lambda: 1 / 0))
        print(trial._tried(lambda: None), "works")
    """)
    assert done.stdout.splitlines() == ["the kernel killed the trial", "ZeroDivisionError: division by zero", " works"]


def test_a_trial_that_cannot_start_means_no_level(monkeypatch):
    def fails(*_, **__):
        raise subprocess.CalledProcessError(1, "python", stderr=b"no such thing")

    probing._tried.cache_clear()
    monkeypatch.setattr(subprocess, "run", fails)
    try:
        assert probe().level == Level.none and "no such thing" in probe().words[0]
    finally:
        probing._tried.cache_clear()


def test_without_fork_there_is_no_level(monkeypatch):
    probing._tried.cache_clear()
    monkeypatch.delattr(os, "fork", raising=False)
    try:
        with pytest.raises(RequestError, match="cannot fork"):
            require("limits")
    finally:
        probing._tried.cache_clear()
