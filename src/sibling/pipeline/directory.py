"""A run directory: where things lie, and whether a new run may begin in it or an old one go on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sibling.canonical import canonical_json, file_digest
from sibling.config import Recipe, parse_recipe
from sibling.errors import RequestError
from sibling.record.files import atomic_write, explain
from sibling.record.reader import EVENTS_NAME, Log, read_log


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
        if self.path.exists() and not self.path.is_dir():
            raise RequestError(f"The run directory {self.path} is a file", do="Choose another one with run_dir=PATH")
        if not (self.path / EVENTS_NAME).exists():
            return
        log = read_log(self.path)
        opened = log.opened()
        same = opened is not None and opened.body.get("recipe_digest") == recipe.digest()
        if not same:
            raise RequestError(
                f"The run directory {self.path} holds the run of another recipe",
                seen=f"step {log.latest_step()}, recipe {opened.body.get('recipe_digest') if opened else 'unknown'}",
                wanted=f"an empty directory for recipe {recipe.digest()}",
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

    def create(self, recipe: Recipe, recipe_text: str, base: Path) -> None:
        """Make the directory and write what was asked and what it was resolved to."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in ("samples", "checkpoints", "evaluation"):
                (self.path / name).mkdir(exist_ok=True)
        except OSError as error:
            raise explain(f"Cannot make the run directory {self.path}", error) from error
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
                f"The run in {self.path} ended before its first event was written",
                do=f"Remove {self.path} and start again with `sibling train`",
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
        base = json.loads(self.origin.read_bytes())["base"] if self.origin.is_file() else "."
        return recipe, Path(base), log
