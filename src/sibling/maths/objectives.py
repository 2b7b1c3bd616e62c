"""The table of objectives. A variant is a row (rows_grpo, rows_ratios, rows_baselines), evaluated by `policy_loss`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from sibling.errors import RequestError
from sibling.maths import rows_baselines, rows_grpo, rows_ratios
from sibling.maths.elsewhere import NOTES
from sibling.maths.loss import LossParts, Objective, policy_loss

OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        row.name: replace(row, notes=NOTES.get(row.name, ()))
        for row in (*rows_grpo.ROWS, *rows_ratios.ROWS, *rows_baselines.ROWS)
    }
)
"""The objectives by name."""


def find(name: str) -> Objective:
    """The row called `name`; `RequestError` names the nearest one if there is none."""
    if name not in OBJECTIVES:
        near = difflib.get_close_matches(name, OBJECTIVES, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise RequestError("An objective is not known", seen=repr(name), do=f"{hint}`sibling objectives` lists them")
    return OBJECTIVES[name]


__all__ = ["OBJECTIVES", "LossParts", "Objective", "find", "policy_loss"]
