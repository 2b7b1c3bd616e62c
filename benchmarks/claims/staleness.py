"""Claim: Sampling from weights that are several updates old hurts plain clipping; importance corrections between the
sampler and the learner hold the loss of reward.

Source: The clip is PPO's, [1707.06347](https://arxiv.org/abs/1707.06347); truncated importance sampling by Yao et al.
(2025); masked (IcePop) in Ring-1T, [2510.18855](https://arxiv.org/abs/2510.18855); CISPO in MiniMax-M1,
[2506.13585](https://arxiv.org/abs/2506.13585); GSPO, [2507.18071](https://arxiv.org/abs/2507.18071).

Design: Five letters are to be replaced by their images under a fixed substitution; the reward is the share of right
places. Every rollout is drawn from the weights of k updates ago (k = 1, 4, 16; k = 0 for comparison, where all
methods are one) and used for one update. clip: GRPO's clip at 0.2 on the ratio to the sampler. ignored: the learner's
own log-probs stand in for the sampler's, so that the ratio is 1 and nothing is corrected. truncated: the same,
weighted by min(ratio, 2) a token; masked: by the ratio inside [0.5, 5] and 0 outside; sequence: by the product over
the sequence, cut at 2. CISPO: weight min(ratio, 5). GSPO: its own bounds, 3e-4 and 4e-4; and, to tell the bounds from
the sequence ratio, at 0.2. All use the token mean and the group std; completions have one length, so that aggregation
plays no part.

Expected: At k = 16 the clip loses most of the reward, because most tokens leave [0.8, 1.2] in the direction of their
advantage and then have no gradient. Truncated, masked and CISPO keep well above it, but not all that k = 0 has: stale
samples are also less informative. Ignoring the staleness is better than clipping it on this task, and worse than the
token corrections. GSPO's bounds, meant for four minibatches of one rollout, leave it nearly no gradient at any k.

Rule: Reward is the mean over the last 20 updates. That staleness hurts the clip is reproduced if the interval of the
paired difference, clip at k = 16 less k = 0, is below 0. That a correction holds is reproduced if the interval of its
paired difference to the clip at k = 16 is above 0; that it holds fully, if that to k = 0 is above -0.05.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from claims.claim import Claim, Judgement, Runs, Table, Values, column
from claims.figure import Chart, Series
from claims.harness import Learner, Policy, Rollout, sample, streams
from claims.intervals import difference, estimate, overall, verdict
from sibling.maths.corrections import sampler_weights
from sibling.maths.estimators import Evidence, advantages

LETTERS, START, PLACES = 10, 10, 5
AGES = (1, 4, 16)
SETTINGS: dict[str, Any] = {
    "updates": 160,
    "prompts": 16,
    "siblings": 8,
    "learning_rate": 2e-3,
    "width": 32,
    "last": 20,
    "margin": 0.05,
    "truncate_at": 2.0,
    "mask_outside": (0.5, 5.0),
}
_ROWS = {"cispo": "cispo", "gspo": "gspo", "gspo 0.2": "gspo"}  # the others are GRPO's surrogate
_NUMBERS: dict[str, dict[str, float | None]] = {"gspo 0.2": {"clip_low": 0.2, "clip_high": 0.2}}
_WEIGHTS: dict[str, dict[str, Any]] = {
    "truncated": {"level": "token", "action": "truncate", "max": SETTINGS["truncate_at"]},
    "masked": {
        "level": "token",
        "action": "mask",
        "min": SETTINGS["mask_outside"][0],
        "max": SETTINGS["mask_outside"][1],
    },
    "sequence": {"level": "sequence", "action": "truncate", "max": SETTINGS["truncate_at"]},
}
METHODS = ("clip", "ignored", *_WEIGHTS, *_ROWS)
CORRECTIONS = ("truncated", "masked", "cispo")
ARMS = {"fresh_0": "k = 0"} | {f"{m}_{k}": f"{m}, k = {k}" for k in AGES for m in METHODS}


def _extras(method: str, rollout: Rollout) -> Callable[[Tensor, Tensor], dict[str, Any]] | None:
    """Arguments of `policy_loss` that differ from the plain ratio to what was sampled."""
    if method in ("clip", "fresh", *_ROWS):
        return None

    def extras(rows: Tensor, new: Tensor) -> dict[str, Any]:
        given: dict[str, Any] = {"logp_old": new}
        if method in _WEIGHTS:
            given["sampler_weight"] = sampler_weights(new, rollout.logp[rows], rollout.mask[rows], **_WEIGHTS[method])
        return given

    return extras


def measure(arm: str, seed: int) -> Values:
    """Reward of every rollout; share of tokens clipped over the last updates."""
    method, age = arm.split("_")
    prompt_stream, completion_stream, order = streams(seed)
    key = torch.randperm(LETTERS, generator=prompt_stream)
    prior = torch.zeros(LETTERS + 1)
    prior[START] = -30.0  # the start is never drawn
    policy = Policy(LETTERS + 1, 2 * PLACES + 1, width=SETTINGS["width"], prior=prior)
    sampler = copy.deepcopy(policy)
    learner = Learner(policy, _ROWS.get(method, "grpo"), SETTINGS["learning_rate"], "token_mean")
    learner.numbers = _NUMBERS.get(method, {})
    weights: deque[dict[str, Tensor]] = deque(maxlen=int(age) + 1)
    rewards, clipped = [], []
    for _ in range(SETTINGS["updates"]):
        weights.append({name: value.clone() for name, value in policy.state_dict().items()})
        sampler.load_state_dict(weights[0])
        words = torch.randint(LETTERS, (SETTINGS["prompts"], PLACES), generator=prompt_stream)
        ask = torch.cat([words, torch.full((len(words), 1), START)], dim=1)
        rollout = sample(sampler, ask, SETTINGS["siblings"], PLACES, completion_stream)
        right = rollout.completion == key[words].repeat_interleave(SETTINGS["siblings"], dim=0)
        reward = right.double().mean(dim=1).numpy()
        advantage = advantages("group", Evidence(reward, rollout.group, list(rollout.mask.numpy()))).sequence
        assert advantage is not None
        (parts,) = learner.update(rollout, advantage, order, _extras(method, rollout))
        rewards.append(float(reward.mean()))
        clipped.append(float(parts.clip_low + parts.clip_high) / float(rollout.mask.sum()))
    last = SETTINGS["last"]
    return {
        "reward": float(np.mean(rewards[-last:])),
        "clipped": float(np.mean(clipped[-last:])),
        "all": float(np.mean(rewards)),
    }


def judge(runs: Runs) -> Judgement:
    """The rule of the docstring."""
    fresh = column(runs, "fresh_0", "reward")
    stale = column(runs, "clip_16", "reward")
    hurt = difference(stale, fresh)
    statements = [
        (
            "Staleness of 16 updates hurts plain clipping",
            f"reward {hurt.text()} against k = 0",
            verdict(hurt, below=0.0),
        )
    ]
    for held, bound, other in (("hold", 0.0, stale), ("hold fully", -SETTINGS["margin"], fresh)):
        gaps = [difference(column(runs, f"{m}_16", "reward"), other) for m in CORRECTIONS]
        named = ", ".join(f"{m} {g.text()}" for m, g in zip(CORRECTIONS, gaps, strict=True))
        against = "the clip" if held == "hold" else "k = 0"
        statements.append(
            (
                f"Truncated and masked importance sampling and CISPO {held} at k = 16",
                f"reward against {against}: {named}",
                overall([verdict(g, above=bound) for g in gaps]),
            )
        )
    rows = [
        [m, estimate(fresh).text(), *(estimate(column(runs, f"{m}_{k}", "reward")).text() for k in AGES),
         estimate([100 * c for c in column(runs, f"{m}_16", "clipped")]).text(0)]
        for m in METHODS
    ]  # fmt: skip
    places, ticks = list(range(4)), [(float(i), str(k)) for i, k in enumerate((0, *AGES))]
    lines = []
    for m in METHODS:
        points = [estimate(fresh)] + [estimate(column(runs, f"{m}_{k}", "reward")) for k in AGES]
        lines.append(Series(m, places, [p.mean for p in points], dots=True, dashed=m.startswith(("sequence", "gspo"))))
    head = ["method", *(f"reward, k = {k}" for k in (0, *AGES)), "tokens at a bound, k = 16, %"]
    chart = Chart("Reward by the age of the sampler's weights", "k, updates", "reward, last 20 updates", lines, ticks)
    return Judgement(statements, [Table(head, rows)], {"claims-staleness": chart})


REMARK = """
Token weights hold most of the reward at an age that takes most of it from the clip, but not all: stale samples also
carry less information, which no weight restores. Ignoring the staleness costs less than clipping it on this task, and
the product over the sequence does not do better than ignoring. GSPO fails at every age by its bounds, which are meant
for the small steps of large models; with 0.2 in their place it learns as the others do at small ages and lies between
the clip and the token corrections at the largest. The clip here is on the ratio to the weights that drew the tokens;
an implementation that recomputes the old log-probs at the current weights runs the arm "ignored".
"""

CLAIM = Claim(
    "staleness",
    "Staleness, plain clipping and corrections",
    __doc__ or "",
    SETTINGS,
    ARMS,
    measure,
    judge,
    REMARK,
)
