"""From groups with rewards to a batch: what the estimator is given, the fates that follow, the evidence kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sibling.batch import Batch, Completion, Fate, Finish, Measured, Prompt, Row, Status, StepScore, Verdict
from sibling.maths.advantages import each_reward_standardised, group_advantages
from sibling.maths.estimators import ESTIMATORS
from sibling.rollout.assemble import Estimate, Group, assemble

EOS = 0


def decode(ids: Sequence[int]) -> str:
    return "".join("<eos>" if i == EOS else chr(i) for i in ids)


def completion(text: str = "ab", finish: Finish = Finish.eos) -> Completion:
    """One token a character, and the EOS token if one was drawn."""
    tokens = [*map(ord, text), *([] if finish is Finish.length else [EOS])]
    return Completion(np.array(tokens), np.full(len(tokens), -1.0, np.float32), finish, text)


def verdict(score: float | None, *steps: tuple[int, float]) -> Verdict:
    if score is None:
        return Verdict(Status.error, None, "it raised")
    return Verdict(Status.right if score > 0 else Status.wrong, score, steps=tuple(StepScore(*s) for s in steps))


def group(
    prompt: int,
    *rewards: float | None,
    completions: Sequence[Completion] | None = None,
    verdicts: Sequence[tuple[Verdict, ...]] | None = None,
) -> Group:
    """One sibling a reward; None is a reward that failed."""
    return Group(
        prompt,
        0,
        list(completions or (completion() for _ in rewards)),
        list(verdicts or ((verdict(r),) for r in rewards)),
        np.array([np.nan if r is None else r for r in rewards]),
        [Fate.reward_error if r is None else None for r in rewards],
    )


def made(
    *groups: Group,
    estimator: str = "group",
    kl: Sequence[Sequence[float]] | None = None,
    values: Sequence[Sequence[float]] | None = None,
    weights: Sequence[float] = (1.0,),
    mask_truncated: bool = False,
    kl_beta: float = 0.0,
    steps: bool = False,
    **numbers: Any,
) -> tuple[list[Row], Batch]:
    """Rows and batch of these groups. `kl` and `values` are what the learner measures, one list a row of the batch."""

    def measure(batch: Batch) -> Measured:
        measured = [None if c is None else tuple(np.array(v, np.float32) for v in c) for c in (kl, values)]
        assert all(c is None or [len(v) for v in c] == [len(t) for t in batch.completions] for c in measured)
        return Measured(*measured)

    estimate = Estimate(estimator, numbers, kl_beta, decode if steps else None)
    prompts = [Prompt(f"t{p}", str(p), np.arange(1, 3 + p), None) for p in range(1 + max(g.prompt for g in groups))]
    measuring = None if kl is None and values is None else measure
    return assemble(groups, prompts, estimate, measuring, weights, mask_truncated=mask_truncated)


def fates(rows: Sequence[Row], prompt: int = 0) -> list[str]:
    return [r.fate.value for r in rows if r.prompt == prompt]


def advantages(rows: Sequence[Row], prompt: int = 0) -> list[float]:
    return [r.advantage for r in rows if r.prompt == prompt]


def tokens(rows: Sequence[Row]) -> list[list[float] | None]:
    return [None if r.evidence is None or r.evidence.advantage is None else r.evidence.advantage.tolist() for r in rows]


# ------------------------------------------------------------------------------------------------------- fates


def test_a_group_is_dead_when_every_advantage_of_it_is_0() -> None:
    rows, batch = made(group(0, 1.0, 0.0), group(1, 1.0, 1.0), group(2, 0.0, 0.0), scale="none")
    assert [fates(rows, p) for p in range(3)] == [["trained"] * 2, ["dead_group"] * 2, ["dead_group"] * 2]
    assert advantages(rows, 0) == [0.5, -0.5] and advantages(rows, 1) == advantages(rows, 2) == [0.0, 0.0]
    assert batch.live.tolist() == [True, True, False, False, False, False]
    assert batch.size == 6 and all(m.all() for m in batch.mask)  # dead ones count in denominators


def test_equal_rewards_are_trained_on_without_a_baseline_unless_they_are_0() -> None:
    rows, batch = made(group(0, 1.0, 1.0), group(1, 0.0, 0.0), group(2, 0.5, 0.0), estimator="reinforce")
    assert [fates(rows, p) for p in range(3)] == [["trained"] * 2, ["dead_group"] * 2, ["trained"] * 2]
    assert [advantages(rows, p) for p in range(3)] == [[1.0, 1.0], [0.0, 0.0], [0.5, 0.0]]
    assert batch.live.tolist() == [True, True, False, False, True, True]


def test_groups_of_one_without_a_baseline() -> None:
    rows, batch = made(group(0, 2.0), group(1, 0.0), group(2, None), estimator="reinforce")
    assert [fates(rows, p) for p in range(3)] == [["trained"], ["too_few_scores"], ["reward_error"]]
    assert [r.advantage for r in rows] == [2.0, 0.0, 0.0] and batch.size == 2


def test_groups_of_one_have_no_group_to_compare_with() -> None:
    rows, _ = made(group(0, 2.0))
    assert fates(rows) == ["too_few_scores"] and advantages(rows) == [0.0]


def test_a_single_score_left_in_a_group_is_too_few() -> None:
    for estimator in ("group", "rloo", "opo", "gpg", "maxrl", "best"):
        rows, batch = made(group(0, 2.0, None), group(1, 1.0, 0.0), estimator=estimator)
        assert fates(rows) == ["too_few_scores", "reward_error"] and fates(rows, 1) == ["trained"] * 2, estimator
        assert batch.group.tolist() == [0, 1, 1]


def test_without_a_baseline_a_single_score_left_is_trained_on() -> None:
    """Nothing is compared, so a sibling that failed takes nothing from the one that did not."""
    rows, batch = made(group(0, 2.0, None), group(1, 0.0, None), estimator="reinforce")
    assert fates(rows, 0) == ["trained", "reward_error"] and advantages(rows, 0) == [2.0, 0.0]
    assert fates(rows, 1) == ["too_few_scores", "reward_error"] and batch.size == 2


def test_fates_that_are_settled_stay_and_their_rows_are_no_evidence() -> None:
    """The batch std is that of 1 and -1 alone, sqrt 2: refilled and failed completions have no say."""
    refilled = group(1, 100.0, 100.0)
    refilled.fates = [Fate.refilled] * 2
    rows, batch = made(group(0, 1.0, -1.0, None), refilled, group(2, 5.0, 5.0), scale="none", ddof=1, eps=0.0)
    assert [fates(rows, p) for p in (0, 1)] == [["trained", "trained", "reward_error"], ["refilled"] * 2]
    assert [r.prompt for r in rows] == [0, 0, 0, 1, 1, 2, 2]  # a row for every completion
    assert batch.group.tolist() == [0, 0, 1, 1] and len(batch.prompts) == 2  # groups of the batch count from 0
    assert np.array_equal(batch.prompts[1], np.arange(1, 5))
    scaled, _ = made(group(0, 1.0, -1.0, None), refilled, scale="batch", ddof=1, eps=0.0)
    assert advantages(scaled) == pytest.approx([1 / np.sqrt(2), -1 / np.sqrt(2), 0.0])


@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_nothing_left_is_an_empty_batch_under_every_estimator(estimator: str) -> None:
    calls: list[Batch] = []
    for kl_beta in (0.0, 0.1):
        estimate = Estimate(estimator, {}, kl_beta, decode if estimator == "process" else None)
        rows, batch = assemble(
            [group(0, None, None)],
            [Prompt("t0", "0", np.arange(2), None)],
            estimate,
            lambda b: Measured(kl=(), values=()) if b.size == 0 else pytest.fail("measured"),
            [1.0],
            mask_truncated=False,
        )
        assert fates(rows) == ["reward_error"] * 2 and batch.size == 0 and batch.prompts == ()
    assert calls == []


# --------------------------------------------------------------------------------------------------- truncation


def test_truncated_completions_leave_the_loss_and_stay_in_the_statistics() -> None:
    own = [completion(), completion("abcd", Finish.length)]
    rows, batch = made(group(0, 1.0, 0.0, completions=own), mask_truncated=True, scale="none")
    assert fates(rows) == ["trained", "truncated"] and advantages(rows) == [0.5, 0.0]
    assert [m.any() for m in batch.mask] == [True, False] and batch.live.tolist() == [True, False]
    kept, _ = made(group(0, 1.0, 0.0, completions=own), scale="none")
    assert fates(kept) == ["trained"] * 2 and advantages(kept) == [0.5, -0.5]


def test_truncated_completions_have_token_advantages_of_0() -> None:
    own = [completion(), completion("abc", Finish.length), completion()]
    rows, batch = made(
        group(0, 1.0, 2.0, 0.0, completions=own),
        estimator="reinforce_pp_baseline",
        mask_truncated=True,
        whiten="none",
    )
    assert fates(rows) == ["trained", "truncated", "trained"]  # rewards less their mean 1: 0, 1, -1
    assert tokens(rows) == [[0.0] * 3, [0.0] * 3, [-1.0] * 3]
    assert batch.token_advantage is not None and batch.token_counts.tolist() == [3, 0, 3]


def test_a_truncated_completion_of_a_dead_group_is_dead() -> None:
    own = [completion(), completion("abcd", Finish.length)]
    rows, batch = made(group(0, 1.0, 1.0, completions=own), mask_truncated=True)
    assert fates(rows) == ["dead_group"] * 2 and batch.token_counts.tolist() == [3, 0]


# --------------------------------------------------------------------------------------------------------- steps


def test_steps_give_advantages_to_tokens_and_their_mean_to_the_completion() -> None:
    """Step scores 0, 2 and 1: mean 1, std 1. The first sibling's steps end at tokens 0 and 2 (the EOS token)."""
    verdicts = [(verdict(1.0, (1, 0.0), (2, 2.0)),), (verdict(1.0, (2, 1.0)),)]
    rows, batch = made(group(0, 1.0, 1.0, verdicts=verdicts), estimator="process", steps=True, ddof=1, eps=0.0)
    assert tokens(rows) == [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    assert advantages(rows) == pytest.approx([2 / 3, 0.0]) and fates(rows) == ["trained"] * 2
    first = rows[0].evidence
    assert first is not None and first.step_ends is not None and first.step_scores is not None
    assert first.step_ends.tolist() == [0, 2] and first.step_scores.tolist() == [0.0, 2.0]
    assert (first.kl, first.values) == (None, None)
    assert batch.token_advantage is not None and batch.token_advantage[0].tolist() == [0.0, 1.0, 1.0]
    assert batch.advantage.tolist() == advantages(rows)


def test_without_scored_steps_the_reward_is_the_one_step_at_the_last_token() -> None:
    """Outcome supervision exactly: every token has the group advantage."""
    rows, _ = made(group(0, 1.0, 0.0, 0.5), estimator="process", steps=True)
    wanted = group_advantages(np.array([1.0, 0.0, 0.5]), np.zeros(3, int), scale="group", ddof=1, eps=1e-4)
    assert tokens(rows) == [[a] * 3 for a in wanted.tolist()]
    assert advantages(rows) == pytest.approx(wanted.tolist())
    evidence = [r.evidence for r in rows]
    assert [e.step_ends.tolist() for e in evidence if e and e.step_ends is not None] == [[2]] * 3
    assert [e.step_scores.tolist() for e in evidence if e and e.step_scores is not None] == [[1.0], [0.0], [0.5]]


def test_steps_of_several_rewards_are_weighted_and_in_order() -> None:
    """A reward without steps has no say where another one scored some."""
    pair = (verdict(1.0, (1, 1.0), (2, 0.0)), verdict(1.0, (1, 1.0)), verdict(5.0))
    rows, _ = made(group(0, 7.0, 7.0, verdicts=[pair, pair]), estimator="process", steps=True, weights=(2.0, -0.5, 1.0))
    first = rows[0].evidence
    assert first is not None and first.step_ends is not None and first.step_scores is not None
    assert first.step_ends.tolist() == [0, 0, 2] and first.step_scores.tolist() == [2.0, -0.5, 0.0]


def test_a_completion_without_a_score_has_no_steps_and_no_evidence() -> None:
    rows, _ = made(group(0, 1.0, None, 0.0), estimator="process", steps=True)
    assert [r.evidence is None for r in rows] == [False, True, False]


# -------------------------------------------------------------------------------------- KL, values, several rewards

KL = [[0.5, 0.0, -0.25], [0.0, 1.0, 0.5]]
VALUES = [[0.5, 0.25, 0.0], [0.125, 0.0, 0.0]]


def test_a_kl_in_the_reward_reaches_its_token() -> None:
    """Reward to go: r_t = -0.5 kl_t, plus R at the end. 1 - 0.5 x (0.5, 0, -0.25): 0.875, 1.125, 1.125."""
    rows, _ = made(group(0, 1.0, 0.0), estimator="reinforce_pp", kl=KL, kl_beta=0.5, whiten="none")
    assert tokens(rows) == [[0.875, 1.125, 1.125], [-0.75, -0.75, -0.25]]
    assert advantages(rows) == pytest.approx([3.125 / 3, -1.75 / 3])
    assert [r.evidence.kl.tolist() for r in rows if r.evidence and r.evidence.kl is not None] == KL


def test_a_kl_in_the_reward_of_whole_completions() -> None:
    """1 - 0.5 x 0.25 = 0.875 and 0 - 0.5 x 1.5 = -0.75: the rows keep the reward as it was, and the KL."""
    rows, batch = made(group(0, 1.0, 0.0), kl=KL, kl_beta=0.5, scale="none")
    assert advantages(rows) == pytest.approx([0.8125, -0.8125]) and [r.reward for r in rows] == [1.0, 0.0]
    assert tokens(rows) == [None, None] and batch.token_advantage is None
    assert [r.evidence.kl.tolist() for r in rows if r.evidence and r.evidence.kl is not None] == KL


def test_a_kl_can_revive_a_group_of_equal_rewards() -> None:
    rows, _ = made(group(0, 1.0, 1.0), kl=KL, kl_beta=0.5)
    assert fates(rows) == ["trained"] * 2
    assert fates(made(group(0, 1.0, 1.0), kl=KL, kl_beta=0.0)[0]) == ["dead_group"] * 2


def test_the_kl_of_masked_tokens_has_no_say() -> None:
    own = [completion(), completion("abc", Finish.length)]
    rows, _ = made(group(0, 1.0, 0.0, completions=own), kl=KL, kl_beta=0.5, scale="none", mask_truncated=True)
    assert advantages(rows) == pytest.approx([0.4375, 0.0])  # 0.875 and 0, their mean 0.4375


def test_values_of_a_critic_give_advantages_and_returns() -> None:
    """gamma = lam = 1: A_t = R - V_t, and every return is R."""
    rows, batch = made(group(0, 1.0, 0.0), estimator="gae", values=VALUES, gamma=1.0, lam=1.0, whiten="none")
    assert tokens(rows) == [[0.5, 0.75, 1.0], [-0.125, 0.0, 0.0]]
    assert batch.returns is not None and [r.tolist() for r in batch.returns] == [[1.0] * 3, [0.0] * 3]
    assert batch.values is not None and [v.tolist() for v in batch.values] == VALUES
    assert [r.evidence.values.tolist() for r in rows if r.evidence and r.evidence.values is not None] == VALUES
    plain, bare = made(group(0, 1.0, 0.0))
    assert bare.returns is bare.values is bare.token_advantage is None
    assert [r.evidence for r in plain] == [None, None]


def test_whitening_is_over_the_tokens_of_the_batch() -> None:
    rows, _ = made(group(0, 1.0, 0.0), estimator="gae", values=VALUES, gamma=1.0, lam=1.0, ddof=0, eps=0.0)
    every = np.concatenate([t for t in tokens(rows) if t is not None])
    assert every.mean() == pytest.approx(0.0, abs=1e-12) and every.std() == pytest.approx(1.0)


def test_each_reward_is_standardised_on_its_own_and_failed_rows_have_no_say() -> None:
    pairs = [(verdict(1.0), verdict(0.0)), (verdict(0.0), verdict(3.0)), (verdict(1.0), verdict(9.0))]
    failed = (verdict(None), verdict(100.0))
    weights = (1.0, 0.5)
    own = group(0, 1.0, 1.5, 5.5, None, verdicts=[*pairs, failed])
    rows, batch = made(own, estimator="gdpo", weights=weights)
    scores = np.array([[1.0, 0.0], [0.0, 3.0], [1.0, 9.0]])
    wanted = each_reward_standardised(scores, weights, np.zeros(3, int), ddof=1, eps=1e-4)
    assert advantages(rows) == [*wanted.tolist(), 0.0] and batch.size == 3
    assert fates(rows) == ["trained"] * 3 + ["reward_error"]


# -------------------------------------------------------------------------------------------------------- experts


def test_an_experts_trace_is_marked_and_takes_part() -> None:
    trace = Completion(np.array([97, EOS]), np.full(2, np.nan, np.float32), Finish.expert, "a")
    mixed = group(0, 0.0, 1.0, completions=[completion(), trace])
    rows, batch = made(mixed, group(1, 1.0, 0.0), scale="none")
    assert batch.expert is not None and batch.expert.tolist() == [False, True, False, False]
    assert fates(rows) == ["trained"] * 2 and advantages(rows) == [-0.5, 0.5]
    assert made(group(0, 1.0, 0.0))[1].expert is None


def test_an_experts_trace_is_no_truncated_completion() -> None:
    trace = Completion(np.array([97, EOS]), np.full(2, np.nan, np.float32), Finish.expert, "a")
    rows, batch = made(group(0, 0.0, 1.0, completions=[completion(), trace]), mask_truncated=True)
    assert fates(rows) == ["trained"] * 2 and batch.token_counts.tolist() == [3, 2]


# ------------------------------------------------------------------------------------------------- what is measured


def test_what_is_measured_is_the_batch_without_advantages() -> None:
    seen: list[Batch] = []

    def measure(batch: Batch) -> Measured:
        seen.append(batch)
        return Measured(kl=tuple(np.zeros(len(c), np.float32) for c in batch.completions))

    prompts = [Prompt("t0", "0", np.arange(2), None)]
    assemble([group(0, 1.0, None, 0.0)], prompts, Estimate("group", {}, 0.5), measure, [1.0], mask_truncated=False)
    (batch,) = seen
    assert batch.size == 2 and batch.advantage.tolist() == [0.0, 0.0] and batch.group.tolist() == [0, 0]
    assert [m.tolist() for m in batch.mask] == [[True] * 3] * 2
