"""The rows of a step: completions, verdicts and the batch the maths sees.

Axis letters, here and everywhere: P prompts of the step, G completions a prompt, N completions of the
batch, R rewards, T tokens of a completion, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RunError


class Finish(StrEnum):
    """Why a completion ended."""

    eos = "eos"  # an end-of-sequence token was drawn; it is the last token of the completion
    stop = "stop"  # a stop string appeared; it is kept
    length = "length"  # max_tokens was reached: truncated
    expert = "expert"  # not sampled: an expert's trace from the task


class Status(StrEnum):
    """What a verifier says of a completion."""

    right = "right"
    wrong = "wrong"
    abstain = "abstain"  # the verifier declines: no score
    error = "error"  # the verifier failed or timed out: no score


class Fate(StrEnum):
    """What became of a generated completion. Exactly one holds for each: generated = trained + rejected."""

    trained = "trained"
    dead_group = "dead_group"  # every advantage of its group is exactly 0, as where siblings score the same
    refilled = "refilled"  # dynamic sampling leaves its dead group out, replaced as far as the budget goes
    reward_error = "reward_error"  # a reward failed (policy drop_sample)
    reward_abstain = "reward_abstain"  # a reward declined (policy drop_sample)
    group_dropped = "group_dropped"  # a sibling's reward failed or declined (policy drop_group)
    too_few_scores = "too_few_scores"  # fewer than two siblings with a score: there is no group to compare with
    truncated = "truncated"  # overlong filtering


@dataclass(frozen=True)
class Completion:
    """One sampled completion.

    `logprobs` are natural-log probabilities of the drawn tokens under the distribution actually sampled
    from (temperature, top-p, top-k and min-p applied). `text` leaves out the end-of-sequence token.
    """

    token_ids: NDArray[np.int64]  # [T], with the EOS token if one was drawn
    logprobs: NDArray[np.float32]  # [T]
    finish: Finish
    text: str

    def __post_init__(self) -> None:
        if len(self.token_ids) == 0 or len(self.token_ids) != len(self.logprobs):
            raise RunError(
                "A completion must have at least one token and one log-prob a token",
                seen=f"{len(self.token_ids)} tokens, {len(self.logprobs)} log-probs",
            )


@dataclass(frozen=True)
class StepScore:
    """Score of one step of a completion, for process supervision."""

    end: int  # characters of the completion's text up to and including the step; at least 1
    score: float


@dataclass(frozen=True)
class Verdict:
    """What one reward says of one completion. `score` is None exactly when the status is abstain or error."""

    status: Status
    score: float | None
    reason: str = ""  # one short phrase a person can act on
    seconds: float = 0.0
    steps: tuple[StepScore, ...] = ()  # in order of `end`, when the reward scores steps
    code: str = ""  # the reason as one word, to count by: no_answer, hedged, unevaluated, timeout ...
    span: tuple[int, int] | None = None  # characters of the completion's text that were taken for the answer

    def __post_init__(self) -> None:
        scored = self.status in (Status.right, Status.wrong)
        if scored != (self.score is not None) or (self.score is not None and not np.isfinite(self.score)):
            raise RunError(
                "A verdict has a finite score exactly when it is right or wrong",
                seen=f"status {self.status.value}, score {self.score}",
            )


@dataclass(frozen=True)
class TokenEvidence:
    """Quantities of single tokens that the advantages of a completion depend on; None where the objective has none.

    Kept in the record, so that the advantages can be computed again.
    """

    advantage: NDArray[np.float64] | None = None  # [T], when advantages differ by token
    kl: NDArray[np.float32] | None = None  # [T] log pi_old - log pi_ref, when the KL is in the reward
    values: NDArray[np.float32] | None = None  # [T] the critic's values
    step_ends: NDArray[np.int64] | None = None  # [K] index of the last token of each step
    step_scores: NDArray[np.float64] | None = None  # [K]


@dataclass(frozen=True)
class Row:
    """One completion with all that is known of it; the record keeps one Parquet row for each."""

    prompt: int  # index into the step's prompts
    sibling: int  # 0 .. G-1
    round: int  # sampling round within the step (dynamic sampling)
    completion: Completion
    verdicts: tuple[Verdict, ...]  # R, in the order of the recipe
    reward: float | None  # weighted total of the scores present; None: unscorable
    advantage: float  # exactly 0 when not trained; the mean over its tokens when they differ
    fate: Fate
    evidence: TokenEvidence | None = None  # what its token advantages were made of


@dataclass(frozen=True)
class Prompt:
    """One prompt of the step as the model sees it."""

    id: str  # unique id of the task
    text: str  # rendered with the chat template
    token_ids: NDArray[np.int64]
    reference: str | None
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What the learner measures of a batch before its advantages are known: N arrays [T_i] each, where it is needed."""

    kl: tuple[NDArray[np.float32], ...] | None = None  # log pi_old - log pi_ref, in nats
    values: tuple[NDArray[np.float32], ...] | None = None  # the critic's


