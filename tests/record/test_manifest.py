from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sibling
from sibling.canonical import canonical_json, digest, file_digest
from sibling.record.kinds import digest as is_digest
from sibling.record.manifest import code_manifest, git_state


def git(folder: Path, *arguments: str) -> None:
    name = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    try:
        subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "checkout" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(tmp_path / "checkout", "init", "-q")
    return package


def test_the_digest_covers_every_source_file_of_the_package() -> None:
    manifest = code_manifest()
    root = Path(sibling.__file__).parent
    files = {str(p.relative_to(root)): file_digest(p) for kind in ("*.py", "*.c", "*.h") for p in root.rglob(kind)}
    assert "models/kernels.c" in files
    assert manifest["code_digest"] == digest(files)
    assert is_digest(manifest["code_digest"]) is None
    assert set(manifest["code"]) == {"version", "git"}
    canonical_json(manifest)


def test_git_state_of_a_checkout(package: Path) -> None:
    assert git_state(package) is None  # nothing is tracked
    git(package, "add", ".")
    assert git_state(package) is None  # no commit yet
    git(package, "commit", "-qm", "one")
    state = git_state(package)
    assert state is not None and len(state["commit"]) == 40 and state["dirty"] is False
    (package.parent / "README").write_text("outside the package")
    assert git_state(package) == state
    (package / "new.py").write_text("")
    assert git_state(package) == {**state, "dirty": True}


def test_a_package_that_merely_lies_inside_a_repository_has_no_git_state(package: Path) -> None:
    git(package, "add", ".")
    git(package, "commit", "-qm", "one")
    installed = package.parent / "environment" / "package"
    shutil.copytree(package, installed)
    assert git_state(installed) is None
    assert git_state(package.parent.parent) is None


def test_without_git_there_is_no_git_state(package: Path) -> None:
    code = "import sys; from pathlib import Path; from sibling.record.manifest import *; print(code_manifest()['code'])"
    env = {**os.environ, "PATH": str(package)}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    assert "'git': None" in done.stdout
