"""What one evaluated item says: right or wrong greedily, the share of its samples that are right, and pass@k.

An answer counts by its first reward. An answer that reward abstained from or failed on is unscored: it is counted,
and it is left out of numerators and denominators alike, so that a broken grader cannot look like a wrong model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sibling.maths.intervals import mean_at_k, pass_at_k

Answer = Mapping[str, Any]  # {"text", "status", "score", "finish", "length"}
Item = Mapping[str, Any]  # {"id", "prompt", "reference", "greedy": Answer, "samples": [Answer, ...]}

_SCORED = {"right": True, "wrong": False}


def unscored(item: Item) -> int:
    """Answers of the item without a score."""
    return sum(answer["status"] not in _SCORED for answer in (item["greedy"], *item["samples"]))


def greedy_right(item: Item) -> bool | None:
    """Whether the greedy answer is right; None if it is unscored."""
    return _SCORED.get(item["greedy"]["status"])


def share_right(item: Item) -> float | None:
    """Share of the scored samples that are right (mean@k); None if no sample is scored."""
    scored = _scored(item["samples"])
    return mean_at_k(scored) if scored else None


def any_right(item: Item) -> bool | None:
    """pass@k with n = k samples; None unless every sample is scored.

    An item with an unscored sample is left out whole: to keep it only when another sample is right would bias
    the share upwards.
    """
    samples = item["samples"]
    scored = _scored(samples)
    if not samples or len(scored) < len(samples):
        return None
    return pass_at_k(len(scored), sum(scored), len(samples)) == 1.0


def _scored(answers: Sequence[Answer]) -> list[bool]:
    return [_SCORED[a["status"]] for a in answers if a["status"] in _SCORED]
