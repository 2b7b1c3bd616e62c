"""The shared battery: a batch with everything an objective may use, and the one function that runs a row on it.

A row of the table joins the battery by one line of LINES in test_battery.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from sibling.maths.aggregation import sequence_weights
from sibling.maths.estimators import Advantages, Evidence, advantages
from sibling.maths.loss import LossParts, Objective, minibatch_terms, policy_loss
from sibling.maths.surrogates import Terms

BETA = 0.1
CONSTANT = 9.0
GROUPS = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2)
LENGTHS = (6, 3, 5, 1, 4, 6, 2, 5, 6, 4, 3)
N, T = len(GROUPS), max(LENGTHS)
TOKEN_COLUMNS = ("logp_new", "logp_old", "logp_ref", "uniform")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Line:
    """What a row claims of itself; each claim is tested, the ones that something matters too."""

    rewards: str = "real"  # or "unit" (in [0, 1]) or "binary"
    shift: str = "cancels"  # or "matters", or "refused": the same number added to every reward
    scale: str = "cancels"  # or "linear", "matters", "refused": every reward times a positive number
    dead: str = "zero"  # or why a group with equal rewards may have an advantage
    pull: str = ""  # why a token with advantage 0 may have a gradient off-policy
    split: str = "any"  # or why micro-batches matter
    on_policy: Callable[[Sample, Outcome], torch.Tensor] | None = None  # gradient at ratio 1 over -w A; None: 1
    freeze: Callable[[Terms, Terms], Terms] | None = None  # of stop-gradient surrogates: the terms whose values move
    numbers: Mapping[str, Any] = field(default_factory=dict)  # where the defaults would never act on a batch this small


@dataclass(frozen=True)
class Sample:
    """A batch of N completions padded to T tokens; everything [N, T] or with first axis N."""

    group: Array
    mask: Array
    reward: Array
    scores: Array
    steps: tuple[tuple[Array, Array], ...]
    values: Array
    expert: Array
    columns: Mapping[str, Array]

    def order(self, rows: Sequence[int]) -> Sample:
        """The same batch with its completions in another order (or some of them)."""
        index = list(rows)
        return replace(
            self,
            **{f: getattr(self, f)[index] for f in ("group", "mask", "reward", "scores", "values", "expert")},
            steps=tuple(self.steps[i] for i in index),
            columns={f: c[index] for f, c in self.columns.items()},
        )

    def rewarded(self, change: Callable[[Array], Array]) -> Sample:
        """Every reward changed: totals, single rewards and those of steps."""
        steps = tuple((ends, change(scores)) for ends, scores in self.steps)
        return replace(self, reward=change(self.reward), scores=change(self.scores), steps=steps)

    def with_dead_group(self, g: int, value: float) -> Sample:
        """Every reward of group `g` is `value`."""
        own = self.group == g
        steps = tuple((e, np.full_like(s, value) if d else s) for (e, s), d in zip(self.steps, own, strict=True))
        return replace(
            self,
            reward=np.where(own, value, self.reward),
            scores=np.where(own[:, None], value, self.scores),
            steps=steps,
        )

    def with_columns(self, **columns: Array) -> Sample:
        """Other log-probs."""
        return replace(self, columns={**self.columns, **columns})


@dataclass(frozen=True)
class Outcome:
    """What a row made of a batch."""

    loss: float
    gradient: torch.Tensor  # [N, T]
    advantage: torch.Tensor  # [N, T], 0 at masked positions
    weight: torch.Tensor  # [N]
    selected: torch.Tensor | None
    parts: tuple[LossParts, ...]


def sample(seed: int, rewards: str = "real", spread: float = 0.25) -> Sample:
    """A random batch: ragged lengths, observation tokens, one missing reward, a completion without active token."""
    rng = np.random.default_rng(seed)
    mask = np.arange(T) < np.array(LENGTHS)[:, None]
    mask[0, 2] = mask[5, 0] = mask[8, 5] = False
    mask[6] = False
    new = rng.normal(-1.2, 0.4, (N, T))
    draw = {
        "real": lambda shape: rng.normal(size=shape),
        "unit": lambda shape: rng.uniform(0.05, 0.8, size=shape),
        "binary": lambda shape: (np.arange(np.prod(shape)).reshape(shape) % 3 == 1).astype(float),
    }[rewards]
    reward, scores = draw(N), draw((N, 2))
    reward[9], scores[9] = np.nan, np.nan
    ends = [np.unique([0, n // 2, n - 1]) for n in LENGTHS]
    return Sample(
        group=np.array(GROUPS),
        mask=mask,
        reward=reward,
        scores=scores,
        steps=tuple((e, draw(len(e))) for e in ends),
        values=rng.normal(size=(N, T)),
        expert=np.array([i in (1, 8) for i in range(N)]),
        columns={
            "logp_new": np.minimum(new, -0.05),
            "logp_old": np.minimum(new, -0.05) + rng.normal(0, spread, (N, T)),
            "logp_ref": new + rng.normal(0, 0.5, (N, T)),
            "uniform": rng.uniform(size=(N, T)),
        },
    )


def estimate(row: Objective, batch: Sample, **numbers: Any) -> Advantages:
    """The advantages of the row's estimator."""
    evidence = Evidence(
        reward=batch.reward,
        group=batch.group,
        mask=tuple(batch.mask),
        scores=batch.scores,
        weights=(1.0, 0.5),
        values=tuple(batch.values),
        steps=batch.steps,
    )
    return advantages(row.estimator, evidence, **{**row.advantage_defaults, **numbers})


