"""The learned reward in the grader: judged beside the reward that gives its labels, by a model that is attached."""

import numpy as np
import pytest

from sibling.batch import Status
from sibling.config import FinalNumberReward, LearnedReward
from sibling.errors import RunError
from sibling.rewards.grade import Grader, stating
from sibling.tasks.task import Task

TASKS = [Task("id", ({"role": "user", "content": "2 + 2?"},), "4")] * 3
OUT = [stating("4"), stating("5"), stating("none")]


def grader(tmp_path, *rewards):
    return Grader(
        rewards or (LearnedReward(labels="truth"), FinalNumberReward(name="truth")), base=tmp_path, max_tokens=8
    )


def test_the_score_is_the_probability(tmp_path):
    own, seen = grader(tmp_path), []

    def model(tasks, completions, labels):
        seen.append((list(tasks), list(completions), [v.status.value for v in labels]))
        return np.array([0.75, 0.5, 0.0])

    with own.attached(model):
        rows = own.grade(TASKS, OUT)
    assert seen == [(TASKS, OUT, ["right", "wrong", "wrong"])]
    assert [(v.status, v.score) for v, _ in rows] == [
        (Status.right, 0.75),
        (Status.wrong, 0.5),
        (Status.wrong, 0.0),
    ]
    assert [v.score for _, v in rows] == [1.0, 0.0, 0.0], "the columns keep the order of the recipe"
    assert all(v.seconds > 0 for row in rows for v in row)


def test_it_abstains_when_no_model_is_attached(tmp_path):
    own = grader(tmp_path)

    def model(tasks, completions, labels):
        raise ValueError("boom")

    def fails():
        with own.attached(model):
            own.grade(TASKS, OUT)

    for _ in range(2):
        assert [v.status.value for v, _ in own.grade(TASKS, OUT)] == ["abstain"] * 3
        with pytest.raises(ValueError, match="boom"):
            fails()
    assert own.check_references(TASKS).keys() == {"truth"}


def test_without_completions_the_model_is_not_asked(tmp_path):
    own = grader(tmp_path)
    with own.attached(lambda *_: np.array([0.5])):
        assert own.grade([], []) == []


@pytest.mark.parametrize("found", [[0.5], [0.5, 0.5, 1.5], [0.5, -0.1, 0.5], [0.5, np.nan, 0.5]])
def test_only_probabilities_are_taken(tmp_path, found):
    own = grader(tmp_path)
    with own.attached(lambda *_: np.array(found)), pytest.raises(RunError, match="other than probabilities"):
        own.grade(TASKS, OUT)


def test_a_recipe_without_a_learned_reward_takes_no_model(tmp_path):
    with pytest.raises(RunError, match="no learned reward"), grader(tmp_path, FinalNumberReward()).attached(print):
        pass


def test_it_is_described_with_its_options(tmp_path):
    facts = grader(tmp_path).describe()[0]
    assert facts["type"] == "learned"
    assert facts["options"]["labels"] == "truth"
    assert facts["options"]["replay_share"] == 0.1
