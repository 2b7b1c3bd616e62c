"""Test files of unittest and in the manner of pytest."""

import pytest

from sibling.rewards.code.reward import Code

PROGRAM = """
def halve(x):
    if x < 0:
        raise ValueError('negative number')
    print('halving')
    return x / 2
"""

UNITTEST = """
import unittest
from solution import halve

class TestHalve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.start = 4
    def test_half(self):
        self.assertEqual(halve(self.start), 2)
        self.assertAlmostEqual(halve(1), 0.5)
    def test_negative(self):
        with self.assertRaisesRegex(ValueError, 'negative'):
            halve(-1)
    def test_many(self):
        for x in range(3):
            with self.subTest(x=x):
                self.assertEqual(halve(x) * 2, x)
    @unittest.skip('not now')
    def test_left_out(self):
        self.fail()

if __name__ == '__main__':
    unittest.main()
"""

PYTEST = """
import pytest
import solution
from solution import *

@pytest.fixture
def four():
    yield 4

class TestIt:
    def setup_method(self):
        self.x = 8
    def test_method(self, four):
        assert halve(self.x) == four

@pytest.mark.parametrize('x, half', [(2, 1), pytest.param(3, 1.5), (0.2, pytest.approx(0.1))])
def test_table(x, half):
    assert solution.halve(x) == half

@pytest.mark.parametrize('x', [-1, -2])
def test_raises(x):
    with pytest.raises(ValueError, match='negative') as caught:
        halve(x)
    assert 'number' in str(caught.value)

def test_print(capsys):
    halve(2)
    assert capsys.readouterr().out == 'halving\\n'

@pytest.mark.slow
def test_default(x=4):
    assert halve(x) == 2

async def test_later():
    assert halve(2) == 1
"""

PLAIN = "from main import halve\nassert halve(2) == 1\nassert halve(3) == 1.5\n"


@pytest.mark.parametrize(
    ("tests", "count"), [(UNITTEST, 3), (PYTEST, 9), (PLAIN, 1)], ids=["unittest", "pytest", "plain"]
)
def test_a_file(code: Code, tests: str, count: int) -> None:
    verdict = code.grade_row({"completion": PROGRAM, "tests": tests})
    assert verdict.reason == f"{count} of {count} tests passed"
    for old, new in (("x / 2", "x // 2"), ("x / 2", "x"), ("return x / 2", "raise ValueError('negative number')")):
        assert code.grade_row({"completion": PROGRAM.replace(old, new), "tests": tests}).code in (
            "failed_test",
            "exception",
        )
    assert code.grade_row({"completion": "def other(): pass", "tests": tests}).code == "missing_name"


def test_a_skip_by_the_program_is_no_pass(code: Code) -> None:
    program = "import unittest\ndef halve(x):\n    raise unittest.SkipTest('skipped')\n"
    assert code.grade_row({"completion": program, "tests": UNITTEST}).code == "exception"


def test_an_unknown_fixture_and_a_derived_class_are_errors_of_the_tests(code: Code) -> None:
    verdict = code.grade_row(
        {"completion": PROGRAM, "tests": "from solution import halve\ndef test(db):\n    halve(2)\n"}
    )
    assert verdict.code == "tester_failed"
    tests = "from solution import A\nclass B(A):\n    pass\ndef test():\n    assert B()\n"
    assert code.grade_row({"completion": "class A: pass", "tests": tests}).code == "tester_failed"


def test_a_test_that_swallows_everything_does_not_hide_the_end_of_the_program(code: Code) -> None:
    tests = (
        "from solution import halve\ndef test():\n    try:\n        halve(1)\n    except BaseException:\n        pass\n"
    )
    assert code.grade_row({"completion": "import os\ndef halve(x): os._exit(0)", "tests": tests}).code == "exit"
