"""From prompts to a batch: sample groups, score them, drop what may not be trained, take advantages.

    round 0 samples `prompts_per_step` groups; with dynamic sampling, later rounds replace groups of equal rewards
    rewards give verdicts; a failed or declined verdict follows the recipe's policy, never a silent 0
    what else the advantages are made of is measured: KL to the reference, a critic's values, scores of steps
    the objective's estimator gives advantages; a group whose every advantage is exactly 0 is dead

Every completion generated ends as one `Row` with one `Fate`: generated = trained + rejected, per step.
Engine, rewards, prompts and the learner's measurements come in as plain callables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sibling.batch import Batch, Completion, Fate, Measured, Prompt, Row, Status, Verdict
from sibling.config import FailurePolicy, Filters
from sibling.errors import RewardError
from sibling.maths.advantages import total_reward
from sibling.maths.groups import dead_groups
from sibling.rollout.assemble import Estimate, Group, assemble
from sibling.tasks.task import Task

PromptAt = Callable[[int], tuple[Task, Prompt]]
"""Index within the step -> task and rendered prompt; indices past prompts_per_step are refills."""

Sample = Callable[[Sequence[Prompt], int], list[list[Completion]]]
"""(prompts, sampling round) -> G completions each."""

Grade = Callable[[Sequence[Task], Sequence[Completion]], list[tuple[Verdict, ...]]]
"""Verdicts of aligned tasks and completions, one a reward."""


Measure = Callable[[Batch], Measured]
"""Of a batch without advantages: what else they are made of."""

Expert = Callable[[Task], Completion]
"""The expert's trace that joins the group of a task."""


@dataclass(frozen=True)
class Rollout:
    """What one step sampled: prompts in the order drawn, a row for every completion, the batch for the learner."""

    prompts: tuple[Prompt, ...]
    rows: tuple[Row, ...]
    batch: Batch
    rounds: int


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
    estimate: Estimate,
    measure: Measure | None = None,
    expert: Expert | None = None,
) -> Rollout:
    """Collect the rollout of one step. Raises `RewardError` when a reward fails under the policy `stop`.

    `estimate` says how advantages are made; `measure` is asked where they are made of more than rewards; `expert`
    gives one more completion to each group.
    """
    dynamic = filters.dynamic_sampling
    prompts: list[Prompt] = []
    groups: list[Group] = []
    wanted, rounds = prompts_per_step, 0
    while wanted > 0 and rounds < (dynamic.max_rounds if dynamic.enabled else 1):
        drawn = [prompt_at(len(prompts) + i) for i in range(wanted)]
        sampled = sample([p for _, p in drawn], rounds)
        if expert is not None:
            sampled = [[*siblings, expert(task)] for (task, _), siblings in zip(drawn, sampled, strict=True)]
        tasks = [t for (t, _), siblings in zip(drawn, sampled, strict=True) for _ in siblings]
        verdicts = grade(tasks, [c for siblings in sampled for c in siblings])
        for (_, prompt), siblings in zip(drawn, sampled, strict=True):
            own, verdicts = verdicts[: len(siblings)], verdicts[len(siblings) :]
            groups.append(_judge(len(prompts), rounds, siblings, own, weights, reward_names, policy))
            prompts.append(prompt)
        rounds += 1
        wanted = prompts_per_step - sum(not _equal(g) for g in groups)
    if dynamic.enabled:
        for group in filter(_equal, groups):
            group.fates = [f or Fate.refilled for f in group.fates]
    rows, batch = assemble(groups, prompts, estimate, measure, weights, mask_truncated=filters.mask_truncated)
    return Rollout(tuple(prompts), tuple(rows), batch, rounds)


def _judge(
    prompt: int,
    round_: int,
    siblings: list[Completion],
    verdicts: list[tuple[Verdict, ...]],
    weights: Sequence[float],
    names: Sequence[str],
    policy: FailurePolicy,
) -> Group:
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
    return Group(prompt, round_, siblings, verdicts, rewards, fates)


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


def _equal(group: Group) -> bool:
    """Whether dynamic sampling replaces the group: fewer than two rewards, or all equal."""
    return bool(dead_groups(group.rewards, np.zeros(len(group.rewards), dtype=np.int64))[0])
