"""Seeds of every kind of reference, in every format, for the tests of probes."""

from __future__ import annotations

import random

from sibling.audit.kinds import Seed
from sibling.tasks.task import Task

FORMATS = {
    "bare": lambda answer: answer,
    "boxed": lambda answer: rf"The final answer is $\boxed{{{answer}}}$.",
    "hash": lambda answer: f"Done.\n#### {answer}",
    "tags": lambda answer: f"<think>So.</think><answer>{answer}</answer>",
    "fence": lambda answer: f"```python\n{answer}\n```",
    "other": lambda answer: f"The answer is {answer}.",
}
PROGRAM = '''def add_all(xs, start):
    """Sum.

    >>> add_all([1], 0)
    1
    """
    total = 0
    count = 0
    for item in xs:
        total += item
        count += 1
    return total + start if count >= 0 else start
'''
DATABASES = [
    "create table t(a, b); insert into t values (1, 'x'), (2, 'y'), (5, 'x');",
    "create table t(a, b); insert into t values (3, 'x'), (4, 'z');",
]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def make(reference: str, kind: str, form: str, prompt: str = "What is it?", **columns: object) -> Seed:
    task = Task("1", ({"role": "user", "content": prompt},), reference, columns)
    others = ("11", "x+9", "(3,8)") if kind == "math" else ("Oslo", "Rome and more", "Bern")
    wrap = FORMATS[form]
    return Seed(task, reference, wrap, wrap(reference), others, kind, random.Random(0))
