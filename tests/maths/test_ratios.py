import math

import pytest
import torch

from sibling.maths.ratios import geometric_ratio, geometric_token_ratio, product_ratio, token_log_ratio, token_ratio

EVERYWHERE = torch.ones(1, 3, dtype=torch.bool)
MASK = torch.tensor([[True, False, True], [True, True, True], [False, False, False]])
LOG_RATIO = torch.tensor([[0.2, 0.0, 0.4], [-0.3, 0.1, -0.1], [0.0, 0.0, 0.0]], dtype=torch.float64)


def test_the_ratio_is_new_over_old():
    new, old = torch.tensor([[0.5, 0.2, 0.3]]).log(), torch.tensor([[0.25, 0.4, 0.3]]).log()
    assert token_ratio(token_log_ratio(new, old), EVERYWHERE)[0].tolist() == pytest.approx([2.0, 0.5, 1.0])


@pytest.mark.parametrize("ratio", [token_ratio, geometric_ratio, geometric_token_ratio, product_ratio])
def test_equal_policies_have_a_ratio_of_exactly_one(ratio):
    logp = torch.randn(1, 3)
    assert ratio(token_log_ratio(logp, logp.clone()), EVERYWHERE).tolist() == [[1.0, 1.0, 1.0]]


def test_a_clamped_token_has_no_gradient_and_the_old_policy_never_has():
    new = torch.tensor([[0.0, 0.0, 0.0]], requires_grad=True)
    old = torch.tensor([[-3.0, 1.0, 2.5]], requires_grad=True)
    log_ratio = token_log_ratio(new, old, clamp=2.0)
    assert log_ratio.tolist() == [[2.0, -1.0, -2.0]]
    token_ratio(log_ratio, EVERYWHERE).sum().backward()
    assert new.grad[0].tolist() == pytest.approx([0.0, math.exp(-1.0), 0.0])
    assert old.grad is None


def value_and_gradient(ratio):
    log_ratio = LOG_RATIO.clone().requires_grad_()
    value = ratio(log_ratio, MASK)
    return value.detach(), torch.autograd.grad(value.sum(), log_ratio)[0]


def test_the_geometric_ratio_by_hand():
    # Means .3, -.1 and, without a token, 0; each of three repeats has the gradient s / T at an active token.
    value, gradient = value_and_gradient(geometric_ratio)
    a, b = math.exp(0.3), math.exp(-0.1)
    assert [v.tolist() for v in value] == [pytest.approx([a] * 3), pytest.approx([b] * 3), [1.0] * 3]
    assert [g.tolist() for g in gradient] == [pytest.approx([1.5 * a, 0, 1.5 * a]), pytest.approx([b] * 3), [0.0] * 3]


def test_the_geometric_token_ratio_by_hand():
    # The same value; each token has its own gradient only.
    value, gradient = value_and_gradient(geometric_token_ratio)
    assert torch.equal(value, value_and_gradient(geometric_ratio)[0])
    assert torch.allclose(gradient, value, rtol=1e-15)


def test_the_product_ratio_by_hand():
    value, gradient = value_and_gradient(product_ratio)
    a, b = math.exp(0.6), math.exp(-0.3)
    assert [v.tolist() for v in value] == [pytest.approx([a] * 3), pytest.approx([b] * 3), [1.0] * 3]
    assert [g.tolist() for g in gradient] == [pytest.approx([3 * a, 0, 3 * a]), pytest.approx([3 * b] * 3), [0.0] * 3]


@pytest.mark.parametrize("ratio", [token_ratio, geometric_ratio, geometric_token_ratio, product_ratio])
def test_ratios_never_overflow(ratio):
    huge = torch.full((1, 3), 1000.0)
    assert ratio(huge, EVERYWHERE).isfinite().all() and (ratio(huge, EVERYWHERE) > 1e37).all()
    assert ratio(-huge, EVERYWHERE).tolist() == [[0.0] * 3]
