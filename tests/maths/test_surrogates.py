import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.maths import surrogates as s
from sibling.maths.loss import minibatch_terms
from sibling.maths.objectives import OBJECTIVES


def surrogate(ratio, advantage, **options):
    """Value and derivative in the log-ratio."""
    log_ratio = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
    loss = s.clip_surrogate(log_ratio.exp(), torch.tensor([advantage], dtype=torch.float64), **options)
    (gradient,) = torch.autograd.grad(loss.sum(), log_ratio)
    return loss[0].tolist(), gradient[0].tolist()


def test_every_branch_by_hand():
    # Bounds 0.8 and 1.3. Clipped: A > 0 above 1.3, A < 0 below 0.8; on the other sides the plain term stands.
    ratio, advantage = [1.0, 1.5, 0.5, 1.5, 0.5, 1.0], [2.0, 2.0, 2.0, -2.0, -2.0, 0.0]
    value, gradient = surrogate(ratio, advantage, low=0.2, high=0.3)
    assert value == pytest.approx([-2.0, -2.6, -1.0, 3.0, 1.6, 0.0])
    assert gradient == pytest.approx([-2.0, 0.0, -1.0, 3.0, 0.0, 0.0])


def test_dual_clip_by_hand():
    value, gradient = surrogate([5.0, 2.0, 5.0], [-1.0, -1.0, 1.0], low=0.2, high=0.2, dual=3.0)
    assert value == pytest.approx([3.0, 2.0, -1.2])
    assert gradient == pytest.approx([0.0, 2.0, 0.0])


@given(st.floats(0.01, 20), st.floats(-5, 5), st.floats(0.05, 12), st.floats(0.05, 12))
@settings(deadline=None, max_examples=100)
def test_the_loss_never_rewards_leaving_the_interval(ratio, advantage, low, high):
    [value], [gradient] = surrogate([ratio], [advantage], low=low, high=high)
    assert value >= -ratio * advantage - 1e-9  # pessimistic: never under the plain term
    clipped = (advantage > 0 and ratio > 1 + high) or (advantage < 0 and ratio < 1 - low)
    assert gradient == pytest.approx(0.0 if clipped else -ratio * advantage, abs=1e-9)


# ------------------------------------------------------------------------------ surrogates of the table

OLD = [[-1.0, -2.0, -0.5]]
GAPS = [[0.3, -0.7, 0.2]]  # log-ratios; the last token is masked
MASK = torch.tensor([[True, True, False]])


def evaluate(function, advantage, gaps=GAPS, mask=MASK, extra=None, **numbers):
    """Values and gradients in log pi_new at the active tokens, through the row's own terms."""
    shift = torch.zeros(1, len(gaps[0]), dtype=torch.float64, requires_grad=True)
    old = torch.tensor([OLD[0][: len(gaps[0])]], dtype=torch.float64)
    new = old + torch.tensor(gaps, dtype=torch.float64) + shift
    log_ratio = torch.where(mask, new - old, 0.0)
    own = s.Terms(
        logp_new=torch.where(mask, new, 0.0),
        logp_old=torch.where(mask, old, 0.0),
        log_ratio=log_ratio,
        ratio=log_ratio.exp(),
        advantage=torch.where(mask, torch.tensor(advantage, dtype=torch.float64), 0.0),
        mask=mask,
    )
    value = function(replace(own, **(extra or {})), **numbers)
    total = torch.where(mask, value, 0.0).sum()
    gradient = torch.autograd.grad(total, shift, allow_unused=True)[0]
    return value.detach()[mask].tolist(), gradient[mask].tolist()


R1, R2 = math.exp(0.3), math.exp(-0.7)
NEW1, NEW2 = -0.7, -2.7


def test_clip_takes_the_bounds_of_the_row():
    value, gradient = evaluate(s.clip, 2.0, clip_low=0.2, clip_high=0.3)
    assert value == pytest.approx([-2.6, -2 * R2]) and gradient == pytest.approx([0, -2 * R2])
    value, gradient = evaluate(s.clip, -2.0, clip_low=0.2, clip_high=0.3, dual_clip=1.2)
    assert value == pytest.approx([2.4, 1.6]) and gradient == pytest.approx([0, 0])


