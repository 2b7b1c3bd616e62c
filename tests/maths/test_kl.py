import math

import pytest
import torch

from sibling.maths.kl import ESTIMATORS

GAPS = [-3.0, -0.4, 0.0, 0.2, 2.0]
LOG_RATIOS = [0.3, -0.2, 0.0, 0.1, -0.5]


def evaluate(name, gaps=GAPS, log_ratios=LOG_RATIOS, dtype=torch.float64):
    """Value and derivative in log pi_new, on which both the gap and the ratio depend."""
    shift = torch.zeros(1, len(gaps), dtype=dtype, requires_grad=True)
    gap = torch.tensor([gaps], dtype=dtype) + shift
    value = ESTIMATORS[name](gap, torch.exp(torch.tensor([log_ratios], dtype=dtype) + shift))
    (gradient,) = torch.autograd.grad(value.sum(), shift)
    return value.detach()[0].tolist(), gradient[0].tolist()


def k3(d):
    return math.exp(-d) - 1 + d


@pytest.mark.parametrize(
    ("name", "value", "slope"),
    [
        ("k1", lambda d, r: d, lambda d, r: 1),
        ("k2", lambda d, r: d * d / 2, lambda d, r: d),
        ("k3", lambda d, r: k3(d), lambda d, r: 1 - math.exp(-d)),
        ("k3_is", lambda d, r: r * k3(d), lambda d, r: r * d),
        ("k3_st", lambda d, r: k3(d), lambda d, r: d),
    ],
)
def test_values_and_derivatives(name, value, slope):
    values, gradient = evaluate(name)
    pairs = [(d, math.exp(x)) for d, x in zip(GAPS, LOG_RATIOS, strict=True)]
    assert values == pytest.approx([value(*p) for p in pairs], abs=1e-14)
    assert gradient == pytest.approx([slope(*p) for p in pairs], abs=1e-14)


def expected_gradient(name):
    """Expectation, under the policy, of the estimator's gradient in the logits; and the two exact KL gradients."""
    logits = torch.tensor([0.3, -0.8, 1.1, 0.0], dtype=torch.float64, requires_grad=True)
    reference = torch.log_softmax(torch.tensor([1.0, 0.2, -0.5, 0.4], dtype=torch.float64), 0)
    logp = torch.log_softmax(logits, 0)
    ratio = torch.exp(logp - logp.detach())
    k = ESTIMATORS[name]((logp - reference)[None], ratio[None])[0]
    loss = (logp.detach().exp() * k).sum()  # sampled from the policy: no gradient through the sampling
    forward = (logp.exp() * (logp - reference)).sum()
    other = (reference.exp() * (reference - logp)).sum()
    return [torch.autograd.grad(x, logits, retain_graph=True)[0].tolist() for x in (loss, forward, other)]


@pytest.mark.parametrize("name", ["k2", "k3_is", "k3_st"])
def test_gradient_of_the_kl_on_policy(name):
    got, forward, _ = expected_gradient(name)
    assert got == pytest.approx(forward, abs=1e-14)


def test_k3_has_the_gradient_of_the_other_kl_and_k1_has_none():
    got, forward, other = expected_gradient("k3")
    assert got == pytest.approx(other, abs=1e-14) and got != pytest.approx(forward, abs=1e-3)
    assert expected_gradient("k1")[0] == pytest.approx([0.0] * 4, abs=1e-14)


def test_small_gaps_are_exact_in_float32():
    # exp(-d) - 1 + d loses every digit at d = 1e-4 in float32: the value is d^2/2 = 5e-9.
    assert evaluate("k3", [1e-4], [0.0], torch.float32)[0][0] == pytest.approx(5e-9, rel=0.02)


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_a_huge_gap_gives_no_nan(name):
    for gap in (-200.0, 200.0):
        values, gradient = evaluate(name, [gap], [0.0], torch.float32)
        assert not math.isnan(values[0]) and not math.isnan(gradient[0])
