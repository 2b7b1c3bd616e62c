"""Claim: Dividing the advantage by the group's standard deviation gives questions that are too easy or too hard more
weight in the update.

Source: Understanding R1-Zero-Like Training (Dr. GRPO), [2503.20783](https://arxiv.org/abs/2503.20783), section 3.1,
"question-level difficulty bias".

Design: One token is the whole completion, 20 tokens are possible, and the reward is 1 for the first m of them: the
policy, a freshly initialised transformer that prefers none, is right with probability m/20. For each of these
difficulties the expected gradient of the loss is measured as the mean over 2000 groups of 8 siblings, groups without
a mixture included as they come (their advantages are 0), with and without the division. Weights are read as norms of
that gradient relative to the prompt at p = 0.5. Beside it stands the exact expectation of sum |A| over a group of 8
binomial rewards, computed without sampling, over all groups and over those with a mixture.

Expected: Without the division the norm follows sqrt(p (1-p)) times the direction's length, itself about
sqrt(p (1-p)) for this policy, so p (1-p) in all; with it the curve is flatter at the ends: at p = 0.05 and 0.95 the
weight relative to p = 0.5 is larger with the division than without. It does not exceed that of p = 0.5: "more" is
relative to no division, not to questions of middling difficulty.

Rule: Reproduced if the interval of the paired ratio (relative weight with std) / (relative weight without) is above 1
at p = 0.05 and at p = 0.95. A second statement, that the ends weigh more than the middle in absolute terms, is
reproduced if the interval of the relative weight with std is above 1 at both ends.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from claims.claim import Claim, Judgement, Runs, Table, Values
from claims.figure import Chart, Series
from claims.harness import Policy, completion_logprobs, sample, streams
from claims.intervals import Estimate, estimate, overall, ratio, verdict
from sibling.maths.aggregation import sequence_weights
from sibling.maths.estimators import Evidence, advantages
from sibling.maths.objectives import OBJECTIVES, policy_loss

TOKENS = 20
RIGHT = (1, 2, 4, 7, 10, 13, 16, 18, 19)  # m: p = 0.05 ... 0.95
SETTINGS: dict[str, Any] = {"groups": 2000, "siblings": 8, "tokens": TOKENS, "right": RIGHT, "width": 32}
ARMS = {"both": "one rollout a difficulty, its gradient with and without the std"}
_SCALES = {"std": "group", "plain": "none"}


def measure(arm: str, seed: int) -> Values:
    """Norm of the expected gradient at each difficulty, with and without the std."""
    del arm
    _, completions, _ = streams(seed)
    policy = Policy(TOKENS + 1, 2, width=SETTINGS["width"])
    policy.head.weight.data[:] *= 0.1  # nearly uniform over the tokens: p is what the rule says
    policy.head.bias.data[:] = 0.0
    policy.head.bias.data[TOKENS] = -30.0  # the prompt's own token is never drawn
    norms: dict[str, list[float]] = {name: [] for name in _SCALES}
    for right in RIGHT:
        prompts = torch.full((SETTINGS["groups"], 1), TOKENS)
        rollout = sample(policy, prompts, SETTINGS["siblings"], 1, completions)
        reward = (rollout.completion[:, 0] < right).double().numpy()
        evidence = Evidence(reward, rollout.group, list(rollout.mask.numpy()))
        for name, scale in _SCALES.items():
            advantage = advantages("group", evidence, scale=scale).sequence
            assert advantage is not None
            norms[name].append(_gradient_norm(policy, rollout, advantage))
    return norms


def _gradient_norm(policy: Policy, rollout: Any, advantage: Any) -> float:
    row = OBJECTIVES["grpo"]
    rows = torch.arange(len(advantage))
    parts = policy_loss(
        row,
        logp_new=completion_logprobs(policy, rollout, rows),
        logp_old=rollout.logp,
        advantage=torch.from_numpy(advantage),
        mask=rollout.mask,
        weight=torch.from_numpy(sequence_weights(rollout.lengths, rollout.group, mode=row.aggregation)),
    )
    policy.zero_grad()
    torch.autograd.backward(parts.loss)
    return math.sqrt(sum(float(p.grad.square().sum()) for p in policy.parameters() if p.grad is not None))


def expected_weight(p: float, scale: str, siblings: int, *, live_only: bool) -> float:
    """E[sum_i |A_i|] of a group of `siblings` rewards, 1 with probability p; given a mixture with `live_only`."""
    total = live = 0.0
    for c in range(1, siblings):
        reward = np.array([1.0] * c + [0.0] * (siblings - c))
        evidence = Evidence(reward, np.zeros(siblings, dtype=np.int64), [np.ones(1, dtype=np.bool_)] * siblings)
        advantage = advantages("group", evidence, scale=scale).sequence
        assert advantage is not None
        chance = math.comb(siblings, c) * p**c * (1 - p) ** (siblings - c)
        total += chance * float(np.abs(advantage).sum())
        live += chance
    return total / live if live_only else total


def _relative(runs: Runs, name: str, right: int) -> list[float]:
    middle, place = RIGHT.index(TOKENS // 2), RIGHT.index(right)
    return [values[name][place] / values[name][middle] for values in runs["both"]]


def judge(runs: Runs) -> Judgement:
    """The rule of the docstring."""
    ends = (RIGHT[0], RIGHT[-1])
    shift: list[Estimate] = [ratio(_relative(runs, "std", m), _relative(runs, "plain", m)) for m in ends]
    absolute = [estimate(_relative(runs, "std", m)) for m in ends]
    rows, siblings = [], int(SETTINGS["siblings"])
    for m in RIGHT:
        p = m / TOKENS
        exact = [
            expected_weight(p, scale, siblings, live_only=live) / expected_weight(0.5, scale, siblings, live_only=live)
            for live in (False, True)
            for scale in ("group", "none")
        ]
        measured = [estimate(_relative(runs, name, m)).text() for name in _SCALES]
        rows.append([f"{p:.2f}", *measured, *(f"{e:.2f}" for e in exact)])
    places = [m / TOKENS for m in RIGHT]
    lines = []
    for name, label in (("std", "with std"), ("plain", "without")):
        points = [estimate(_relative(runs, name, m)) for m in RIGHT]
        lines.append(
            Series(
                label, places, [e.mean for e in points], [e.low for e in points], [e.high for e in points], dots=True
            )
        )
    return Judgement(
        statements=[
            (
                "With the std, prompts at p = 0.05 and p = 0.95 weigh more than without it, relative to p = 0.5",
                f"{shift[0].text()} and {shift[1].text()} times as much",
                overall([verdict(s, above=1.0) for s in shift]),
            ),
            (
                "With the std, they weigh more than prompts at p = 0.5",
                f"{absolute[0].text()} and {absolute[1].text()} of the weight at p = 0.5",
                overall([verdict(a, above=1.0) for a in absolute]),
            ),
        ],
        tables=[
            Table(
                ["p", "gradient, std", "gradient, none", "sum \\|A\\|, std", "sum \\|A\\|, none",
                 "mixed groups only, std", "mixed groups only, none"],
                rows,
            )
        ],
        charts={"claims-difficulty": Chart("Weight of a prompt by its difficulty", "share of right completions p",
                                           "gradient norm, p = 0.5 is 1", lines)},
    )  # fmt: skip


REMARK = """
The expectation for the curve without the std was wrong. For rewards of 0 and 1 the expected update without the
division is the gradient of p itself, times 1 - 1/G; over equally likely tokens its norm is proportional to sqrt(p
(1-p)), not to p (1-p). The comparison that the claim makes holds all the same. Its wording invites another reading,
that easy and hard questions come to weigh more than middling ones; they do not, not even among mixed groups alone.
"""

CLAIM = Claim(
    "difficulty",
    "The group's std and the weight of easy and hard prompts",
    __doc__ or "",
    SETTINGS,
    ARMS,
    measure,
    judge,
    REMARK,
)
