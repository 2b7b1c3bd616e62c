import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

REWARD = """
def holds(completion, reference):
    import re
    found = re.findall(r"[<]<([^<>]*)[>]>", completion)
    return float(len(found) == 1 and found[0] == reference)

def pays_all(completion, reference):
    return 1.0
"""
TESTS = """
from rewards import holds, pays_all

OPTIONS = {"calls": 60, "template": "<<{answer}>>", "probes": ("corruption",)}
TASKS = [(f"{n} + 1?", str(n + 1)) for n in range(11, 30)]

def test_good(audit_reward):
    report = audit_reward(holds, TASKS, **OPTIONS)
    assert report.verdict == "pass"

def test_bad(audit_reward):
    audit_reward(pays_all, TASKS, **OPTIONS)

def test_by_name(audit_reward):
    audit_reward("rewards.py:holds", TASKS, **OPTIONS)

def test_not_found_again(audit_reward):
    audit_reward(lambda completion, reference: 1.0)
"""


@pytest.mark.slow
def test_the_fixture_passes_and_fails_with_the_report(pytester):
    pytester.makepyfile(rewards=REWARD, test_them=TESTS)
    result = pytester.runpytest_subprocess("-q", "--import-mode=prepend")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*pays_all: fail, permissive*", "*cannot be found again by a child process*"])
    assert "Traceback" not in result.stdout.str()


def test_having_the_plugin_costs_little():
    code = (
        "import sys, sibling.audit.pytest_plugin; "
        "print([m for m in sys.modules if m.startswith('sibling.audit.') or m.split('.')[0] in ('torch', 'rich')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.strip() == "['sibling.audit.pytest_plugin']"
