import pytest
import torch

from sibling.models import precision
from sibling.models.precision import choose, compute, head_product

RANDOM = torch.Generator().manual_seed(0)
HIDDEN = torch.randn(40, 64, generator=RANDOM)
WEIGHT = torch.randn(100, 64, generator=RANDOM)


def settings_now():
    return torch.is_autocast_enabled("cpu"), torch.backends.mkldnn.matmul.fp32_precision


def test_float32_changes_nothing():
    before = settings_now()
    with compute("float32"):
        assert settings_now() == before
        assert torch.equal(HIDDEN @ WEIGHT.T, HIDDEN @ WEIGHT.T)
        assert head_product(HIDDEN, WEIGHT).dtype == torch.float32


def test_bfloat16_runs_linear_layers_in_bfloat16_and_leaves_weights_float32():
    layer = torch.nn.Linear(64, 100)
    with compute("bfloat16"):
        out = layer(HIDDEN)
        out.float().square().sum().backward()
    assert out.dtype == torch.bfloat16
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32


def test_the_settings_are_put_back_after_an_error_too():
    before = settings_now()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), compute("bfloat16"):
        head_product(HIDDEN, WEIGHT[:, :3])
    assert settings_now() == before


def test_attention_is_not_slowed_or_rounded_by_the_head():
    """The switch for bfloat16 products in float32 layers is global: it is on around the head's products alone."""
    q = torch.randn(1, 2, 50, 16, generator=torch.Generator().manual_seed(1))
    outside = torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
    with compute("bfloat16"):
        head_product(HIDDEN, WEIGHT)
        with torch.autocast("cpu", enabled=False):
            assert torch.equal(torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True), outside)
            exact = (q[0, 0].double() @ q[0, 0].double().T).float()
            assert torch.allclose(q[0, 0] @ q[0, 0].T, exact, atol=1e-5)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-6), ("bfloat16", 1e-2)])
def test_the_head_product_and_its_gradients(dtype, bound):
    hidden, weight = HIDDEN.clone().requires_grad_(), WEIGHT.clone().requires_grad_()
    upstream = torch.randn(40, 100, generator=torch.Generator().manual_seed(2))
    with compute(dtype):
        out = head_product(hidden, weight)
        out.backward(upstream)
    assert out.dtype == torch.float32
    exact = HIDDEN.double(), WEIGHT.double(), upstream.double()
    for seen, wanted in (
        (out, exact[0] @ exact[1].T),
        (hidden.grad, exact[2] @ exact[1]),
        (weight.grad, exact[2].T @ exact[0]),
    ):
        assert float((seen.detach() - wanted).abs().max() / wanted.abs().max()) < bound


def test_the_head_product_is_not_rounded_to_bfloat16():
    """Its logits are float32 sums: hardly any of them is a bfloat16 number, as all would be after rounding."""
    with compute("bfloat16"):
        out = head_product(HIDDEN, WEIGHT)
    assert float((out.bfloat16().float() == out).float().mean()) < 0.2


def test_a_frozen_weight_gets_no_gradient():
    hidden = HIDDEN.clone().requires_grad_()
    with compute("bfloat16"):
        head_product(hidden, WEIGHT).sum().backward()
    assert hidden.grad is not None and WEIGHT.grad is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_dtype_asked_for_is_taken_unmeasured(dtype):
    assert choose(dtype) == (dtype, {})


def test_auto_measures_both():
    _, seconds = choose("auto")
    assert set(seconds) == {"float32", "bfloat16"} and all(s > 0 for s in seconds.values())


@pytest.mark.parametrize(("bfloat16", "chosen"), [(0.5, "bfloat16"), (0.9, "float32"), (2.0, "float32")])
def test_auto_takes_bfloat16_where_it_is_faster_by_a_fifth(bfloat16, chosen, monkeypatch):
    seconds = {torch.float32: 1.0, torch.bfloat16: bfloat16}
    monkeypatch.setattr(precision, "_time_product", lambda dtype, device: seconds[dtype])  # the clock of the test
    assert choose("auto") == (chosen, {"float32": 1.0, "bfloat16": bfloat16})
