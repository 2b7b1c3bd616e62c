import itertools
import math
import statistics

import numpy as np
import pytest

from sibling.errors import RequestError, RunError
from sibling.maths.intervals import pass_at_k
from sibling.maths.passk import closed_form, unbiased

NAN = math.nan
CASES = [(n, c, k) for n in range(2, 7) for c in range(n + 1) for k in range(1, n + 1)]


def group_of(n, c):
    return np.array([1.0] * c + [0.0] * (n - c)), np.zeros(n, dtype=np.int64)


def test_by_hand():
    # N 4, c 1, k 2: R = 1 - C(3,2)/C(4,2) = 1/2, s = 1/2; right (1/2)/s = 1; wrong: C(2,1)/C(3,1) = 2/3, so -1/3.
    assert closed_form(*group_of(4, 1), k=2).tolist() == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
    # Unbiased: right 2/4; wrong 2/4 (1 - 2/3) = 1/6.
    assert unbiased(*group_of(4, 1), k=2).tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])


@pytest.mark.parametrize(("n", "c", "k"), CASES)
def test_closed_form_is_the_average_over_all_subsets(n, c, k):
    reward, group = group_of(n, c)
    best = {s: max(reward[list(s)]) for s in itertools.combinations(range(n), k)}
    mean, std = statistics.fmean(best.values()), statistics.pstdev(best.values())
    wanted = [statistics.fmean((best[s] - mean) / std for s in best if i in s) if std else 0.0 for i in range(n)]
    got = closed_form(reward, group, k=k)
    assert got.tolist() == pytest.approx(wanted, abs=1e-12)
    assert mean == pytest.approx(pass_at_k(n, c, k))
    if not std:
        assert (got == 0).all()


@pytest.mark.parametrize(("n", "k"), [(n, k) for n in range(2, 7) for k in range(1, n + 1)])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_unbiased_weights_have_the_gradient_of_pass_at_k(n, k, p):
    # With P(right) = p, grad log pi is 1/p or -1/(1-p): E sum_i w_i grad log pi_i = d/dp (1 - (1-p)^k).
    total = 0.0
    for outcome in itertools.product((0.0, 1.0), repeat=n):
        weight = unbiased(np.array(outcome), np.zeros(n, dtype=np.int64), k=k)
        score = [1 / p if r else -1 / (1 - p) for r in outcome]
        total += math.prod(p if r else 1 - p for r in outcome) * float(weight @ score)
    assert total == pytest.approx(k * (1 - p) ** (k - 1), rel=1e-10)


@pytest.mark.parametrize("function", [closed_form, unbiased])
def test_groups_are_apart_and_missing_rewards_are_out(function):
    reward = np.array([0.0, 1.0, NAN, 0.0, 1.0, 0.0, 1.0, NAN])
    group = np.array([0, 1, 0, 1, 0, 1, 2, 2])
    got = function(reward, group, k=2)
    assert got[[4, 0]].tolist() == function(*group_of(2, 1), k=2).tolist()
    assert got[[1, 3, 5]].tolist() == function(*group_of(3, 1), k=2).tolist()
    assert got[[2, 6, 7]].tolist() == [0, 0, 0]  # missing; the only score of its group, even with k above 1
    assert function(np.zeros(0), np.zeros(0, dtype=np.int64), k=1).shape == (0,)


def test_equal_rewards():
    assert closed_form(*group_of(3, 3), k=2).tolist() == closed_form(*group_of(3, 0), k=2).tolist() == [0, 0, 0]
    assert unbiased(*group_of(3, 3), k=2).tolist() == pytest.approx([2 / 3] * 3)  # no baseline
    assert unbiased(*group_of(3, 0), k=2).tolist() == [0, 0, 0]


@pytest.mark.parametrize("function", [closed_form, unbiased])
def test_bad_requests_are_refused(function):
    with pytest.raises(RunError, match=r"0 or 1.*Seen: \[0.5, 2.0\]"):
        function(np.array([0.5, 1.0, 2.0, 0.5]), np.zeros(4, dtype=np.int64), k=2)
    with pytest.raises(RequestError, match="at least 1"):
        function(*group_of(3, 1), k=0)
    with pytest.raises(RunError, match="3 scored, k = 4"):
        function(*group_of(3, 1), k=4)
    mixed = np.array([1.0, 0.0, 0.0, 1.0, 0.0]), np.array([0, 0, 0, 1, 1])
    with pytest.raises(RunError, match="2 scored, k = 3"):  # the smallest group decides
        function(*mixed, k=3)
    with pytest.raises(RunError, match="one length"):
        function(np.array([1.0]), np.array([0, 0]), k=1)
