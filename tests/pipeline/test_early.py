"""Rewards beside sampling: the same verdicts, asked for earlier."""

import threading

import numpy as np
import pytest

from sibling.batch import Completion, Finish, Status
from sibling.config import CallableReward, FinalNumberReward
from sibling.errors import RewardError
from sibling.pipeline.early import EarlyGrading
from sibling.rewards.grade import Grader
from sibling.tasks.task import Task

REWARDS = """
import threading, time
seen = []

def score(task, completion):
    seen.append((completion.text, threading.current_thread().name))
    if completion.text == "hang":
        time.sleep(60)
    return float(len(completion.text))

def batch(prompts, completions, **columns):
    seen.append((len(completions), "batch"))
    return [float(len(completions))] * len(completions)
"""


def said(text):
    return Completion(np.zeros(1, np.int64), np.zeros(1, np.float32), Finish.eos, text)


def task(name):
    return Task(name, [{"role": "user", "content": "?"}], "1", {})


@pytest.fixture
def grader(tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    return Grader(
        (
            CallableReward(type="callable", target="mine.py:score", timeout=0.2),
            CallableReward(type="callable", name="whole", target="mine.py:batch", signature="trl"),
            FinalNumberReward(type="final_number"),
        ),
        base=tmp_path,
        max_tokens=8,
    )


GROUPS = [(task("a"), [said("1"), said("12")]), (task("b"), [said("123"), said("1")]), (task("c"), [said("x")])]


def aligned(groups):
    return [t for t, group in groups for _ in group], [c for _, group in groups for c in group]


def bare(rows):
    return [[(v.status, v.score) for v in row] for row in rows]


def test_verdicts_are_those_of_grading_at_the_end(grader):
    """Groups may end in any order, and some completions (an expert's) are never begun."""
    tasks, completions = aligned(GROUPS)
    with EarlyGrading(grader) as early:
        early.begin(*GROUPS[1])
        early.begin(*GROUPS[0])
        found = early.grade(tasks, completions)
    assert bare(found) == bare(grader.grade(tasks, completions))
    assert found[0][0].score == 1.0 and found[1][0].score == 2.0 and found[2][0].score == 3.0
    assert {row[1].score for row in found} == {5.0}  # the whole step at once, as TRL's signature promises


def test_a_group_is_graded_before_the_others_have_ended(grader):
    """While this thread, which stands for the one that decodes, holds the rest back."""
    done = threading.Event()
    before = grader.grade_early

    def watched(tasks, completions):
        out = before(tasks, completions)
        done.set()
        return out

    grader.grade_early = watched
    with EarlyGrading(grader) as early:
        early.begin(*GROUPS[0])
        assert done.wait(20)
        early.begin(*GROUPS[1])
        early.begin(*GROUPS[2])
        assert bare(early.grade(*aligned(GROUPS))) == bare(grader.grade(*aligned(GROUPS)))


def test_what_stops_the_run_is_raised_where_the_verdicts_are_asked_for(grader):
    group = (task("a"), [said("hang")] * 3)
    with EarlyGrading(grader) as early:
        early.begin(*group)
        with pytest.raises(RewardError, match="hung 3 times"):
            early.grade(*aligned([group]))


def test_the_same_completion_object_may_appear_in_one_group_only_once_or_more(grader):
    one = said("1")
    with EarlyGrading(grader) as early:
        early.begin(task("a"), [one, one])
        rows = early.grade([task("a")] * 2, [one, one])
    assert [row[2].status for row in rows] == [Status.right] * 2


def test_one_thread_calls_the_rewards_in_a_set_order(grader):
    """What was never begun (an expert's trace) comes after the groups that were, however long these take."""
    calls, hold = [], threading.Event()
    before = grader.grade_early

    def watched(tasks, completions):
        calls.append((threading.current_thread().name, [c.text for c in completions]))
        if len(calls) == 1:
            assert hold.wait(20)
        return before(tasks, completions)

    grader.grade_early = watched
    with EarlyGrading(grader) as early:
        early.begin(GROUPS[1][0], GROUPS[1][1])
        early.begin(GROUPS[0][0], GROUPS[0][1])
        threading.Timer(0.05, hold.set).start()  # by then a second thread would long have graded the rest
        early.grade(*aligned(GROUPS))
    assert calls == [("rewards", ["123", "1"]), ("rewards", ["1", "12"]), ("rewards", ["x"])]


def test_nothing_is_graded_that_is_not_there(grader):
    """An empty call would stand in line behind a slow one and count as a hang of its own."""
    sizes = []
    before = grader.grade_early

    def watched(tasks, completions):
        sizes.append(len(completions))
        return before(tasks, completions)

    grader.grade_early = watched
    with EarlyGrading(grader) as early:
        for group in GROUPS:
            early.begin(*group)
        early.grade(*aligned(GROUPS))
    assert sizes == [2, 2, 1]


def test_an_interrupt_drops_what_was_begun_and_does_not_wait_for_it(grader):
    started, hold, sizes = threading.Event(), threading.Event(), []

    def watched(tasks, completions):
        sizes.append(len(completions))
        started.set()
        assert hold.wait(20)
        return {}

    def interrupted():
        with EarlyGrading(grader) as early:
            early.begin(*GROUPS[2])
            early.begin(*GROUPS[0])
            assert started.wait(20)
            raise KeyboardInterrupt

    grader.grade_early = watched
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (thread,) = (t for t in threading.enumerate() if t.name.startswith("rewards"))
    assert thread.daemon  # or the program could not end before the reward does
    hold.set()
    thread.join(20)
    assert not thread.is_alive() and sizes == [1]