def table(own: Advantages) -> Array:
    """Advantages as [N, T]."""
    if own.token is not None:
        return np.array(own.token)
    assert own.sequence is not None
    return np.repeat(own.sequence[:, None], T, axis=1)


def run(
    row: Objective,
    batch: Sample,
    *,
    dtype: torch.dtype = torch.float64,
    split: Sequence[Sequence[int]] | None = None,
    beta: float = BETA,
    own: Advantages | None = None,
    garbage: float | None = None,
    numbers: Mapping[str, Any] | None = None,
    **more: torch.Tensor,
) -> Outcome:
    """One optimizer step's loss and gradient, micro-batch by micro-batch; `garbage` is put at masked positions."""
    numbers = numbers or {}
    split = split or [list(range(len(batch.group)))]
    advantage = torch.tensor(table(own or estimate(row, batch)), dtype=dtype)
    tensors = {f: torch.tensor(c, dtype=dtype) for f, c in batch.columns.items()}
    mask = torch.tensor(batch.mask)
    weight = torch.tensor(weights(row, batch, split), dtype=dtype)
    if garbage is not None:
        advantage, *dirty = (x.masked_fill(~mask, garbage) for x in (advantage, *tensors.values()))
        tensors = dict(zip(tensors, dirty, strict=True))
        more = {f: x.masked_fill(~mask, garbage) for f, x in more.items()}
    selected = select(row, tensors, advantage, mask, numbers)
    new = tensors["logp_new"].requires_grad_()
    parts = [
        policy_loss(
            row,
            logp_new=new[rows],
            logp_old=tensors["logp_old"][rows],
            logp_ref=tensors["logp_ref"][rows] if beta else None,
            beta=beta,
            advantage=advantage[rows],
            mask=mask[rows],
            weight=weight[rows],
            selected=None if selected is None else selected[rows],
            expert=torch.tensor(batch.expert)[rows],
            **{f: x[rows] for f, x in more.items()},
            **numbers,
        )
        for rows in map(list, split)
    ]
    loss = torch.stack([p.loss for p in parts]).sum()
    (gradient,) = torch.autograd.grad(loss, new)
    return Outcome(loss.item(), gradient, torch.where(mask, advantage, 0.0).detach(), weight, selected, tuple(parts))


def weights(row: Objective, batch: Sample, split: Sequence[Sequence[int]]) -> Array:
    """w_i of the row's aggregation."""
    constant = CONSTANT if row.aggregation in ("token_sum_norm", "constant") else None
    return sequence_weights(
        batch.mask.sum(axis=1), batch.group, mode=row.aggregation, constant=constant, micro_batches=split
    )


def select(
    row: Objective,
    tensors: Mapping[str, torch.Tensor],
    advantage: torch.Tensor,
    mask: torch.Tensor,
    numbers: Mapping[str, Any],
) -> torch.Tensor | None:
    """The tokens the row's selector picks from the whole batch."""
    if row.select is None:
        return None
    terms = minibatch_terms(
        row,
        logp_new=tensors["logp_new"].detach(),
        logp_old=tensors["logp_old"],
        advantage=advantage,
        mask=mask,
    )
    return row.select(terms, tensors["uniform"], **row.with_numbers(numbers))


# ------------------------------------------------------------------------------- what a line may name


def times_length(batch: Sample, outcome: Outcome) -> torch.Tensor:
    """One term a sequence whose ratio is a product: it is counted at each of the T_i tokens."""
    del outcome
    return torch.tensor(batch.mask.sum(axis=1, keepdims=True), dtype=torch.float64).expand(N, T)


def but_selected(batch: Sample, outcome: Outcome) -> torch.Tensor:
    """The tokens picked have no gradient."""
    del batch
    assert outcome.selected is not None
    return (~outcome.selected).double()


def shaped_on_experts(batch: Sample, outcome: Outcome) -> torch.Tensor:
    """f(p) = p / (p + 0.1) has d f / d log p = 0.1 p / (p + 0.1)^2, on an expert's tokens."""
    del outcome
    p = torch.tensor(np.exp(batch.columns["logp_new"]))
    return torch.where(torch.tensor(batch.expert)[:, None], 0.1 * p / (p + 0.1) ** 2, torch.ones_like(p))


def frozen_weight(base: Terms, moved: Terms) -> Terms:
    """l = -sg(weight) A log pi: only the log-prob moves, everything the weight is made of stays."""
    return replace(base, logp_new=moved.logp_new)


def frozen_sequence_ratio(base: Terms, moved: Terms) -> Terms:
    """s_it = sg(s_i) exp(lr_it - sg(lr_it)): each token moves its own factor only."""
    return replace(base, ratio=base.ratio * torch.exp(moved.log_ratio - base.log_ratio))
