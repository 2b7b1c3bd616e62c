"""The matcher process itself, over its pipe."""

import json
import subprocess
import sys

from sibling.rewards import regex_child


def test_search():
    assert regex_child.search("(?P<answer>b)", "abc", False) == {"found": True, "answer": "b"}
    assert regex_child.search("(?P<answer>b)", "abc", True) == {"found": False, "answer": None}


def test_it_answers_line_by_line_until_its_input_ends():
    requests = [{"pattern": "é", "text": t, "full": False, "seconds": 5} for t in ("né", "n")]
    done = subprocess.run(
        [sys.executable, "-I", regex_child.__file__],
        input="".join(json.dumps(r) + "\n" for r in requests),
        capture_output=True,
        text=True,
        check=True,
    )
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert replies == ["ready", {"found": True, "answer": None}, {"found": False, "answer": None}]
    assert done.stderr == ""


def test_it_ends_itself_when_nobody_is_left_to_kill_it():
    request = {"pattern": "(a+)+b", "text": "a" * 60, "full": False, "seconds": -1}  # alarm after 1 s
    command = [sys.executable, "-I", regex_child.__file__]
    done = subprocess.run(command, input=json.dumps(request) + "\n", capture_output=True, text=True, check=False)
    assert done.returncode != 0
