from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sibling.canonical import canonical_json
from sibling.record.environment import VARIABLES, environment_manifest, package_versions


def test_facts_of_this_machine() -> None:
    manifest = environment_manifest()
    assert manifest["python"]["version"] == platform.python_version()
    assert manifest["packages"]["numpy"] == np.__version__
    assert manifest["processor"]["usable_cores"] == len(os.sched_getaffinity(0))
    assert manifest["memory"] > 2**20
    canonical_json(manifest)


def test_listed_variables_are_kept_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("HF_TOKEN", "secret-value")
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    manifest = environment_manifest()
    assert manifest["variables"]["OMP_NUM_THREADS"] == "3" and "PYTHONHASHSEED" not in manifest["variables"]
    assert set(manifest["variables"]) <= set(VARIABLES)
    assert b"secret-value" not in canonical_json(manifest)


def test_no_host_user_or_path() -> None:
    text = canonical_json(environment_manifest()).decode()
    assert socket.gethostname() not in text and str(Path.home()) not in text and os.getcwd() not in text
    if len(getpass.getuser()) > 4:
        assert getpass.getuser() not in text


def test_packages_that_are_not_installed_are_absent() -> None:
    assert set(package_versions(("numpy", "no-such-package-anywhere"))) == {"numpy"}


def test_looking_packages_up_imports_none_of_them() -> None:
    code = (
        "import sys; from sibling.record.environment import environment_manifest; environment_manifest();"
        "assert not {'torch', 'transformers', 'peft', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
