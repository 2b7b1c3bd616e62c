"""As a user other than root: the same walls from a user namespace of one's own. Needs root here to become another."""

import json
import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from sibling.sandbox import run

ATTACKS = Path(__file__).with_name("attacks.py")
CODE = """
    import json, os, sys
    from pathlib import Path
    from sibling.sandbox.levels import Level
    from sibling.sandbox.limits import Limits
    from sibling.sandbox.probe import missing, probe
    from sibling.sandbox.run import Sandbox
    assert os.geteuid() == 65534
    if missing(Level.isolated):
        print(json.dumps({"missing": missing(Level.isolated)}))
        sys.exit()
    def go(level, name, *args, **limits):
        payload = json.dumps({"name": name, "args": args}).encode()
        ended = sandbox.start("attacks", payload, limits=Limits(**limits)).wait()
        assert ended.code == 0, ended
        return json.loads(ended.stdout)
    results = {}
    for level in (Level.limits, Level.filtered, Level.isolated):
        with Sandbox([Path(ATTACKS)], level=level) as sandbox:
            found = {"itself": go(level, "itself"), "forks": go(level, "forks", 30, processes=6)}
            outside = os.path.dirname(ATTACKS)
            for name, *args in (("files", ATTACKS, outside), ("proc",), ("namespaces",), ("mounts",), ("execute",),
                                ("memory_of", os.getpid()), ("environment", "sibling-marker"), ("wide",)):
                found[name] = go(level, name, *args)
            found["fill"] = go(level, "fill", ".", 8, 1 << 20, file_bytes=2 << 20)
            results[level.name] = found
    print(json.dumps(results))
"""


def _interpreter():
    """One that every user can run, of a version that we support."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        place, open_to_all = Path(os.path.realpath(path)), True
        while place != place.parent:
            open_to_all &= place.exists() and bool(stat.S_IMODE(place.stat().st_mode) & 0o001)
            place = place.parent
        if open_to_all and f"{sys.version_info.major}.{sys.version_info.minor}" in os.path.realpath(path):
            return path
    return None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_is_held_too(apart, tmp_path):
    python = _interpreter()
    if python is None:
        pytest.skip("no interpreter that another user can run")
    with tempfile.TemporaryDirectory() as folder:  # one that another user reaches, with copies of what it has to read
        os.chmod(folder, 0o777)
        attacks = Path(folder, "attacks.py")
        attacks.write_text(ATTACKS.read_text())
        os.chmod(attacks, 0o644)
        if not os.access(Path(run.__file__), os.R_OK):
            pytest.skip("the package cannot be read by another user")
        done = apart(
            CODE.replace("ATTACKS", repr(str(attacks))),
            python=python, user=65534, group=65534, extra_groups=[], cwd="/",
            env={"TOKEN": "sibling-marker", "TMPDIR": "/tmp"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    if "missing" in results:
        pytest.skip(results["missing"])
    for level in ("filtered", "isolated"):
        found = results[level]
        itself = found.pop("itself")
        assert not itself["capabilities"] and itself["no_new_privs"] == 1 and itself["seccomp"] == 2
        assert found.pop("forks") <= 5
        fill = found.pop("fill")
        assert fill <= 2 << 20 or level == "filtered"
        assert all(managed == [] for managed in found.values()), found
    weak = results["limits"]
    assert weak["environment"] == ["environment of another process"] and weak["execute"] == ["exec"]
    assert "user" in weak["namespaces"] and "open its memory" in weak["memory_of"]
    assert {"list", f"read {attacks}", f"write in {folder}"} <= set(weak["files"])
