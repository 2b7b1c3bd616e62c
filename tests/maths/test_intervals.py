import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RequestError
from sibling.maths import intervals
from sibling.maths.intervals import (
    consensus_at_k,
    majority_vote,
    mcnemar_mid_p,
    mean_at_k,
    mean_interval,
    paired_scores,
    paired_shares,
    pass_at_k,
    wilson_interval,
)


@pytest.mark.parametrize(("n", "c"), [(6, 0), (6, 1), (6, 3), (6, 6)])
@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(n, c, k):
    subsets = list(itertools.combinations([i < c for i in range(n)], k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_bad_counts_are_refused():
    for n, c, k in ((3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)):
        with pytest.raises(RequestError, match="pass@k"):
            pass_at_k(n, c, k)


def test_mean_at_k():
    assert mean_at_k([True, False, False, True]) == 0.5
    with pytest.raises(RequestError):
        mean_at_k([])


def test_votes():
    assert majority_vote(["a", "b", "b", None, None, None]) == "b"
    assert majority_vote(["b", "a", "a", "b"]) == "b"  # a tie: first seen
    assert majority_vote([None]) is None
    assert consensus_at_k(["b", "a", "a", "b"], "a") == 0
    assert consensus_at_k(["b", "a", "a", "b"], "a", ties="uniform") == 0.5
    assert consensus_at_k([None], "a") == 0


def test_wilson_published_values():
    # Newcombe, Stat. Med. 17:857 (1998), table I: 81/263, 15/148, 0/20, 1/29 at 95 %.
    for r, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson_interval(r, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0.5, 0.999))
@settings(deadline=None, max_examples=80)
def test_wilson_ends_solve_the_score_equation(n, share, confidence):
    successes = round(share * n)
    low, high = wilson_interval(successes, n, confidence)
    p = successes / n
    assert 0 <= low <= p <= high <= 1
    wider = wilson_interval(successes, n, (1 + confidence) / 2)
    assert wider[0] <= low and wider[1] >= high
    if 0 < successes < n:
        z2 = [(p - end) ** 2 * n / (end * (1 - end)) for end in (low, high)]
        assert z2[0] == pytest.approx(z2[1], rel=1e-6)


def test_wilson_without_data_says_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(RequestError):
        wilson_interval(3, 2)
    with pytest.raises(RequestError):
        wilson_interval(1, 2, 1.0)


def columns(both, losses, wins, neither):
    before = [True] * both + [True] * losses + [False] * wins + [False] * neither
    after = [True] * both + [False] * losses + [True] * wins + [False] * neither
    return np.array(before), np.array(after)


def test_paired_shares_published_interval():
    # Newcombe, Stat. Med. 17:2635 (1998), table 36, 12, 2, 0: difference 0.2, method 10 gives 0.0569 to 0.3404.
    result = paired_shares(*columns(36, 2, 12, 0))
    assert result.difference == 0.2
    assert result.interval == pytest.approx((0.0569, 0.3404), abs=5e-5)
    assert (result.n, result.wins, result.losses) == (50, 12, 2)


def test_paired_interval_with_a_positive_correlation_by_hand():
    # Table 20, 2, 8, 10 of 40: 200 - 16 = 184, less n/2 = 164; margins 22, 18, 28, 12; phi = 164 / sqrt(133056).
    result = paired_shares(*columns(20, 2, 8, 10))
    phi = 164 / math.sqrt(22 * 18 * 28 * 12)
    (low_b, high_b), (low_a, high_a) = wilson_interval(22, 40), wilson_interval(28, 40)
    down, up = (0.7 - low_a, high_b - 0.55), (high_a - 0.7, 0.55 - low_b)
    wanted = [math.sqrt(x * x - 2 * phi * x * y + y * y) for x, y in (down, up)]
    assert result.interval == pytest.approx((0.15 - wanted[0], 0.15 + wanted[1]))


def test_mcnemar_mid_p_by_hand():
    # 1 against 4 of 5: 2 (1/32 + 5/32 / 2) = 7/32. 0 against 3: 2 (1/8 / 2) = 1/8.
    assert mcnemar_mid_p(4, 1) == mcnemar_mid_p(1, 4) == 7 / 32
    assert mcnemar_mid_p(0, 3) == 1 / 8
    assert mcnemar_mid_p(0, 0) == mcnemar_mid_p(5, 5) == 1
    assert 0 < mcnemar_mid_p(900, 300) < 1e-60  # no overflow


@given(st.tuples(*[st.integers(0, 12)] * 4).filter(sum))
@settings(deadline=None, max_examples=80)
def test_paired_shares_swap_sides(table):
    both, losses, wins, neither = table
    forth, back = (
        paired_shares(*columns(both, losses, wins, neither)),
        paired_shares(*columns(both, wins, losses, neither)),
    )
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert forth.p_value == back.p_value
    assert -1 <= forth.interval[0] <= forth.difference <= forth.interval[1] <= 1
    assert forth.difference == pytest.approx(forth.after - forth.before)


def test_paired_interval_covers_and_the_test_holds_its_level():
    # 400 experiments of 60 pairs, true change 0.15: the 95 % interval covers in 92 to 98 of 100.
    rng = np.random.default_rng(0)
    covered = rejected = 0
    for _ in range(400):
        u = rng.random(60)
        covered += _within(paired_shares(u < 0.4, u - rng.choice([0.0, 0.3], 60) < 0.4).interval, 0.15)
        rejected += paired_shares(rng.random(60) < 0.4, rng.random(60) < 0.4).p_value < 0.05
    assert 0.92 <= covered / 400 <= 0.98
    assert rejected / 400 <= 0.075


def _within(interval, value):
    return interval[0] <= value <= interval[1]


def test_bootstrap_interval_agrees_with_the_normal_one_and_with_itself():
    values = np.random.default_rng(1).beta(2, 3, 400)
    low, high = mean_interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.002)
    assert mean_interval(values) == (low, high)
    assert mean_interval(values, seed=1) != (low, high)


