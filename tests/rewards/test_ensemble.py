"""Who decides, what stands when nobody does, and how rule and appeal agree."""

import threading
from dataclasses import replace

import pytest

from sibling.batch import Status, Verdict
from sibling.config import EnsembleReward, ExactMatchReward, FinalNumberReward
from sibling.errors import RequestError
from sibling.rewards.answers import ExactMatch, FinalNumber
from sibling.rewards.binding import Each
from sibling.rewards.ensemble import Ensemble, cohens_kappa
from sibling.rewards.grade import stating
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.tasks.task import Task

TASK = Task("id", ({"role": "user", "content": "6 times 7?"},), "42")
SAYS = {
    "right": right("fine", 0.9),
    "wrong": wrong("no", 0.1, code="different"),
    "unreadable": wrong("what?", code="unreadable"),
    "abstain": abstain("pass", code="no_reference"),
    "error": error("down", code="endpoint"),
}


class Saying:
    """A verifier that reads its verdict from the completion: the word at `place`."""

    uses_reference = True

    def __init__(self, place):
        self.place, self.asked = place, []

    def grade(self, tasks, completions):
        self.asked += [c.text for c in completions]
        return [replace(SAYS[c.text.split()[self.place]], seconds=1.0) for c in completions]

    def statistics(self):
        return {"asked": len(self.asked)}


def build(*parts, confirm=False):
    config = EnsembleReward(rule=FinalNumberReward(), confirm=confirm)
    rule, appeal, judge = (Saying(i) if part else None for i, part in enumerate(parts))
    return Ensemble(config, rule, appeal, judge), (rule, appeal, judge)


def one(said, *, parts=(1, 1, 1), confirm=False):
    ensemble, made = build(*parts, confirm=confirm)
    (verdict,) = ensemble.grade([TASK], [stating(said)])
    return verdict.status.value, verdict.code, "".join(str(len(m.asked)) if m else "-" for m in made)


@pytest.mark.parametrize(
    ("said", "status", "code", "asked"),
    [
        ("right wrong wrong", "right", "rule_accepts", "110"),
        ("wrong right wrong", "right", "appeal_accepts", "110"),
        ("wrong wrong right", "wrong", "appeal_refuses", "110"),
        ("unreadable right wrong", "right", "appeal_accepts", "110"),
        ("abstain wrong right", "wrong", "appeal_refuses", "110"),
        ("wrong abstain right", "right", "judge_accepts", "111"),
        ("wrong unreadable wrong", "wrong", "judge_refuses", "111"),
        ("error abstain right", "right", "judge_accepts", "111"),
        ("unreadable unreadable wrong", "wrong", "judge_refuses", "111"),
        ("wrong error error", "error", "undecided", "111"),
        ("abstain error abstain", "abstain", "undecided", "111"),
    ],
)
def test_all_three(said, status, code, asked):
    assert one(said) == (status, code, asked)


@pytest.mark.parametrize(
    ("said", "status", "code", "asked"),
    [
        ("right right wrong", "right", "rule_accepts", "110"),
        ("wrong right right", "right", "judge_confirms", "111"),
        ("wrong right wrong", "wrong", "judge_objects", "111"),
        ("wrong right error", "error", "undecided", "111"),
        ("wrong wrong right", "wrong", "appeal_refuses", "110"),
    ],
)
def test_confirmed(said, status, code, asked):
    assert one(said, confirm=True) == (status, code, asked)


@pytest.mark.parametrize(
    ("parts", "said", "status", "code"),
    [
        ((1, 0, 1), "wrong - right", "wrong", "rule_refuses"),
        ((1, 0, 1), "unreadable - right", "right", "judge_accepts"),
        ((1, 0, 1), "error - wrong", "wrong", "judge_refuses"),
        ((1, 1, 0), "wrong abstain", "wrong", "rule_refuses"),
        ((1, 1, 0), "unreadable error", "wrong", "rule_refuses"),
        ((1, 1, 0), "error abstain", "error", "undecided"),
        ((1, 0, 0), "abstain", "abstain", "undecided"),
        ((1, 0, 0), "unreadable", "wrong", "rule_refuses"),
        ((1, 0, 0), "right", "right", "rule_accepts"),
    ],
)
def test_without_some_of_them(parts, said, status, code):
    assert one(said, parts=parts)[:2] == (status, code)


