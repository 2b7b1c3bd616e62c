"""Optional experiment trackers behind one small observer: trackio, wandb, tensorboard, mlflow.

A tracker mirrors the step statistics and the evaluations; the record stays the only source of truth. A
tracker's package is imported when a recipe asks for it and never otherwise; there is no other telemetry.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sibling.batch import Prompt, Row
from sibling.config import Recipe
from sibling.errors import RequestError
from sibling.report.observing import BaseObserver
from sibling.stats import StepStats

Log = Callable[[Mapping[str, float], int], None]
"""(name -> value, step): hand numbers to a tracker."""

End = Callable[[], None]
Backend = tuple[Log, End]


class TrackerObserver(BaseObserver):
    """Hands each step's statistics, and the numbers of each evaluation, to one tracker, opened at the first of them."""

    def __init__(self, begin: Callable[[], Backend]) -> None:
        self._begin = begin
        self._backend: Backend | None = None
        self._step = 0

    def step(self, stats: StepStats, total: int, prompt: Prompt | None, rows: Sequence[Row]) -> None:
        """See `BaseObserver`."""
        self._step = stats.step
        self._log(dict(stats.values), stats.step)

    def evaluated(self, label: str, summary: Mapping[str, Any]) -> None:
        """Numbers of the summary as `evaluation/<name>`, at the step they were measured."""
        numbers = {f"evaluation/{k}": float(v) for k, v in summary.items() if _is_number(v)}
        self._log(numbers, self._step)

    def close(self) -> None:
        """See `BaseObserver`."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend[1]()

    def _log(self, values: Mapping[str, float], step: int) -> None:
        if self._backend is None:
            self._backend = self._begin()
        self._backend[0](values, step)


def open_trackers(recipe: Recipe) -> list[TrackerObserver]:
    """The trackers a recipe asks for. Raises `RequestError` naming the pip command if one is not installed."""
    modules = {name: _module(name) for name in recipe.trackers.use}
    return [TrackerObserver(partial(_BACKENDS[name], module, recipe)) for name, module in modules.items()]


_PACKAGES = {"tensorboard": "tensorboard.summary.writer.event_file_writer"}


def _module(name: str) -> Any:
    try:
        return importlib.import_module(_PACKAGES.get(name, name))
    except ImportError as error:
        raise RequestError(
            f"The recipe asks for the tracker {name}, which is not installed",
            seen=f"{error}",
            do=f"Run `pip install {name}`, or leave {name} out of trackers.use",
        ) from error


def _trackio(module: Any, recipe: Recipe) -> Backend:
    module.init(project=recipe.trackers.project, name=recipe.name, config=recipe.resolved())
    return lambda values, step: module.log(dict(values), step=step), module.finish


def _wandb(module: Any, recipe: Recipe) -> Backend:
    run = module.init(project=recipe.trackers.project, name=recipe.name, config=recipe.resolved())
    return lambda values, step: run.log(dict(values), step=step), run.finish


def _mlflow(module: Any, recipe: Recipe) -> Backend:
    module.set_experiment(recipe.trackers.project)
    module.start_run(run_name=recipe.name)
    module.log_dict(recipe.resolved(), "resolved.json")
    return lambda values, step: module.log_metrics(dict(values), step=step), module.end_run


def _tensorboard(module: Any, recipe: Recipe) -> Backend:
    """TensorBoard's own event writer, without torch: the files go to <run directory>/tensorboard."""
    folder: Path = recipe.directory() / "tensorboard"
    writer = module.EventFileWriter(str(folder))

    def log(values: Mapping[str, float], step: int) -> None:
        writer.add_event(_event(values, step))
        writer.flush()

    return log, writer.close


def _event(values: Mapping[str, float], step: int) -> Any:
    event, summary = (importlib.import_module(f"tensorboard.compat.proto.{n}_pb2") for n in ("event", "summary"))
    scalars = [summary.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    return event.Event(step=step, wall_time=time.time(), summary=summary.Summary(value=scalars))


_BACKENDS: Mapping[str, Callable[[Any, Recipe], Backend]] = {
    "trackio": _trackio,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "tensorboard": _tensorboard,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