@dataclass(frozen=True)
class Batch:
    """Everything that enters the updates of one step: N trained or denominator-counted completions of P prompts.

    Rows are ordered by group, then by sibling; `group` is non-decreasing and counts from 0. `counted`
    rows with an all-zero mask still count in denominators as if they had been computed (dead groups).
    """

    prompts: tuple[NDArray[np.int64], ...]  # P prompts' token ids
    group: NDArray[np.int64]  # [N], index into prompts
    completions: tuple[NDArray[np.int64], ...]  # N token-id arrays of length T_i
    sampler_logprobs: tuple[NDArray[np.float32], ...]  # N arrays of length T_i
    mask: tuple[NDArray[np.bool_], ...]  # N arrays of length T_i: tokens in the loss
    advantage: NDArray[np.float64]  # [N]
    live: NDArray[np.bool_]  # [N]: has a policy term that can be non-zero
    token_advantage: tuple[NDArray[np.float64], ...] | None = None  # N arrays of length T_i, if they differ by token
    values: tuple[NDArray[np.float32], ...] | None = None  # N arrays of length T_i: the critic's, at the rollout
    returns: tuple[NDArray[np.float64], ...] | None = None  # N arrays of length T_i: what the critic learns
    expert: NDArray[np.bool_] | None = None  # [N]: an expert's trace, not sampled; None: there is none

    def __post_init__(self) -> None:
        n = len(self.group)
        lengths = {
            len(self.completions),
            len(self.sampler_logprobs),
            len(self.mask),
            len(self.advantage),
            len(self.live),
        }
        if lengths != {n}:
            raise RunError("The columns of a batch differ in length", seen=sorted(lengths), wanted=n)
        for c, s, m in zip(self.completions, self.sampler_logprobs, self.mask, strict=True):
            if not len(c) == len(s) == len(m):
                raise RunError("The token columns of a completion differ in length", seen=(len(c), len(s), len(m)))
        if n and (np.any(np.diff(self.group) < 0) or self.group[0] < 0 or self.group[-1] >= len(self.prompts)):
            raise RunError("The rows of a batch must be ordered by group", seen=self.group.tolist())
        if not np.all(np.isfinite(self.advantage)):
            raise RunError("An advantage is not finite", seen=self.advantage.tolist())

    @property
    def size(self) -> int:
        """N."""
        return len(self.group)

    @property
    def token_counts(self) -> NDArray[np.int64]:
        """[N] tokens in the loss, T_i."""
        return np.array([int(m.sum()) for m in self.mask], dtype=np.int64)

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
        """The batch of these rows, in the order given (groups keep their prompts)."""
        index = [int(i) for i in rows]
        return Batch(
            prompts=self.prompts,
            group=self.group[index],
            completions=tuple(self.completions[i] for i in index),
            sampler_logprobs=tuple(self.sampler_logprobs[i] for i in index),
            mask=tuple(self.mask[i] for i in index),
            advantage=self.advantage[index],
            live=self.live[index],
            token_advantage=_some(self.token_advantage, index),
            values=_some(self.values, index),
            returns=_some(self.returns, index),
            expert=None if self.expert is None else self.expert[index],
        )


def _some(columns: tuple[Any, ...] | None, index: Sequence[int]) -> tuple[Any, ...] | None:
    return None if columns is None else tuple(columns[i] for i in index)
