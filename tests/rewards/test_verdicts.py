"""What a user's value becomes; above all, what never becomes a 0."""

import math

import numpy as np
import pytest

from sibling.batch import Status
from sibling.rewards.verdicts import error, from_value, raised, right


@pytest.mark.parametrize(
    ("value", "status", "score"),
    [
        (1.0, Status.right, 1.0),
        (0.25, Status.right, 0.25),
        (7, Status.right, 7.0),
        (True, Status.right, 1.0),
        (np.float32(0.5), Status.right, 0.5),
        (np.bool_(True), Status.right, 1.0),
        (0, Status.wrong, 0.0),
        (0.0, Status.wrong, 0.0),
        (False, Status.wrong, 0.0),
        (-2.5, Status.wrong, -2.5),
        (None, Status.abstain, None),
        (math.nan, Status.error, None),
        (math.inf, Status.error, None),
        (-math.inf, Status.error, None),
        (np.float32("nan"), Status.error, None),
        (10**400, Status.error, None),
        ("1", Status.error, None),
        (b"1", Status.error, None),
        ([1.0], Status.error, None),
        ({}, Status.error, None),
        (1j, Status.error, None),
    ],
)
def test_from_value(value, status, score):
    verdict = from_value(value)
    assert (verdict.status, verdict.score) == (status, score)
    assert verdict.reason


def test_a_verdict_stays_as_it_is():
    verdict = right("because", 0.5)
    assert from_value(verdict) is verdict


def test_reasons_are_short_and_name_the_exception():
    assert raised(ValueError("two\nlines")).reason == "raised ValueError: two lines"
    assert len(error("x" * 1000).reason) == 300
