"""What the checks of `sibling verify` share: the log, the resolved recipe, the findings, and safe paths.

A record may come from a stranger. Paths in it are followed only below the run directory, never through a
symbolic link; files are opened only if they are regular files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sibling.canonical import digest, file_digest
from sibling.record.events import Event
from sibling.record.files import is_leftover
from sibling.record.findings import Findings
from sibling.record.reader import Log


@dataclass
class Audit:
    """One verification under way. `log` holds sound events only; `facts` are the numbers of the final summary."""

    directory: Path
    log: Log
    findings: Findings
    facts: dict[str, Any] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict)  # empty unless its digest is the recorded one

    def setting(self, *keys: str) -> Any:
        """A value of the resolved recipe by its path, or None."""
        value: Any = self.resolved
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def expect_file(self, relative: str, wanted: str) -> Path | None:
        """The file, if it is there with this digest; otherwise an ARTIFACT finding and None."""
        path = inside(self.directory, relative)
        if path is None or not _is_regular(path):
            self.findings.add("ARTIFACT", shown(relative), "the file is missing, or is not a regular file of this run")
            return None
        seen = _digest_of(path)
        if seen != wanted:
            self.findings.add("ARTIFACT", shown(relative), f"the file's digest is {seen}, recorded is {wanted}")
            return None
        return path

    def expect_tree(self, relative: str, files: Mapping[str, str], wanted: str) -> bool:
        """Whether a directory holds exactly `files`, and `wanted` is the digest of that map."""
        before = self.findings.errors()
        if digest(dict(files)) != wanted:
            self.findings.add("ARTIFACT", shown(relative), "the recorded digest is not that of the recorded files")
        folder = inside(self.directory, relative)
        if folder is None or not folder.is_dir():
            self.findings.add("ARTIFACT", shown(relative), "the directory is missing")
            return False
        for name, value in files.items():
            self.expect_file(f"{relative}/{name}", value)
        for name in sorted(set(names_below(folder)) - set(files)):
            self.findings.add("UNLISTED", shown(f"{relative}/{name}"), "no event speaks of this file")
        return self.findings.errors() == before

    def leftover(self, relative: str) -> None:
        """Note something that a write cut short has left behind."""
        sentence = "left behind by a write that was cut short; a resumed run replaces it"
        self.findings.add("UNLISTED", shown(relative), sentence, severity="notice")


def line_of(event: Event) -> str:
    """Where an event is, for a finding."""
    return f"events.jsonl:{event.seq + 1}"


def shown(text: str) -> str:
    """Text from a record, safe and short enough for a terminal."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:200])
    return clean or "(empty name)"


def inside(directory: Path, relative: str) -> Path | None:
    """`directory / relative`, or None if that leaves the directory, passes a symbolic link, or is no plain path."""
    parts = relative.split("/")
    if any(p in ("", ".", "..") for p in parts) or "\0" in relative or "\\" in relative:
        return None
    path = directory
    try:
        for part in parts:
            path = path / part
            if path.is_symlink():
                return None
    except (OSError, ValueError):
        return None
    return path


def children(folder: Path) -> list[str]:
    """Names in a folder, sorted; empty if there is no such folder."""
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError:
        return []


def names_below(folder: Path) -> Iterator[str]:
    """Relative POSIX names of everything below a folder that is not itself a folder, leftovers apart."""
    for path in sorted(folder.rglob("*")):
        if (path.is_symlink() or not path.is_dir()) and not is_leftover(path.name):
            yield path.relative_to(folder).as_posix()


def _is_regular(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _digest_of(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        return f"unknown ({error.strerror})"