def test_the_deciders_score_and_everybodys_seconds():
    ensemble, _ = build(1, 1, 1)
    first, second = ensemble.grade([TASK] * 2, [stating("wrong right right"), stating("wrong error wrong")])
    assert (first.score, first.reason, first.seconds) == (0.9, "appeal: fine", 2.0)
    assert (second.score, second.reason, second.seconds) == (0.1, "judge: no", 3.0)


def test_statistics():
    ensemble, (_, _, judge) = build(1, 1, 1)
    texts = ["right right x"] * 6 + ["right wrong x"] * 12 + ["wrong right x"] * 2 + ["wrong wrong x"] * 4
    texts += ["wrong error right", "unreadable right x"]
    texts = [f"{t} {i}" for i, t in enumerate(texts)]
    ensemble.grade([TASK] * len(texts), [stating(t) for t in texts])
    found = ensemble.statistics()
    assert found["rule_and_appeal"] == {
        "right_right": 6, "right_wrong": 12, "wrong_right": 2, "wrong_wrong": 4, "undecided": 2,
    }  # fmt: skip
    assert found["decisions"] == {"rule_accepts": 18, "appeal_accepts": 3, "appeal_refuses": 4, "judge_accepts": 1}
    assert {k: len(set(v)) for k, v in found["examples"].items()} == {"right_wrong": 10, "wrong_right": 2}
    # p_o = 10/24; p_e = (18 * 8 + 6 * 16) / 24^2 = 240/576
    assert found["kappa"] == pytest.approx((10 / 24 - 240 / 576) / (1 - 240 / 576))
    assert found["judge"] == {"asked": 1} and len(judge.asked) == 1


def test_kappa_by_hand():
    assert cohens_kappa(5, 0, 0, 5) == 1.0
    assert cohens_kappa(0, 5, 5, 0) == -1.0
    assert cohens_kappa(1, 1, 1, 1) == 0.0
    assert cohens_kappa(20, 5, 10, 15) == pytest.approx(0.4)  # p_o 0.7, p_e 0.5
    assert cohens_kappa(0, 0, 0, 0) is None and cohens_kappa(7, 0, 0, 0) is None


def test_with_real_verifiers():
    config = EnsembleReward(rule=ExactMatchReward(), appeal=FinalNumberReward())
    ensemble = Ensemble(config, Each(ExactMatch(ignore_case=False, strip=True)), Each(FinalNumber(0.0)))
    verdicts = ensemble.grade([TASK] * 3, [stating("42"), stating("It is 42"), stating("It is 41")])
    assert [(v.status, v.code) for v in verdicts] == [
        (Status.right, "rule_accepts"),
        (Status.right, "appeal_accepts"),
        (Status.wrong, "appeal_refuses"),
    ]
    assert ensemble.uses_reference and ensemble.grade([], []) == []


def test_problems_of_tasks():
    class Picky(Saying):
        def problem_with(self, task):
            return None if task.reference else f"part {self.place} wants a reference"

    bare = Task("b", TASK.messages, None)
    config = EnsembleReward(rule=FinalNumberReward())
    assert Ensemble(config, Picky(0), Picky(1)).problem_with(bare) == "part 0 wants a reference"
    assert Ensemble(config, Picky(0), Picky(1)).problem_with(TASK) is None
    assert Ensemble(config, Picky(0), Saying(1)).problem_with(bare) is None, "the other may take it"
    bad = Task("c", TASK.messages, "many")
    assert "not a number" in Ensemble(config, Each(FinalNumber(0.0))).problem_with(bad)


@pytest.mark.parametrize("parts", [(1, 1, 0), (1, 0, 1)])
def test_nothing_to_confirm(parts):
    with pytest.raises(RequestError, match="confirmed"):
        build(*parts, confirm=True)


def test_odd_characters_have_digests():
    ensemble, _ = build(1, 1, 0)
    ensemble.grade([TASK], [stating("right wrong \ud800\x00")])
    assert len(ensemble.statistics()["examples"]["right_wrong"]) == 1


def test_counts_hold_with_several_threads():
    ensemble, _ = build(1, 1, 0)
    batch = [stating("right wrong"), stating("wrong right")] * 50
    threads = [threading.Thread(target=ensemble.grade, args=([TASK] * 100, batch)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = ensemble.statistics()
    assert found["rule_and_appeal"]["right_wrong"] == found["decisions"]["rule_accepts"] == 400
    assert isinstance(found["kappa"], float) and isinstance(ensemble.grade([TASK], batch[:1])[0], Verdict)
