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
