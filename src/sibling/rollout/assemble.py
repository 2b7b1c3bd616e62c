"""From groups with rewards to a batch with advantages, and a row for every completion.

The batch holds every scored completion that was not refilled, dead groups included: they count in denominators. What
the advantages are made of besides rewards is measured on it; then the estimator runs, and the fates follow:

    trained         its group has an advantage other than exactly 0
    dead_group      every advantage of its group is exactly 0
    too_few_scores  the same, in a group with fewer than two scores
    truncated       overlong filtering: its tokens leave the loss, its reward stays in the statistics of its group
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Batch, Completion, Fate, Finish, Measured, Prompt, Row, TokenEvidence, Verdict
from sibling.maths.estimators import Advantages, Evidence, advantages
from sibling.rollout.steps import Decode, step_tokens

Steps = tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class Estimate:
    """How advantages are made: an estimator's name, its numbers, and what it needs."""

    estimator: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    kl_beta: float = 0.0  # KL penalty in the reward
    decode: Decode | None = None  # given where steps are scored


@dataclass
class Group:
    """One group under way. A fate that verdicts or dynamic sampling decide is there from the start."""

    prompt: int
    round: int
    completions: list[Completion]
    verdicts: list[tuple[Verdict, ...]]
    rewards: NDArray[np.float64]  # [G], NaN where unscorable
    fates: list[Fate | None]


@dataclass(frozen=True)
class _Member:
    """A completion of the batch."""

    group: int  # number in the batch
    owner: Group
    sibling: int

    @property
    def completion(self) -> Completion:
        return self.owner.completions[self.sibling]

    @property
    def reward(self) -> float:
        return float(self.owner.rewards[self.sibling])


def assemble(
    groups: Sequence[Group],
    prompts: Sequence[Prompt],
    estimate: Estimate,
    measure: Callable[[Batch], Measured] | None,
    weights: Sequence[float],
    *,
    mask_truncated: bool,
) -> tuple[list[Row], Batch]:
    """Rows of every completion, and the batch of those that count. Sets the fates that are still open."""
    counted = [g for g in groups if any(f is None for f in g.fates)]
    members = [_Member(n, g, i) for n, g in enumerate(counted) for i, f in enumerate(g.fates) if f is None]
    batch = _without_advantages(members, [prompts[g.prompt] for g in counted], mask_truncated)
    measured = measure(batch) if measure is not None and members else Measured()
    steps = [_steps(m, weights, estimate.decode) for m in members] if estimate.decode is not None else None
    found = advantages(
        estimate.estimator, _evidence(members, batch, measured, steps, weights, estimate), **estimate.numbers
    )
    live = found.live(batch.group)
    for member, alive in zip(members, live.tolist(), strict=True):
        member.owner.fates[member.sibling] = _fate(member, alive, mask_truncated)
    batch = _with_advantages(members, batch, found, measured)
    evidence = _token_evidence(members, batch, measured, steps)
    place = {(id(m.owner), m.sibling): i for i, m in enumerate(members)}
    rows = [
        _row(group, i, place.get((id(group), i)), batch, evidence) for group in groups for i in range(len(group.fates))
    ]
    return rows, batch


def _without_advantages(members: Sequence[_Member], prompts: Sequence[Prompt], mask_truncated: bool) -> Batch:
    completions = [m.completion for m in members]
    masked = [mask_truncated and c.finish is Finish.length for c in completions]  # in dead groups as in live ones
    expert = np.array([c.finish is Finish.expert for c in completions], dtype=np.bool_)
    return Batch(
        prompts=tuple(p.token_ids for p in prompts),
        group=np.array([m.group for m in members], dtype=np.int64),
        completions=tuple(c.token_ids for c in completions),
        sampler_logprobs=tuple(c.logprobs for c in completions),
        mask=tuple(np.full(len(c.token_ids), not m) for c, m in zip(completions, masked, strict=True)),
        advantage=np.zeros(len(members), dtype=np.float64),
        live=np.ones(len(members), dtype=np.bool_),
        expert=expert if expert.any() else None,
    )


