"""Canonical JSON (RFC 8785) and SHA-256 digests, the one way anything here is hashed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import rfc8785

from sibling.errors import RunError

_CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> bytes:
    """`value` as RFC 8785 canonical JSON: sorted keys, no white space, shortest round-trip numbers.

    Raises `RunError` for what JSON cannot carry: NaN, infinity, integers beyond 2^53, other types.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, TypeError, ValueError) as error:
        raise RunError(
            "A value cannot be written as canonical JSON",
            seen=f"{error}",
            wanted="strings, booleans, null, finite numbers, integers up to 2^53, lists and string-keyed maps",
        ) from error


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`, prefixed `sha256:`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`."""
    return sha256(canonical_json(value))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, read in chunks."""
    h = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(_CHUNK_BYTES):
            h.update(chunk)
    return "sha256:" + h.hexdigest()


def tree_digests(folder: Path) -> dict[str, str]:
    """Relative POSIX path -> file digest for every regular file below `folder`, sorted by path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): file_digest(p) for p in files}