@pytest.mark.parametrize("advantage", [2.0, -0.5])
def test_policy_gradients_by_hand(advantage):
    value, gradient = evaluate(s.policy_gradient, advantage)
    assert value == pytest.approx([-advantage * NEW1, -advantage * NEW2]) and gradient == pytest.approx(
        [-advantage] * 2
    )
    bounds = {"ratio_min": 0.8, "ratio_max": 1.2}
    for low, high, weight in (
        (0.8, 1.2, (1.2, 0.8)),
        (None, 1.2, (1.2, R2)),
        (0.8, None, (R1, 0.8)),
        (None, None, (R1, R2)),
    ):
        value, gradient = evaluate(s.bounded_weight, advantage, **{**bounds, "ratio_min": low, "ratio_max": high})
        wanted = [-w * advantage for w in weight]
        assert gradient == pytest.approx(wanted)
        assert value == pytest.approx([wanted[0] * NEW1, wanted[1] * NEW2])


def test_the_weight_of_a_weighted_gradient_is_detached():
    def weighted(terms):
        return s.weighted_gradient(terms, terms.ratio**2)

    assert evaluate(weighted, 1.5)[1] == pytest.approx([-1.5 * R1**2, -1.5 * R2**2])


@pytest.mark.parametrize(("advantage", "tau"), [(2.0, 0.5), (-2.0, 3.0), (0.0, 3.0)])
def test_soft_gate_by_hand(advantage, tau):
    value, gradient = evaluate(s.soft_gate, advantage, tau_positive=0.5, tau_negative=3.0)
    p = [1 / (1 + math.exp(-tau * (r - 1))) for r in (R1, R2)]
    assert value == pytest.approx([-4 / tau * x * advantage for x in p])
    assert gradient == pytest.approx([-4 * x * (1 - x) * r * advantage for x, r in zip(p, (R1, R2), strict=True)])


@pytest.mark.parametrize(
    ("advantage", "mean", "bound"),
    # High .2: .3 is held to .2 with A > 0. Low .4: -.7 is held to -.4 with A < 0, and with A = 0.
    [(2.0, (0.2 - 0.7) / 2, 0), (-2.0, (0.3 - 0.4) / 2, 1)],
)
def test_geometric_mean_by_hand(advantage, mean, bound):
    value, gradient = evaluate(s.geometric_mean, advantage, clip_low=0.4, clip_high=0.2)
    term = -advantage * math.exp(mean)
    assert value == pytest.approx([term] * 2)
    wanted = [term, term]  # one half from each of the two repeats
    wanted[bound] = 0.0
    assert gradient == pytest.approx(wanted)


def test_squared_log_ratio_by_hand():
    # x = .3 - .7 = -.4: -2x + .25 x^2 = .84 at both tokens; each has the gradient -2 + .5 x twice.
    value, gradient = evaluate(s.squared_log_ratio, 2.0, tau=0.5)
    assert value == pytest.approx([0.84] * 2) and gradient == pytest.approx([2 * -2.2] * 2)


VESPO = {"k_positive": 2.0, "lambda_positive": 3.0, "k_negative": 1.5, "lambda_negative": 0.5}


@pytest.mark.parametrize(("advantage", "k", "lam"), [(2.0, 2.0, 3.0), (-2.0, 1.5, 0.5)])
def test_smooth_sequence_weight_by_hand(advantage, k, lam):
    w = math.exp(-0.4)
    phi = w**k * math.exp(lam * (1 - w))
    value, gradient = evaluate(s.smooth_sequence_weight, advantage, **VESPO)
    assert gradient == pytest.approx([-phi * advantage] * 2)
    assert value == pytest.approx([-phi * advantage * NEW1, -phi * advantage * NEW2])
    sampler = {"sampler_weight": torch.tensor([[1.5, 0.8, 7.0]], dtype=torch.float64)}
    w *= 1.2
    phi = w**k * math.exp(lam * (1 - w))
    assert evaluate(s.smooth_sequence_weight, advantage, extra=sampler, **VESPO)[1] == pytest.approx(
        [-phi * advantage] * 2
    )


