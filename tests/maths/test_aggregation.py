import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RequestError
from sibling.maths.aggregation import MODES, sequence_weights

TOKENS = np.array([2, 4, 0, 6])
GROUP = np.array([0, 0, 1, 1])
SPLIT = [[0, 1], [2], [3]]


def weights(mode, **options):
    return sequence_weights(TOKENS, GROUP, mode=mode, **options).tolist()


def test_every_mode_by_hand():
    # T = 2, 4, 0, 6; N = 4 (3 active); 12 tokens; groups of 6 and 6 tokens; micro-batches of 6, 0 and 6.
    assert weights("seq_mean_token_mean") == [1 / 8, 1 / 16, 1 / 4, 1 / 24]
    assert weights("seq_mean_token_mean", count_masked=False) == [1 / 6, 1 / 12, 1 / 3, 1 / 18]
    assert weights("token_mean") == [1 / 12] * 4
    assert weights("group_token_mean") == [1 / 12] * 4
    assert weights("seq_mean_token_sum") == [1 / 4] * 4
    assert weights("seq_mean_token_sum", count_masked=False) == [1 / 3] * 4
    assert weights("token_sum_norm", constant=10) == [1 / 40] * 4
    assert weights("token_sum_norm", constant=10, count_masked=False) == [1 / 30] * 4
    assert weights("constant", constant=64) == [1 / 64] * 4
    assert weights("micro_token_mean", micro_batches=SPLIT) == [1 / 18, 1 / 18, 1 / 3, 1 / 18]


def test_one_sequence_and_a_small_constant():
    one, group = np.array([5]), np.array([0])
    assert sequence_weights(one, group, mode="token_sum_norm", constant=0.5).tolist() == [2.0]
    assert sequence_weights(one, group, mode="constant", constant=0.5).tolist() == [2.0]
    assert sequence_weights(one, group, mode="seq_mean_token_sum").tolist() == [1.0]


def test_group_token_mean_weighs_groups_equally():
    got = sequence_weights(np.array([1, 2, 9]), np.array([3, 3, 7]), mode="group_token_mean")
    assert got.tolist() == [1 / 6, 1 / 6, 1 / 18]


def test_a_batch_without_an_active_token_divides_by_one():
    zeros = np.zeros(3, dtype=np.int64)
    for mode in MODES:
        got = sequence_weights(zeros, zeros, mode=mode, constant=5, count_masked=False, micro_batches=[[0, 1, 2]])
        assert np.isfinite(got).all() and (got > 0).all()


counts = st.lists(st.integers(0, 9), min_size=1, max_size=10)


@given(counts, st.randoms())
@settings(deadline=None, max_examples=60)
def test_means_have_total_weight_one(tokens, random):
    # A loss of 1 at every active token must come out as 1, but for sequences (groups) without one.
    tokens, group = np.array(tokens), np.array([random.randrange(3) for _ in tokens])
    if not tokens.any():
        return
    total = {m: float(sequence_weights(tokens, group, mode=m, count_masked=False) @ tokens) for m in MODES[:3]}
    live = {g for g, t in zip(group.tolist(), tokens.tolist(), strict=True) if t}
    assert total["token_mean"] == pytest.approx(1)
    assert total["seq_mean_token_mean"] == pytest.approx(1)
    assert total["group_token_mean"] == pytest.approx(len(live) / len(set(group.tolist())))


def test_one_sequence_a_micro_batch_is_the_sequence_mean():
    tokens = np.array([3, 1, 8])
    alone = sequence_weights(
        tokens, np.zeros(3, dtype=np.int64), mode="micro_token_mean", micro_batches=[[2], [0], [1]]
    )
    mean = sequence_weights(tokens, np.zeros(3, dtype=np.int64), mode="seq_mean_token_mean")
    assert alone.tolist() == mean.tolist()


@pytest.mark.parametrize(
    ("mode", "options", "words"),
    [
        ("mean", {}, "not known"),
        ("constant", {}, "needs a constant"),
        ("token_sum_norm", {"constant": 0}, "not positive"),
        ("micro_token_mean", {}, "every sequence once"),
        ("micro_token_mean", {"micro_batches": [[0, 1], [1, 2, 3]]}, "every sequence once"),
    ],
)
def test_bad_requests_are_refused(mode, options, words):
    with pytest.raises(RequestError, match=words):
        weights(mode, **options)
