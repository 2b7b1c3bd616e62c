"""Before against after on the same held-out items, paired by id.

Pairing is what makes small gains visible: the items that both sides get right or wrong say nothing, only those
that changed do. Greedy accuracy and pass@k are shares (exact McNemar mid-p, Newcombe's paired interval); mean@k is
graded (paired bootstrap, sign-flip test). An item unscored on either side leaves that comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from sibling.errors import RunError
from sibling.evaluation.items import Item, any_right, greedy_right, share_right
from sibling.maths.intervals import PairedDifference, paired_scores, paired_shares

Pair = tuple[Item, Item]


def compare(before: Mapping[str, Any], after: Mapping[str, Any], confidence: float) -> dict[str, Any]:
    """Compare two evaluation documents of `suite.evaluate`.

    Returns {n, greedy, mean_at_k, pass_at_k, confidence}; each comparison is {n, before, after, difference,
    interval, wins, losses, p_value} with difference = after - before, or null where no item can be compared.
    `n` at the top counts the items in both documents, in a comparison those scored on both sides.

    Raises `RunError` when the settings differ, the documents share no item, or an item's prompt or reference changed:
    their difference would then not be the model's.
    """
    pairs = _pairs(before, after)
    return {
        "n": len(pairs),
        "greedy": _shares(pairs, greedy_right, confidence),
        "mean_at_k": _scores(pairs, confidence),
        "pass_at_k": _shares(pairs, any_right, confidence),
        "confidence": confidence,
    }


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Pair]:
    """The items in both documents, in the order of `before`."""
    if before["settings"] != after["settings"]:
        keys = sorted(set(before["settings"]) | set(after["settings"]))
        raise RunError(
            "Two evaluations with different settings cannot be compared",
            seen="; ".join(
                f"{k} {before['settings'].get(k)!r} and {after['settings'].get(k)!r}"
                for k in keys
                if before["settings"].get(k) != after["settings"].get(k)
            ),
            do="Evaluate both with one recipe",
        )
    later = {item["id"]: item for item in after["items"]}
    pairs = [(item, later[item["id"]]) for item in before["items"] if item["id"] in later]
    if not pairs:
        raise RunError("The two evaluations share no item", do="Evaluate both on the same held-out prompts")
    for old, new in pairs:
        if (old["prompt"], old["reference"]) != (new["prompt"], new["reference"]):
            raise RunError(
                f"The item {old['id']} has another prompt or reference in the second evaluation",
                do="Evaluate both on the same held-out prompts",
            )
    return pairs


def _shares(pairs: list[Pair], right: Callable[[Item], bool | None], confidence: float) -> dict[str, Any] | None:
    both = [(b, a) for b, a in ((right(old), right(new)) for old, new in pairs) if b is not None and a is not None]
    if not both:
        return None
    columns = np.array(both, dtype=np.bool_)
    return _document(paired_shares(columns[:, 0], columns[:, 1], confidence))


def _scores(pairs: list[Pair], confidence: float) -> dict[str, Any] | None:
    shares = ((share_right(old), share_right(new)) for old, new in pairs)
    both = [(b, a) for b, a in shares if b is not None and a is not None]
    if not both:
        return None
    columns = np.array(both, dtype=np.float64)
    return _document(paired_scores(columns[:, 0], columns[:, 1], confidence))


def _document(result: PairedDifference) -> dict[str, Any]:
    return {**asdict(result), "interval": list(result.interval)}
