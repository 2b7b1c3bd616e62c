"""What a task's columns ask for, and what is said where they ask for nothing that can be done."""

from typing import Any

import pytest

from sibling.rewards.code.plan import Plan, plan_of

CHECK = "def check(candidate):\n    assert candidate(1) == 2\n"


def planned(**columns: Any) -> Plan:
    plan = plan_of(columns)
    assert isinstance(plan, Plan), plan
    return plan


def test_the_kinds() -> None:
    assert planned(tests=CHECK, entry_point="f").kind == "check"
    assert planned(tests="def test_f():\n    assert f(1) == 2\n", entry_point="f").kind == "file"
    assert planned(tests="from solution import f\ndef test_f():\n    assert f(1) == 2\n").kind == "file"
    assert planned(asserts=["assert f(1) == 2"]).kind == "asserts"
    assert planned(test_list=["assert f(1) == 2"], tests=None).kind == "asserts"
    assert planned(io=[{"stdin": "1", "stdout": "2"}]).kind == "io"


def test_names_that_the_tests_take_from_the_program() -> None:
    assert planned(asserts=["assert len(f(x=1)) == g[0]", "import math", "assert math.pi"]).names == {"f", "g"}
    assert planned(tests="from main import A\nimport pytest\ndef test(): A()").names == {"A"}


def test_finished_functions_of_the_prompt_belong_to_the_tests() -> None:
    prompt = 'import math\ndef poly(x):\n    return x\ndef stub(x):\n    ...\ndef f(x):\n    """Find."""\n'
    plan = planned(tests=CHECK + "    assert poly(1)\n", entry_point="f", prompt=prompt)
    assert plan.header == prompt
    assert (
        plan.helpers == "import math\ndef poly(x):\n    return x".replace("\ndef", "\n\ndef") or "poly" in plan.helpers
    )
    assert "stub" not in plan.helpers and "def f" not in plan.helpers
    assert plan.names == {"f"}


def test_a_prompt_in_words_is_no_header() -> None:
    assert planned(tests=CHECK, entry_point="f", prompt="Write f, please.").header == ""


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "none of the columns"),
        ({"tests": "def check(:", "entry_point": "f"}, "`tests` does not compile: SyntaxError, line 1"),
        ({"tests": "x = '\0'"}, "does not compile"),
        ({"tests": "\ud800"}, "does not compile"),
        ({"tests": "  "}, "empty"),
        ({"tests": 3}, "`tests` is not text"),
        ({"asserts": "assert f()"}, "not a list"),
        ({"asserts": [1]}, "not a list"),
        ({"asserts": []}, "empty"),
        ({"asserts": ["assert f("]}, "`asserts` does not compile"),
        ({"tests": "import numpy as np\nassert np.allclose(f(), 1)"}, "import `numpy`"),
        ({"io": []}, "`io`"),
        ({"io": [{"stdin": "1"}]}, "`io`"),
        ({"io": [{"stdin": "1", "stdout": " \n"}]}, "does nothing would pass"),
        ({"tests": "assert f()", "setup": {"a": 1}}, "`setup` is not text"),
        ({"tests": "(" * 5000 + ")" * 5000}, "does not compile"),
    ],
)
def test_what_cannot_be_graded_is_said(columns: dict[str, Any], words: str) -> None:
    problem = plan_of(columns)
    assert isinstance(problem, str) and words in problem


def test_a_column_names_the_module_of_the_program() -> None:
    tests = "from bank import Account\ndef test_it():\n    assert Account().total == 0\n"
    assert isinstance(plan_of({"tests": tests}), str)
    assert planned(tests=tests, module="bank").names == {"Account"}
