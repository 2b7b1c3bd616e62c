"""Verdicts of judges by digest: in memory, and as files that other runs can use.

A file is written aside and renamed, so that a reader never sees half of one. A file that is not exactly what was
written (other keys, another digest, not JSON) is counted and passed over, and replaced by the next verdict. Errors are
never kept. Covered: runs that share a directory. Not covered: someone who may write there can plant verdicts.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path

from sibling.errors import RequestError
from sibling.rewards.judge.verdict import Opinion

_MOST_BYTES = 16_384


class Cache:
    """Opinions by digest ("sha256:..."). `folder` None: in memory only. Safe to use from several threads.

    Raises `RequestError` when the folder cannot be made.
    """

    def __init__(self, folder: Path | None) -> None:
        self._known: dict[str, Opinion] = {}
        self._folder, self._lock = folder, threading.Lock()
        self.corrupt = 0  # files passed over
        self.unwritten = 0  # verdicts that could not be written; they are still kept in memory
        if folder is not None:
            _make(folder)

    def get(self, key: str) -> Opinion | None:
        """The opinion kept for `key`, or None."""
        with self._lock:
            if key not in self._known and self._folder is not None:
                found = self._read(self._path(self._folder, key), key)
                if found is not None:
                    self._known[key] = found
            return self._known.get(key)

    def put(self, key: str, opinion: Opinion) -> None:
        """Keep `opinion` for `key`."""
        with self._lock:
            self._known[key] = opinion
            if self._folder is not None:
                self._write(self._path(self._folder, key), key, opinion)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        name = key.removeprefix("sha256:")
        return folder / name[:2] / f"{name}.json"

    def _read(self, path: Path, key: str) -> Opinion | None:
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError:
            self.corrupt += 1
            return None
        opinion = _opinion(data, key) if len(data) <= _MOST_BYTES else None
        self.corrupt += opinion is None
        return opinion

    def _write(self, path: Path, key: str, opinion: Opinion) -> None:
        entry = {"digest": key, "accept": opinion.accept, "reason": opinion.reason}
        aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            path.parent.mkdir(exist_ok=True)
            aside.write_text(json.dumps(entry, sort_keys=True) + "\n", encoding="utf-8")
            aside.replace(path)
        except OSError:  # a full disk must not cost the run its verdict
            self.unwritten += 1
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


def _opinion(data: bytes, key: str) -> Opinion | None:
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or entry.keys() != {"digest", "accept", "reason"} or entry["digest"] != key:
        return None
    if not isinstance(entry["accept"], bool) or not isinstance(entry["reason"], str):
        return None
    return Opinion(entry["accept"], entry["reason"])


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise RequestError(
            "The cache of the judge cannot be made",
            seen=f"{folder}: {failure}",
            wanted="a directory that can be written to",
            do="Correct the judge's option `cache`, or leave it out to keep verdicts in memory",
        ) from failure
