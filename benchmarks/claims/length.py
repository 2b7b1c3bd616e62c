"""Claim: GRPO's division of each completion's loss by its own length makes wrong answers grow longer; Dr. GRPO, which
divides by a constant, stops that growth.

Source: Understanding R1-Zero-Like Training (Dr. GRPO), [2503.20783](https://arxiv.org/abs/2503.20783), section 3.1
and figure 1.

Design: A completion is a remark of free length: four words or the end, at most 32 tokens. Whether it counts as right
was decided before its first token (by a coin whose odds, 0.1 to 0.9, depend on the prompt), and the policy sees the
outcome. Length changes nothing in the reward, so every drift in length is the objective's own. In a second set of
arms the outcome is hidden from the policy: then right and wrong completions cannot be told apart while they are
written, and a drift of the wrong ones alone is impossible. The other arms differ in aggregation and advantage only:
GRPO, Dr. GRPO, and GRPO with the token mean of DAPO in place of the sequence mean.

Expected: With the outcome in sight, wrong answers grow to the limit under GRPO (and right ones shrink to almost
nothing), because a wrong answer is punished less for each of its tokens when it has more of them; under Dr. GRPO and
under the token mean both stay where they were. With the outcome hidden, GRPO does not differ from Dr. GRPO.

Rule: Growth is the mean length of wrong answers over the last 10 updates less that over the first 10, in tokens.
Reproduced if the interval of GRPO's growth is above 0, and the interval of the paired difference GRPO less Dr. GRPO
is above 0, and the interval of Dr. GRPO's growth ends below a quarter of GRPO's mean growth. That hiding the outcome
removes the difference is reproduced if the interval of the paired difference of growth between the hidden arms ends
below a quarter of GRPO's mean growth in sight.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from claims.claim import Claim, Judgement, Runs, Table, Values, column, mean_curve
from claims.figure import Chart, Series
from claims.harness import Learner, Policy, sample, streams
from claims.intervals import difference, estimate, overall, verdict
from sibling.maths.estimators import Evidence, advantages

WORDS, END = 4, 4  # words 0 to 3, the end
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # share of right completions of a prompt
FIRST_LEVEL, FIRST_OUTCOME, HIDDEN, VOCABULARY = 5, 10, 12, 13
END_PRIOR = 0.5  # bias of the end: completions start at some 8 tokens
SETTINGS: dict[str, Any] = {
    "updates": 120,
    "prompts": 16,
    "siblings": 8,
    "most_tokens": 32,
    "learning_rate": 1e-3,
    "width": 32,
    "levels": LEVELS,
    "end_prior": END_PRIOR,
    "window": 10,
}
_SCHEMES = {  # aggregation, scale of the advantage
    "grpo": ("seq_mean_token_mean", "group"),
    "dr_grpo": ("token_sum_norm", "none"),
    "token_mean": ("token_mean", "group"),
}
ARMS = {
    "grpo": "GRPO: mean over a completion's tokens, then over completions",
    "dr_grpo": "Dr. GRPO: token sum over a constant, no std",
    "token_mean": "GRPO with the mean over all tokens of the batch",
    "grpo_hidden": "GRPO, outcome hidden",
    "dr_grpo_hidden": "Dr. GRPO, outcome hidden",
}


def measure(arm: str, seed: int) -> Values:
    """Lengths of wrong and right completions at every update."""
    aggregation, scale = _SCHEMES[arm.removesuffix("_hidden")]
    prompt_stream, completion_stream, order = streams(seed)
    prior = torch.zeros(VOCABULARY)
    prior[END] = END_PRIOR
    policy = Policy(VOCABULARY, 2 + SETTINGS["most_tokens"], width=SETTINGS["width"], prior=prior)
    constant = SETTINGS["most_tokens"] if aggregation == "token_sum_norm" else None
    learner = Learner(policy, "grpo", SETTINGS["learning_rate"], aggregation, constant)
    prompts, siblings = SETTINGS["prompts"], SETTINGS["siblings"]
    wrong_length, right_length = [], []
    for _ in range(SETTINGS["updates"]):
        level = torch.randint(len(LEVELS), (prompts,), generator=prompt_stream).repeat_interleave(siblings)
        right = torch.rand(len(level), generator=prompt_stream) < torch.tensor(LEVELS)[level]
        seen = torch.full_like(level, HIDDEN) if arm.endswith("_hidden") else FIRST_OUTCOME + right.long()
        rollout = sample(
            policy, torch.stack([FIRST_LEVEL + level, seen], 1), 1, SETTINGS["most_tokens"], completion_stream, end=END
        )
        rollout = replace(rollout, group=np.arange(len(level)) // siblings)
        evidence = Evidence(right.double().numpy(), rollout.group, list(rollout.mask.numpy()))
        advantage = advantages("group", evidence, scale=scale).sequence
        assert advantage is not None
        learner.update(rollout, advantage, order)
        wrong_length.append(float(rollout.lengths[~right.numpy()].mean()))
        right_length.append(float(rollout.lengths[right.numpy()].mean()))
    window = SETTINGS["window"]
    return {
        "wrong_first": float(np.mean(wrong_length[:window])),
        "wrong_last": float(np.mean(wrong_length[-window:])),
        "right_last": float(np.mean(right_length[-window:])),
        "wrong": [float(np.mean(wrong_length[i : i + window])) for i in range(0, len(wrong_length), window)],
    }


def growth(runs: Runs, arm: str) -> list[float]:
    """Of wrong answers, in tokens, one a seed."""
    return [b - a for a, b in zip(column(runs, arm, "wrong_first"), column(runs, arm, "wrong_last"), strict=True)]


def judge(runs: Runs) -> Judgement:
    """The rule of the docstring."""
    grpo, dr_grpo = estimate(growth(runs, "grpo")), estimate(growth(runs, "dr_grpo"))
    apart = difference(growth(runs, "grpo"), growth(runs, "dr_grpo"))
    hidden = difference(growth(runs, "grpo_hidden"), growth(runs, "dr_grpo_hidden"))
    parts = [verdict(grpo, above=0.0), verdict(apart, above=0.0), verdict(dr_grpo, below=grpo.mean / 4)]
    rows = [
        [
            ARMS[arm],
            estimate(column(runs, arm, "wrong_first")).text(1),
            estimate(column(runs, arm, "wrong_last")).text(1),
            estimate(growth(runs, arm)).text(1),
            estimate(column(runs, arm, "right_last")).text(1),
        ]
        for arm in ARMS
    ]
    window = SETTINGS["window"]
    places = [window * (i + 0.5) for i in range(len(mean_curve(runs, "grpo", "wrong")))]
    lines = [
        Series(arm.replace("_", " "), places, mean_curve(runs, arm, "wrong"), dashed="hidden" in arm) for arm in ARMS
    ]
    return Judgement(
        statements=[
            (
                "Wrong answers grow under GRPO, and Dr. GRPO stops it (outcome in sight)",
                f"growth {grpo.text(1)} against {dr_grpo.text(1)} tokens, paired difference {apart.text(1)}",
                overall(parts),
            ),
            (
                "With the outcome hidden from the policy there is no such difference",
                f"paired difference of the growth {hidden.text(1)} tokens",
                verdict(hidden, below=grpo.mean / 4),
            ),
        ],
        tables=[Table(["arm", "wrong, first", "wrong, last", "growth", "right, last"], rows)],
        charts={"claims-length": Chart("Length of wrong answers", "update", "tokens", lines)},
    )


REMARK = """
The effect needs a policy that can tell, while it writes, how the completion will be judged. With the outcome hidden
the advantage does not depend on the length, whatever divides the loss, and nothing drifts. Of Dr. GRPO's two changes
the aggregation is the one that matters here: the token mean with the std kept stops the growth as well. The other
side of the same division is as large: right completions shrink to almost nothing under GRPO.
"""

CLAIM = Claim(
    "length", "Dr. GRPO and the length of wrong answers", __doc__ or "", SETTINGS, ARMS, measure, judge, REMARK
)
