import math

import pytest
import torch

from sibling.maths.diagnostics import mark_dropped_kl, mark_dropped_tv
from sibling.maths.loss import minibatch_terms
from sibling.maths.objectives import OBJECTIVES
from sibling.maths.trust_regions import binary_kl, within_binary_kl, within_total_variation

# p - q: +.1, +.2, -.1, -.2, 0, with each sign of the advantage (0 counts as a fall)
Q = [0.4, 0.4, 0.4, 0.4, 0.4]
P = [0.5, 0.6, 0.3, 0.2, 0.4]
LIMITS = {"delta_low": 0.15, "delta_high": 0.12}


def terms(advantage, p=P, q=Q):
    new = torch.tensor([p], dtype=torch.float64).log()
    old = torch.tensor([q], dtype=torch.float64).log()
    mask = torch.ones(1, len(p), dtype=torch.bool)
    return minibatch_terms(
        OBJECTIVES["dppo_tv"],
        logp_new=new,
        logp_old=old,
        advantage=torch.tensor([advantage], dtype=torch.float64),
        mask=mask,
    )


def evaluate(function, advantage, **numbers):
    own = terms(advantage)
    own.logp_new.requires_grad_()
    value = function(own, **numbers)
    return value.detach()[0].tolist(), torch.autograd.grad(value.sum(), own.logp_new)[0][0].tolist()


@pytest.mark.parametrize(("advantage", "dropped"), [(2.0, [1]), (-2.0, [3])])
def test_total_variation_by_hand(advantage, dropped):
    value, gradient = evaluate(within_total_variation, advantage, ratio_cap=1.1, **LIMITS)
    ratio = [min(p / q, 1.1) for p, q in zip(P, Q, strict=True)]
    wanted = [0.0 if i in dropped else -r * advantage for i, r in enumerate(ratio)]
    assert gradient == pytest.approx(wanted)
    assert value == pytest.approx([w * math.log(p) for w, p in zip(wanted, P, strict=True)])
    assert evaluate(within_total_variation, advantage, ratio_cap=None, **LIMITS)[1][0] == pytest.approx(
        -1.25 * advantage
    )


def test_limits_bound_their_own_side():
    wide = {"delta_low": 0.25, "delta_high": 0.25, "ratio_cap": None}
    assert all(evaluate(within_total_variation, 1.0, **wide)[1])
    assert [
        i for i, g in enumerate(evaluate(within_total_variation, 1.0, **{**wide, "delta_high": 0.05})[1]) if not g
    ] == [0, 1]
    assert [
        i for i, g in enumerate(evaluate(within_total_variation, -1.0, **{**wide, "delta_low": 0.05})[1]) if not g
    ] == [2, 3]


@pytest.mark.parametrize(("advantage", "p", "q"), [(1.0, 1.0, 0.5), (-1.0, 0.5, 1.0)])
def test_a_token_at_the_limit_stays(advantage, p, q):
    own = terms(advantage, [p], [q])
    limit = {"delta_low": 0.5, "delta_high": 0.5, "ratio_cap": None}
    assert (own.logp_new.exp() - own.logp_old.exp()).abs().item() == 0.5
    marks = mark_dropped_tv(own, **limit)
    assert not (marks.low | marks.high).any()
    divergent = binary_kl(own.logp_new, own.logp_old, 1e-3).item()
    at = {"delta_low": divergent, "delta_high": divergent, "ratio_cap": None, "tail_eps": 1e-3}
    below = {**at, "delta_low": divergent * 0.99, "delta_high": divergent * 0.99}
    assert not (mark_dropped_kl(own, **at).low | mark_dropped_kl(own, **at).high).any()
    assert (mark_dropped_kl(own, **below).low | mark_dropped_kl(own, **below).high).all()
    own.logp_new.requires_grad_()
    for function, numbers, kept in (
        (within_total_variation, limit, True),
        (within_total_variation, {**limit, "delta_low": 0.4, "delta_high": 0.4}, False),
        (within_binary_kl, at, True),
        (within_binary_kl, below, False),
    ):
        gradient = torch.autograd.grad(function(own, **numbers).sum(), own.logp_new)[0]
        assert bool(gradient.any()) == kept


def divergence(p, q):
    return q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))


def test_binary_kl_by_hand():
    new, old = (torch.tensor([x], dtype=torch.float64).log() for x in (P, Q))
    wanted = [divergence(p, q) for p, q in zip(P, Q, strict=True)]
    assert binary_kl(new, old, 0.0)[0].tolist() == pytest.approx(wanted, abs=1e-15)
    assert wanted[0] == pytest.approx(0.4 * math.log(0.8) + 0.6 * math.log(1.2))
    # Certain and not so: the tail keeps it finite.
    sure, not_so = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[math.log(0.5)]], dtype=torch.float64)
    assert binary_kl(sure, not_so, 0.1).item() == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.6 / 0.1))
    assert binary_kl(not_so, sure, 0.1).item() == pytest.approx(math.log(2))  # q = 1: no tail at all


@pytest.mark.parametrize(("advantage", "dropped"), [(2.0, [1]), (-2.0, [3])])
def test_binary_kl_region_by_hand(advantage, dropped):
    # D: .020, .081, .022, .091, 0
    limits = {"delta_low": 0.085, "delta_high": 0.05, "tail_eps": 1e-8}
    _, gradient = evaluate(within_binary_kl, advantage, ratio_cap=1.1, **limits)
    ratio = [min(p / q, 1.1) for p, q in zip(P, Q, strict=True)]
    assert gradient == pytest.approx([0.0 if i in dropped else -r * advantage for i, r in enumerate(ratio)])
    assert evaluate(within_binary_kl, advantage, ratio_cap=None, **limits)[1][0] == pytest.approx(-1.25 * advantage)


@pytest.mark.parametrize("kind", ["tv", "kl"])
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
def test_marks_are_where_tokens_are_dropped(kind, advantage):
    generator = torch.Generator().manual_seed(1)
    p, q = (torch.rand(200, generator=generator, dtype=torch.float64).clamp(0.01, 0.99).tolist() for _ in range(2))
    own = terms(advantage, p, q)
    function, marker, more = {
        "tv": (within_total_variation, mark_dropped_tv, {}),
        "kl": (within_binary_kl, mark_dropped_kl, {"tail_eps": 1e-8}),
    }[kind]
    numbers = {"delta_low": 0.2, "delta_high": 0.1, "ratio_cap": None, **more}
    marks = marker(own, **numbers)
    low, high = marks.low[0].tolist(), marks.high[0].tolist()
    gap = [divergence(a, b) if kind == "kl" else abs(a - b) for a, b in zip(p, q, strict=True)]
    assert high == [advantage > 0 and g > 0.1 and a > b for g, a, b in zip(gap, p, q, strict=True)]
    assert low == [advantage <= 0 and g > 0.2 and a < b for g, a, b in zip(gap, p, q, strict=True)]
    assert any(low + high) and not marks.dual.any()
    if advantage:
        dropped = function(own, **numbers) == 0
        assert torch.equal(dropped, marks.low | marks.high)
