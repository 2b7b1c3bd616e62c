"""Process rewards: what a step is, how steps are scored, and which steps of a user's own are taken."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Completion, Finish, Status, StepScore, Verdict
from sibling.rewards.callables import TaskReward, TrlReward
from sibling.rewards.steps import StepMatch, split_steps
from sibling.rewards.verdicts import with_sound_steps
from sibling.tasks.task import Task


def task(reference):
    return Task("id", ({"role": "user", "content": "?"},), reference)


def completion(text):
    return Completion(np.array([5], np.int64), np.zeros(1, np.float32), Finish.eos, text)


def judged(text, reference="1 + 1 = 2\n2 + 2 = 4\n4", separator="\n"):
    return StepMatch(separator).judge(task(reference), completion(text))


def pairs(verdict):
    return [(s.end, s.score) for s in verdict.steps]


# ------------------------------------------------------------------------------------------- step_match


def test_every_step_is_compared_with_its_own():
    verdict = judged("1 + 1 = 2\n2 + 2 = 5\n4")
    assert (verdict.status, verdict.score) == (Status.wrong, pytest.approx(2 / 3))
    assert verdict.reason == "step 2 differs"
    assert pairs(verdict) == [(10, 1.0), (20, 0.0), (21, 1.0)]


def test_right_needs_every_step_and_no_more():
    assert judged("1 + 1 = 2\n2 + 2 = 4\n4").status is Status.right
    short = judged("1 + 1 = 2\n2 + 2 = 4")
    assert (short.status, short.score, short.reason) == (Status.wrong, 2 / 3, "2 of 3 steps, all right")
    long = judged("1 + 1 = 2\n2 + 2 = 4\n4\n4")
    assert (long.status, long.score) == (Status.wrong, 1.0)
    assert pairs(long)[-1] == (23, 0.0), "a step past the reference's last is wrong"


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("1 + 1 = 2\n2 + 2 = 4\n4\n", [10, 20, 22]),  # the separator belongs to the step it ends
        ("\n 1 + 1  =\t2 \n\n \n2 + 2 = 4\n4  \n\n", [17, 27, 32]),  # blank parts go with the step before, or the first
    ],
)
def test_white_space_does_not_count_and_blank_parts_are_no_steps(text, ends):
    verdict = judged(text)
    assert verdict.status is Status.right
    assert [s.end for s in verdict.steps] == ends
    assert verdict.steps[-1].end == len(text)


def test_white_space_between_words_is_not_dropped():
    assert judged("12 3", reference="123").score == 0.0


def test_another_separator():
    verdict = judged("a\nb; c;; d", reference="a b;; c;; d", separator=";;")
    assert pairs(verdict) == [(8, 0.0), (10, 0.0)]
    assert judged("a b;; c;; d", reference="a b;; c;; d", separator=";;").status is Status.right


def test_a_completion_that_says_nothing_is_one_wrong_step():
    assert pairs(judged("")) == [(1, 0.0)]
    blank = judged(" \n \n")
    assert (blank.status, blank.score, blank.reason, pairs(blank)) == (Status.wrong, 0.0, "no step", [(4, 0.0)])


def test_no_reference_abstains_and_a_blank_one_is_an_error():
    assert judged("1", reference=None) == Verdict(Status.abstain, None, "the task has no reference")
    assert judged("1", reference="\n \n") == Verdict(Status.error, None, "the reference has no step")


texts = st.text(alphabet="ab \n;", max_size=30)


@settings(deadline=None, max_examples=150)
@given(texts, texts, st.sampled_from(["\n", ";", ";;", " \n"]))
def test_steps_cover_the_text_and_the_total_is_their_share(text, reference, separator):
    steps = split_steps(text, separator)
    starts = [0, *(end for _, end in steps)]
    for (step, end), start in zip(steps, starts, strict=False):
        assert step.strip() and step in text[start:end]
        assert text[start:end].count(step) >= 1 and separator not in step
    assert bool(steps) == bool("".join(text.split(separator)).strip())
    if steps:
        assert starts[-1] == len(text)
    verdict = judged(text, reference, separator)
    wanted = len(split_steps(reference, separator))
    if wanted:
        assert verdict.score == pytest.approx(sum(s.score for s in verdict.steps) / wanted)
        assert with_sound_steps(verdict, text) == verdict, "its own steps pass the check of a user's"
        assert judged(reference, reference, separator).status is Status.right


# --------------------------------------------------------------------------------- steps of a user's own

STEPS = (StepScore(2, 0.5), StepScore(4, -1.0))


def both_signatures(value, text):
    def trl(completions, **_):
        return [value for _ in completions]

    out = [completion(text)]
    return [
        TaskReward("r", lambda t, c: value, 20.0).grade([task("x")], out)[0],
        TrlReward("r", trl, 20.0).grade([task("x")], out)[0],
    ]


def test_a_callable_may_score_steps():
    async def later(task, completion):
        return Verdict(Status.right, 1.0, "fine", steps=STEPS)

    for verdict in (
        *both_signatures(Verdict(Status.right, 1.0, "fine", steps=STEPS), "abcd"),
        *TaskReward("r", later, 20.0).grade([task("x")], [completion("abcd")]),
    ):
        assert (verdict.status, verdict.score, verdict.reason, verdict.steps) == (Status.right, 1.0, "fine", STEPS)


@pytest.mark.parametrize(
    ("steps", "text", "reason"),
    [
        ((StepScore(5, 1.0),), "abcd", "step 1 ends at character 5, not within 1 to 4"),
        ((StepScore(0, 1.0),), "abcd", "step 1 ends at character 0"),
        ((StepScore(3, 1.0), StepScore(3, 1.0)), "abcd", "step 2 ends at character 3, not within 4 to 4"),
        ((StepScore(2, math.nan),), "abcd", "step 1 scores nan"),
        ((StepScore(2, math.inf),), "abcd", "step 1 scores inf"),
        ((StepScore(2, 10**400),), "abcd", "not StepScore"),
        ((StepScore(2, "1 point"),), "abcd", "not StepScore"),
        ((StepScore(1.5, 1.0),), "abcd", "not StepScore"),
        (((2, 1.0),), "abcd", "not StepScore"),
        (None, "abcd", "not StepScore"),
    ],
)
def test_steps_that_do_not_lie_in_the_text_are_an_error(steps, text, reason):
    for verdict in both_signatures(Verdict(Status.right, 1.0, steps=steps), text):
        assert (verdict.status, verdict.score, verdict.steps) == (Status.error, None, ())
        assert reason in verdict.reason


def test_steps_need_a_score_of_the_whole():
    (verdict, _) = both_signatures(Verdict(Status.abstain, None, steps=STEPS), "abcd")
    assert verdict.status is Status.error
    assert "the verdict itself has no score" in verdict.reason


def test_numbers_of_other_libraries_and_lists_become_plain():
    given_steps = [StepScore(np.int64(2), np.float32(0.5)), StepScore(4, True)]
    verdict = with_sound_steps(Verdict(Status.right, 1.0, steps=given_steps), "abcd")
    assert verdict.steps == (StepScore(2, 0.5), StepScore(4, 1.0))
    assert [type(s.end) for s in verdict.steps] == [int, int]
    assert with_sound_steps(Verdict(Status.wrong, 0.0, steps=(StepScore(1, 0.0),)), "").steps == (StepScore(1, 0.0),)
