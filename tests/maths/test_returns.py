import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import RequestError
from sibling.maths import returns as r

NAN = math.nan


def column(values):
    return np.array(values, dtype=np.float64)


def flags(values):
    return np.array(values, dtype=bool)


def test_token_rewards_by_hand():
    masks = [flags([1, 1, 0]), flags([0, 0]), flags([1, 1]), flags([1, 0, 1])]
    reward = column([2.0, 9.0, NAN, -1.0])
    plain = r.token_rewards(reward, masks)
    assert [row.tolist() for row in plain] == [[0, 2, 0], [0, 0], [0, 0], [0, 0, -1]]
    kl = [column([0.5, 1.0, NAN]), column([1.0, 1.0]), column([1.0, 2.0]), column([1.0, 7.0, -1.0])]
    assert [row.tolist() for row in r.token_rewards(reward, masks, kl)] == [row.tolist() for row in plain]
    penalised = r.token_rewards(reward, masks, kl, 0.1)
    wanted = [[-0.05, 1.9, 0], [0, 0], [-0.1, -0.2], [-0.1, 0, -0.9]]
    assert [row.tolist() for row in penalised] == [pytest.approx(w) for w in wanted]


def test_reward_to_go_by_hand():
    # Active 0, 1, 3, gamma 1/2: G_3 = 4, G_1 = 2 + 4/2 = 4, G_0 = 1 + 4/2 = 3. Position 2 is stepped over.
    got = r.reward_to_go(column([1, 2, 100, 4]), flags([1, 1, 0, 1]), gamma=0.5)
    assert got.tolist() == [3, 4, 0, 4]
    assert r.reward_to_go(column([]), flags([]), gamma=1.0).shape == (0,)


def test_gae_by_hand():
    # gamma .5, lam .8. t=3: delta = 4 - 1 = 3, A = 3. t=1: delta = 0 + .5*1 - 2 = -1.5, A = -1.5 + .4*3 = -.3.
    # t=0: delta = 1 + .5*2 - 3 = -1, A = -1 + .4*(-.3) = -1.12. Returns: A + V.
    got, target = r.generalised_advantage(
        column([1, 0, 50, 4]), column([3, 2, 60, 1]), flags([1, 1, 0, 1]), gamma=0.5, lam=0.8
    )
    assert got.tolist() == pytest.approx([-1.12, -0.3, 0, 3])
    assert target.tolist() == pytest.approx([1.88, 1.7, 0, 4]) and target[2] == 0


steps = st.lists(st.tuples(st.integers(-8, 8), st.integers(-8, 8), st.booleans()), min_size=0, max_size=8)


@given(steps, st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.7, 1.0]))
@settings(deadline=None, max_examples=80)
def test_gae_is_a_double_sum(rows, gamma, lam):
    # A_t = sum_l (gamma lam)^l delta_{t+l} over the active tokens, written out (1506.02438 eq. 16).
    rewards, values, mask = (
        column([a for a, _, _ in rows]),
        column([b for _, b, _ in rows]),
        flags([m for *_, m in rows]),
    )
    own, v = rewards[mask], np.append(values[mask], 0.0)
    delta = [own[t] + gamma * v[t + 1] - v[t] for t in range(len(own))]
    wanted = [sum((gamma * lam) ** (j - t) * delta[j] for j in range(t, len(own))) for t in range(len(own))]
    got, target = r.generalised_advantage(rewards, values, mask, gamma=gamma, lam=lam)
    assert got[mask].tolist() == pytest.approx(wanted) and not got[~mask].any() and not target[~mask].any()
    assert target[mask].tolist() == pytest.approx((got + values)[mask].tolist())
    if lam == 1.0:  # the return is then the reward-to-go, whatever the critic says
        assert target.tolist() == pytest.approx(r.reward_to_go(rewards, mask, gamma=gamma).tolist())


def test_process_supervision_by_hand():
    # Scores 1, 3 | 2, 6: mean 3, squares 4 0 1 9 = 14; n: 3.5; with eps .5.
    steps = [(np.array([1, 3]), column([1, 3])), (np.array([0, 2]), column([2, 6]))]
    masks = [flags([1, 1, 0, 1, 1]), flags([1, 1, 1])]
    spread = math.sqrt(3.5) + 0.5
    got = r.process_supervision(steps, np.array([4, 4]), masks, ddof=0, eps=0.5)
    assert got[0].tolist() == pytest.approx([-2 / spread, -2 / spread, 0, 0, 0])
    assert got[1].tolist() == pytest.approx([2 / spread, 3 / spread, 3 / spread])
    sample = r.process_supervision(steps, np.array([4, 4]), masks, ddof=1, eps=0.0)
    assert sample[1].tolist() == pytest.approx([2 / math.sqrt(14 / 3), *[3 / math.sqrt(14 / 3)] * 2])


