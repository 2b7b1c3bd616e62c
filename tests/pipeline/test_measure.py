"""StepStats and summaries from rows, each number worked out by hand."""

import time
from dataclasses import replace

import numpy as np
import pytest

from sibling.batch import Batch, Completion, Fate, Finish, Prompt, Row, Status, Verdict
from sibling.pipeline.measure import (
    Clock,
    add_counts,
    group_of_the_moment,
    peak_memory,
    reward_seconds,
    step_stats,
    verdict_summary,
)
from sibling.rewards.verdicts import right, wrong
from sibling.rollout.collect import Rollout
from sibling.stats import QUANTITIES

VERDICTS = {
    "r": Verdict(Status.right, 1.0, seconds=0.5),
    "w": Verdict(Status.wrong, 0.0, seconds=0.25),
    "a": Verdict(Status.abstain, None),
    "e": Verdict(Status.error, None, seconds=2.0),
}


def row(prompt, sibling, marks, length, fate, reward, *, finish=Finish.eos, advantage=0.0):
    completion = Completion(np.arange(length), np.zeros(length, np.float32), finish, "x" * length)
    return Row(prompt, sibling, 0, completion, tuple(VERDICTS[m] for m in marks), reward, advantage, fate)


def rollout(rows, advantages=(), rounds=1):
    n = len(advantages)
    batch = Batch(
        prompts=(np.arange(3),) if n else (),
        group=np.zeros(n, np.int64),
        completions=tuple(np.arange(1) for _ in range(n)),
        sampler_logprobs=tuple(np.zeros(1, np.float32) for _ in range(n)),
        mask=tuple(np.ones(1, bool) for _ in range(n)),
        advantage=np.array(advantages, dtype=np.float64),
        live=np.ones(n, bool),
    )
    prompts = tuple(Prompt(f"p{i}", "", np.arange(3), None) for i in range(1 + max(r.prompt for r in rows)))
    return Rollout(prompts, tuple(rows), batch, rounds)


STEP = [
    row(0, 0, "rw", 2, Fate.trained, 1.0),
    row(0, 1, "ww", 5, Fate.trained, 0.0),
    row(0, 2, "er", 4, Fate.reward_error, None),
    row(1, 0, "rr", 3, Fate.dead_group, 2.0),
    row(1, 1, "rr", 3, Fate.dead_group, 2.0),
    row(2, 0, "wa", 6, Fate.truncated, 0.0, finish=Finish.length),
    row(2, 1, "ra", 1, Fate.trained, 1.0),
    row(3, 0, "ww", 6, Fate.dead_group, 0.0, finish=Finish.length),
    row(3, 1, "ww", 6, Fate.dead_group, 0.0, finish=Finish.length),
]


def stats(rows=STEP, *, learned=(), seconds=(), **options):
    return step_stats(4, rollout(rows, **options), dict(learned), dict(seconds))


def test_every_number_by_hand():
    values = stats(advantages=[0.5, -0.5, 0.0, 1.0], rounds=2, learned={"loss": 0.25}).values
    wanted = {
        "loss": 0.25,
        "generated": 9,
        "trained": 3,
        "sampling_rounds": 2,
        "sampled_tokens": 2 + 5 + 4 + 3 + 3 + 6 + 1 + 6 + 6,
        "truncated_share": 3 / 9,
        "error_share": 1 / 18,
        "abstain_share": 2 / 18,
        "reward_mean": 6 / 8,  # 1 0 2 2 0 1 0 0: the failed one is out, not 0
        "reward_std": np.std([1, 0, 2, 2, 0, 1, 0, 0], ddof=1),
        "accuracy": 4 / 8,  # of the completions that the first reward scored
        "completion_length_mean": 36 / 9,
        "length_right_mean": (2 + 3 + 3 + 1) / 4,
        "length_wrong_mean": (5 + 6 + 6 + 6) / 4,
        "live_groups": 2,
        "dead_groups_all_right": 1,
        "dead_groups_all_wrong": 1,
        "advantage_std": np.std([0.5, -0.5, 0.0, 1.0], ddof=1),
    }
    assert {n: values[n] for n in wanted} == pytest.approx(wanted)
    assert set(values) == {*wanted, "memory_peak"}


def test_clock_and_rates():
    seconds = {"sampling": 4.0, "learning": 2.0, "rewards": 0.5, "step": 9.0}
    found = stats(learned={"trained_tokens": 50.0}, seconds=seconds)
    assert found.values["sampled_tokens_per_second"] == 36 / 4.0
    assert found.values["trained_tokens_per_second"] == 25.0
    assert {n: v for n, v in found.values.items() if n.startswith("seconds_")} == {
        f"seconds_{n}": v for n, v in seconds.items()
    }
    assert not {n for n in found.reproducible() if n.startswith("seconds") or QUANTITIES[n].wall_clock}


