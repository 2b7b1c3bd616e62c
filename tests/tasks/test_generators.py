"""Laws of the generated tasks: references are right, streams are pure and share no prompt."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.config import (
    ArithmeticTask,
    CountingTask,
    JsonRecordTask,
    LargestNumberTask,
    PythonFunctionTask,
    ReverseLettersTask,
)
from sibling.errors import TaskError
from sibling.tasks.generators import (
    GeneratorSource,
    arithmetic,
    counting,
    json_record,
    largest_number,
    python_function,
    reverse_letters,
    side,
)

CONFIGS = [
    LargestNumberTask(),
    ArithmeticTask(operations=("+", "-", "*"), terms=3),
    ReverseLettersTask(),
    CountingTask(),
    PythonFunctionTask(),
    JsonRecordTask(keys=4),
    LargestNumberTask(count=3, digits=1, system="Be brief."),
]
seeds = st.integers(0, 2**32)
law = settings(deadline=None, max_examples=40)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@law
@given(seeds, st.integers(2, 10), st.integers(1, 9))
def test_largest_number_reference_is_the_largest_of_distinct_numbers(seed, count, digits):
    question = largest_number(rng(seed), count, digits)
    numbers = [int(n) for n in question.text.split(": ")[1].split("?")[0].split(", ")]
    assert question.text.endswith("? Answer with the number only.")
    assert len(set(numbers)) == count
    assert all(0 <= n < 10**digits for n in numbers)
    assert int(question.reference) == sorted(numbers)[-1]
    assert question.columns["numbers"] == numbers


def test_largest_number_is_uniform_over_its_range():
    drawn = [n for s in range(400) for n in largest_number(rng(s), 2, 1).columns["numbers"]]
    counts = np.bincount(drawn, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 50 and counts.max() < 115  # 80 expected, standard deviation 8.5


@law
@given(seeds, st.integers(1, 4), st.integers(2, 6))
def test_arithmetic_reference_is_what_python_computes(seed, digits, terms):
    question = arithmetic(rng(seed), digits, ("+", "-", "*"), terms)
    expression = question.text.removeprefix("What is ").split("?")[0]
    assert len(expression.split()) == 2 * terms - 1
    assert eval(expression) == int(question.reference)  # noqa: S307 (our own digits and signs)


def test_arithmetic_uses_only_the_operations_asked_for():
    texts = [arithmetic(rng(s), 2, ("*",), 3).columns["expression"] for s in range(20)]
    assert all(set(t) & set("+-*") == {"*"} for t in texts)


@law
@given(seeds, st.integers(2, 20))
def test_reversal_is_an_involution(seed, length):
    question = reverse_letters(rng(seed), length)
    word = question.text.split('"')[1]
    assert 2 <= len(word) <= length
    assert "".join(reversed(question.reference)) == word


@law
@given(seeds, st.integers(2, 60))
def test_counting_reference_is_the_number_of_occurrences(seed, length):
    question = counting(rng(seed), length)
    letter, string = question.text.split('"')[1], question.text.split('"')[3]
    assert len(string) == length and len(set(string)) <= 4
    assert int(question.reference) == len([c for c in string if c == letter])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.type)
def test_train_and_held_out_share_no_digest_and_fall_on_their_sides(config):
    source = GeneratorSource(config)
    held_out = source.held_out(40)
    train = [source.train(seed, step, i, 8) for seed in (0, 1) for step in range(20) for i in range(10)]
    assert len({t.digest for t in held_out}) == 40
    assert not {t.digest for t in held_out} & {t.digest for t in train}
    for task in held_out + train:
        number = int(task.digest.removeprefix("sha256:")[:8], 16)
        assert (number % 10 == 0) == (task in held_out)
        assert task.id == task.digest.removeprefix("sha256:")[:16]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.type)
def test_prompts_are_a_pure_function_of_seed_step_and_index(config):
    one, other = GeneratorSource(config), GeneratorSource(config)
    wanted = [one.train(3, 5, i, 4) for i in range(6)]
    assert [other.train(3, 5, i, 4) for i in reversed(range(6))] == wanted[::-1]
    assert len({t.id for t in wanted}) > 1
    assert one.train(4, 5, 0, 4) != wanted[0]
    assert one.train(3, 6, 0, 4) != wanted[0]
    assert one.held_out(5) == other.held_out(9)[:5]


def test_small_space_gives_the_held_out_prompts_it_has():
    source = GeneratorSource(ArithmeticTask(digits=1, operations=("+",)))  # 100 prompts
    found = source.held_out(64)
    assert 0 < len(found) < 64
    every = {GeneratorSource(ArithmeticTask(digits=1, operations=("+",))).train(0, s, 0, 1).digest for s in range(2000)}
    assert len(every) + len(found) == 100


@pytest.mark.parametrize(
    ("config", "prompts"),
    [
        (LargestNumberTask(count=2, digits=1), "90 "),  # 10 * 9 ordered pairs
        (LargestNumberTask(count=11, digits=1), "0 "),
    ],
)
def test_too_few_prompts_are_refused(config, prompts):
    with pytest.raises(TaskError, match=f"Seen: {prompts}different prompts"):
        GeneratorSource(config)


def test_system_message_comes_first():
    task = GeneratorSource(LargestNumberTask(system="Be brief.")).train(0, 0, 0, 1)
    assert [m["role"] for m in task.messages] == ["system", "user"]
    assert task.messages[0]["content"] == "Be brief."


def test_digest_and_description_follow_the_options():
    easy, hard = GeneratorSource(LargestNumberTask()), GeneratorSource(LargestNumberTask(digits=3))
    assert easy.digest != hard.digest
    assert easy.digest == GeneratorSource(LargestNumberTask()).digest
    assert hard.describe()["options"] == {"system": None, "count": 4, "digits": 3}
    assert hard.describe()["problems"] == []
    task = easy.train(0, 0, 0, 1)
    assert side(task) == "train"
    assert task.id in easy.location(task.id)


@law
@given(seeds, st.integers(1, 999), st.integers(1, 20))
def test_a_python_function_passes_its_own_tests_and_a_neighbour_does_not(seed, largest, asserts):
    question = python_function(rng(seed), largest, asserts)
    tests = question.columns["asserts"]
    assert len(tests) == asserts
    formula = question.columns["formula"]
    assert f"returns {formula}." in question.text
    space = {}
    exec(question.reference, space)  # noqa: S102 (our own formula)
    for test in tests:
        exec(test, space)  # noqa: S102
    exec(f"def f(a, b):\n    return {formula} + 1", space)  # noqa: S102
    with pytest.raises(AssertionError):
        exec(tests[0], space)  # noqa: S102


@law
@given(seeds, st.integers(2, 4))
def test_a_json_record_says_what_its_sentence_says(seed, keys):
    question = json_record(rng(seed), keys)
    record, schema = json.loads(question.reference), question.columns["schema"]
    assert list(record) == ["name", "age", "city", "profession"][:keys] == schema["required"] == [*schema["properties"]]
    sentence = question.text.splitlines()[1]
    assert all(str(value) in sentence for value in record.values())
    assert schema["additionalProperties"] is False
