"""Right and wrong programs in every form of tests."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sibling.batch import Completion, Finish, Status, Verdict
from sibling.config.rewards import CodeReward
from sibling.rewards.code.reward import Code
from sibling.tasks.task import Task

CHECK = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\n"
SQUARE = "def square(x):\n    return x * x\n"


def graded(code: Code, completion: str, **columns: Any) -> Verdict:
    return code.grade_row({"completion": completion, **columns})


def checked(code: Code, body: str, tests: str, entry: str = "f") -> Verdict:
    return graded(code, body, tests=tests, entry_point=entry)


def many(code: Code, texts: Sequence[str]) -> list[Verdict]:
    task = Task("t", (), None, {"tests": CHECK, "entry_point": "square"})
    completions = [Completion(np.zeros(1, np.int64), np.zeros(1, np.float32), Finish.eos, text) for text in texts]
    return code.grade([task] * len(texts), completions)


def test_check(code: Code) -> None:
    verdict = checked(code, f"Sure.\n```python\n{SQUARE}```\n", CHECK, "square")
    assert (verdict.status, verdict.score, verdict.code, verdict.span) == (Status.right, 1.0, "passed", (16, 48))
    verdict = checked(code, SQUARE.replace("*", "+"), CHECK, "square")
    assert (verdict.status, verdict.score, verdict.code) == (Status.wrong, 0.0, "failed_test")
    assert "line 3" in verdict.reason and "9" not in verdict.reason


def test_the_solution_may_be_called_by_its_own_name(code: Code) -> None:
    tests = "def check(candidate):\n    assert candidate(2) == square(2) == 4\n"
    assert checked(code, SQUARE, tests, "square").code == "passed"


def test_a_completion_may_continue_the_header(code: Code) -> None:
    columns = {"tests": CHECK, "entry_point": "square", "prompt": 'def square(x):\n    """Square."""\n'}
    assert graded(code, "    return x * x\n", **columns).code == "passed"
    assert graded(code, "```python\nreturn x * x\n```", **columns).code == "passed"
    assert graded(code, "    return x\n", **columns).code == "failed_test"
    assert graded(code, SQUARE, **columns).code == "passed"


def test_a_helper_of_the_prompt_cannot_be_redefined(code: Code) -> None:
    prompt = "def poly(x):\n    return x - 3\n\ndef zero():\n    '''Where poly is 0.'''\n"
    columns = {"tests": "def check(candidate):\n    assert poly(candidate()) == 0\n", "entry_point": "zero"}
    forged = "def poly(x):\n    return 0\ndef zero():\n    return 5\n"
    assert graded(code, forged, prompt=prompt, **columns).code == "failed_test"
    assert graded(code, "def zero():\n    return 3\n", prompt=prompt, **columns).code == "passed"
    task = Task("t", (), None, columns)
    assert "poly" in (code.warning_for(task) or "")
    assert code.warning_for(Task("t", (), None, {**columns, "prompt": prompt})) is None


def test_asserts(code: Code) -> None:
    asserts = ["assert square(2) == 4", "assert math.isclose(square(1.5), 2.25)"]
    assert graded(code, SQUARE, asserts=asserts).reason == "2 of 2 tests passed"
    verdict = graded(code, "def square(x):\n    return 4\n", asserts=asserts)
    assert verdict.code == "failed_test" and verdict.reason.startswith("assert 2")
    assert graded(code, "def cube(x):\n    return 4\n", asserts=asserts).code == "missing_name"


def test_a_share_of_the_tests() -> None:
    code = Code(CodeReward(sandbox="limits", score="share"))
    two = "def square(x):\n    return 4\n"
    try:
        assert graded(code, two, asserts=["assert square(2) == 4"] * 3 + ["assert square(3) == 9"]).score == 0.75
        verdict = checked(code, two, CHECK, "square")
        assert (verdict.status, verdict.score) == (Status.wrong, 0.5)
        assert checked(code, SQUARE, CHECK, "square").score == 1.0
        leaves = "import os\ndef square(x):\n    return x * x if x < 3 else os._exit(0)\n"
        assert checked(code, leaves, CHECK, "square").score == 0.5
        rows = [{"stdin": "1\n", "stdout": "1"}, {"stdin": "2\n", "stdout": "4"}]
        assert graded(code, "print(input())", io=rows).score == 0.5
    finally:
        code.close()


def test_programs_with_input_and_output(code: Code) -> None:
    rows = [{"stdin": "2\n3\n", "stdout": "5\n"}, {"stdin": "1\n1", "stdout": "2"}]
    assert graded(code, "print(int(input()) + int(input()))", io=rows).code == "passed"
    assert graded(code, "import sys\nprint(sum(map(int, sys.stdin)))", io=rows).code == "passed"
    assert (
        graded(code, "import sys\nprint(sum(map(int, open(0).read().split())))\nsys.exit(0)", io=rows).code == "passed"
    )
    main = (
        "def main():\n    print(sum(map(int, sys.stdin.buffer)))\nimport sys\nif __name__ == '__main__':\n    main()\n"
    )
    assert graded(code, main, io=rows).code == "passed"
    assert graded(code, "print(5)", io=rows).reason == "case 2: line 1 differs"
    assert graded(code, "print(5)\nprint(5)", io=rows).code == "failed_test"
    assert graded(code, "print(int(input()) + int(input()))\n1 / 0", io=rows).code == "exception"
    assert graded(code, "import os\nos._exit(0)", io=rows).code == "failed_test"
    assert graded(code, "print(", io=rows).code == "no_code"
    assert graded(code, "```python\nprint(\n```", io=rows).code == "syntax_error"
    assert graded(code, "while True: print('x' * 9999)", io=rows).code == "output_limit"


def test_the_first_line_alone_is_not_enough(code: Code) -> None:
    rows = [{"stdin": "", "stdout": "1\n2\n3\n"}]
    assert graded(code, "print(1)", io=rows).code == "failed_test"
    assert graded(code, "print(1, 2, 3, sep='\\n')", io=rows).code == "passed"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import sys\nsys.exit(0)", "exit"),
        ("def f(x):\n    raise SystemExit(0)", "exit"),
        ("import os\nos._exit(0)", "exit"),
        ("def f(x):\n    return [0] * 10**9", "memory"),
        ("def f(x):\n    return f(x)", "exception"),
        ("def f(x):\n    raise KeyError('secret')", "exception"),
        ("```python\ndef f(x:\n```", "syntax_error"),
        ("I do not know.", "no_code"),
        ("def g(x):\n    return x", "missing_name"),
        ("x = '\0'", "no_code"),
        ("x = '\ud800'\ndef f(x):\n    return '\ud800'", "no_code"),
        ("def f(x):\n    a = []\n    a.append(a)\n    return a", "failed_test"),
        ("def f(x):\n    return [[]] * 10**6", "failed_test"),
        ("def f(x):\n    return 'x' * 10**8", "failed_test"),
        ("def f(x):\n    return 10**10**6", "failed_test"),
        ("def f(x):\n    return range(10**18)", "failed_test"),
        ("def f(x):\n    yield 4", "failed_test"),
        ("def f(x):\n    raise StopIteration", "exception"),
        ("def f(x):\n    print('x' * 10**8)", "output_limit"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "crashed"),
        ("(" * 90_000, "no_code"),
        ("x = " + "-" * 90_000 + "1", "no_code"),
    ],
)  # fmt: skip
def test_codes(code: Code, program: str, expected: str) -> None:
    verdict = checked(code, program, "def check(candidate):\n    assert candidate(2) == 4\n")
    assert (verdict.status, verdict.code) == (Status.wrong, expected), verdict
    assert "secret" not in verdict.reason


def test_a_program_that_does_not_end_is_ended() -> None:
    code = Code(CodeReward(sandbox="limits", seconds=2.0, workers=4))
    hanging = (
        "while True: pass",
        "import time\ndef square(x):\n    time.sleep(60)",
        "def square(x):\n    while 1: pass",
        "import os, time\nif os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)\ndef square(x):\n    time.sleep(60)",
    )
    try:
        start = time.monotonic()
        assert [v.code for v in many(code, hanging)] == ["timeout"] * 4
        assert graded(code, "while True: pass", io=[{"stdin": "", "stdout": "1"}]).code == "timeout"
        assert time.monotonic() - start < 30
        assert {v.code for v in many(code, [SQUARE] * 4)} == {"passed"}
    finally:
        code.close()


def test_huge_and_odd_completions(code: Code) -> None:
    for text in ("x" * 100_000_000, "\0" * 1000, "\ud800" * 1000, "{" * 20_000):
        start = time.monotonic()
        assert checked(code, text, CHECK).status is Status.wrong
        assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "none of the columns"),
        ({"tests": "def check(", "entry_point": "f"}, "does not compile"),
        ({"tests": "def check(candidate):\n    pass\n", "entry_point": "f"}, "never call"),
        ({"tests": "def check(candidate):\n    wrong_name\n", "entry_point": "f"}, None),
        (
            {"tests": "1 / 0\ndef check(candidate):\n    candidate()\n", "entry_point": "f"},
            "before the program was called",
        ),
        ({"tests": "def check(candidate):\n    candidate(memoryview(b''))\n", "entry_point": "f"}, "cannot cross"),
        ({"tests": "import solution\ndef helper(): pass\n"}, "never call"),
    ],
)
def test_tests_that_cannot_judge_are_an_error(code: Code, columns: dict[str, Any], words: str | None) -> None:
    verdict = graded(code, "def f(*a):\n    return 1\n", **columns)
    if words is None:  # a name that nobody defines might have been the program's to define
        assert verdict.code == "missing_name"
    else:
        assert verdict.status is Status.error and words in verdict.reason, verdict
    assert (code.problem_with(Task("t", (), None, columns)) is None) == (verdict.code != "bad_task")


@pytest.mark.parametrize(
    "program",
    [
        "class f(Exception): pass",
        "f = 3",
        "f = int",
        "async def f(x): return x",
        "def f(x): return 'x' * (15 << 20)",
        "def f(x): return ValueError",
        "class f(BaseException):\n    def __init__(self, x): raise self",
        "def f(x): raise BaseExceptionGroup('many', [KeyboardInterrupt()])",
        "def f(x):\n    import asyncio\n    raise asyncio.CancelledError",
        "def f(x): return memoryview(b'')",
    ],
)
def test_no_program_can_turn_its_refusal_into_an_error(code: Code, program: str) -> None:
    tests = "def check(candidate):\n    assert [candidate(candidate(2))] * 2 == [4] * 2\n"
    assert checked(code, program, tests).status is Status.wrong


def test_a_row_without_a_completion_is_an_error(code: Code) -> None:
    assert code.grade_row({"tests": CHECK, "entry_point": "f"}).code == "bad_row"


def test_many_at_once_keep_their_order(code: Code) -> None:
    verdicts = many(code, [SQUARE if i % 3 else "def square(x):\n    return 4\n" for i in range(12)])
    assert [v.score for v in verdicts] == [float(bool(i % 3)) for i in range(12)]
    assert all(v.seconds > 0 for v in verdicts)
    assert code.grade([], []) == []


def test_it_says_how_strongly_it_holds(code: Code) -> None:
    assert code.facts()["sandbox_level"] in ("limits", "filtered", "isolated", "contained")
