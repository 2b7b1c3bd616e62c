"""Patterns, searched in a process that can be killed."""

import pytest

from sibling.batch import Status
from sibling.errors import RequestError, RewardError
from sibling.rewards.grade import stating
from sibling.rewards.regex import Regex, search
from sibling.tasks.task import Task

EVIL = "(a+)+b"  # exponential on a run of a
HOSTILE = "a" * 60


def task(reference):
    return Task("id", ({"role": "user", "content": "?"},), reference)


@pytest.mark.parametrize(
    ("pattern", "full", "text", "reference", "status"),
    [
        (r"\d+", False, "about 42", None, Status.right),
        (r"\d+", False, "none", None, Status.wrong),
        (r"\d+", True, "42", None, Status.right),
        (r"\d+", True, "42.", None, Status.wrong),
        (r"<a>(?P<answer>.*?)</a>", False, "so <a> 42. </a>", "42", Status.right),
        (r"<a>(?P<answer>.*?)</a>", False, "so <a>41</a>", "42", Status.wrong),
        (r"<a>(?P<answer>.*?)</a>", False, "so 42", "42", Status.wrong),
        (r"<a>(?P<answer>.*?)</a>", False, "<a>42</a>", None, Status.abstain),
        (r"x(?P<answer>\d)?", False, "x", "4", Status.wrong),  # the group caught nothing
        (r"(?s)^.é\u2028$", False, "\n\u00e9\u2028", None, Status.right),
        (r"x", False, "\ud800x", None, Status.right),
    ],
)
def test_verdicts(pattern, full, text, reference, status):
    (verdict,) = Regex("r", pattern, full=full).grade([task(reference)], [stating(text)])
    assert verdict.status is status
    assert verdict.seconds > 0


def test_catastrophic_backtracking_is_an_error_of_that_completion_alone():
    reward = Regex("r", EVIL, full=False, seconds=1.0)
    texts = ["ab", HOSTILE, "aab", "c"]
    verdicts = reward.grade([task(None)] * 4, [stating(t) for t in texts])
    assert [v.status.value for v in verdicts] == ["right", "error", "right", "wrong"]
    assert verdicts[1].score is None
    assert verdicts[1].reason == "the search took longer than 1 s"


def test_three_in_a_row_stop_the_run():
    reward = Regex("greedy", EVIL, full=False, seconds=0.1)
    with pytest.raises(RewardError, match="The reward greedy hung 3 times in a row"):
        reward.grade([task(None)] * 3, [stating(HOSTILE)] * 3)


def test_a_pattern_that_does_not_compile_is_refused():
    with pytest.raises(RequestError, match=r"'\(': missing \)"):
        Regex("r", "(", full=False)


def test_search_is_what_the_worker_calls():
    request = {"pattern": "(?P<answer>b)", "text": "abc", "full": False}
    assert search(request) == {"found": True, "answer": "b"}
    assert search({**request, "full": True}) == {"found": False, "answer": None}