def test_equal_items_do_not_claim_certainty():
    assert mean_interval(np.zeros(20)) == pytest.approx((0, 0.1611), abs=5e-5)
    assert mean_interval(np.array([])) == (0.0, 1.0)
    result = paired_scores(np.zeros(20), np.ones(20))
    assert result.interval[0] < 0.85 and result.interval[1] == 1.0
    same = paired_scores(np.full(20, 0.5), np.full(20, 0.5))
    assert same.interval[0] < 0 < same.interval[1] and same.p_value == 1


def test_equal_items_give_the_interval_of_their_share():
    assert mean_interval(np.full(4, 0.5)) == wilson_interval(2, 4)


def test_every_item_is_drawn_and_chunks_do_not_matter(monkeypatch):
    values = np.random.default_rng(3).random(9)
    drawn = values[np.random.default_rng(7).integers(0, 9, size=(500, 9))].mean(axis=1)
    wanted = tuple(np.quantile(drawn, [0.025, 0.975]).tolist())
    for chunk in (2_000_000, 63, 1):  # 7 at a time do not divide 500
        monkeypatch.setattr(intervals, "_CHUNK", chunk)
        assert mean_interval(values, seed=7, resamples=500) == pytest.approx(wanted, rel=1e-12)
        # One change: every sign pattern is as extreme, so p is 1 whatever the number of resamples.
        assert paired_scores(np.zeros(1), np.ones(1), resamples=500).p_value == 1.0


def test_a_change_by_one_counts():
    # Changes 1, 1, 1: of 8 sign patterns 2 have a sum of 3 in magnitude.
    result = paired_scores(np.zeros(3), np.ones(3))
    assert result.p_value == pytest.approx(2 / 8, abs=0.02) and (result.before, result.after) == (0.0, 1.0)
    mixed = paired_scores(np.zeros(4), np.array([1.0, 0.5, 0.5, 0.0]))
    assert mixed.p_value == pytest.approx(2 / 8, abs=0.02) and mixed.after == 0.5


def test_the_same_change_everywhere_by_hand():
    # Shares 1/4 and 1/2 of 4, taken as independent.
    result = paired_scores(np.full(4, 0.25), np.full(4, 0.5))
    (low_b, high_b), (low_a, high_a) = wilson_interval(1, 4), wilson_interval(2, 4)
    low, high = math.hypot(0.5 - low_a, high_b - 0.25), math.hypot(high_a - 0.5, 0.25 - low_b)
    assert result.interval == pytest.approx((0.25 - low, 0.25 + high)) and (result.before, result.after) == (0.25, 0.5)


@pytest.mark.parametrize(("table", "phi"), [((1, 0, 0, 1), 0.0), ((3, 0, 2, 0), 0.0), ((2, 0, 0, 3), 3.5 / 6)])
def test_correlation_of_small_tables_by_hand(table, phi):
    # 1 less n/2 = 1 is 0; an empty margin has none; 6 less 5/2 over sqrt(2 * 3 * 2 * 3).
    both, losses, wins, _ = table
    n = sum(table)
    (b, a) = ((both + losses) / n, (both + wins) / n)
    (low_b, high_b), (low_a, high_a) = wilson_interval(both + losses, n), wilson_interval(both + wins, n)
    down, up = (a - low_a, high_b - b), (high_a - a, b - low_b)
    wanted = [math.sqrt(x * x - 2 * phi * x * y + y * y) for x, y in (down, up)]
    assert paired_shares(*columns(*table)).interval == pytest.approx((a - b - wanted[0], a - b + wanted[1]))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1.5])
def test_a_confidence_lies_between_0_and_1(confidence):
    for interval in (lambda c: wilson_interval(1, 2, c), lambda c: mean_interval(np.array([0.0, 1.0]), c)):
        with pytest.raises(RequestError, match="between 0 and 1"):
            interval(confidence)


def test_paired_scores():
    rng = np.random.default_rng(2)
    before = rng.integers(0, 5, 200) / 4
    after = np.clip(before + rng.choice([-0.25, 0.0, 0.25, 0.25], 200), 0, 1)
    result = paired_scores(before, after)
    change = after - before
    half = 1.96 * change.std() / math.sqrt(200)
    assert result.difference == pytest.approx(change.mean())
    assert result.interval == pytest.approx((change.mean() - half, change.mean() + half), abs=0.003)
    assert (result.wins, result.losses) == (int((change > 0).sum()), int((change < 0).sum()))
    assert paired_scores(before, after) == paired_scores(before, after, seed=0) == result


def test_sign_flip_p_against_enumeration():
    # Changes 0.25, 0.5, 0.5, -0.25: of 16 sign patterns, those whose sum is at least 1 in magnitude.
    change = np.array([0.25, 0.5, 0.5, -0.25])
    sums = [abs(float(np.dot(s, change))) for s in itertools.product([1, -1], repeat=4)]
    exact = sum(s >= 1 for s in sums) / 16
    estimates = [paired_scores(np.zeros(4), change, seed=seed).p_value for seed in (0, 0, 1)]
    assert estimates == pytest.approx([exact] * 3, abs=0.02)
    assert paired_scores(np.zeros(4), change).p_value == estimates[0] == estimates[1] != estimates[2]


def test_pairs_must_match():
    with pytest.raises(RequestError, match="same items"):
        paired_shares(np.array([True]), np.array([True, False]))
    with pytest.raises(RequestError, match="same items"):
        paired_scores(np.array([]), np.array([]))