def _evidence(
    members: Sequence[_Member],
    batch: Batch,
    measured: Measured,
    steps: list[Steps] | None,
    weights: Sequence[float],
    estimate: Estimate,
) -> Evidence:
    scores = [[np.nan if v.score is None else v.score for v in m.owner.verdicts[m.sibling]] for m in members]
    return Evidence(
        reward=np.array([m.reward for m in members], dtype=np.float64),
        group=batch.group,
        mask=batch.mask,
        scores=np.array(scores, dtype=np.float64).reshape(len(members), len(weights)),
        weights=weights,
        kl=None if measured.kl is None else [k.astype(np.float64) for k in measured.kl],
        kl_beta=estimate.kl_beta,
        values=measured.values,
        steps=steps,
    )


def _steps(member: _Member, weights: Sequence[float], decode: Decode | None) -> Steps:
    """Ends and scores of a completion's steps, each times the weight of the reward that scored it.

    Without scored steps, the total reward is the one step at the last token: outcome supervision.
    """
    assert decode is not None
    verdicts = member.owner.verdicts[member.sibling]
    found = [(w, v) for w, v in zip(weights, verdicts, strict=True) if v.steps]
    if not found:
        return np.array([len(member.completion.token_ids) - 1], dtype=np.int64), np.array([member.reward])
    parts = [(w, *step_tokens(member.completion, v.steps, decode)) for w, v in found]
    ends = np.concatenate([e for _, e, _ in parts])
    scores = np.concatenate([w * s for w, _, s in parts])
    order = np.argsort(ends, kind="stable")
    return ends[order], scores[order]


def _fate(member: _Member, alive: bool, mask_truncated: bool) -> Fate:
    if not alive:
        return Fate.too_few_scores if int(np.isfinite(member.owner.rewards).sum()) < 2 else Fate.dead_group
    return Fate.truncated if mask_truncated and member.completion.finish is Finish.length else Fate.trained


def _with_advantages(members: Sequence[_Member], batch: Batch, found: Advantages, measured: Measured) -> Batch:
    trained = np.array([m.owner.fates[m.sibling] is Fate.trained for m in members], dtype=np.bool_)
    token = None
    if found.token is not None:
        token = tuple(np.where(t & m, a, 0.0) for t, m, a in zip(trained, batch.mask, found.token, strict=True))
        values = np.array([a[m].mean() if m.any() else 0.0 for a, m in zip(token, batch.mask, strict=True)])
    else:
        assert found.sequence is not None
        values = found.sequence
    return replace(
        batch,
        advantage=np.where(trained, values, 0.0),
        live=trained,
        token_advantage=token,
        values=measured.values,
        returns=found.returns,
    )


def _token_evidence(
    members: Sequence[_Member], batch: Batch, measured: Measured, steps: list[Steps] | None
) -> list[TokenEvidence | None]:
    """What the record keeps of single tokens; None where the objective looks at whole completions only."""
    columns = (batch.token_advantage, measured.kl, measured.values, steps)
    if all(c is None for c in columns):
        return [None] * len(members)
    return [
        TokenEvidence(
            advantage=None if batch.token_advantage is None else batch.token_advantage[i],
            kl=None if measured.kl is None else measured.kl[i],
            values=None if measured.values is None else measured.values[i],
            step_ends=None if steps is None else steps[i][0],
            step_scores=None if steps is None else steps[i][1],
        )
        for i in range(len(members))
    ]


def _row(group: Group, sibling: int, place: int | None, batch: Batch, evidence: Sequence[TokenEvidence | None]) -> Row:
    fate = group.fates[sibling]
    assert fate is not None
    reward = float(group.rewards[sibling])
    return Row(
        prompt=group.prompt,
        sibling=sibling,
        round=group.round,
        completion=group.completions[sibling],
        verdicts=group.verdicts[sibling],
        reward=None if np.isnan(reward) else reward,
        advantage=0.0 if place is None else float(batch.advantage[place]),
        fate=fate,
        evidence=None if place is None else evidence[place],
    )
