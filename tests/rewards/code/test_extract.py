"""Which part of a completion is taken for the program."""

import string
import time

import pytest

from sibling.batch import Verdict
from sibling.rewards.code.extract import MOST_CHARACTERS, Program, program_in


def code_in(text: str, *names: str) -> str:
    found = program_in(text, names)
    assert isinstance(found, Program)
    assert text[slice(*found.span)] == found.code
    return found.code


def test_the_last_python_block_is_taken() -> None:
    text = "```python\na = 1\n```\nthen\n```python\nb = 2\n```\nOutput:\n```\n3\n```\n"
    assert code_in(text) == "b = 2\n"


def test_a_block_that_defines_what_is_tested_goes_before_a_later_one_that_does_not() -> None:
    text = "```python\ndef f(x):\n    return x\n```\nUse:\n```python\nprint(f(3))\n```\n"
    assert code_in(text, "f") == "def f(x):\n    return x\n"
    assert code_in(text, "g") == "print(f(3))\n"


@pytest.mark.parametrize("opening", ["```", "```py", "```Python", "~~~python", "````python", "  ```python3"])
def test_kinds_of_fences(opening: str) -> None:
    fence = opening.lstrip().rstrip(string.ascii_letters + string.digits)
    assert code_in(f"Hi\n{opening}\nx = 1\n{fence}\n") == "x = 1\n"


def test_the_only_block_counts_whatever_its_tag() -> None:
    assert code_in("```text\nx = 1\n```") == "x = 1\n"


def test_a_block_without_an_end_runs_to_the_end() -> None:
    assert code_in("```python\nx = 1") == "x = 1"


def test_an_unfenced_answer_is_the_program_and_keeps_its_indentation() -> None:
    found = program_in("<think>```python\nwrong\n```</think>    return 1\n")
    assert isinstance(found, Program) and found.bare and found.code == "    return 1\n"


@pytest.mark.parametrize("text", ["", " \n ", "```python\n```", "<think>no end", "<answer></answer>"])
def test_no_program(text: str) -> None:
    found = program_in(text)
    assert isinstance(found, Verdict) and found.code == "no_code"


def test_a_huge_completion_is_refused_at_once() -> None:
    start = time.perf_counter()
    for text in ("x" * 10_000_000, "```\n" * 1_000_000, "```python\n" + "x = 1\n" * 1_000_000, "~~~\n```\n" * 500_000):
        found = program_in(text, ["f"])
        assert isinstance(found, Verdict) or len(found.code) <= MOST_CHARACTERS
    assert time.perf_counter() - start < 5