def test_one_step_at_the_last_token_is_outcome_supervision():
    from sibling.maths.advantages import group_advantages

    reward, group = column([1, 0, 0, 2, 5, 5]), np.array([0, 0, 0, 1, 1, 1])
    masks = [flags([1] * n) for n in (1, 2, 3, 4, 2, 2)]
    steps = [(np.array([len(m) - 1]), column([x])) for m, x in zip(masks, reward, strict=True)]
    got = r.process_supervision(steps, group, masks, ddof=1, eps=1e-4)
    wanted = group_advantages(reward, group, scale="group", ddof=1, eps=1e-4)
    assert [sorted(set(a.tolist())) for a in got] == [[w] for w in wanted]


def test_process_supervision_of_groups_without_spread():
    masks = [flags([1, 1])] * 4
    steps = [(np.array([0, 1]), column([0.7, 0.7])), (np.array([1]), column([0.7]))]
    steps += [(np.array([1]), column([3.0])), (np.array([], int), column([]))]
    got = r.process_supervision(steps, np.array([0, 0, 1, 1]), masks, ddof=1, eps=0.0)
    assert [a.tolist() for a in got] == [[0, 0]] * 4


def test_process_supervision_of_two_scores_after_a_dead_group():
    masks = [flags([1])] * 4
    steps = [(np.array([0]), column([x])) for x in (5.0, 5.0, 0.0, 2.0)]
    got = r.process_supervision(steps, np.array([0, 0, 1, 1]), masks, ddof=1, eps=0.0)
    assert [a.tolist() for a in got] == [[0], [0], pytest.approx([-math.sqrt(0.5)]), pytest.approx([math.sqrt(0.5)])]


VALUES = [column([1, 1, 9]), column([3, 3, 3]), column([7])]
MASKS = [flags([1, 1, 0]), flags([1, 1, 1]), flags([0])]


def test_whiten_over_tokens_by_hand():
    # 1 1 3 3 3: mean 2.2, squares 2*1.44 + 3*.64 = 4.8; n 5: .96, n - 1: 1.2.
    got = r.whiten(VALUES, MASKS, over="tokens", ddof=0, eps=0.04, eps_mode="inside_var")
    assert [g.tolist() for g in got] == [pytest.approx([-1.2, -1.2, 0]), pytest.approx([0.8] * 3), [0.0]]
    outside = r.whiten(VALUES, MASKS, over="tokens", ddof=1, eps=0.5, eps_mode="outside_std")
    assert outside[1].tolist() == pytest.approx([0.8 / (math.sqrt(1.2) + 0.5)] * 3)


def test_whiten_over_sequences_by_hand():
    # 1 and 3: mean 2, variance 1 with n, 2 with n - 1; lengths have no say.
    got = r.whiten(VALUES, MASKS, over="sequences", ddof=0, eps=3.0, eps_mode="inside_var")
    assert [g.tolist() for g in got] == [pytest.approx([-0.5, -0.5, 0]), pytest.approx([0.5] * 3), [0.0]]
    with pytest.raises(RequestError, match="one value a completion"):
        r.whiten([column([1, 2])], [flags([1, 1])], over="sequences", ddof=0, eps=0.0, eps_mode="inside_var")


@pytest.mark.parametrize("over", ["tokens", "sequences"])
@pytest.mark.parametrize("eps_mode", ["inside_var", "outside_std"])
def test_whitening_without_spread_is_exactly_zero(over, eps_mode):
    for values in ([column([0.7] * 8)], [column([0.7] * 3), column([0.7])], [column([5.0])], [column([])], []):
        masks = [np.ones(len(v), dtype=bool) for v in values]
        got = r.whiten(values, masks, over=over, ddof=1, eps=0.0, eps_mode=eps_mode)
        assert [g.tolist() for g in got] == [[0.0] * len(v) for v in values]


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=12).filter(lambda x: len(set(x)) > 1), st.sampled_from([0, 1]))
@settings(deadline=None, max_examples=40)
def test_whitened_values_have_mean_0_and_variance_1(values, ddof):
    [got] = r.whiten(
        [column(values)], [np.ones(len(values), bool)], over="tokens", ddof=ddof, eps=0.0, eps_mode="inside_var"
    )
    assert got.mean() == pytest.approx(0, abs=1e-12) and got.var(ddof=ddof) == pytest.approx(1)
