"""Evaluate a model outside a run: a finished run's model, a directory, a hub id or the embedded model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sibling.config import DirectoryModel, EmbeddedModel, HubModel, ModelConfig, Recipe, load_recipe
from sibling.errors import RequestError
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.evaluating import run_evaluation
from sibling.pipeline.observer import Observer, Shielded
from sibling.pipeline.parts import build
from sibling.record.reader import EVENTS_NAME


def evaluate_target(
    target: str, *, recipe: Path | None = None, overrides: Sequence[str] = (), observer: Observer | None = None
) -> dict[str, Any]:
    """The evaluation document of `target` on the held-out prompts of a recipe; nothing is written.

    `target` is a run directory (its own recipe is used unless another is given), a model directory, `embedded`
    or a hub id; for anything but a run `recipe` says which task, rewards and sampling to evaluate with.
    Raises `RequestError` for a target that is none of these and for a recipe without held-out prompts.
    """
    chosen, base = _recipe(target, recipe, overrides)
    if chosen.evaluation.prompts == 0:
        raise RequestError("The recipe asks for no evaluation", seen="evaluation.prompts=0", wanted="1 or more")
    watcher = Shielded(observer)
    watcher.tell("phase", "load", target)
    parts = build(chosen, base=base)
    watcher.tell("phase", "evaluate", target)
    document, _ = run_evaluation(
        parts,
        "eval",
        0,
        parts.state.digest(),
        chosen.evaluation.samples,
        lambda done, total, tokens: watcher.tell("progress", "evaluate", done, total, tokens),
    )
    watcher.tell("evaluated", target, document["summary"])
    return document


def _recipe(target: str, recipe: Path | None, overrides: Sequence[str]) -> tuple[Recipe, Path]:
    """The recipe to evaluate with, its model replaced by the target, and the folder its paths start from."""
    place = RunDirectory(Path(target))
    if (place.path / EVENTS_NAME).is_file():
        if not place.model.is_dir():
            raise RequestError(
                f"The run in {target} has no trained model yet",
                do=f"Finish it with `sibling resume {target}`, or name a model directory",
            )
        model: ModelConfig = DirectoryModel(path=str(place.model.resolve()))
        source, base = (recipe, recipe.parent) if recipe else (place.resolved, place.base())
    else:
        if recipe is None:
            raise RequestError(
                f"To evaluate the model {target} a recipe is needed",
                wanted="--recipe RECIPE, which names the task, the rewards and the sampling",
            )
        model, source, base = _model(target), recipe, recipe.parent
    return load_recipe(source, overrides).model_copy(update={"model": model}), base


def _model(target: str) -> ModelConfig:
    if target == "embedded":
        return EmbeddedModel()
    if Path(target).is_dir():
        return DirectoryModel(path=str(Path(target).resolve()))
    if target.count("/") == 1 and not target.startswith((".", "/")):
        return HubModel(id=target)
    raise RequestError(
        f"There is no run or model at {target}",
        wanted="a run directory, a model directory, `embedded`, or a hub id such as HuggingFaceTB/SmolLM2-360M",
    )
