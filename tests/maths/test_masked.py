import math

import pytest
import torch

from sibling.maths.masked import blank, finite_exp, token_sum


def test_masked_values_leave_neither_value_nor_gradient():
    x = torch.tensor([[1.0, math.nan], [math.inf, 3.0]], requires_grad=True)
    mask = torch.tensor([[True, False], [False, True]])
    total = (blank(x, mask) ** 2).sum()
    total.backward()
    assert total.item() == 10.0
    assert x.grad.tolist() == [[2.0, 0.0], [0.0, 6.0]]
    assert token_sum(x.detach(), mask).tolist() == [1.0, 3.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_exp_is_exp_below_the_overflow_and_finite_above(dtype):
    x = torch.tensor([[-100.0, -1.0, 0.0, 1.0, 87.0]], dtype=dtype)
    assert torch.equal(finite_exp(x), torch.exp(x))
    large = torch.tensor([[1000.0]], dtype=dtype, requires_grad=True)
    assert torch.exp(large).isinf().all()
    value = finite_exp(large)
    (value * 0).sum().backward()
    assert value.isfinite().all() and large.grad.tolist() == [[0.0]]


def test_an_overflow_that_counts_keeps_its_enormous_gradient():
    large = torch.tensor([[100.0]], requires_grad=True)
    finite_exp(large).sum().backward()
    assert large.grad.item() > 1e37