def test_smooth_sequence_weight_is_held_at_its_ends():
    def weight(gaps, **extra):
        mask = torch.tensor([[True] * len(gaps[0])])
        numbers = {"k_positive": 1.0, "lambda_positive": 0.0, "k_negative": 1.0, "lambda_negative": 0.0}
        return -evaluate(s.smooth_sequence_weight, 1.0, gaps=gaps, mask=mask, extra=extra, **numbers)[1][0]

    assert weight([[-50.0]]) == pytest.approx(1e-8) and weight([[-15.0]]) == pytest.approx(math.exp(-15))
    assert weight([[30.0, -3.0]]) == pytest.approx(math.exp(17))  # a token is held to 20 first
    assert weight([[-30.0, 8.0]]) == pytest.approx(math.exp(-12))
    assert weight([[15.0, 15.0]]) == pytest.approx(math.exp(20))  # then the sequence
    dropped = torch.zeros(1, 1, dtype=torch.float64)
    assert weight([[0.0]], sampler_weight=dropped) == pytest.approx(1e-8)


def test_surrogates_with_a_selection_by_hand():
    selected = {"selected": torch.tensor([[False, True, True]])}
    value, gradient = evaluate(s.penalised_covariance, 2.0, extra=selected, share=0.5, coefficient=0.25)
    assert value == pytest.approx([-2 * R1, -2 * R2 + 0.25 * 0.7])
    assert gradient == pytest.approx([-2 * R1, -2 * R2 - 0.25])
    numbers = {"clip_low": 0.2, "clip_high": 0.3, "share": 0.5, "score_low": 1.0, "score_high": 5.0}
    value, gradient = evaluate(s.clip_without_selected, 2.0, extra=selected, **numbers)
    assert value == pytest.approx([-2.6, 0]) and gradient == pytest.approx([0, 0])
    nothing = {"selected": torch.tensor([[False] * 3])}
    assert evaluate(s.clip_without_selected, 2.0, extra=nothing, **numbers) == evaluate(
        s.clip, 2.0, clip_low=0.2, clip_high=0.3
    )


def test_shaped_expert_by_hand():
    value, gradient = evaluate(s.shaped_expert, 2.0, shaping=0.1)
    assert value == pytest.approx([-2 * R1, -2 * R2]) and gradient == pytest.approx([-2 * R1, -2 * R2])
    expert = {"expert": torch.tensor([[True, False, True]])}
    value, gradient = evaluate(s.shaped_expert, 2.0, extra=expert, shaping=0.1)
    p = math.exp(NEW1)
    assert value == pytest.approx([-2 * p / (p + 0.1), -2 * R2])
    assert gradient == pytest.approx([-2 * 0.1 * p / (p + 0.1) ** 2, -2 * R2])


def test_shaping_lifts_unlikely_tokens():
    # f'(p) grows as p falls: a rare token of an expert pulls harder than its probability says.
    def pull(logp):
        gaps = [[logp - OLD[0][0]]]
        one = torch.tensor([[True]])
        return -evaluate(s.shaped_expert, 1.0, gaps=gaps, mask=one, extra={"expert": one}, shaping=0.1)[1][0]

    assert pull(-4.0) / math.exp(-4.0) > 5 * pull(-0.5) / math.exp(-0.5)


def test_terms_of_a_row_are_what_it_says():
    new = torch.tensor([[-0.7, -2.7, math.nan]], dtype=torch.float64)
    old = torch.tensor([[-1.0, -2.0, math.nan]], dtype=torch.float64)
    own = minibatch_terms(
        OBJECTIVES["gspo"],
        logp_new=new,
        logp_old=old,
        advantage=torch.tensor([2.0]).double(),
        mask=MASK,
        log_ratio_clamp=0.5,
    )
    assert own.log_ratio[0].tolist() == pytest.approx([0.3, -0.5, 0])
    assert own.ratio[0].tolist() == pytest.approx([math.exp(-0.1)] * 3)
    assert own.advantage.tolist() == [[2, 2, 0]] and own.logp_new[0, 2] == own.logp_old[0, 2] == 0
    assert own.sampler_weight is own.selected is own.expert is None
