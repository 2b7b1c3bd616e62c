"""Replies of judges: one form is read, all others are nothing."""

import pytest

from sibling.rewards.judge.verdict import Opinion, one_line, read

NONCE = "0123456789ab"
GOOD = '{"id": "0123456789ab", "verdict": "accept", "reason": "same  value"}'


def test_the_form_asked_for():
    assert read(GOOD, NONCE) == Opinion(True, "same value")
    assert read(GOOD.replace("accept", "refuse"), NONCE) == Opinion(False, "same value")
    for around in (" {}\n", "```json\n{}\n```", "```\n{}\n```", "<think>accept? {{}}</think>\n{}"):
        assert read(around.format(GOOD), NONCE) == Opinion(True, "same value"), around


@pytest.mark.parametrize(
    "reply",
    [
        None,
        "",
        "accept",
        "true",
        "null",
        f"[{GOOD}]",
        f"{GOOD} {GOOD}",
        f"Here you are: {GOOD}",
        GOOD.replace("ab", "ac"),
        GOOD.replace("accept", "Accept"),
        GOOD.replace('"accept"', "true"),
        GOOD.replace('"same  value"', "1"),
        GOOD.replace('"reason"', '"why"'),
        GOOD.replace("}", ', "score": 1}'),
        GOOD.replace("}", ', "verdict": "refuse"}'),
        GOOD.replace("same", "x" * 9000),
        "[" * 7000,
        '{"a":' * 1500,
        "```json",
        "```" + GOOD,
    ],
)
def test_anything_else(reply):
    assert read(reply, NONCE) is None


def test_one_line():
    assert one_line(" a\n\x00b\u202ec \ud800 ") == "a bc "
    assert len(one_line("x" * 10**6)) == 200
