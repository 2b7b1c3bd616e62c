"""Claim: Dynamic sampling (drawing prompts until the batch is full of groups that are neither all right nor all
wrong) reaches a reward in fewer updates.

Source: DAPO, [2503.14476](https://arxiv.org/abs/2503.14476), section 3.2, equation 11.

Design: A prompt holds one to four letters, the completion must be their images under a fixed substitution, letter by
letter, and only a wholly right one has reward 1: by chance one in ten down to one in ten thousand, so that at first
most groups are all wrong and at last most are all right (the first prompt of a round has four letters). Arms: every
group drawn is used (16 prompts); dynamic sampling up to 16 mixed groups, at most 8 rounds of 16 prompts; and, for
what the samples alone would buy, 48 prompts without any filter. The objective is DAPO's, one update a rollout. The
reward is that of the first round, before any filter; a run ends when its mean over ten updates reaches 0.9.

Expected: Dynamic sampling needs about a fifth fewer updates to 0.9, and about three times the samples. The larger
unfiltered batch, at a similar number of samples, is about as quick in updates: most of the gain is that of more
prompts with a signal, not of leaving out those without.

Rule: Reproduced if the interval of the paired ratio of updates, dynamic over plain, is below 1. The cost is the
paired ratio of completions drawn, without a rule. That dynamic sampling needs fewer updates than the larger batch is
a statement of its own, reproduced if the interval of their paired ratio of updates is below 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claims.claim import Claim, Judgement, Runs, Table, Values, column
from claims.figure import Chart, Series
from claims.harness import Learner, Policy, Rollout, sample, smooth, streams
from claims.intervals import estimate, ratio, verdict
from sibling.maths.estimators import Evidence, advantages
from sibling.maths.groups import dead_groups

LETTERS, PAD, START, MOST = 10, 10, 11, 4
SETTINGS: dict[str, Any] = {
    "most_updates": 400,
    "prompts": 16,
    "siblings": 8,
    "most_rounds": 8,
    "learning_rate": 2e-3,
    "width": 32,
    "reward": 0.9,
    "window": 10,
}
ARMS = {
    "plain": "every group used, 16 prompts",
    "dynamic": "dynamic sampling, 16 mixed groups",
    "larger": "every group used, 48 prompts",
}


@dataclass(frozen=True)
class Round:
    """Completions of one call of the sampler, scored."""

    rollout: Rollout  # padded to MOST tokens
    reward: NDArray[np.float64]
    live: NDArray[np.bool_]  # by group


def _draw(policy: Policy, key: Tensor, prompts: int, streams_: tuple[torch.Generator, torch.Generator]) -> Round:
    prompt_stream, completion_stream = streams_
    words = torch.randint(LETTERS, (prompts, MOST), generator=prompt_stream)
    length = torch.randint(1, MOST + 1, (prompts,), generator=prompt_stream)
    length[0] = MOST  # so that every round is as wide as the next
    words[torch.arange(MOST) >= length[:, None]] = PAD
    ask = torch.cat([words, torch.full((prompts, 1), START)], dim=1)
    rollout = sample(policy, ask, SETTINGS["siblings"], length, completion_stream)
    wanted = key[words.clamp(max=LETTERS - 1)].repeat_interleave(SETTINGS["siblings"], dim=0)
    reward = ((rollout.completion == wanted) | ~rollout.mask).all(dim=1).double().numpy()
    return Round(rollout, reward, ~dead_groups(reward, rollout.group))


def _join(rounds: list[Round], limit: int, *, filtered: bool) -> tuple[Rollout, NDArray[np.float64]]:
    """The first `limit` groups (mixed ones only, if filtered) of some rounds as one rollout."""
    siblings = SETTINGS["siblings"]
    keep = [np.repeat(r.live if filtered else np.ones_like(r.live), siblings) for r in rounds]
    rows = limit * siblings

    def join(name: str) -> Tensor:
        return torch.cat([getattr(r.rollout, name)[torch.from_numpy(k)] for r, k in zip(rounds, keep, strict=True)])[
            :rows
        ]

    reward = np.concatenate([r.reward[k] for r, k in zip(rounds, keep, strict=True)])[:rows]
    columns = {name: join(name) for name in ("prompt", "completion", "mask", "logp", "entropy", "ended")}
    return Rollout(**columns, group=np.arange(len(reward)) // siblings), reward


def measure(arm: str, seed: int) -> Values:
    """Updates and completions until the reward is reached."""
    prompt_stream, completion_stream, order = streams(seed)
    key = torch.randperm(LETTERS, generator=prompt_stream)
    prior = torch.zeros(START + 1)
    prior[PAD:] = -30.0  # neither padding nor the start is ever drawn
    policy = Policy(START + 1, 2 * MOST + 1, width=SETTINGS["width"], prior=prior)
    learner = Learner(policy, "dapo", SETTINGS["learning_rate"])
    prompts = SETTINGS["prompts"] * (3 if arm == "larger" else 1)
    rewards: list[float] = []
    mixed, drawn = 0.0, 0
    while len(rewards) < SETTINGS["most_updates"]:
        rounds = [_draw(policy, key, prompts, (prompt_stream, completion_stream))]
        if arm == "dynamic":
            while len(rounds) < SETTINGS["most_rounds"] and sum(int(r.live.sum()) for r in rounds) < prompts:
                rounds.append(_draw(policy, key, prompts, (prompt_stream, completion_stream)))
        drawn += len(rounds) * prompts * SETTINGS["siblings"]
        rewards.append(float(rounds[0].reward.mean()))
        mixed += float(rounds[0].live.mean())
        if len(rewards) >= SETTINGS["window"] and np.mean(rewards[-SETTINGS["window"] :]) >= SETTINGS["reward"]:
            break
        rollout, reward = _join(rounds, prompts, filtered=arm == "dynamic")
        if len(reward) == 0:
            continue  # no mixed group in any round: an update without a signal
        advantage = advantages("group", Evidence(reward, rollout.group, list(rollout.mask.numpy()))).sequence
        assert advantage is not None
        learner.update(rollout, advantage, order)
    return {
        "updates": len(rewards),
        "completions": drawn,
        "mixed": mixed / len(rewards),
        "reached": len(rewards) < SETTINGS["most_updates"],
        "rewards": [float(r) for r in smooth(rewards, SETTINGS["window"])[::5]],
    }


def judge(runs: Runs) -> Judgement:
    """The rule of the docstring."""

    def compared(name: str, other: str) -> Any:
        return ratio(column(runs, "dynamic", name), column(runs, other, name))

    updates, larger = compared("updates", "plain"), compared("updates", "larger")
    cost, cost_larger = compared("completions", "plain"), compared("completions", "larger")
    rows = [
        [
            ARMS[arm],
            f"{sum(bool(v['reached']) for v in runs[arm])} of {len(runs[arm])}",
            estimate(column(runs, arm, "updates")).text(0),
            estimate([c / 1000 for c in column(runs, arm, "completions")]).text(1),
            estimate([100 * m for m in column(runs, arm, "mixed")]).text(0),
        ]
        for arm in ARMS
    ]
    lines = []
    for arm in ARMS:
        longest = max((v["rewards"] for v in runs[arm]), key=len)
        curves = [v["rewards"] + [v["rewards"][-1]] * (len(longest) - len(v["rewards"])) for v in runs[arm]]
        mean = [sum(c[i] for c in curves) / len(curves) for i in range(len(longest))]
        lines.append(
            Series(ARMS[arm].split(",")[0] + (" (48)" if arm == "larger" else ""), range(0, 5 * len(mean), 5), mean)
        )
    return Judgement(
        statements=[
            (
                "Dynamic sampling needs fewer updates than plain sampling",
                f"{updates.text()} times the updates, at {cost.text(1)} times the completions",
                verdict(updates, below=1.0),
            ),
            (
                "Dynamic sampling needs fewer updates than a larger batch without a filter",
                f"{larger.text()} times the updates, at {cost_larger.text(1)} times the completions",
                verdict(larger, below=1.0),
            ),
        ],
        tables=[
            Table(
                ["arm", "seeds that reach 0.9", "updates", "completions, thousands", "mixed groups of all drawn, %"],
                rows,
            )
        ],
        charts={"claims-dynamic": Chart("Reward before any filter, means over seeds", "update", "reward", lines)},
    )


REMARK = """
The claim holds, and so does its price. Three times the prompts without any filter need as few updates, for fewer
completions: what dynamic sampling buys on this task is a number of mixed groups, and a larger batch buys it as well.
Where a batch cannot grow, or where one update costs more than many completions, the filter is still the way.
"""

CLAIM = Claim(
    "dynamic", "Dynamic sampling and the number of updates", __doc__ or "", SETTINGS, ARMS, measure, judge, REMARK
)
