"""Soft overlong punishment, DAPO eq. 13."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Completion, Finish, Status
from sibling.errors import RequestError
from sibling.rewards.length import Overlong, punishment
from sibling.tasks.task import Task

ANY = Task("id", ({"role": "user", "content": "?"},), None)


def of_length(n):
    return Completion(np.zeros(n, np.int64), np.zeros(n, np.float32), Finish.eos, "")


# L_max 20, L_cache 4: free up to 16 tokens; 17 loses 1/4, 18 1/2, 19 3/4, 20 and more everything
@pytest.mark.parametrize(
    ("length", "score"), [(1, 0), (16, 0), (17, -0.25), (18, -0.5), (19, -0.75), (20, -1), (21, -1), (99, -1)]
)
def test_eq_13_by_hand(length, score):
    assert punishment(length, 20, 4) == score
    verdict = Overlong(20, 4).judge(ANY, of_length(length))
    assert verdict.score == score
    assert verdict.status is (Status.right if score == 0 else Status.wrong)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 200))
def test_it_is_the_piecewise_formula(length, cache, more):
    top = cache + more
    if length <= top - cache:
        naive = 0.0
    elif length <= top:
        naive = ((top - cache) - length) / cache
    else:
        naive = -1.0
    assert punishment(length, top, cache) == naive


def test_a_cache_beyond_the_length_is_refused():
    with pytest.raises(RequestError, match="cache 21, max_length 20"):
        Overlong(20, 21)