def test_what_is_not_defined_is_absent_and_not_zero():
    """One completion whose reward failed: no mean, no accuracy, no lengths by outcome, no spread, no rates."""
    values = stats([row(0, 0, "e", 2, Fate.reward_error, None)], seconds={"sampling": 0.0, "learning": 0.0}).values
    for name in (
        *("reward_mean", "reward_std", "accuracy", "length_right_mean", "length_wrong_mean", "advantage_std"),
        *("sampled_tokens_per_second", "trained_tokens_per_second", "held_out_accuracy"),
    ):
        assert name not in values
    assert values["error_share"] == 1.0 and values["completion_length_mean"] == 2.0
    one = stats([row(0, 0, "r", 2, Fate.too_few_scores, 1.0)]).values
    assert one["reward_mean"] == 1.0 and "reward_std" not in one


def test_replaced_groups_count_as_dead():
    rows = [row(p, s, "r" if p else "w", 2, Fate.refilled, float(p)) for p in (0, 1) for s in (0, 1)]
    values = stats(rows).values
    assert (values["dead_groups_all_right"], values["dead_groups_all_wrong"], values["live_groups"]) == (1, 1, 0)


def test_all_right_is_what_the_verdicts_say_whatever_the_scores():
    """A soft punishment has its best score at 0: two siblings without one are all right, not all wrong."""
    rows = [replace(row(0, s, "r", 2, Fate.dead_group, 0.0), verdicts=(Verdict(Status.right, 0.0),)) for s in (0, 1)]
    assert stats(rows).values["dead_groups_all_right"] == 1


def test_a_group_whose_siblings_were_all_truncated_is_live():
    rows = [row(0, s, m, 6, Fate.truncated, float(s), finish=Finish.length) for s, m in enumerate("wr")]
    assert stats(rows).values["live_groups"] == 1


def test_verdict_summary():
    assert verdict_summary(STEP, ["first", "second"]) == {
        "first": {"n": 9, "right": 4, "wrong": 4, "abstain": 0, "error": 1, "mean": 0.5, "codes": {}},
        "second": {"n": 9, "right": 3, "wrong": 4, "abstain": 2, "error": 0, "mean": 3 / 7, "codes": {}},
    }
    silent = verdict_summary([row(0, 0, "a", 1, Fate.reward_abstain, None)], ["only"])
    assert silent["only"]["mean"] is None


def test_verdict_summary_counts_reason_codes():
    verdicts = [
        wrong("two answers", code="hedged"),
        wrong("none", code="no_answer"),
        wrong("two", code="hedged"),
        right(),
    ]
    rows = [replace(STEP[0], sibling=i, verdicts=(v,)) for i, v in enumerate(verdicts)]
    assert verdict_summary(rows, ["only"])["only"]["codes"] == {"hedged": 2, "no_answer": 1}


def test_reward_seconds():
    found = reward_seconds(STEP, ["first", "second"])
    assert found == pytest.approx({"first": 4 * 0.5 + 4 * 0.25 + 2.0, "second": 3 * 0.5 + 4 * 0.25})


def test_counts_add_up_over_the_run():
    totals = {"generated": 0, "trained": 0, "rejected": {}}
    add_counts(totals, {"generated": 8, "trained": 5, "rejected": {"dead_group": 2, "reward_error": 1}})
    add_counts(totals, {"generated": 8, "trained": 6, "rejected": {"dead_group": 1, "truncated": 1}})
    assert totals == {
        "generated": 16,
        "trained": 11,
        "rejected": {"dead_group": 3, "reward_error": 1, "truncated": 1},
    }


def test_the_group_of_the_moment_is_the_first_with_the_widest_rewards():
    prompt, rows = group_of_the_moment(rollout(STEP))
    assert prompt.id == "p0" and rows == STEP[:3]
    wider = [*STEP, row(4, 0, "w", 1, Fate.trained, -1.0), row(4, 1, "r", 1, Fate.trained, 1.0)]
    assert group_of_the_moment(rollout(wider))[0].id == "p4"


def test_there_is_none_without_a_reward():
    assert group_of_the_moment(rollout([row(0, 0, "e", 1, Fate.reward_error, None)])) == (None, [])


def test_the_clock_adds_up_its_parts():
    clock = Clock()
    for _ in range(2):
        with clock.timing("sampling"):
            time.sleep(0.002)
    clock.add("rewards", 1.5)
    clock.add("rewards", 0.5)
    seconds = clock.seconds()
    assert set(seconds) == {"sampling", "rewards", "step"}
    assert seconds["rewards"] == 2.0
    assert 0.004 <= seconds["sampling"] <= seconds["step"]  # the sum of both blocks, and within the whole


def test_memory_is_in_bytes():
    assert 10e6 < peak_memory() < 1e12  # a Python process with numpy takes tens of megabytes
