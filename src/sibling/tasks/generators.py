"""Generated tasks that need no download: numbers, arithmetic, letters, counting, Python functions, JSON records.

Train and held-out prompts are told apart by content digest: a prompt belongs to the held-out stream exactly
when the first 8 hexadecimal digits of its digest, read as a number, are divisible by 10. A draw on the wrong
side is drawn again, so the two streams share no prompt, whatever the seeds.

Not covered: within one step the same prompt may be drawn twice (rare unless the difficulty is very low).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sibling.canonical import digest
from sibling.config import (
    ArithmeticTask,
    CountingTask,
    JsonRecordTask,
    LargestNumberTask,
    PythonFunctionTask,
    ReverseLettersTask,
)
from sibling.errors import TaskError
from sibling.seeds import stream
from sibling.tasks.finite import short_id
from sibling.tasks.task import Message, Split, Task, content_digest

GeneratorConfig = (
    LargestNumberTask | ArithmeticTask | ReverseLettersTask | CountingTask | PythonFunctionTask | JsonRecordTask
)

_VERSION = 1  # part of the source's digest; raise it when a prompt, a reference or a draw changes
_HELD_OUT_ONE_IN = 10
_FEWEST_PROMPTS = 100  # with fewer, a tenth held out is a handful of prompts
_MOST_DRAWS = 2000  # the chance of 2000 draws on the wrong side is 0.9^2000, about 1e-92
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OPERATIONS = ("+", "-", "*")
_OLDEST = 99
_NAMES = (
    "Ada",
    "Ali",
    "Ana",
    "Ben",
    "Cleo",
    "Dora",
    "Eli",
    "Emma",
    "Finn",
    "Gita",
    "Hugo",
    "Ines",
    "Iris",
    "Jan",
    "Kofi",
    "Lena",
    "Leo",
    "Mara",
    "Mei",
    "Nils",
)
_CITIES = (
    "Accra",
    "Bergen",
    "Cairo",
    "Delhi",
    "Ghent",
    "Hanoi",
    "Kyoto",
    "Lima",
    "Lyon",
    "Malmo",
    "Osaka",
    "Perth",
    "Porto",
    "Quito",
    "Turin",
    "York",
)
_PROFESSIONS = (
    "baker",
    "carpenter",
    "chemist",
    "dentist",
    "driver",
    "farmer",
    "lawyer",
    "nurse",
    "painter",
    "pilot",
    "sailor",
    "teacher",
)
_POOL = 4  # different letters in a counting string, so that counts above 1 are common


@dataclass(frozen=True)
class Question:
    """What one draw gives: the text asked, the answer that is right, facts for rewards of the user's own."""

    text: str
    reference: str
    columns: Mapping[str, Any]


Draw = Callable[[np.random.Generator], Question]


