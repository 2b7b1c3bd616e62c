"""Answers and references that ask for unbounded work: a verdict within a second, and the workers still answer."""

import time
from typing import Any

import numpy as np
import pytest

from sibling.batch import Completion, Finish, Status, Verdict
from sibling.config.rewards import MathReward
from sibling.rewards.math.reward import Math
from sibling.tasks.task import Task

INPUTS = {
    "power tower": "10^{10^{10}}",
    "tower of nines": "9^{9^{9^9}}",
    "factorial": "(10^7)!",
    "binomial": r"\binom{10^8}{5\cdot10^7}",
    "power of a sum": "(x+y+z+w)^{200}",
    "sum sign": r"\sum_{k=1}^{10^8}1/k^2",
    "product sign": r"\prod_{k=1}^{10^7}k",
    "integral": r"\int e^{x^x}\sin(x^x)\,dx",
    "parentheses": "(" * 3000 + "1" + ")" * 3000,
    "braces": "{" * 20_000 + "1" + "}" * 20_000,
    "roots": r"\sqrt{" * 1000 + "2" + "}" * 1000,
    "minus signs": "-" * 3000 + "1",
    "towers of towers": "x" + "^2" * 500,
    "bars": "|" * 2000,
    "digits": "7" * 100_000,
    "boxes": "".join(rf"\boxed{{{n}}}" for n in range(3000)),
    "set": r"\{" + ",".join(map(str, range(5000))) + r"\}",
    "long sum": "+".join(map(str, range(3000))),
    "symbols": "+".join(f"x_{{{n}}}" for n in range(600)),
    "many roots": "+".join(rf"\sqrt{{{n}}}" for n in range(2, 200)),
    "exponent": "1e999999999",
    "nested powers": "((((x+1)^8+1)^8+1)^8+1)^8",
    "high power": "x^{100000}",
    "fractions": "+".join(f"1/(x+{n})" for n in range(40)),
    "exponentials": "e^{e^{e^{e^{e}}}}",
    "large factors": rf"\sqrt{{{2**500 + 1}}}",
    "null characters": "4\x002",
    "lone surrogates": "4\ud800 2 \udfff",
    "dollars": "$" * 20_000,
    "opening delimiters": r"\(" * 10_000,
    "blank": " " * 100_000,
}
SECONDS = 1.0


@pytest.fixture(scope="module")
def reward() -> Any:
    made = Math(MathReward())
    assert judged(made, r"\sqrt{3+2\sqrt{2}}", r"\boxed{1+\sqrt{2}}").status is Status.right  # now the worker is warm
    yield made
    made.close()


def judged(reward: Math, reference: str, text: str) -> Verdict:
    completion = Completion(np.zeros(1, np.int64), np.zeros(1, np.float32), Finish.eos, text)
    return reward.judge(Task("t", (), reference), completion)


def ask(reward: Math, reference: str, answer: str, *, raw: bool = False) -> Verdict:
    begun = time.monotonic()
    verdict = judged(reward, reference, answer if raw else f"\\boxed{{{answer}}}")
    assert time.monotonic() - begun < 2 * SECONDS  # twice: other work may share the processor
    return verdict


@pytest.mark.parametrize("name", INPUTS)
def test_as_an_answer(name: str, reward: Math) -> None:
    for reference in ("42", r"x+\sqrt2", "(1,2)", "x<3"):
        assert ask(reward, reference, INPUTS[name], raw=name == "boxes").status is Status.wrong
        assert ask(reward, reference, INPUTS[name], raw=True).status is Status.wrong
        assert ask(reward, reference, "The answer is " + INPUTS[name], raw=True).status is Status.wrong
    assert ask(reward, "42", "42").status is Status.right


@pytest.mark.parametrize("name", INPUTS)
def test_as_a_reference(name: str, reward: Math) -> None:
    for answer in ("43", "x^2-y+z+w", INPUTS[name]):
        verdict = ask(reward, INPUTS[name], answer)
        assert verdict.status is not Status.right or answer == INPUTS[name] or name == "blank"
    reward.problem_with(Task("t", (), INPUTS[name]))
    assert ask(reward, "42", "42").status is Status.right


def test_values_beyond_the_bounds_are_named_before_training(reward: Math) -> None:
    for name in ("power tower", "factorial", "digits", "parentheses", "exponent"):
        assert reward.problem_with(Task("t", (), INPUTS[name]))


def test_a_hard_reference_is_an_error_and_not_a_refusal(reward: Math) -> None:
    verdict = ask(reward, INPUTS["power tower"], "7")
    assert (verdict.status, verdict.code) == (Status.error, "bad_reference")
    verdict = ask(reward, "7", INPUTS["power tower"])
    assert (verdict.status, verdict.code) == (Status.wrong, "too_hard")


def test_the_workers_answer_afterwards(reward: Math) -> None:
    for text in INPUTS.values():
        ask(reward, r"\sin x", text)
    assert ask(reward, r"\arctan 1", r"\frac{\pi}{4}").status is Status.right


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["a", "1", "{", r"\boxed{", "not ", "answer is ", "or ", "$", "\n", "\\", "(", "\ud800", "\x00"]
)
def test_a_hundred_million_characters(piece: str, reward: Math) -> None:
    text = piece * (100_000_000 // len(piece))
    begun = time.monotonic()
    verdict = ask(reward, "42", text, raw=True)
    assert verdict.status is Status.wrong
    assert time.monotonic() - begun < 2 * SECONDS
