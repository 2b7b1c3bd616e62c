import pytest

from sibling.maths.controllers import adaptive_beta, adaptive_entropy


def test_adaptive_beta_by_hand():
    # KL 0.11 at target 0.1: error 0.1, times 512/10000; far off it is held to 0.2.
    assert adaptive_beta(0.2, 0.11, target=0.1, horizon=10_000, n=512) == pytest.approx(0.2 * (1 + 0.1 * 0.0512))
    assert adaptive_beta(1.0, 5.0, target=0.1, horizon=100, n=50) == pytest.approx(1.1)
    assert adaptive_beta(1.0, 0.0, target=0.1, horizon=100, n=50) == pytest.approx(0.9)
    assert adaptive_beta(0.3, 0.1, target=0.1, horizon=100, n=50) == pytest.approx(0.3)


def test_adaptive_entropy_by_hand():
    # At or below the target the coefficient grows, above it falls, never below 0.
    assert adaptive_entropy(0.5, 0.2, target=0.2, change=0.1) == pytest.approx(0.6)
    assert adaptive_entropy(0.5, 0.19, target=0.2, change=0.1) == pytest.approx(0.6)
    assert adaptive_entropy(0.5, 0.21, target=0.2, change=0.1) == pytest.approx(0.4)
    assert adaptive_entropy(0.05, 0.21, target=0.2, change=0.1) == 0.0
