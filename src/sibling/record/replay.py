"""Recomputation of rewards, advantages and fates from the rows of a step. NumPy only; no files, no log.

The batch of a step is its rows with a score, apart from the fates refilled and group_dropped. Truncated rows count in
the statistics of their group, and have advantage 0. Advantages that are made of more than rewards are recomputed from
the token columns the file holds: the KL to the reference, the critic's values, the scores of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Fate, Finish, Status
from sibling.errors import SiblingError
from sibling.maths import estimators
from sibling.maths.advantages import total_reward
from sibling.maths.estimators import Advantages, Evidence

TOLERANCE = 1e-9
"""Relative to max(1, |value|). On the machine that trained, values are bit-equal; another one may round otherwise."""

_IN_BATCH = frozenset({"trained", "dead_group", "too_few_scores", "truncated"})
_UNSCORED = frozenset({"reward_error", "reward_abstain", "group_dropped"})

RowMap = Mapping[str, Any]
"""A row of a sample file whose columns have the right types (see check_samples)."""


@dataclass(frozen=True)
class Rules:
    """What turns rewards into advantages: from the objective of run.opened, and the filters of the recipe."""

    estimator: str  # a row of maths.estimators
    numbers: Mapping[str, Any] = field(default_factory=dict)
    mask_truncated: bool = False
    weights: tuple[float, ...] = ()  # of the rewards


@dataclass(frozen=True)
class Recomputed:
    """Advantages of the rows of a step. 0, and None where they differ by token, for rows outside the batch."""

    advantage: list[float]  # one a row; the mean over its tokens where they differ
    tokens: list[list[float] | None]  # where they differ by token
    live: frozenset[tuple[int, int]]  # (round, prompt) of groups with an advantage other than exactly 0


@dataclass(frozen=True)
class Group:
    """What a fate depends on, besides its own row."""

    scores: NDArray[np.float64]  # of the rows that have one
    failed: bool  # a reward of some sibling failed or declined
    live: bool  # an advantage of it is not exactly 0


FATES: Mapping[str, tuple[str, Callable[[RowMap, Group], bool]]] = {
    "trained": ("its reward is present and its group is live", lambda r, g: r["reward"] is not None and g.live),
    "dead_group": ("every advantage of its group is 0", lambda r, g: len(g.scores) >= 2 and not g.live),
    "refilled": (
        "the rewards of its group are all equal",
        lambda r, g: len(g.scores) < 2 or bool(g.scores.min() == g.scores.max()),
    ),
    "reward_error": ("one of its rewards failed", lambda r, g: Status.error in r["status"]),
    "reward_abstain": ("one of its rewards declined", lambda r, g: Status.abstain in r["status"]),
    "group_dropped": ("a reward of some sibling failed or declined", lambda r, g: g.failed),
    "too_few_scores": ("its group has fewer than two scores", lambda r, g: len(g.scores) < 2 and not g.live),
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


def advantages(rows: Sequence[RowMap], rules: Rules, kl_beta: float = 0.0) -> Recomputed | None:
    """The advantages of the rows, recomputed; None if their evidence allows none (rewards overflow, columns lack)."""
    places = [i for i, r in enumerate(rows) if r["fate"] in _IN_BATCH]
    batch = [rows[i] for i in places]
    keys = sorted({(r["round"], r["prompt"]) for r in batch})
    group = np.array([keys.index((r["round"], r["prompt"])) for r in batch], dtype=np.int64)
    masks = [_mask(r, rules.mask_truncated) for r in batch]
    try:
        with np.errstate(all="ignore"):
            evidence = _evidence(batch, group, masks, rules, kl_beta)
            found = estimators.advantages(rules.estimator, evidence, **rules.numbers)
    except (SiblingError, ArithmeticError, ValueError, TypeError):
        return None
    live = frozenset(keys[g] for g in np.unique(group[found.live(group)]))
    out = Recomputed([0.0] * len(rows), [None] * len(rows), live)
    for n, i in enumerate(places):
        out.advantage[i], out.tokens[i] = _own(found, n, masks[n], rows[i]["fate"] == Fate.trained)
    return out


def _own(found: Advantages, n: int, mask: NDArray[np.bool_], trained: bool) -> tuple[float, list[float] | None]:
    if found.token is None:
        assert found.sequence is not None
        return (float(found.sequence[n]) if trained else 0.0), None
    tokens = np.where(mask & trained, found.token[n], 0.0)
    return (float(tokens[mask].mean()) if mask.any() else 0.0), tokens.tolist()


def _mask(row: RowMap, mask_truncated: bool) -> NDArray[np.bool_]:
    return np.full(row["length"], not (mask_truncated and row["finish"] == Finish.length), dtype=np.bool_)


def _evidence(
    rows: Sequence[RowMap],
    group: NDArray[np.int64],
    masks: Sequence[NDArray[np.bool_]],
    rules: Rules,
    kl_beta: float,
) -> Evidence:
    scores = [[np.nan if s is None else s for s in r["score"]] for r in rows]
    return Evidence(
        reward=np.array([_score(r) for r in rows], dtype=np.float64),
        group=group,
        mask=masks,
        scores=np.array(scores, dtype=np.float64).reshape(len(rows), len(rules.weights)),
        weights=rules.weights,
        kl=_column(rows, "kl"),
        kl_beta=kl_beta,
        values=_column(rows, "values"),
        steps=_steps(rows),
    )


def _column(rows: Sequence[RowMap], name: str) -> list[NDArray[np.float64]] | None:
    if not rows or any(r.get(name) is None for r in rows):
        return None
    return [np.array(r[name], dtype=np.float64) for r in rows]


def _steps(rows: Sequence[RowMap]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]] | None:
    ends, scores = _column(rows, "step_ends"), _column(rows, "step_scores")
    if ends is None or scores is None:
        return None
    return [(e.astype(np.int64), s) for e, s in zip(ends, scores, strict=True)]


def advantage_faults(rows: Sequence[RowMap], wanted: Recomputed) -> Iterator[tuple[RowMap, str]]:
    """(row, sentence) for each advantage that is not the recomputed one; exactly 0 where not trained."""
    for row, value, tokens in zip(rows, wanted.advantage, wanted.tokens, strict=True):
        seen = row["advantage"]
        if not (_close(seen, value) if row["fate"] == Fate.trained else seen == 0):
            yield row, f"the advantage is {seen}, recomputed {value}"
        own = row.get("advantages")
        if (own is None) != (tokens is None):
            yield row, "the advantages of its tokens are missing" if own is None else "it has advantages of tokens"
        elif own is not None and tokens is not None:
            differing = [t for t, (a, b) in enumerate(zip(own, tokens, strict=False)) if not _close(a, b)]
            if len(own) != len(tokens) or differing:
                yield row, f"the advantage of token {differing[0] if differing else len(tokens)} is not as recomputed"


def fate_faults(rows: Sequence[RowMap], rules: Rules, live: frozenset[tuple[int, int]]) -> Iterator[tuple[RowMap, str]]:
    """(row, sentence) for each fate that its row and its group do not bear out."""
    members: dict[tuple[int, int], list[RowMap]] = {}
    for row in rows:
        members.setdefault((row["round"], row["prompt"]), []).append(row)
    for place, siblings in members.items():
        scores = np.array([_score(r) for r in siblings], dtype=np.float64)
        failed = any(s in (Status.error, Status.abstain) for r in siblings for s in r["status"])
        group = Group(scores[~np.isnan(scores)], failed, place in live)
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
