"""Recomputation of rewards, advantages and fates from the rows of a step. NumPy only; no files, no log.

The batch of a step is its rows apart from the fates refilled and group_dropped. Rows whose reward failed
or declined are in it without a score. Truncated rows count in the statistics of their group, and have advantage 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Fate, Finish, Status
from sibling.errors import SiblingError
from sibling.maths.advantages import group_advantages, total_reward
from sibling.maths.groups import is_degenerate

TOLERANCE = 1e-9
"""Relative to max(1, |value|). On the machine that trained, values are bit-equal; another one may round otherwise."""

_OUTSIDE = frozenset({"refilled", "group_dropped"})
_UNSCORED = frozenset({"reward_error", "reward_abstain", "group_dropped"})

RowMap = Mapping[str, Any]
"""A row of a sample file whose columns have the right types (see check_samples)."""


@dataclass(frozen=True)
class Rules:
    """What turns rewards into advantages: from the objective of run.opened, and the filters of the recipe."""

    scale: str  # group, batch or none
    ddof: int
    eps: float
    mask_truncated: bool


@dataclass(frozen=True)
class Group:
    """What a fate depends on, besides its own row."""

    scores: NDArray[np.float64]  # of the rows that have one
    failed: bool  # a reward of some sibling failed or declined

    @property
    def live(self) -> bool:
        """At least two scores, not all equal."""
        return not is_degenerate(self.scores)


FATES: Mapping[str, tuple[str, Callable[[RowMap, Group], bool]]] = {
    "trained": ("its reward is present and its group is live", lambda r, g: r["reward"] is not None and g.live),
    "dead_group": ("the rewards of its group are all equal", lambda r, g: len(g.scores) >= 2 and not g.live),
    "refilled": ("its group is not live", lambda r, g: not g.live),
    "reward_error": ("one of its rewards failed", lambda r, g: Status.error in r["status"]),
    "reward_abstain": ("one of its rewards declined", lambda r, g: Status.abstain in r["status"]),
    "group_dropped": ("a reward of some sibling failed or declined", lambda r, g: g.failed),
    "too_few_scores": ("its group has fewer than two scores", lambda r, g: len(g.scores) < 2),
    "truncated": ("it was truncated", lambda r, g: r["finish"] == Finish.length),
}
"""Fate, as a file names it -> what has to be true of a row with it, in words and as a test."""


def reward_faults(rows: Sequence[RowMap], weights: Sequence[float]) -> Iterator[tuple[RowMap, str]]:
    """(row, sentence) for each total reward that is not the weighted sum of the scores present."""
    scores = np.array([[np.nan if s is None else s for s in r["score"]] for r in rows], dtype=np.float64)
    with np.errstate(all="ignore"):
        totals = total_reward(scores.reshape(len(rows), len(weights)), weights)
    for row, total in zip(rows, totals.tolist(), strict=True):
        wanted = None if np.isnan(total) else total
        if row["reward"] is None and row["fate"] in _UNSCORED:
            continue  # dropped for one verdict, of its own or of a sibling; the other scores are not added up
        if not _close(row["reward"], wanted):
            yield row, f"the reward is {row['reward']}, recomputed {wanted}"


def advantages(rows: Sequence[RowMap], rules: Rules) -> list[float] | None:
    """The advantage of each row, recomputed; None if the rewards allow none (they overflow)."""
    places = [i for i, r in enumerate(rows) if r["fate"] not in _OUTSIDE]
    reward = np.array([_score(rows[i]) for i in places], dtype=np.float64)
    keys = {k: n for n, k in enumerate(sorted({(r["round"], r["prompt"]) for r in rows}))}
    group = np.array([keys[rows[i]["round"], rows[i]["prompt"]] for i in places], dtype=np.int64)
    try:
        with np.errstate(all="ignore"):
            values = group_advantages(reward, group, scale=rules.scale, ddof=rules.ddof, eps=rules.eps)
    except (SiblingError, ArithmeticError):
        return None
    result = [0.0] * len(rows)
    for i, value in zip(places, values.tolist(), strict=True):
        result[i] = value if rows[i]["fate"] == Fate.trained else 0.0
    return result


def advantage_faults(rows: Sequence[RowMap], wanted: Sequence[float]) -> Iterator[tuple[RowMap, str]]:
    """(row, sentence) for each advantage that is not the recomputed one; exactly 0 where not trained."""
    for row, value in zip(rows, wanted, strict=True):
        seen = row["advantage"]
        if not (_close(seen, value) if row["fate"] == Fate.trained else seen == 0):
            yield row, f"the advantage is {seen}, recomputed {value}"


def fate_faults(rows: Sequence[RowMap], rules: Rules) -> Iterator[tuple[RowMap, str]]:
    """(row, sentence) for each fate that its row and its group do not bear out."""
    members: dict[tuple[int, int], list[RowMap]] = {}
    for row in rows:
        members.setdefault((row["round"], row["prompt"]), []).append(row)
    for siblings in members.values():
        scores = np.array([_score(r) for r in siblings], dtype=np.float64)
        failed = any(s in (Status.error, Status.abstain) for r in siblings for s in r["status"])
        group = Group(scores[~np.isnan(scores)], failed)
        for row in siblings:
            words, holds = FATES[row["fate"]]
            if not holds(row, group):
                yield row, f"the fate is {row['fate']}, but it is not so that {words}"
            elif rules.mask_truncated and row["trained"] and row["finish"] == Finish.length:
                yield row, "the completion was truncated and trained, though the recipe masks truncated ones"


def _score(row: RowMap) -> float:
    """The reward that enters the statistics of its group; NaN for none."""
    return np.nan if row["reward"] is None or row["fate"] in _UNSCORED else float(row["reward"])


def _close(seen: float | None, wanted: float | None) -> bool:
    if seen is None or wanted is None:
        return seen is wanted
    return abs(seen - wanted) <= TOLERANCE * max(1.0, abs(wanted))
