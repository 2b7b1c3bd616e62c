"""From prompts to a batch: sample groups, score them, drop what may not be trained, take group advantages.

    round 0 samples `prompts_per_step` groups; with dynamic sampling, later rounds replace dead groups
    rewards give verdicts; a failed or declined verdict follows the recipe's policy, never a silent 0
    advantages compare siblings; a group whose rewards are all equal is dead: advantage exactly 0

Every completion generated ends as one `Row` with one `Fate`: generated = trained + rejected, per step.
Engine, rewards and prompts come in as plain callables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Batch, Completion, Fate, Finish, Prompt, Row, Status, Verdict
from sibling.config import FailurePolicy, Filters, ObjectiveConfig
from sibling.errors import RewardError
from sibling.maths.advantages import group_advantages, total_reward
from sibling.maths.groups import dead_groups
from sibling.tasks.task import Task

PromptAt = Callable[[int], tuple[Task, Prompt]]
"""Index within the step -> task and rendered prompt; indices past prompts_per_step are refills."""

Sample = Callable[[Sequence[Prompt], int], list[list[Completion]]]
"""(prompts, sampling round) -> G completions each."""

Grade = Callable[[Sequence[Task], Sequence[Completion]], list[tuple[Verdict, ...]]]
"""Verdicts of aligned tasks and completions, one a reward."""


@dataclass(frozen=True)
class Rollout:
    """What one step sampled: prompts in the order drawn, a row for every completion, the batch for the learner."""

    prompts: tuple[Prompt, ...]
    rows: tuple[Row, ...]
    batch: Batch
    rounds: int


@dataclass
class _Group:
    """One group under way."""

    prompt: int
    round: int
    completions: list[Completion]
    verdicts: list[tuple[Verdict, ...]]
    rewards: NDArray[np.float64]  # [G], NaN where unscorable
    fates: list[Fate | None]

    @property
    def dead(self) -> bool:
        return bool(dead_groups(self.rewards, np.zeros(len(self.rewards), dtype=np.int64))[0])


def collect(
    prompt_at: PromptAt,
    sample: Sample,
    grade: Grade,
    *,
    prompts_per_step: int,
    weights: Sequence[float],
    reward_names: Sequence[str],
    filters: Filters,
    policy: FailurePolicy,
    objective: ObjectiveConfig,
) -> Rollout:
    """Collect the rollout of one step. Raises `RewardError` when a reward fails under the policy `stop`."""
    dynamic = filters.dynamic_sampling
    prompts: list[Prompt] = []
    groups: list[_Group] = []
    wanted, rounds = prompts_per_step, 0
    while wanted > 0 and rounds < (dynamic.max_rounds if dynamic.enabled else 1):
        drawn = [prompt_at(len(prompts) + i) for i in range(wanted)]
        sampled = sample([p for _, p in drawn], rounds)
        tasks = [t for (t, _), siblings in zip(drawn, sampled, strict=True) for _ in siblings]
        verdicts = grade(tasks, [c for siblings in sampled for c in siblings])
        for (_, prompt), siblings in zip(drawn, sampled, strict=True):
            own, verdicts = verdicts[: len(siblings)], verdicts[len(siblings) :]
            groups.append(_judge(len(prompts), rounds, siblings, own, weights, reward_names, policy))
            prompts.append(prompt)
        rounds += 1
        wanted = prompts_per_step - sum(not g.dead for g in groups)
    for group in groups:
        _settle(group, refilled=dynamic.enabled, mask_truncated=filters.mask_truncated)
    rows, batch = _assemble(groups, prompts, objective, mask_truncated=filters.mask_truncated)
    return Rollout(tuple(prompts), tuple(rows), batch, rounds)


def _judge(
    prompt: int,
    round_: int,
    siblings: list[Completion],
    verdicts: list[tuple[Verdict, ...]],
    weights: Sequence[float],
    names: Sequence[str],
    policy: FailurePolicy,
) -> _Group:
    """Total rewards of a group, and the fates that its verdicts decide.

    A reward that abstains on every sibling does not apply to the prompt and is left out of the sum. One that
    abstains on some would leave sums that cannot be compared, so those samples follow the policy; so do all
    when every reward abstains on every sibling, as no sum is left.
    """
    fates: list[Fate | None] = [None] * len(siblings)
    silent = all(v.status is Status.abstain for row in verdicts for v in row)
    for r, name in enumerate(names):
        statuses = [v[r].status for v in verdicts]
        applies = silent or any(s is not Status.abstain for s in statuses)
        for i, status in enumerate(statuses):
            if status is Status.error:
                fates[i] = _failed(Fate.reward_error, policy.on_error, fates[i], name, verdicts[i][r].reason)
            elif status is Status.abstain and applies:
                fates[i] = _failed(Fate.reward_abstain, policy.on_abstain, fates[i], name, verdicts[i][r].reason)
    actions = {Fate.reward_error: policy.on_error, Fate.reward_abstain: policy.on_abstain}
    if any(f is not None and actions[f] == "drop_group" for f in fates):
        fates = [f or Fate.group_dropped for f in fates]
    scores = np.array([[np.nan if v.score is None else v.score for v in row] for row in verdicts], dtype=np.float64)
    rewards = total_reward(scores, weights)
    rewards[[f is not None for f in fates]] = np.nan
    return _Group(prompt, round_, siblings, verdicts, rewards, fates)


def _failed(fate: Fate, action: str, before: Fate | None, name: str, reason: str) -> Fate:
    if action == "stop":
        raise RewardError(
            f"The reward {name} gave no score and the recipe says to stop",
            seen=f"{fate.value}: {reason}",
            wanted="a score",
            do="Mend the reward and resume the run, or start a new run with reward_policy.on_error=drop_sample "
            "and reward_policy.on_abstain=drop_sample",
        )
    return before or fate


def _settle(group: _Group, *, refilled: bool, mask_truncated: bool) -> None:
    """Fates of the rows that have a score."""
    scored = int(np.isfinite(group.rewards).sum())
    for i, fate in enumerate(group.fates):
        if fate is not None:
            continue
        if group.dead and refilled:
            group.fates[i] = Fate.refilled
        elif scored < 2:
            group.fates[i] = Fate.too_few_scores
        elif group.dead:
            group.fates[i] = Fate.dead_group
        elif mask_truncated and group.completions[i].finish is Finish.length:
            group.fates[i] = Fate.truncated
        else:
            group.fates[i] = Fate.trained


_IN_BATCH = frozenset({Fate.trained, Fate.truncated, Fate.dead_group, Fate.too_few_scores})
"""Rows that count in denominators. Dead and truncated ones do, as if they had been computed."""


def _assemble(
    groups: Sequence[_Group], prompts: Sequence[Prompt], objective: ObjectiveConfig, *, mask_truncated: bool
) -> tuple[list[Row], Batch]:
    counted = [g for g in groups if any(f in _IN_BATCH for f in g.fates)]
    members = [(n, i) for n, g in enumerate(counted) for i, f in enumerate(g.fates) if f in _IN_BATCH]
    number = np.array([n for n, _ in members], dtype=np.int64)
    reward = np.array([counted[n].rewards[i] for n, i in members], dtype=np.float64)
    values = group_advantages(reward, number, scale=objective.scale, ddof=objective.ddof, eps=objective.epsilon_std)
    trained = np.array([counted[n].fates[i] is Fate.trained for n, i in members], dtype=np.bool_)
    completions = [counted[n].completions[i] for n, i in members]
    masked = [mask_truncated and c.finish is Finish.length for c in completions]  # in dead groups as in live ones
    advantage = np.where(trained, values, 0.0)
    batch = Batch(
        prompts=tuple(prompts[g.prompt].token_ids for g in counted),
        group=number,
        completions=tuple(c.token_ids for c in completions),
        sampler_logprobs=tuple(c.logprobs for c in completions),
        mask=tuple(np.full(len(c.token_ids), not m) for c, m in zip(completions, masked, strict=True)),
        advantage=advantage,
        live=trained,
    )
    of = {(counted[n].prompt, i): float(a) for (n, i), a in zip(members, advantage, strict=True)}
    return [_row(g, i, of.get((g.prompt, i), 0.0)) for g in groups for i in range(len(g.completions))], batch


def _row(group: _Group, sibling: int, advantage: float) -> Row:
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
        advantage=advantage,
        fate=fate,
    )
