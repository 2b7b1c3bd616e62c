"""Every type of task section opens, and the data that ships with the recipes is sound."""

from pathlib import Path

import pytest

from sibling.config import (
    ArithmeticTask,
    CallableTask,
    CountingTask,
    JsonLinesTask,
    LargestNumberTask,
    ReasoningGymTask,
    ReverseLettersTask,
)
from sibling.errors import RequestError
from sibling.rewards.answers import whole_number
from sibling.tasks.load import open_source

RECIPES = Path(__file__).parents[2] / "recipes"
SHIPPED = JsonLinesTask(path="data/word-problems.jsonl", prompt="question", reference="answer")


@pytest.mark.parametrize(
    "config",
    [LargestNumberTask(), ArithmeticTask(), ReverseLettersTask(), CountingTask(), SHIPPED,
     ReasoningGymTask(family="chain_sum")],
    ids=lambda c: c.type,
)  # fmt: skip
def test_sources_open(config):
    source = open_source(config, base=RECIPES)
    task = source.train(0, 0, 0, 4)
    assert task.reference
    assert source.location(task.id)
    assert source.digest.startswith("sha256:")
    assert source.describe()["digest"] == source.digest
    assert source.held_out(1)[0].digest != task.digest


def test_callable_source_opens(tmp_path):
    (tmp_path / "p.py").write_text("def prompts(split, seed):\n    return [{'prompt': split, 'reference': '1'}]\n")
    assert open_source(CallableTask(target="p.py:prompts"), base=tmp_path).train(0, 0, 0, 1).reference == "1"
    with pytest.raises(RequestError, match="has no 'other'"):
        open_source(CallableTask(target="p.py:other"), base=tmp_path)


def test_shipped_word_problems_are_right():
    source = open_source(SHIPPED, base=RECIPES)
    size = source.describe()["train"]
    tasks = [source.train(0, 0, i, size) for i in range(size)] + source.held_out(100)
    assert len(tasks) == 60
    for task in tasks:
        numbers = [int(w) for w in task.messages[0]["content"].split() if w.isdigit()]
        assert whole_number(task.reference) == numbers[0] * numbers[1]
    assert source.describe()["problems"] == []