class GeneratorSource:
    """A task source (see `tasks.task.TaskSource`) that draws prompts from named random streams."""

    def __init__(self, config: GeneratorConfig) -> None:
        self.config = config
        self.name: str = config.type
        prompts = _prompts(config)
        if prompts < _FEWEST_PROMPTS:
            raise TaskError(
                f"The task {self.config.type} is too small to hold prompts out",
                seen=f"{prompts} different prompts with {self._options()}",
                wanted=f"at least {_FEWEST_PROMPTS}",
                do="Raise its difficulty (digits, count, length, terms) or ask for less at a time",
            )

    @cached_property
    def digest(self) -> str:
        """Digest of the generator, its version and its options."""
        return digest({"generator": self.name, "version": _VERSION, "options": self._options()})

    def train(self, seed: int, step: int, index: int, prompts_per_step: int) -> Task:
        """Prompt `index` of `step`; refills (index >= prompts_per_step) come from the same endless stream."""
        del prompts_per_step  # the stream is endless, so refills need no order of their own
        rng = stream(seed, "task", self.name, step, index)
        for _ in range(_MOST_DRAWS):
            task = self._task(rng)
            if side(task) == "train":
                return task
        raise TaskError(f"The task {self.name} gave no train prompt", seen=f"{_MOST_DRAWS} draws")

    def held_out(self, count: int) -> list[Task]:
        """The first `count` held-out prompts, all different; fewer when the task has fewer."""
        rng = stream(0, "held_out", self.name)  # one stream for every seed, so that runs are compared on one set
        found: dict[str, Task] = {}
        barren = 0
        while len(found) < count and barren < _MOST_DRAWS:
            task = self._task(rng)
            fresh = side(task) == "held_out" and task.id not in found
            barren = 0 if fresh else barren + 1
            if fresh:
                found[task.id] = task
        if count > 0 and not found:
            raise TaskError(
                f"The task {self.name} gave no held-out prompt in {_MOST_DRAWS} draws", seen=self._options()
            )
        return list(found.values())

    def describe(self) -> dict[str, Any]:
        """Facts for the record."""
        return {
            "type": self.name,
            "options": self._options(),
            "digest": self.digest,
            "train": None,  # endless
            "held_out": None,
            "licence": "own work",
            "problems": [],
        }

    def location(self, task_id: str) -> str:
        """Where a prompt comes from, for messages to a person."""
        return f"generated {self.name} prompt {task_id}"

    def _options(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json", exclude={"type"})

    def _task(self, rng: np.random.Generator) -> Task:
        question = _drawer(self.config)(rng)
        user: Message = {"role": "user", "content": question.text}
        system = self.config.system
        messages: tuple[Message, ...] = (user,) if system is None else ({"role": "system", "content": system}, user)
        content = content_digest(messages, question.reference)
        return Task(short_id(content), messages, question.reference, dict(question.columns))


def side(task: Task) -> Split:
    """The stream a generated prompt belongs to, by the digest of its content (whose first digits are its id)."""
    return "held_out" if int(task.id[:8], 16) % _HELD_OUT_ONE_IN == 0 else "train"


def _drawer(config: GeneratorConfig) -> Draw:
    match config:
        case LargestNumberTask():
            return lambda rng: largest_number(rng, config.count, config.digits)
        case ArithmeticTask():
            return lambda rng: arithmetic(rng, config.digits, config.operations, config.terms)
        case ReverseLettersTask():
            return lambda rng: reverse_letters(rng, config.length)
        case CountingTask():
            return lambda rng: counting(rng, config.length)
        case PythonFunctionTask():
            return lambda rng: python_function(rng, config.largest, config.asserts)
        case JsonRecordTask():
            return lambda rng: json_record(rng, config.keys)


def _prompts(config: GeneratorConfig) -> int:
    """A lower bound on the number of different prompts (exact but for counting)."""
    match config:
        case LargestNumberTask():
            bound = 1
            for taken in range(config.count):
                bound *= max(0, 10**config.digits - taken)  # ordered, without repetition
            return bound
        case ArithmeticTask():
            orders: int = len(set(config.operations)) ** (config.terms - 1)
            operands: int = 10 ** (config.digits * config.terms)
            return operands * orders
        case ReverseLettersTask():
            return sum(len(_LETTERS) ** n for n in range(2, config.length + 1))
        case CountingTask():
            return len(_LETTERS) ** 2
        case PythonFunctionTask():
            return 2 * len(_OPERATIONS) ** 2 * config.largest
        case JsonRecordTask():
            return len(_NAMES) * _OLDEST


def largest_number(rng: np.random.Generator, count: int, digits: int) -> Question:
    """`count` different numbers, uniform over 0 .. 10^digits - 1; the reference is the largest."""
    numbers: list[int] = []
    while len(numbers) < count:  # rejection keeps the draw uniform and never builds a list of 10^digits numbers
        number = int(rng.integers(10**digits))
        if number not in numbers:
            numbers.append(number)
    listed = ", ".join(map(str, numbers))
    text = f"Which of these numbers is the largest: {listed}? Answer with the number only."
    return Question(text, str(max(numbers)), {"numbers": numbers})


def arithmetic(rng: np.random.Generator, digits: int, operations: tuple[str, ...], terms: int) -> Question:
    """`terms` operands uniform over 0 .. 10^digits - 1; products bind tighter than sums, as everywhere."""
    operands = [int(n) for n in rng.integers(10**digits, size=terms)]
    signs = [operations[int(i)] for i in rng.integers(len(operations), size=terms - 1)]
    expression = str(operands[0]) + "".join(f" {s} {n}" for s, n in zip(signs, operands[1:], strict=True))
    text = f"What is {expression}? Answer with the number only."
    return Question(text, str(_value(operands, signs)), {"expression": expression})


def _value(operands: list[int], signs: list[str]) -> int:
    summands = [operands[0]]
    for sign, operand in zip(signs, operands[1:], strict=True):
        if sign == "*":
            summands[-1] *= operand
        else:
            summands.append(operand if sign == "+" else -operand)
    return sum(summands)


def reverse_letters(rng: np.random.Generator, length: int) -> Question:
    """A string of 2 .. `length` lower-case letters, each length equally likely; the reference is its reversal."""
    size = int(rng.integers(2, length + 1))
    word = "".join(_LETTERS[int(i)] for i in rng.integers(len(_LETTERS), size=size))
    text = f'Write the letters of "{word}" in reverse order. Answer with the reversed letters only.'
    return Question(text, word[::-1], {"word": word})


def counting(rng: np.random.Generator, length: int) -> Question:
    """`length` letters out of 4 different ones; the reference is how often one of the 4 occurs (maybe 0)."""
    pool = [_LETTERS[int(i)] for i in rng.permutation(len(_LETTERS))[:_POOL]]
    string = "".join(pool[int(i)] for i in rng.integers(_POOL, size=length))
    letter = pool[int(rng.integers(_POOL))]
    text = f'How many times does the letter "{letter}" occur in "{string}"? Answer with the number only.'
    return Question(text, str(string.count(letter)), {"string": string, "letter": letter})


def python_function(rng: np.random.Generator, largest: int, asserts: int) -> Question:
    """A formula of a, b and a constant 1 .. `largest`; the reference is the function, `asserts` its tests."""
    first, second = ("a", "b") if rng.integers(2) else ("b", "a")
    one, two = (_OPERATIONS[int(i)] for i in rng.integers(len(_OPERATIONS), size=2))
    formula = f"{first} {one} {second} {two} {int(rng.integers(1, largest + 1))}"
    text = f"Write a Python function f(a, b) that returns {formula}. Answer with the code only."
    tests = []
    for a, b in rng.integers(-20, 100, size=(asserts, 2)).tolist():
        words = [str({"a": a, "b": b}.get(word, word)) for word in formula.split()]
        value = _value([int(n) for n in words[::2]], words[1::2])
        tests.append(f"assert f({a}, {b}) == {value}")
    return Question(text, f"def f(a, b):\n    return {formula}", {"asserts": tests, "formula": formula})


def json_record(rng: np.random.Generator, keys: int) -> Question:
    """A sentence about a person; the reference is the object with the first `keys` of name, age, city, profession."""
    name, city, job = (words[int(rng.integers(len(words)))] for words in (_NAMES, _CITIES, _PROFESSIONS))
    age = int(rng.integers(1, _OLDEST + 1))
    record = dict(list({"name": name, "age": age, "city": city, "profession": job}.items())[:keys])
    facts = [f"{name} is {age} years old", f"lives in {city}", f"works as a {job}"][: keys - 1]
    sentence = facts[0] if len(facts) == 1 else f"{', '.join(facts[:-1])} and {facts[-1]}"
    listed = f"{', '.join(list(record)[:-1])} and {list(record)[-1]}"
    text = f"Write the JSON object for this person, with the keys {listed}, and nothing else.\n{sentence}."
    kinds = {key: {"type": "integer" if key == "age" else "string"} for key in record}
    schema = {"type": "object", "properties": kinds, "required": list(record), "additionalProperties": False}
    return Question(text, json.dumps(record), {"schema": schema})
