"""The scorers of reasoning-gym families."""

import dataclasses
import threading

import pytest

from sibling.batch import Status
from sibling.config import ReasoningGymTask
from sibling.rewards.grade import stating
from sibling.rewards.gym import Gym, stated_answer
from sibling.tasks.gym import GymSource
from sibling.tasks.task import Task

pytest.importorskip("reasoning_gym")


@pytest.fixture(scope="module")
def sums():
    return GymSource(ReasoningGymTask(family="chain_sum")).held_out(3)


def test_full_marks_are_right_with_or_without_tags(sums):
    texts = [t.reference for t in sums] + [f"Well: <answer> {t.reference}\n</answer>." for t in sums]
    verdicts = Gym("g").grade(sums * 2, [stating(t) for t in texts])
    assert {(v.status, v.score) for v in verdicts} == {(Status.right, 1.0)}
    assert all(v.seconds > 0 for v in verdicts)


def test_partial_marks_are_kept_and_wrong(sums):
    (verdict,) = Gym("g").grade(sums[:1], [stating(f"The sum is {sums[0].reference}, I think.")])
    assert verdict.status is Status.wrong
    assert 0 < verdict.score < 1


def test_prompts_of_other_sources_are_abstained_from():
    plain = Task("id", ({"role": "user", "content": "?"},), "1")
    (verdict,) = Gym("g").grade([plain], [stating("1")])
    assert (verdict.status, verdict.score) == (Status.abstain, None)


def test_a_scorer_that_fails_is_an_error(sums):
    broken = dataclasses.replace(sums[0], columns={"gym": {"family": "no_such_family", "options": {}, "seed": 1}})
    (verdict,) = Gym("g").grade([broken], [stating("1")])
    assert verdict.status is Status.error
    assert "no_such_family" in verdict.reason


def test_a_scorer_that_is_late_or_returns_nan_is_an_error(sums, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr("sibling.rewards.bounded._GRACE", 0.05)
    monkeypatch.setattr("sibling.tasks.gym.score", lambda columns, answer: gate.wait())
    (verdict,) = Gym("g", seconds=0.01).grade(sums[:1], [stating("1")])
    gate.set()
    assert (verdict.status, verdict.reason) == (Status.error, "timed out after 0.01 s")
    monkeypatch.setattr("sibling.tasks.gym.score", lambda columns, answer: float("nan"))
    (verdict,) = Gym("g").grade(sums[:1], [stating("1")])
    assert (verdict.status, verdict.score) == (Status.error, None)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" 5 ", "5"),
        ("<answer>5</answer>", "5"),
        ("<answer>4</answer> no, <answer>5</answer> yes", "5"),
        ("<answer>5", "<answer>5"),
        ("5</answer>", "5</answer>"),
    ],
)
def test_stated_answer(text, answer):
    assert stated_answer(text) == answer
