"""What an advantage estimator may use of a batch, and what it gives back. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RunError
from sibling.maths.groups import check_columns
from sibling.maths.returns import Steps

Column = Sequence[NDArray[np.float64]]


@dataclass(frozen=True)
class Evidence:
    """What is known of the N completions of a batch before the first update. Token columns are N arrays [T_i]."""

    reward: NDArray[np.float64]  # [N] total reward; NaN: no score
    group: NDArray[np.integer]  # [N] counting from 0
    mask: Sequence[NDArray[np.bool_]]  # tokens in the loss
    scores: NDArray[np.float64] | None = None  # [N, R] of each reward; NaN: missing
    weights: Sequence[float] | None = None  # R
    kl: Column | None = None  # log pi_old - log pi_ref at each token, in nats
    kl_beta: float | int = 0.0  # penalty in the reward
    values: Sequence[NDArray[np.floating]] | None = None  # of the critic, at the rollout
    steps: Sequence[Steps] | None = None  # of process supervision
    token_rewards: Column | None = None  # None: the reward at the last token, less the KL penalty


@dataclass(frozen=True)
class Advantages:
    """One advantage a completion (`sequence`) or one a token (`token`); `returns` are what a critic learns."""

    sequence: NDArray[np.float64] | None = None  # [N]
    token: tuple[NDArray[np.float64], ...] | None = None
    returns: tuple[NDArray[np.float64], ...] | None = None

    def live(self, group: NDArray[np.integer]) -> NDArray[np.bool_]:
        """[N] whether some completion of the group has an advantage other than exactly 0."""
        if self.sequence is not None:
            own = self.sequence != 0
        else:
            own = np.array([bool((a != 0).any()) for a in self.token or ()], dtype=np.bool_)
        return np.isin(group, group[own])


def require(evidence: Evidence, needs: Sequence[str], who: str) -> None:
    """Raise `RunError` unless the fields in `needs` are there, all columns have N entries, and tokens are finite."""
    check_columns(evidence.reward, evidence.group)
    n = len(evidence.reward)
    needed = (*needs, *(("kl",) if evidence.kl_beta else ()))
    missing = [field for field in needed if getattr(evidence, field) is None]
    if missing:
        raise RunError(
            f"The estimator {who} lacks what it is made of", seen=f"no {', '.join(missing)}", wanted=", ".join(needed)
        )
    for field in ("mask", "kl", "values", "steps", "token_rewards", "scores"):
        column = getattr(evidence, field)
        if column is not None and len(column) != n:
            raise RunError(f"The column {field} differs in length", seen=len(column), wanted=n)
    for field in ("kl", "values", "token_rewards"):
        for own, mask in zip(getattr(evidence, field) or (), evidence.mask, strict=False):
            if len(own) != len(mask) or not np.isfinite(own[mask]).all():
                raise RunError(
                    f"The column {field} does not fit the tokens of a completion",
                    seen=f"{len(own)} values, {int((~np.isfinite(own)).sum())} not finite",
                    wanted=f"{len(mask)} finite values",
                )
    for (ends, scores), mask in zip(evidence.steps or (), evidence.mask, strict=False):
        if len(ends) != len(scores) or not np.isfinite(scores).all() or ((ends < 0) | (ends >= len(mask))).any():
            raise RunError(
                "The steps of a completion do not fit its tokens",
                seen=f"ends {ends.tolist()}, scores {scores.tolist()}",
                wanted=f"a finite score for each end, ends below {len(mask)}",
            )


def penalised_reward(evidence: Evidence) -> NDArray[np.float64]:
    """[N] R_i - beta sum_t m_it (log pi_old - log pi_ref)_it: the KL penalty of a whole completion."""
    assert evidence.kl is not None
    total = [float(kl[mask].astype(np.float64).sum()) for kl, mask in zip(evidence.kl, evidence.mask, strict=True)]
    return evidence.reward - evidence.kl_beta * np.array(total, dtype=np.float64)
