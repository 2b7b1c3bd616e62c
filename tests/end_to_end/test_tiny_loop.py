import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "tiny_loop.py"


@pytest.mark.slow
def test_the_tiny_loop_learns_its_task():
    run = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    rewards = [float(line.split("reward ")[1].split()[0]) for line in lines if line.startswith("step")]
    assert rewards[0] < 0.3 and rewards[-1] > 0.9
    assert lines[-1].endswith("learned")


def test_a_loop_that_does_not_learn_exits_with_one(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("tiny_loop", SCRIPT)
    loop = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tiny_loop", loop)
    spec.loader.exec_module(loop)
    monkeypatch.setattr(loop, "STEPS", 2)
    assert loop.main() == 1
    assert "not learned" in capsys.readouterr().out
