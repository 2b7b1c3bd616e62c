import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RunError
from sibling.maths.groups import dead_groups, exact_mean, exact_std, is_degenerate, keep_groups, summarise

NAN = float("nan")


def test_dead_groups_by_hand():
    reward = np.array([1.0, 0.0, 0.7, 0.7, 0.7, 1.0, NAN, NAN, NAN, 1.0, NAN, 0.0])
    group = np.array([0, 0, 1, 1, 1, 2, 2, 3, 3, 5, 5, 5])
    # 0: spread; 1: equal; 2: one score; 3: no score; 4: no completion; 5: two scores that differ
    assert dead_groups(reward, group).tolist() == [False, True, True, True, True, False]
    assert keep_groups(reward, group).tolist() == [True, False, False, False, False, True]


def test_summary_by_hand():
    summary = summarise(np.array([1.0, NAN, -2.0, NAN]), np.array([0, 0, 0, 1]))
    assert summary.scored.tolist() == [2, 0]
    assert summary.lowest[0] == -2.0 and summary.highest[0] == 1.0
    assert np.isnan(summary.lowest[1]) and np.isnan(summary.highest[1])


def test_statistics_by_hand():
    values = np.array([1.0, 2.0, 6.0])  # mean 3, squares 4 + 1 + 9
    assert exact_mean(values) == 3.0
    assert exact_std(values, 1) == pytest.approx(math.sqrt(7)) and exact_std(values, 0) == pytest.approx(
        math.sqrt(14 / 3)
    )
    assert exact_std(values[:1], 1) == exact_std(values[:1], 0) == exact_std(values[:0], 1) == 0.0
    assert exact_std(values[:2], 1) == pytest.approx(math.sqrt(0.5))


def test_an_empty_batch_has_no_groups():
    assert dead_groups(np.array([], dtype=np.float64), np.array([], dtype=np.int64)).shape == (0,)


rewards = st.lists(st.sampled_from([0.0, 1.0, 0.7, 0.1 + 0.2, NAN]), min_size=1, max_size=12)


@given(rewards, st.randoms())
@settings(deadline=None, max_examples=60)
def test_one_group_agrees_with_the_table_in_any_order(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    expected = len({v for v in values if not math.isnan(v)}) < 2
    assert is_degenerate(np.array(values)) == expected
    assert dead_groups(np.array(shuffled), np.zeros(len(values), dtype=np.int64)).tolist() == [expected]


@pytest.mark.parametrize(("reward", "group"), [([1.0], [0, 1]), ([float("inf"), 0.0], [0, 0]), ([1.0, 0.0], [0, -1])])
def test_bad_columns_are_refused(reward, group):
    with pytest.raises(RunError):
        dead_groups(np.array(reward), np.array(group))
