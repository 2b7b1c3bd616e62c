"""Which code ran: the package's version, a digest over its own source files, and its git commit if it has one."""

from __future__ import annotations

import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from sibling.canonical import digest, file_digest

_GIT_SECONDS = 10


def code_manifest() -> dict[str, Any]:
    """{code_digest, code: {version, git: {commit, dirty} | null}}, ready for the body of run.opened.

    `code_digest` is the digest of the map relative path -> file digest over every .py file of the package, so it tells
    two edits apart even where there is no git. `git` is null unless the package's files are tracked in a checkout:
    an environment that merely lies inside somebody's repository says nothing about this code. `dirty` is true when
    a tracked file of the package was changed or an untracked one was added.
    """
    package = Path(__file__).resolve().parent.parent
    sources = sorted(p for kind in ("*.py", "*.c", "*.h") for p in package.rglob(kind))
    files = {p.relative_to(package).as_posix(): file_digest(p) for p in sources}
    return {"code_digest": digest(files), "code": {"version": _version(), "git": git_state(package)}}


def git_state(package: Path) -> dict[str, Any] | None:
    """{commit, dirty} of the checkout that tracks `package`, or None (no git, no checkout, not tracked, no commit)."""
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    changes = _git(package, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    if commit is None or changes is None:
        return None
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}


def _version() -> str:
    try:
        return metadata.version("sibling")
    except metadata.PackageNotFoundError:
        return "unknown"


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command in `folder`; None if there is no git or it fails, for whatever reason."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout
