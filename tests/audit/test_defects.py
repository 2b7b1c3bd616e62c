"""The audit rediscovers defects of rewards in use, by the probe that is meant to, and finds nothing in sound ones."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sibling.audit.options import Options
from sibling.audit.report import Report
from sibling.audit.run import audit
from sibling.audit.target import Target
from sibling.config import (
    ChoiceReward,
    CodeReward,
    ExactMatchReward,
    JsonReward,
    MathReward,
    QuantityReward,
    RewardConfig,
    SqlReward,
)
from sibling.tasks.task import Task

HERE = Path(__file__).parent


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"audit_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


defects = _load("defects")


def violated(report: Report) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """(probe or check, what, how often, examples) of all violations, those of policy aside."""
    return [(v.probe, v.what, v.failed, tuple(e.text[:80] for e in v.examples)) for v in report.violations]


@pytest.mark.slow
@pytest.mark.parametrize("defect", defects.DEFECTS, ids=lambda d: f"{d.number}-{d.reward}")
def test_a_real_defect_is_rediscovered(defect: Any) -> None:
    report = audit(Target.of_callable(f"defects.py:{defect.reward}", HERE), defect.tasks, options=defect.options)
    assert not report.stopped, report.stopped
    found = {name for name, what, *_ in violated(report) if not defect.what or what == defect.what}
    assert found >= set(defect.found_by), violated(report)
    assert report.verdict == "fail"


def test_there_are_twenty_five_of_them() -> None:
    assert [d.number for d in defects.DEFECTS] == list(range(1, 26))
    assert len({d.reward for d in defects.DEFECTS}) == 25


def tasks(*references: str, prompt: str = "Question {}: solve it for x.", **columns: Any) -> list[Task]:
    return [
        Task(str(k), ({"role": "user", "content": prompt.format(k)},), reference, columns)
        for k, reference in enumerate(references)
    ]


NUMBERS = tasks("42", "-7", "3/4", "0.5", "1234567", "3.14159", "10000000000000001", "0.0000001", "120", "0")
MATH = NUMBERS + tasks(
    r"\frac{7}{4}", "50%", r"30^\circ", r"\frac{3\pi}{4}", "x=5", "5 cm", r"\{1,2,3\}", "(1,2)", "[0,1)", r"x\ge 3",
    "1<x<3", r"2\sqrt{3}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "x^2+2x", r"\text{Tuesday}",
    r"-\frac{1}{2}", r"2\frac{3}{4}",
)  # fmt: skip
WORDS = tasks("Paris", "Rome", "Istanbul", "Moscow", "Cape Town", prompt="Where is building {}?")
LETTERS = tasks("A", "B", "C", "D", "B", "C", prompt="Which is {}?", options=["red", "blue", "green", "pink"])
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
DOCUMENTS = tasks('{"name": "Ann", "age": 3}', '{"name": "Bob", "age": 31}', '{"name": "Cy", "age": 7}', schema=SCHEMA)
QUANTITIES = tasks("5 cm", "12 km", "7 kg", "40 minutes", "2.5 m", prompt="How much is item {}?")
DATABASES = [
    "create table t(a, b); insert into t values (1, 'x'), (2, 'y'), (5, 'x');",
    "create table t(a, b); insert into t values (3, 'x'), (3, 'x'), (4, 'z');",
]
QUERIES = tasks(
    "SELECT a FROM t WHERE b = 'x'",
    "SELECT count(*) FROM t",
    "SELECT a, b FROM t ORDER BY a DESC, b",
    "SELECT b FROM t",
    databases=DATABASES,
)
FUNCTIONS = [
    Task(
        str(m),
        ({"role": "user", "content": f"Write a function scale(x) that gives {m} times x."},),
        f"def scale(x):\n    product = {m} * x\n    return product\n",
        {
            "calls": [["scale(2)", 2 * m], ["scale(-1)", -m], ["scale('a')", "a" * m]],
            "asserts": [
                f"assert scale(2) == {2 * m}",
                f"assert scale(-1) == {-m}",
                f"assert scale('a') == {'a' * m!r}",
            ],
        },
    )
    for m in (3, 5)
]
OPTIONS = Options(calls=1500, lanes=1, shrink_calls=0, examples=1, seconds=5.0)
FEW = Options(
    calls=250, lanes=1, shrink_calls=0, examples=1, seconds=10.0, memory_mb=0, leave_out=("resource", "judge")
)
OWN: dict[str, tuple[RewardConfig, Sequence[Task], Options]] = {
    "math": (MathReward(), MATH, OPTIONS),
    "exact_match": (ExactMatchReward(), WORDS, OPTIONS),
    "json": (JsonReward(compare=True), DOCUMENTS, OPTIONS),
    "choice": (ChoiceReward(), LETTERS, OPTIONS),
    "quantity": (QuantityReward(), QUANTITIES, OPTIONS),
    "sql": (SqlReward(), QUERIES, OPTIONS),
    "code": (CodeReward(sandbox="limits", seconds=1.0), FUNCTIONS, FEW),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_our_own_verifiers_show_no_violation(name: str) -> None:
    config, given, options = OWN[name]
    report = audit(Target.of_config(config, HERE), given, options=options)
    assert not report.stopped, report.stopped
    assert not violated(report)
    assert report.verdict == "pass"
    assert report.running.calls >= 200


SOUND: dict[str, tuple[Sequence[Task], Options]] = {
    "number": (NUMBERS, OPTIONS),
    "letter": (LETTERS, OPTIONS),
    "words": (WORDS, OPTIONS),
    "document": (DOCUMENTS, OPTIONS),
    "query": (QUERIES, OPTIONS),
    "program": (FUNCTIONS, FEW),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_reward_shows_no_violation(name: str) -> None:
    """The other half of the rediscovery: what finds the defects finds nothing where there is none."""
    given, options = SOUND[name]
    report = audit(Target.of_callable(f"sound.py:{name}", HERE / "probes"), given, options=options)
    assert not report.stopped, report.stopped
    assert not violated(report)
    assert report.verdict == "pass"
