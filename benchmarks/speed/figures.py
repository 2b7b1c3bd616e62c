"""Pieces of the page: tables, medians with their spread, shares of the roofline."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from speed.results import column

Part = Mapping[str, Any]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, the first column to the left and the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def spread(numbers: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Median, and the range in brackets."""
    middle = f"{statistics.median(numbers):,.{digits}f}{unit}"
    return middle if len(numbers) == 1 else f"{middle} ({min(numbers):,.{digits}f}–{max(numbers):,.{digits}f})"


def gigabytes(values: Sequence[Part]) -> float:
    """Peak memory of a side."""
    return max(column(values, "peak_bytes")) / 1e9


def decoding_share(roofline: Part | None, rows: int, seconds: float) -> float | None:
    """Least seconds of the useful products at the measured bf16 speeds, over the seconds it took."""
    if roofline is None or "work" not in roofline or f"sampling {rows}" not in roofline["work"]:
        return None
    work, speed = roofline["work"][f"sampling {rows}"], roofline["speeds"]["bfloat16"]
    return float((work["prefill"] / speed["prefill"] + work["decoding"] / speed["decoding"][str(rows)]) / seconds)


def update_share(roofline: Part | None, seconds: float) -> float | None:
    """The same of an update with every group live."""
    if roofline is None or "work" not in roofline:
        return None
    return float(roofline["work"]["update"] / roofline["speeds"]["bfloat16"]["update"] / seconds)


def percent(share: float | None) -> str:
    """A share in whole percent."""
    return "not measured" if share is None else f"{share:.0%}"
