"""The tripwire trips: code of the injection probes, run the way careless rewards run it, creates the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sibling.audit.probes import PROBES
from sibling.audit.tripwire import NAME, VARIABLE

from .examples import make

EVALUATORS = {
    "python_expression": "eval(text)",
    "container_literal": "eval(text)",
    "around_right_answer": "eval(text)",
    "latex_expression": "eval(text.replace('\\\\pi', '3.14'))",
    "format_string": "eval('f' + repr(text))",
    "program_text": "exec(text)",
    "shell_command": "__import__('subprocess').run(['sh', '-c', 'echo ' + text], capture_output=True)",
    "sql_statement": "__import__('sqlite3').connect(':memory:', isolation_level=None).execute(text)",
    "serialized_object": "__import__('pickle').loads(text.encode())",
}
RUNNER = """
import json, os, sys
tripped = []
for text in json.load(sys.stdin):
    try:
        {evaluate}
    except BaseException:
        pass
    found = [p for p in ({name!r}, os.environ[{variable!r}]) if os.path.exists(p)]
    for path in found:
        os.remove(path)
    tripped.append(bool(found))
print(json.dumps(tripped))
"""


@pytest.mark.parametrize("name", EVALUATORS)
def test_code_that_is_run_trips_the_wire(name: str, tmp_path: Path) -> None:
    probe = next(p for p in PROBES if p.name == name)
    found = [variant.text for variant in probe.make(make("42", "math", "bare"))]
    program = RUNNER.format(evaluate=EVALUATORS[name], name=NAME, variable=VARIABLE)
    ran = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", program], input=json.dumps(found), capture_output=True, text=True,
        check=True, cwd=tmp_path, env={**os.environ, VARIABLE: str(tmp_path / "wire")}, timeout=60,
    )  # fmt: skip
    tripped = json.loads(ran.stdout.splitlines()[-1])
    assert len(tripped) == len(found)
    assert any(tripped), found


def test_nothing_trips_the_wire_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for probe in PROBES:
        if probe.group == "injection":
            assert list(probe.make(make("42", "math", "boxed")))
    assert not list(tmp_path.iterdir())
