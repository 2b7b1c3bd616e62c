"""A run directory: where things lie, and whether a new run may begin in it or an old one go on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sibling.canonical import canonical_json, file_digest
from sibling.config import Recipe, parse_recipe
from sibling.errors import RequestError
from sibling.record.files import atomic_write, explain
from sibling.record.lock import LOCK_NAME, holder
from sibling.record.reader import EVENTS_NAME, Log, read_log

_REQUEST = ("recipe.yaml", "resolved.json", "origin.json")
_FOLDERS = ("samples", "checkpoints", "evaluation")


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe as it was written."""
        return self.path / "recipe.yaml"

    @property
    def resolved(self) -> Path:
        """Every value used, canonical JSON."""
        return self.path / "resolved.json"

    @property
    def origin(self) -> Path:
        """The folder that relative paths of the recipe start from: a fact of this machine, not of the record."""
        return self.path / "origin.json"

    @property
    def model(self) -> Path:
        """The trained model, once the run is done."""
        return self.path / "model"

    def samples(self, step: int) -> Path:
        """Sample file of a step."""
        return self.path / "samples" / f"step-{step:06d}.parquet"

    def checkpoint(self, step: int) -> Path:
        """Checkpoint of a step."""
        return self.path / "checkpoints" / f"step-{step:06d}"

    def evaluation(self, label: str) -> Path:
        """Per-item results of an evaluation."""
        return self.path / "evaluation" / f"{label}.json"

    def relative(self, path: Path) -> str:
        """`path` as the record names it."""
        return path.relative_to(self.path).as_posix()

    # -- beginning

    def require_free(self, recipe: Recipe) -> None:
        """Raise `RequestError` unless a new run may begin here: nothing is ever overwritten."""
        self._require_writable()
        log = read_log(self.path) if (self.path / EVENTS_NAME).exists() else None
        if log is None or not log.lines:
            self._require_room()
            return
        pid = holder(self.path)
        if pid not in (None, os.getpid()):
            raise RequestError(
                f"The run directory {self.path} is in use: a run is writing to it",
                seen=f"process {pid}, at step {log.latest_step()}" if pid else f"step {log.latest_step()}",
                wanted="a directory of its own for each run",
                do=f"Watch that run with `sibling watch {self.path}`, or choose another directory with run_dir=PATH",
            )
        self._refuse(log, recipe)

    def _require_writable(self) -> None:
        place = self.path
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise RequestError(
                f"The run directory {self.path} cannot be made",
                seen=f"{place} is a file",
                do="Choose another directory with run_dir=PATH",
            )
        if not os.access(place, os.W_OK | os.X_OK):
            raise RequestError(
                f"The run directory {self.path} cannot be written",
                seen=_why_not(place),
                do="Mend that, or choose another directory with run_dir=PATH",
            )

    def _require_room(self) -> None:
        """Refuse files of somebody else under a run's names. A run that ended before its first event left a lock."""
        begun = (self.path / LOCK_NAME).exists()
        names = (*_REQUEST, *_FOLDERS, self.model.name, "report.html")
        taken = [n for n in names if (self.path / n).exists() and not (begun and self._untouched(n))]
        if taken:
            raise RequestError(
                f"The directory {self.path} holds files that a run would overwrite",
                seen=", ".join(taken),
                wanted="a directory without them, or one that does not exist yet",
                do="Choose another directory with run_dir=PATH; nothing was changed",
            )

    def _untouched(self, name: str) -> bool:
        path = self.path / name
        return name in _REQUEST or (name in _FOLDERS and path.is_dir() and not any(path.iterdir()))

    def _refuse(self, log: Log, recipe: Recipe) -> None:
        opened = log.opened()
        if opened is None or opened.body.get("recipe_digest") != recipe.digest():
            raise RequestError(
                f"The run directory {self.path} holds the run of another recipe",
                seen=self._differences(recipe),
                wanted="a directory of its own for each recipe",
                do="Choose another directory with run_dir=PATH; nothing was changed",
            )
        done = log.closed() is not None
        raise RequestError(
            f"The run directory {self.path} already holds {'the finished' if done else 'an unfinished'} run "
            "of this recipe",
            seen=f"step {log.latest_step()} of {recipe.steps}",
            do=f"Look at it with `sibling report {self.path}`, or choose another directory with run_dir=PATH"
            if done
            else f"Go on with `sibling resume {self.path}`, or choose another directory with run_dir=PATH",
        )

    def _differences(self, recipe: Recipe) -> str:
        """The settings in which the recipe of this directory differs from `recipe`, in words."""
        try:
            there = _settings(json.loads(self.resolved.read_bytes()))
        except (OSError, ValueError):
            return "a recipe that cannot be read"
        here = _settings(recipe.resolved())
        names = sorted(n for n in {*there, *here} - {"run_dir"} if there.get(n) != here.get(n))
        shown = [f"{n} is {_shown(there.get(n))} there and {_shown(here.get(n))} here" for n in names[:3]]
        return "; ".join(shown) + (f"; and {len(names) - 3} more differences" if len(names) > 3 else "")

    def make(self) -> None:
        """Make the directory, if need be; what goes into it is written under its lock."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(
                f"The run directory {self.path} cannot be made",
                seen=error.strerror or str(error),
                do="Mend that, or choose another directory with run_dir=PATH",
            ) from error

    def write_request(self, recipe: Recipe, recipe_text: str, base: Path) -> None:
        """Write what was asked and what it was resolved to, and make the folders."""
        try:
            for name in _FOLDERS:
                (self.path / name).mkdir(exist_ok=True)
        except OSError as error:
            raise explain(f"Cannot make a folder in {self.path}", error) from error
        atomic_write(self.recipe, recipe_text.encode())
        atomic_write(self.resolved, canonical_json(recipe.resolved()))
        atomic_write(self.origin, canonical_json({"base": str(base.resolve())}))

    # -- going on

    def require_resumable(self) -> tuple[Recipe, Path, Log]:
        """The recipe, the folder its relative paths start from, and the log of an unfinished run.

        Raises `RequestError` for no run, a finished one, an edited `resolved.json`.
        """
        if not (self.path / EVENTS_NAME).exists():
            raise RequestError(
                f"{self.path} holds no run to resume",
                wanted=f"a run directory with {EVENTS_NAME}",
                do="Start one with `sibling train RECIPE`",
            )
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise RequestError(
                f"The run in {self.path} cannot go on: its directory cannot be written",
                seen=_why_not(self.path),
                do="Mend that, or copy the directory to where it can be written and resume the copy",
            )
        log = read_log(self.path)
        log.require_sound()
        opened, closed = log.opened(), log.closed()
        if closed is not None and closed.body.get("status") == "finished":
            raise RequestError(
                f"The run in {self.path} is finished: there is nothing to resume",
                seen=f"{closed.body.get('steps')} steps",
                do=f"See `sibling report {self.path}`; to train on, start a recipe whose model is {self.model}",
            )
        if opened is None:
            raise RequestError(
                f"The run in {self.path} ended before its first event was written, so there is nothing to resume",
                do="Start it again with the same `sibling train` command",
            )
        for path, key in ((self.resolved, "resolved_sha256"), (self.recipe, "recipe_sha256")):
            seen = file_digest(path) if path.is_file() else "no such file"
            if seen != opened.body[key]:
                raise RequestError(
                    f"{path} was changed since the run began",
                    seen=seen,
                    wanted=f"{opened.body[key]}, as the record says",
                    do="Put the file back; to run with other settings start a new run with `sibling train`",
                )
        recipe = parse_recipe(json.loads(self.resolved.read_bytes()), source=str(self.resolved))
        return recipe, self.base(), log

    def base(self) -> Path:
        """The folder that relative paths of the recipe start from."""
        try:
            return Path(json.loads(self.origin.read_bytes())["base"])
        except FileNotFoundError:
            return Path.cwd()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RequestError(
                f"{self.origin} cannot be read",
                seen=f"{type(error).__name__}: {error}",
                wanted='{"base": the folder that relative paths of the recipe start from}',
                do="Mend the file, or remove it and resume from that folder",
            ) from error


def _why_not(folder: Path) -> str:
    """Why nothing can be written in `folder`."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"{folder.resolve()} is on a read-only file system"
    return f"no permission to write in {folder.resolve()}"


def _settings(value: Any, prefix: str = "") -> dict[str, Any]:
    """A resolved recipe as dotted name -> value."""
    if not isinstance(value, dict):
        return {prefix: value}
    parts = (_settings(v, f"{prefix}.{k}" if prefix else k) for k, v in value.items())
    return {name: leaf for part in parts for name, leaf in part.items()}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
