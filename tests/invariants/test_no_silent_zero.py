"""Invariant no-silent-zero: a reward that failed, timed out or abstained is never a 0 in the advantage. Exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_batches import learner, plain_model, watched_gradients
from small_rollouts import VERDICTS, roll

from sibling.batch import Fate, Status
from sibling.config import CallableReward, DapoObjective, GrpoObjective, Learner, Optimizer
from sibling.maths.advantages import group_advantages
from sibling.rewards.grade import Grader

MISSING = (Status.error, Status.abstain)


def missing(row):
    return any(v.status in MISSING for v in row.verdicts)


def by_hand(rewards, objective):
    reward = np.array(rewards, dtype=np.float64)
    return group_advantages(
        reward, np.zeros(len(reward), int), **objective.advantage.model_dump(exclude={"type"})
    ).tolist()


@settings(max_examples=150, deadline=None)
@given(
    marks=st.lists(st.sampled_from("01h-?!"), min_size=2, max_size=8),
    objective=st.sampled_from(
        [DapoObjective(), GrpoObjective(advantage={"ddof": 0}), GrpoObjective(advantage={"scale": "none"})]
    ),
    action=st.sampled_from(["drop_sample", "drop_group"]),
)
def test_a_missing_score_is_out_of_every_statistic(marks, objective, action):
    """The siblings with a score get the advantages they would get if the others had never been drawn."""
    rollout = roll(
        [" ".join(marks)], objective=objective, policy={"on_error": action, "on_abstain": action}, siblings=len(marks)
    )
    for row in rollout.rows:
        if missing(row):
            assert row.reward is None and row.advantage == 0.0 and row.fate is not Fate.trained
    if action == "drop_group" and any(missing(r) for r in rollout.rows):
        assert all(r.reward is None and r.fate is not Fate.trained for r in rollout.rows)
        assert rollout.batch.size == 0
        return
    scored = [r for r in rollout.rows if not missing(r)]
    wanted = by_hand([VERDICTS[marks[r.sibling]].score for r in scored], objective)
    assert [r.advantage for r in scored] == wanted
    assert rollout.batch.advantage.tolist() == wanted  # missing ones are not in the batch at all


@settings(max_examples=80, deadline=None)
@given(
    table=st.lists(st.text("01h?!", min_size=3, max_size=3), min_size=2, max_size=6),
    weights=st.tuples(*[st.floats(-2, 2).filter(lambda w: abs(w) > 0.01)] * 3),
)
def test_a_sum_with_a_missing_part_is_no_sum(table, weights):
    """Three rewards: a total is the full weighted sum of the rewards that apply to the prompt, or it is missing."""
    rollout = roll([" ".join(table)], weights=weights, siblings=len(table))
    applies = [r for r in range(3) if any(VERDICTS[t[r]].status is not Status.abstain for t in table)]
    for row, text in zip(rollout.rows, table, strict=True):
        scores = [VERDICTS[text[r]].score for r in applies]
        if not applies or None in scores:
            assert row.reward is None and row.advantage == 0.0
        else:
            assert row.reward == pytest.approx(sum(weights[r] * s for r, s in zip(applies, scores, strict=True)))


@pytest.mark.parametrize("mark", ["?", "!"])
def test_must_fail_a_zero_in_its_place_would_be_seen(mark):
    """The check has teeth: with a silent 0 the siblings' advantages would differ."""
    rollout = roll([f"1 {mark} h 1"])
    seen = [r.advantage for r in rollout.rows if not missing(r)]
    silent = by_hand([1.0, 0.0, 0.5, 1.0], DapoObjective())
    assert max(abs(a - b) for a, b in zip(seen, [silent[0], silent[2], silent[3]], strict=True)) > 0.1


def test_the_update_is_that_of_the_scored_siblings_alone():
    """Down to the gradient: a completion without a score moves no weight."""

    def gradient(line):
        step = learner(GrpoObjective(), Learner(optimizer=Optimizer(max_grad_norm=1e9)), model=plain_model())
        with watched_gradients(step) as seen:
            step(roll([line]).batch)
        return seen[0]

    with_missing, without = gradient("1 ! 0 ? h"), gradient("1 0 h")
    assert all(bool((with_missing[n] == without[n]).all()) for n in without)


REWARD = """
import math, time

def score(task, completion):
    kind = completion.text[0]
    if kind == "e":
        raise ValueError("broken")
    if kind == "t":
        time.sleep(5)
    return {"1": 1.0, "0": 0.0, "n": math.nan, "?": None}[kind]
"""


def test_functions_that_raise_hang_or_return_nothing(tmp_path):
    """The same with the product's own reward machinery in the place of the script."""
    (tmp_path / "mine.py").write_text(REWARD)
    config = CallableReward(target="mine.py:score", timeout=0.5)
    grader = Grader((config,), base=tmp_path, max_tokens=8)
    marks = "1 e 0 n ? 1 t"
    rollout = roll([marks], grade=grader.grade)
    assert [r.fate.value for r in rollout.rows] == [
        "trained", "reward_error", "trained", "reward_error", "reward_abstain", "trained", "reward_error"
    ]  # fmt: skip
    assert [r.reward for r in rollout.rows] == [1.0, None, 0.0, None, None, 1.0, None]
    wanted = by_hand([1.0, 0.0, 1.0], DapoObjective())
    assert [r.advantage for r in rollout.rows] == [wanted[0], 0.0, wanted[1], 0.0, 0.0, wanted[2], 0.0]
