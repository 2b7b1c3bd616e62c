"""Families of reasoning-gym: by name, pure, disjoint, and scored by their own scorer."""

import json
import sys

import pytest

from sibling.config import ReasoningGymTask
from sibling.errors import TaskError
from sibling.tasks import gym
from sibling.tasks.finite import prompt_digest
from sibling.tasks.gym import GymSource

pytest.importorskip("reasoning_gym")

FAMILIES = ["chain_sum", "gcd", "spell_backward", "knights_knaves", "word_ladder", "acre", "coin_flip"]


@pytest.mark.parametrize("family", FAMILIES)
def test_streams_are_pure_disjoint_and_scored(family, capsys):
    source, again = GymSource(ReasoningGymTask(family=family)), GymSource(ReasoningGymTask(family=family))
    train = [source.train(0, 0, i, 4) for i in range(6)]
    assert [again.train(0, 0, i, 4) for i in range(6)] == train
    held_out = source.held_out(4)
    assert again.held_out(2) == held_out[:2]
    assert len({prompt_digest(t) for t in held_out}) == 4
    assert {prompt_digest(t) for t in train}.isdisjoint(prompt_digest(t) for t in held_out)
    for task in [train[0], held_out[0]]:
        kept = json.loads(json.dumps(task.columns))  # what the record can give back is enough to score
        assert gym.score(kept, task.reference) == 1.0
        assert gym.score(kept, "nonsense") < 1.0
    assert capsys.readouterr().out == ""


def test_seeds_steps_and_options_matter():
    easy = GymSource(ReasoningGymTask(family="chain_sum", options={"max_digits": 1, "max_terms": 2}))
    assert easy.train(0, 0, 0, 1) != easy.train(0, 1, 0, 1)
    assert easy.train(0, 0, 0, 1) != easy.train(1, 0, 0, 1)
    assert easy.digest != GymSource(ReasoningGymTask(family="chain_sum")).digest
    numbers = [int(w) for w in easy.train(0, 0, 0, 1).columns["metadata"]["expression"].split() if w.isdigit()]
    assert len(numbers) == 2 and max(numbers) < 10
    assert easy.describe()["package"].startswith("reasoning-gym ")
    task = easy.train(0, 0, 0, 1)
    assert task.id in easy.location(task.id)


def test_system_message_comes_first():
    task = GymSource(ReasoningGymTask(family="chain_sum", system="Be brief.")).train(0, 0, 0, 1)
    assert [m["role"] for m in task.messages] == ["system", "user"]


def test_prompts_with_an_empty_reference_are_in_no_stream():
    zero = GymSource(ReasoningGymTask(family="base_conversion", options={"min_value": 0, "max_value": 1}))
    tasks = [zero.train(0, step, 0, 1) for step in range(30)] + zero.held_out(30)
    assert all(t.reference.strip() for t in tasks)
    assert any(t.columns["metadata"]["decimal_value"] == 0 for t in tasks)  # in base 10 it writes a 0


def test_an_entry_is_made_again_from_what_the_record_keeps():
    task = GymSource(ReasoningGymTask(family="gcd")).train(0, 0, 0, 1)
    entry = gym.remake(json.loads(json.dumps(task.columns)))
    assert (entry["question"], entry["answer"]) == (task.messages[0]["content"], task.reference)
    with pytest.raises(TaskError, match="no_such_family"):
        gym.remake({"gym": {"family": "no_such_family", "options": {}, "seed": 1}})


def test_a_mix_of_families_names_the_family_of_each_prompt():
    parts = [{"name": "gcd"}, {"name": "chain_sum", "weight": 2, "config": {"min_terms": 2, "max_terms": 2}}]
    source = GymSource(ReasoningGymTask(family="composite", options={"datasets": parts}))
    tasks = [source.train(0, step, 0, 1) for step in range(12)]
    assert {task.columns["metadata"]["source_dataset"] for task in tasks} == {"gcd", "chain_sum"}
    assert all(gym.score(json.loads(json.dumps(task.columns)), task.reference) == 1.0 for task in tasks)


def test_tiny_families_give_what_they_have():
    source = GymSource(
        ReasoningGymTask(
            family="chain_sum",
            options={"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
        )
    )
    held_out = source.held_out(400)
    assert 20 < len(held_out) < 400  # at most 2 * 10 * 10 prompts, about half of them held out


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (ReasoningGymTask(family="chain_sums"), "no family 'chain_sums'.*near: chain_sum"),
        (ReasoningGymTask(family="chain_sum", options={"digits": 3}), "no option 'digits'.*max_digits"),
        (ReasoningGymTask(family="chain_sum", options={"seed": 3}), "no option 'seed'"),
        (ReasoningGymTask(family="chain_sum", options={"min_terms": 9, "max_terms": 2}), "cannot make a prompt"),
    ],
)
def test_wrong_names_and_options(config, reason):
    with pytest.raises(TaskError, match=reason):
        GymSource(config)


def test_missing_package_names_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(TaskError, match=r"pip install 'sibling\[tasks\]'"):
        GymSource(ReasoningGymTask(family="chain_sum"))
