"""What the rows of one file of the table are made of, by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def parts(module: str) -> dict[str, tuple[Any, ...]]:
    """Each row of sibling.maths.`module`: its parts, numbers and flags."""
    rows = import_module(f"sibling.maths.{module}").ROWS
    return {row.name: _parts(row) for row in rows}


def _parts(row: Any) -> tuple[Any, ...]:
    flags = [f for f in ("sequence_level", "absorbs_sampler_weight") if getattr(row, f)]
    flags += [f"select {row.select.__name__}"] if row.select else []
    functions = (row.ratio.__name__, row.surrogate.__name__, row.marks.__name__)
    settings = (row.aggregation, row.kl, dict(row.numbers), ", ".join(flags))
    return (row.estimator, dict(row.estimator_numbers), *functions, *settings)
