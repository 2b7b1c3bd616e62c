import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.maths.surrogates import clip_surrogate


def surrogate(ratio, advantage, **options):
    """Value and derivative in the log-ratio."""
    log_ratio = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
    loss = clip_surrogate(log_ratio.exp(), torch.tensor([advantage], dtype=torch.float64), **options)
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
