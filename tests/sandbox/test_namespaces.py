"""Which user ids a server takes, and that the private root is built where mounting is not allowed to root itself."""

import os
import sys
from pathlib import Path

import pytest

from sibling.sandbox import namespaces
from sibling.sandbox.levels import Level
from sibling.sandbox.probe import missing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


def test_ids_of_the_whole_machine():
    whole = [(0, 4294967295)]
    assert namespaces._ids(whole, 1) == 0x70000000 + 256
    assert namespaces._ids(whole, 1 << 22) == 0x70000000 + (1 << 30)  # the greatest process id there can be


def test_ids_of_a_container():
    for pid in range(100):
        first = namespaces._ids([(0, 65536)], pid)
        assert first > 50_000 and first + 256 <= 65536
    assert namespaces._ids([(0, 1), (1, 65536)], 5) == 1 + 65536 - 256 * 7
    assert namespaces._ids([(0, 1)], 5) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("mount", [True, False])
def test_the_root_is_built_with_and_without_the_right_to_mount(mount, apart, tmp_path):
    """Without: like root in a container that was given no more than usual. The interpreter has to be open to all."""
    if missing(Level.isolated):
        pytest.skip(missing(Level.isolated))
    python = next((path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(path).exists()), None)
    if python is None:
        pytest.skip("no interpreter of the system")
    done = apart(
        f"""
        import os, sys, tempfile
        from sibling.sandbox import calls, trial
        if len(sys.argv) < 2 and not {mount}:
            calls.prctl(24, 21)  # CAP_SYS_ADMIN is not gained by what is started from here on
            os.execv(sys.executable, sys.orig_argv + ["again"])
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            print(trial._tried(lambda: trial._namespaces(folder)) or "works")
        """,
        python=python,
    )
    assert done.stdout == "works\n", done.stdout + done.stderr


def test_the_temp_directory_does_not_cover_the_library(monkeypatch):
    monkeypatch.setattr(namespaces.library, "readable", lambda: ["/usr/lib/python3", "/tmp/python/lib"])
    assert namespaces.home() == "/scratch"
    monkeypatch.setattr(namespaces.library, "readable", lambda: ["/usr/lib/python3", "/tmpfs"])
    assert namespaces.home() == "/tmp"
