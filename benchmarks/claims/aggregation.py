"""Claim: Averaging over all tokens of the batch, in place of each completion's own mean, lets long completions count
by their length: what is right in them is learned faster, and bad long ones are held down.

Source: DAPO, [2503.14476](https://arxiv.org/abs/2503.14476), section 3.3.

Design: Words of one to eight letters are to be replaced letter by letter and ended; the reward is the share of the
answer's places (letters and end) that are right, at most 24 tokens are drawn, and tokens past the answer's end cost
nothing but the end's own place. The first word of every batch has eight letters. Both arms have GRPO's clip and group
std and two passes a rollout; only the aggregation differs. Measured are the share of the update's weight, w_i T_i
|A_i|, that the longest quarter of the completions carries over the first half of training; the reward on words of six
to eight letters, averaged over training; and the excess length of completions that are not wholly right, over the
last 50 updates. The arms of claim 1 with the outcome in sight are judged as well, for the length of wrong answers
where only the objective moves it.

Expected: The longest quarter carries more weight under the token mean, by construction. The reward on long words is
a little higher. In claim 1's task the token mean stops the growth of wrong answers as Dr. GRPO does. On this task,
where the reward itself ends completions, the excess length does not clearly differ.

Rule: Each statement is reproduced if the interval of its paired difference, token mean less sequence mean, lies on
the claimed side of 0: above for weight and for reward, below for lengths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from claims.claim import Claim, Judgement, Runs, Table, Values, column, mean_curve
from claims.figure import Chart, Series
from claims.harness import Learner, Policy, sample, streams
from claims.intervals import difference, estimate, verdict
from claims.length import growth
from sibling.maths.aggregation import sequence_weights
from sibling.maths.estimators import Evidence, advantages

LETTERS, END, PAD, START, MOST = 6, 6, 7, 8, 8
SETTINGS: dict[str, Any] = {
    "updates": 200,
    "prompts": 16,
    "siblings": 8,
    "passes": 2,
    "most_tokens": 24,
    "learning_rate": 2e-3,
    "width": 32,
    "long_from": 6,
    "last": 50,
    "window": 10,
}
ARMS = {
    "sequence": "mean over a completion's tokens, then over completions",
    "token": "mean over all tokens of the batch",
}
_MODES = {"sequence": "seq_mean_token_mean", "token": "token_mean"}


def _answers(key: torch.Tensor, words: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """[P, most_tokens] the wanted token of each place, -1 after the end."""
    answer = torch.full((len(words), SETTINGS["most_tokens"]), -1)
    answer[:, :MOST] = torch.where(words == PAD, -1, key[words.clamp(max=LETTERS - 1)])
    answer[torch.arange(len(words)), length] = END
    return answer


def measure(arm: str, seed: int) -> Values:
    """Rewards by length of the word, weight of the longest quarter, excess length."""
    prompt_stream, completion_stream, order = streams(seed)
    key = torch.randperm(LETTERS, generator=prompt_stream)
    prior = torch.zeros(START + 1)
    prior[PAD:] = -30.0  # neither padding nor the start is ever drawn
    policy = Policy(START + 1, MOST + 1 + SETTINGS["most_tokens"], width=SETTINGS["width"], prior=prior)
    learner = Learner(policy, "grpo", SETTINGS["learning_rate"], _MODES[arm], passes=SETTINGS["passes"])
    siblings = SETTINGS["siblings"]
    series: dict[str, list[float]] = {name: [] for name in ("all", "long", "share", "excess")}
    for _ in range(SETTINGS["updates"]):
        words = torch.randint(LETTERS, (SETTINGS["prompts"], MOST), generator=prompt_stream)
        length = torch.randint(1, MOST + 1, (len(words),), generator=prompt_stream)
        length[0] = MOST  # there is a long word in every batch
        words[torch.arange(MOST) >= length[:, None]] = PAD
        ask = torch.cat([words, torch.full((len(words), 1), START)], dim=1)
        rollout = sample(policy, ask, siblings, SETTINGS["most_tokens"], completion_stream, end=END)
        answer = _answers(key, words, length).repeat_interleave(siblings, dim=0)[:, : rollout.mask.shape[1]]
        places = (length + 1).repeat_interleave(siblings).numpy()
        reward = ((rollout.completion == answer) & rollout.mask).sum(dim=1).numpy() / places
        advantage = advantages("group", Evidence(reward, rollout.group, list(rollout.mask.numpy()))).sequence
        assert advantage is not None
        weight = (
            sequence_weights(rollout.lengths, rollout.group, mode=_MODES[arm]) * rollout.lengths * np.abs(advantage)
        )
        longest = np.argsort(-rollout.lengths, kind="stable")[: len(weight) // 4]
        learner.update(rollout, advantage, order)
        wrong = reward < 1
        series["all"].append(float(reward.mean()))
        series["long"].append(float(reward[places > SETTINGS["long_from"]].mean()))
        series["share"].append(float(weight[longest].sum() / max(weight.sum(), 1e-12)))
        series["excess"].append(float((rollout.lengths - places)[wrong].mean()) if wrong.any() else 0.0)
    half, last, window = SETTINGS["updates"] // 2, SETTINGS["last"], SETTINGS["window"]
    return {
        "share": float(np.mean(series["share"][:half])),
        "long": float(np.mean(series["long"])),
        "long_last": float(np.mean(series["long"][-last:])),
        "all_last": float(np.mean(series["all"][-last:])),
        "excess": float(np.mean(series["excess"][-last:])),
        "curve": [float(np.mean(series["long"][i : i + window])) for i in range(0, len(series["long"]), window)],
    }


def judge(runs: Runs) -> Judgement:
    """The rule of the docstring."""

    def gap(name: str) -> Any:
        return difference(column(runs, "token", name), column(runs, "sequence", name))

    seen = {arm: growth({arm: runs[f"length/{arm}"]}, arm) for arm in ("token_mean", "grpo")}
    wrong = difference(seen["token_mean"], seen["grpo"])
    share, long, excess = gap("share"), gap("long"), gap("excess")
    statements = [
        ("The longest quarter carries more of the update", f"share {share.text()} higher", verdict(share, above=0.0)),
        ("Long words are learned faster", f"reward {long.text(3)} higher", verdict(long, above=0.0)),
        ("Wrong answers grow less (task of claim 1)", f"growth {wrong.text(1)} tokens", verdict(wrong, below=0.0)),
        ("Completions not wholly right are shorter", f"excess {excess.text()} tokens", verdict(excess, below=0.0)),
    ]
    rows = [
        [
            ARMS[arm],
            *(estimate(column(runs, arm, n)).text() for n in ("share", "long", "long_last", "all_last", "excess")),
        ]
        for arm in ARMS
    ]
    head = ["arm", "weight of the longest quarter", "reward, long words", "the same, last 50"]
    head += ["reward, all words, last 50", "excess tokens, last 50"]
    window = SETTINGS["window"]
    places = [window * (i + 0.5) for i in range(len(mean_curve(runs, "token", "curve")))]
    lines = [Series(f"{arm} mean", places, mean_curve(runs, arm, "curve")) for arm in ARMS]
    chart = Chart("Reward on words of six to eight letters, means over seeds", "update", "reward", lines)
    return Judgement(statements, [Table(head, rows)], {"claims-aggregation": chart})


REMARK = """
Two expectations were too cautious: the gain on long words is not little, and the excess length is lower too, by an
interval that barely leaves out 0. Under the sequence mean a token of a long completion weighs less than one of a
short completion, and on this task the long words hold most of what is left to learn.
"""

CLAIM = Claim(
    "aggregation",
    "Token mean against sequence mean",
    __doc__ or "",
    SETTINGS,
    ARMS,
    measure,
    judge,
    REMARK,
    also=("length",),
)
