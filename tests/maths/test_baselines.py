import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RunError
from sibling.maths import baselines as b

NAN = math.nan
REWARD = np.array([1.0, 0.0, 4.0, NAN, 0.7, 0.7, 3.0, NAN, 5.0])
GROUP = np.array([0, 0, 0, 0, 1, 1, 2, 2, 3])  # mixed with one missing; equal; one score of two; alone


def unit(values):
    return np.array(values, dtype=np.float64)


def test_leave_one_out_by_hand():
    # 1 - (0+4)/2 = -1;  0 - (1+4)/2 = -2.5;  4 - (1+0)/2 = 3.5
    got = b.leave_one_out(REWARD, GROUP)
    assert got[:3].tolist() == pytest.approx([-1.0, -2.5, 3.5]) and not got[3:].any()


def test_reinforce_is_the_reward():
    # Equal rewards count; the only score of a group of two does not; a group of one is what it is.
    assert b.reinforce(REWARD, GROUP).tolist() == [1, 0, 4, 0, 0.7, 0.7, 0, 0, 5]
    assert b.reinforce(unit([]), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_optimal_length_by_hand():
    # (2*1 + 3*0 + 5*4) / 10 = 2.2; the missing one's 90 tokens have no say.
    tokens = np.array([2, 3, 5, 90, 1, 1, 1, 1, 1])
    got = b.optimal_length(REWARD, GROUP, tokens)
    assert got.tolist() == pytest.approx([-1.2, -2.2, 1.8, 0, 0, 0, 0, 0, 0])
    # Without tokens there is nothing to weigh by: the reward itself, on no token.
    assert b.optimal_length(REWARD, GROUP, 0 * tokens)[:3].tolist() == [1, 0, 4]
    assert b.optimal_length(unit([1, 0]), np.zeros(2, int), np.array([1, 0])).tolist() == [0, -1]  # one token in all
    assert (b.optimal_length(unit([0.7] * 8), np.zeros(8, int), np.arange(8)) == 0).all()


def test_rescaled_for_dead_groups_by_hand():
    # Mean 5/3; 4 groups, 3 of them dead: times 4.
    got = b.rescaled_for_dead_groups(REWARD, GROUP, f_norm=2.0)
    assert got[:3].tolist() == pytest.approx([-4 / 3, -10 / 3, 14 / 3]) and not got[3:].any()
    assert not b.rescaled_for_dead_groups(unit([1, 1]), np.array([0, 0]), f_norm=1.0).any()


def test_over_the_mean_by_hand():
    got = b.over_the_mean(REWARD, GROUP, eps=0.0)
    assert got[:3].tolist() == pytest.approx([-0.4, -1.0, 1.4]) and not got[3:].any()
    assert b.over_the_mean(unit([0, 4]), np.zeros(2, int), eps=2.0).tolist() == [-0.5, 0.5]
    assert not b.over_the_mean(unit([1, -1, -2, -3]), np.array([0, 0, 1, 1]), eps=0.0).any()  # means 0 and below


def test_best_lead_by_hand():
    assert b.best_lead(REWARD, GROUP).tolist() == [0, 0, 3, 0, 0, 0, 0, 0, 0]
    got = b.best_lead(REWARD, GROUP, scale="group", eps=0.5)
    assert got[2] == pytest.approx(3 / (statistics.stdev([1, 0, 4]) + 0.5)) and not got[[0, 1, 3, 4]].any()
    assert b.best_lead(unit([1, 0]), np.zeros(2, int), scale="group")[0] == pytest.approx(1 / (math.sqrt(0.5) + 1e-6))
    assert not b.best_lead(unit([2, 2, 1]), np.zeros(3, int)).any()  # a tie for the best
    assert b.best_lead(unit([-5, -2]), np.zeros(2, int)).tolist() == [0, 3]


def test_beta_normalised_by_hand():
    # Means p 1/4 and 3/4: m 1/2, v 1/8, so m(1-m)/v - 1 = 1, a = b = 1/2: Beta(7/6, 7/6).
    reward, group = unit([1, 0, 0, 0, 1, 1, 0, 1]), np.array([0] * 4 + [1] * 4)
    shape = 7 / 6
    norm = math.gamma(2 * shape) / math.gamma(shape) ** 2
    density = norm * (0.25 * 0.75) ** (shape - 1)
    wanted = [0.75, -0.25, -0.25, -0.25, 0.25, 0.25, -0.75, 0.25]
    assert b.beta_normalised(reward, group).tolist() == pytest.approx([w / density for w in wanted])


def test_beta_normalised_where_the_fit_is_skew():
    # Means .1, .2, .6: m .3, v .07, c = .21/.07 - 1 = 2; al = 1 + .6/3 = 1.2, be = 1 + 1.4/3.
    reward = unit([0.0, 0.2, 0.1, 0.3, 0.4, 0.8])
    group = np.array([0, 0, 1, 1, 2, 2])
    al, be = 1.2, 1 + 1.4 / 3

    def density(p):
        return math.gamma(al + be) / math.gamma(al) / math.gamma(be) * p ** (al - 1) * (1 - p) ** (be - 1)

    wanted = [-0.1, 0.1, -0.1, 0.1, -0.2, 0.2]
    means = [0.1, 0.1, 0.2, 0.2, 0.6, 0.6]
    got = b.beta_normalised(reward, group)
    assert got.tolist() == pytest.approx([w / density(p) for w, p in zip(wanted, means, strict=True)])


def test_beta_normalised_without_a_fit_is_the_group_mean():
    assert b.beta_normalised(unit([1, 0, 0.5, 0.5]), np.array([0, 0, 1, 1])).tolist() == [0.5, -0.5, 0, 0]
    assert b.beta_normalised(unit([1, 0]), np.array([0, 0])).tolist() == [0.5, -0.5]
    # A group with one score has no mean to fit; means .9, 0 and 1 spread more than any Beta: flat.
    assert b.beta_normalised(unit([1, 0, 0, NAN]), np.array([0, 0, 1, 1])).tolist() == [0.5, -0.5, 0, 0]
    flat = b.beta_normalised(unit([1, 0.8, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2]))
    assert flat.tolist() == pytest.approx([0.1, -0.1, 0, 0, 0, 0])


@pytest.mark.parametrize("strange", [-0.01, 1.01])
def test_beta_normalised_refuses_rewards_outside_the_unit_interval(strange):
    with pytest.raises(RunError, match="between 0 and 1"):
        b.beta_normalised(unit([0.5, strange]), np.array([0, 0]))


@pytest.mark.parametrize(
    "function",
    [
        b.leave_one_out,
        b.reinforce,
        lambda r, g: b.optimal_length(r, g, np.ones(len(r), int)),
        lambda r, g: b.rescaled_for_dead_groups(r, g, f_norm=1.0),
        lambda r, g: b.over_the_mean(r, g, eps=1e-6),
        b.best_lead,
        b.beta_normalised,
    ],
)
def test_bad_columns_are_refused_and_an_empty_batch_is_empty(function):
    with pytest.raises(RunError, match="one length"):
        function(unit([1, 0]), np.array([0]))
    with pytest.raises(RunError, match=r"infinite|inf"):
        function(unit([math.inf, 0]), np.array([0, 0]))
    assert function(unit([]), np.zeros(0, dtype=np.int64)).shape == (0,)


rows = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.just(NAN), st.integers(0, 8).map(lambda x: x / 8))), min_size=1
)


