import torch

from sibling.maths.diagnostics import clip_marks
from sibling.maths.surrogates import clip_surrogate


def test_marks_are_where_the_gradient_is_gone():
    generator = torch.Generator().manual_seed(3)
    log_ratio = torch.randn(6, 50, generator=generator, dtype=torch.float64, requires_grad=True)
    advantage = torch.randn(6, 50, generator=generator, dtype=torch.float64)
    bounds = {"low": 0.2, "high": 0.28, "dual": 3.0}
    loss = clip_surrogate(log_ratio.exp(), advantage, **bounds)
    (gradient,) = torch.autograd.grad(loss.sum(), log_ratio)
    marks = clip_marks(log_ratio.exp(), advantage, **bounds)
    assert all(m.any() for m in (marks.low, marks.high, marks.dual))
    assert torch.equal(marks.low | marks.high | marks.dual, gradient == 0)
    assert not (marks.low & marks.dual).any()


def test_each_mark_by_hand():
    ratio, advantage = torch.tensor([[0.7, 0.7, 1.4, 1.4, 9.0]]), torch.tensor([[-1.0, 1.0, 1.0, -1.0, -1.0]])
    marks = clip_marks(ratio, advantage, low=0.2, high=0.28, dual=3.0)
    assert marks.low.tolist() == [[True, False, False, False, False]]
    assert marks.high.tolist() == [[False, False, True, False, False]]
    assert marks.dual.tolist() == [[False, False, False, False, True]]
    assert not clip_marks(ratio, advantage, low=0.2, high=0.28).dual.any()
    inside = marks.within(torch.tensor([[False, True, True, True, True]]))
    assert not inside.low.any() and inside.high.any()
