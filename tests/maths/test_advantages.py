import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RequestError, RunError
from sibling.maths.advantages import group_advantages, overlong_penalty, total_reward

NAN = float("nan")


def advantages(reward, group, scale="group", ddof=1, eps=1e-4):
    return group_advantages(np.array(reward, dtype=np.float64), np.array(group), scale=scale, ddof=ddof, eps=eps)


def test_by_hand():
    # Group 0: mean 1/4, deviations -1/4 x3 and 3/4; sum of squares 3/4; std 1/2 with n - 1, sqrt(3)/4 with n.
    reward, group = [0.0, 1.0, 0.0, 0.0], [0, 0, 0, 0]
    assert advantages(reward, group, eps=0.0).tolist() == [-0.5, 1.5, -0.5, -0.5]
    assert advantages(reward, group, ddof=0, eps=0.0) == pytest.approx(np.array([-1, 3, -1, -1]) / math.sqrt(3))
    assert advantages(reward, group, scale="none").tolist() == [-0.25, 0.75, -0.25, -0.25]
    assert advantages(reward, group, eps=0.5).tolist() == [-0.25, 0.75, -0.25, -0.25]  # divided by 1/2 + 1/2


def test_batch_scale_uses_the_raw_rewards_of_the_whole_batch():
    reward, group = [0.0, 1.0, 4.0, 7.0], [0, 0, 1, 1]
    std = statistics.stdev(reward)
    assert advantages(reward, group, scale="batch", eps=0.0) == pytest.approx(np.array([-0.5, 0.5, -1.5, 1.5]) / std)


def test_missing_rewards_are_never_zeros():
    # With the missing one left out: mean 2, std sqrt(2). Taken as 0, the mean would be 4/3.
    got = advantages([1.0, 3.0, NAN, 5.0, NAN], [0, 0, 0, 1, 1], eps=0.0)
    assert got == pytest.approx(np.array([-1, 1, 0, 0, 0]) / math.sqrt(2))
    assert got[2] == 0.0 and got[3] == 0.0  # missing; alone in its group


@pytest.mark.parametrize("value", [0.7, 0.1, 1 / 3, float(np.float32(0.7)), 1e300, 5e-324, -0.3])
@pytest.mark.parametrize("eps", [1e-4, 1e-8, 0.0])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_equal_rewards_give_exactly_zero(value, eps, scale):
    # In float32 eight rewards of 0.7 have a mean that is not 0.7: with eps 1e-8 the advantage would be 0.8.
    assert advantages([value] * 8 + [NAN], [0] * 9, scale=scale, eps=eps).tolist() == [0.0] * 9


def test_a_tiny_spread_is_not_lost():
    assert advantages([0.0, 1e-200], [0, 0], eps=0.0) == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)])


def test_float32_rewards_turned_float64_keep_their_group_dead():
    reward = np.full(8, 0.7, dtype=np.float32).astype(np.float64)
    assert not group_advantages(reward, np.zeros(8, dtype=np.int64), scale="group", ddof=1, eps=1e-8).any()


batches = st.lists(
    st.tuples(st.integers(0, 3), st.one_of(st.just(NAN), st.integers(-40, 40).map(lambda x: x / 8))),
    min_size=1,
    max_size=24,
)
scales = st.sampled_from(["group", "batch", "none"])


@given(batches, scales, st.randoms())
@settings(deadline=None, max_examples=80)
def test_the_order_of_completions_does_not_matter(rows, scale, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    straight = advantages([r for _, r in rows], [g for g, _ in rows], scale)
    shuffled = advantages([rows[i][1] for i in order], [rows[i][0] for i in order], scale)
    assert shuffled == pytest.approx(straight[order], rel=1e-14, abs=0)


@given(batches, scales, st.integers(-8, 8))
@settings(deadline=None, max_examples=80)
def test_a_shift_of_all_rewards_changes_nothing(rows, scale, shift):
    group = [g for g, _ in rows]
    shifted = advantages([r + shift for _, r in rows], group, scale)
    assert shifted == pytest.approx(advantages([r for _, r in rows], group, scale), rel=1e-9, abs=1e-12)


@given(batches, st.sampled_from([0.25, 3.0, 100.0]))
@settings(deadline=None, max_examples=80)
def test_scale_cancels_with_a_std_and_passes_through_without(rows, factor):
    group, reward = [g for g, _ in rows], np.array([r for _, r in rows])
    for scale in ("group", "batch"):
        same = advantages(reward * factor, group, scale, eps=0.0)
        assert same == pytest.approx(advantages(reward, group, scale, eps=0.0), rel=1e-9, abs=1e-12)
    scaled = advantages(reward * factor, group, "none")
    assert scaled == pytest.approx(factor * advantages(reward, group, "none"), rel=1e-9, abs=1e-12)


@given(batches, scales, st.sampled_from([0, 1]))
@settings(deadline=None, max_examples=80)
def test_against_a_plain_second_implementation(rows, scale, ddof):
    spread = statistics.stdev if ddof else statistics.pstdev
    scores = [r for _, r in rows if not math.isnan(r)]
    wanted = []
    for group, reward in rows:
        siblings = [r for g, r in rows if g == group and not math.isnan(r)]
        if math.isnan(reward) or len(set(siblings)) < 2:
            wanted.append(0.0)
            continue
        divisor = {"group": lambda s: spread(s) + 0.01, "batch": lambda s: spread(scores) + 0.01, "none": lambda s: 1}
        wanted.append((reward - statistics.fmean(siblings)) / divisor[scale](siblings))
    got = advantages([r for _, r in rows], [g for g, _ in rows], scale, ddof, 0.01)
    assert got == pytest.approx(wanted, rel=1e-12, abs=1e-14)
    assert [w == 0 for w in wanted] == [a == 0 for a in got.tolist()]


def test_each_group_sums_to_zero():
    reward = np.random.default_rng(0).normal(size=24)
    group = np.repeat(np.arange(3), 8)
    for scale in ("group", "batch", "none"):
        assert advantages(reward, group, scale).reshape(3, 8).sum(axis=1) == pytest.approx([0, 0, 0], abs=1e-12)


def test_bad_requests_are_refused():
    with pytest.raises(RequestError, match="group, batch, none"):
        advantages([1.0, 0.0], [0, 0], scale="std")
    with pytest.raises(RunError, match="infinite"):
        advantages([math.inf, 0.0], [0, 0])
    with pytest.raises(RunError, match="one length"):
        advantages([1.0, 0.0], [0])


def test_an_empty_batch_has_no_advantages():
    assert advantages([], np.array([], dtype=np.int64)).shape == (0,)


def test_total_reward_skips_what_is_missing():
    scores = np.array([[1.0, 2.0], [NAN, 2.0], [NAN, NAN], [0.0, NAN]])
    total = total_reward(scores, [1.0, 0.5])
    assert total[[0, 1, 3]].tolist() == [2.0, 1.0, 0.0] and np.isnan(total[2])


def test_overlong_penalty_by_hand():
    # L_max 20, cache 5: free up to 15, then a fifth a token, -1 from 20 on.
    lengths = np.array([1, 15, 16, 18, 20, 27])
    assert overlong_penalty(lengths, 20, 5).tolist() == [0.0, 0.0, -0.2, -0.6, -1.0, -1.0]
    assert overlong_penalty(18, 20, 5) == -0.6
    assert [overlong_penalty(n, 20, 1) for n in (19, 20, 21)] == [0.0, -1.0, -1.0]
    with pytest.raises(RequestError, match="cache"):
        overlong_penalty(18, 20, 0)
