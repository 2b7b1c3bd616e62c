import math

import pytest
import torch

from sibling.maths.ratios import token_log_ratio, token_ratio

EVERYWHERE = torch.ones(1, 3, dtype=torch.bool)


def test_the_ratio_is_new_over_old():
    new, old = torch.tensor([[0.5, 0.2, 0.3]]).log(), torch.tensor([[0.25, 0.4, 0.3]]).log()
    assert token_ratio(token_log_ratio(new, old), EVERYWHERE)[0].tolist() == pytest.approx([2.0, 0.5, 1.0])


def test_equal_policies_have_a_ratio_of_exactly_one():
    logp = torch.randn(1, 3)
    assert token_ratio(token_log_ratio(logp, logp.clone()), EVERYWHERE).tolist() == [[1.0, 1.0, 1.0]]


def test_a_clamped_token_has_no_gradient_and_the_old_policy_never_has():
    new = torch.tensor([[0.0, 0.0, 0.0]], requires_grad=True)
    old = torch.tensor([[-3.0, 1.0, 2.5]], requires_grad=True)
    log_ratio = token_log_ratio(new, old, clamp=2.0)
    assert log_ratio.tolist() == [[2.0, -1.0, -2.0]]
    token_ratio(log_ratio, EVERYWHERE).sum().backward()
    assert new.grad[0].tolist() == pytest.approx([0.0, math.exp(-1.0), 0.0])
    assert old.grad is None
