import numpy as np
import pytest
import torch

from sibling.maths.critic import value_clipped, value_loss


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


# v, old, R; clip 0.5: held values 1.5, -.2, 3, 0.
VALUE, OLD, RETURN = [[2.0, -0.2, 3.0, 9.0]], [[1.0, 0.0, 3.0, 9.0]], [[3.0, 1.0, 1.0, 0.0]]
MASK = torch.tensor([[True, True, True, False]])


def test_by_hand():
    # Token 0: (2-3)^2 = 1 against (1.5-3)^2 = 2.25, clipped. Token 1: 1.44, inside. Token 2: 4, inside.
    value = tensor(VALUE).requires_grad_()
    weight = tensor([0.1])
    loss = value_loss(value, tensor(OLD), tensor(RETURN), MASK, weight, clip=0.5)
    assert loss.item() == pytest.approx(0.1 * 0.5 * (2.25 + 1.44 + 4))
    (gradient,) = torch.autograd.grad(loss, value)
    assert gradient[0].tolist() == pytest.approx([0.0, -0.12, 0.2, 0.0])
    plain = value_loss(tensor(VALUE), tensor(OLD), tensor(RETURN), MASK, weight, clip=None)
    assert plain.item() == pytest.approx(0.1 * 0.5 * (1 + 1.44 + 4))


def test_the_clip_is_pessimistic():
    # Where the held value is the better one the plain error stands, with its gradient.
    value = tensor([[5.0]]).requires_grad_()
    loss = value_loss(value, tensor([[1.0]]), tensor([[0.0]]), torch.tensor([[True]]), tensor([1.0]), clip=0.5)
    assert loss.item() == 12.5 and torch.autograd.grad(loss, value)[0].item() == 5.0
    assert not value_clipped(tensor([[5.0]]), tensor([[1.0]]), tensor([[0.0]]), clip=0.5).any()


def test_marks_by_hand():
    args = (tensor(VALUE), tensor(OLD), tensor(RETURN))
    assert value_clipped(*args, clip=0.5).tolist() == [[True, False, False, False]]
    assert not value_clipped(*args, clip=None).any()
    assert value_clipped(tensor([[-2.0]]), tensor([[-1.0]]), tensor([[-3.0]]), clip=0.5).all()


def test_marks_are_where_the_gradient_is_gone():
    rng = np.random.default_rng(0)
    value, old, target = (tensor(rng.normal(size=(5, 9))) for _ in range(3))
    value.requires_grad_()
    mask = torch.ones(5, 9, dtype=torch.bool)
    loss = value_loss(value, old, target, mask, torch.ones(5, dtype=torch.float64), clip=0.4)
    marks = value_clipped(value, old, target, clip=0.4)
    assert marks.any() and torch.equal(torch.autograd.grad(loss, value)[0] == 0, marks)


def test_only_the_values_have_a_gradient_and_masked_positions_none():
    dirty = [tensor(x).masked_fill(~MASK, float("nan")).requires_grad_() for x in (VALUE, OLD, RETURN)]
    weight = tensor([0.1]).requires_grad_()
    loss = value_loss(*dirty, MASK, weight, clip=0.5)
    loss.backward()
    assert dirty[0].grad[0, 3] == 0 and dirty[0].grad.isfinite().all()
    assert dirty[1].grad is dirty[2].grad is weight.grad is None
    assert loss.item() == value_loss(tensor(VALUE), tensor(OLD), tensor(RETURN), MASK, tensor([0.1]), clip=0.5).item()
