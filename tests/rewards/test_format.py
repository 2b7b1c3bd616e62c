"""Tags, each once and in order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Status
from sibling.errors import RequestError
from sibling.rewards.format import FormatTags, fault
from sibling.rewards.grade import stating
from sibling.tasks.task import Task

TAGS = ("think", "answer")
ANY = Task("id", ({"role": "user", "content": "?"},), None)


@pytest.mark.parametrize(
    ("text", "strict", "reason"),
    [
        ("<think>a</think><answer>b</answer>", True, None),
        ("\n<think>a</think>\n<answer>b\n</answer> ", True, None),
        ("So <think>a</think><answer>b</answer>", True, "text outside the tags"),
        ("<think>a</think> so <answer>b</answer>", True, "text outside the tags"),
        ("<think>a</think><answer>b</answer> so", True, "text outside the tags"),
        ("So <think>a</think> so <answer>b</answer> so", False, None),
        ("<answer>b</answer><think>a</think>", False, "<answer> is out of order"),
        ("<think>a<answer>b</answer></think>", False, "<answer> is out of order"),
        ("</think>a<think><answer>b</answer>", False, "</think> comes before <think>"),
        ("<think>a</think>", False, "<answer> occurs 0 times"),
        ("<think>a</think><answer>b", False, "</answer> occurs 0 times"),
        ("<think><think>a</think><answer>b</answer>", False, "<think> occurs 2 times"),
        ("", True, "<think> occurs 0 times"),
    ],
)
def test_faults(text, strict, reason):
    assert fault(text, TAGS, strict=strict) == reason
    verdict = FormatTags(TAGS, strict=strict).judge(ANY, stating(text))
    assert (verdict.status, verdict.score) == ((Status.right, 1.0) if reason is None else (Status.wrong, 0.0))


@pytest.mark.parametrize("text", ["<think></think><answer>b</answer>", "<think>a</think><answer> \n</answer>"])
def test_tags_that_hold_nothing_are_paid_only_when_allowed(text):
    refused = FormatTags(TAGS, strict=True).judge(ANY, stating(text))
    assert (refused.status, refused.code) == (Status.wrong, "malformed")
    assert "nothing stands between" in refused.reason
    assert FormatTags(TAGS, strict=True, non_empty=False).judge(ANY, stating(text)).status is Status.right


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ab \n<>/", max_size=8), min_size=3, max_size=3))
def test_well_formed_text_is_right_whatever_is_inside(inside):
    text = "".join(f"<{t}>{i}</{t}>\n" for t, i in zip("xyz", inside, strict=True))
    assert fault(text, ("x", "y", "z"), strict=True) is None
    assert fault(text + text, ("x", "y", "z"), strict=False) is not None


@pytest.mark.parametrize("tags", [("",), ("a b",), ("<a>",), ("a", "a")])
def test_tags_that_cannot_be_told_apart_are_refused(tags):
    with pytest.raises(RequestError, match="different tag names"):
        FormatTags(tags, strict=True)