@given(rows)
@settings(deadline=None, max_examples=60)
def test_against_plain_second_implementations(pairs):
    group, reward = np.array([g for g, _ in pairs]), unit([r for _, r in pairs])
    tokens = np.arange(1, len(pairs) + 1)
    own = {g: [r for h, r in pairs if h == g and not math.isnan(r)] for g in group.tolist()}
    alive = [g for g in own if len(set(own[g])) > 1]
    got = {
        "rloo": b.leave_one_out(reward, group),
        "opo": b.optimal_length(reward, group, tokens),
        "gpg": b.rescaled_for_dead_groups(reward, group, f_norm=3.0),
        "maxrl": b.over_the_mean(reward, group, eps=0.01),
    }
    for i, (g, r) in enumerate(pairs):
        if math.isnan(r) or g not in alive:
            assert [a[i] for a in got.values()] == [0.0] * 4
            continue
        others = [x for j, (h, x) in enumerate(pairs) if h == g and j != i and not math.isnan(x)]
        pool = [(t, x) for (h, x), t in zip(pairs, tokens, strict=True) if h == g and not math.isnan(x)]
        mean = statistics.fmean(own[g])
        wanted = {
            "rloo": r - statistics.fmean(others),
            "opo": r - sum(t * x for t, x in pool) / sum(t for t, _ in pool),
            "gpg": len(own) / len(alive) * (r - mean) / 3.0,
            "maxrl": (r - mean) / (mean + 0.01),
        }
        for name, value in wanted.items():
            assert got[name][i] == pytest.approx(value, abs=1e-12)
