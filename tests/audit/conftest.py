import random
from pathlib import Path

import pytest

from sibling.audit.kinds import Probe, Seed, Variant
from sibling.audit.options import Options
from sibling.audit.run import audit
from sibling.audit.target import Target
from sibling.tasks.task import Task

HERE = Path(__file__).parent


def off_by_one(seed):
    return [Variant(seed.wrap(str(int(seed.answer) + 1)), "one more")]


def trailing_zero(seed):
    return [Variant(seed.wrap(f"{seed.answer}.0"), "with .0")]


def preamble(seed):
    return [Variant("Let us see. It is\nclear now.\n\n" + seed.right, "a preamble")]


def nothing(seed):
    return [Variant(""), Variant("   "), Variant(seed.wrap(""))]


def code(seed):
    return [Variant(seed.wrap("[open('sibling_audit_tripwire','w').close(), 1][1]"), "a program")]


def either(seed):
    return [Variant(seed.wrap(f"{int(seed.answer) + 1}") + " or " + seed.right, "wrong or right")]


def percent(seed):
    return [Variant(seed.wrap(f"{seed.answer}%"), "with a percent sign")]


PROBES = (
    Probe("trailing_zero", "equivalence", "keep", frozenset({"math"}), trailing_zero),
    Probe("preamble", "presentation", "keep", frozenset(), preamble),
    Probe("off_by_one", "corruption", "flip", frozenset({"math"}), off_by_one),
    Probe("nothing", "degenerate", "low", frozenset(), nothing),
    Probe("either", "hedging", "low", frozenset({"math"}), either, sensitive=True),
    Probe("code", "injection", "low", frozenset(), code, sensitive=True),
    Probe("percent", "equivalence", "keep", frozenset({"math"}), percent, policy=True),
)


@pytest.fixture
def tasks():
    return [
        Task(str(n), ({"role": "user", "content": f"What is {n} + {n + 1}?"},), str(2 * n + 1)) for n in range(3, 40)
    ]


@pytest.fixture
def make_seed():
    def make(answer="7", kind="math", others=("9", "11"), wrap=lambda a: f"\\boxed{{{a}}}"):
        task = Task("1", ({"role": "user", "content": "?"},), answer)
        return Seed(task, answer, wrap, wrap(answer), others, kind, random.Random(0))

    return make


@pytest.fixture(scope="session")
def done():
    return {}


@pytest.fixture
def audited(tasks, done):
    """Audit a function of subjects.py with few calls; the same audit is made once."""

    def run(name, probes=PROBES, given=None, again=0, **options):
        target = Target.of_callable(f"subjects.py:{name}", HERE, signature=options.pop("signature", "auto"))
        chosen = Options(**{"calls": 200, "seconds": 1.0, "shrink_calls": 20, "lanes": 1, **options})
        if given is not None:
            return audit(target, given, options=chosen, probes=probes)
        if (name, chosen, again) not in done:
            done[name, chosen, again] = audit(target, tasks, options=chosen, probes=probes)
        return done[name, chosen, again]

    return run


@pytest.fixture
def probes():
    return PROBES
