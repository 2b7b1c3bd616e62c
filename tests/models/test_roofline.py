"""What is measured is what is asked for, and speeds add up as times do. No assertion depends on the clock."""

import json

import pytest
import torch

from sibling.errors import RunError
from sibling.models import roofline
from sibling.models.roofline import LinearShape, Product, Roofline, machine_roofline, measure_roofline, shapes_of
from sibling.models.tiny import build_tiny


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "BUFFER", 2**20)


def test_the_linear_layers_of_a_model_with_its_head() -> None:
    model, _ = build_tiny("llama", 0)
    # Two layers: q and o 64 -> 64, k and v 64 -> 32 (two heads of 16), gate and up 64 -> 128, down 128 -> 64.
    assert set(shapes_of(model)) == {
        LinearShape(64, 64, 4),
        LinearShape(64, 32, 4),
        LinearShape(64, 128, 4),
        LinearShape(128, 64, 2),
        LinearShape(64, 259, 1, head=True),
    }
    assert shapes_of(model)[-1].head


def test_a_tied_head_is_multiplied_with_all_the_same() -> None:
    model, _ = build_tiny("qwen2", 0)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert shapes_of(model)[-1] == LinearShape(64, 259, head=True)


MADE_UP = Roofline(
    "cpu",
    2,
    (
        Product("float32", 8, 10, 20, 4.0, "plain"),
        Product("float32", 8, 10, 100, 2.0, "plain"),
        Product("float32", 2, 10, 100, 0.5, "packed"),
        Product("bfloat16", 8, 10, 20, 16.0, "packed"),
    ),
    copy=40.0,
)


def test_the_speed_of_a_model_is_all_its_work_over_all_its_time() -> None:
    shapes = [LinearShape(10, 20, 3), LinearShape(10, 100, head=True)]
    # 600 weights at 4 and 1,000 at 2: 1600 / (150 + 500).
    assert MADE_UP.of_model(shapes, "float32", 8) == pytest.approx(1600 / 650)
    # The head with two rows runs at 0.5: 1600 / (150 + 2000).
    assert MADE_UP.of_model(shapes, "float32", 8, head_rows=2) == pytest.approx(1600 / 2150)
    assert MADE_UP.of_model(shapes[:1], "bfloat16", 8) == 16.0


def test_what_was_not_measured_is_refused() -> None:
    with pytest.raises(RunError, match="not measured"):
        MADE_UP.gflops("bfloat16", 2, 10, 20)
    with pytest.raises(RunError, match="no roofline"):
        MADE_UP.of_model([], "float32", 8)


def test_it_goes_into_the_record_as_json() -> None:
    body = json.loads(json.dumps(MADE_UP.body()))
    assert body["copy"] == 40.0 and body["device"] == "cpu" and body["threads"] == 2
    assert body["products"][2] == {
        "dtype": "float32", "rows": 2, "inputs": 10, "outputs": 100, "gflops": 0.5, "way": "packed",
    }  # fmt: skip


def test_every_product_asked_for_is_measured_once() -> None:
    shapes = [LinearShape(32, 48, 5), LinearShape(48, 32, 5), LinearShape(32, 64, head=True)]
    found = measure_roofline(shapes, (4, 16), ("bfloat16", "float32"), head_rows=(8,), seconds=0.01)
    measured = [(p.dtype, p.rows, p.inputs, p.outputs) for p in found.products]
    layers = [(n, i, o) for i, o in ((32, 48), (48, 32)) for n in (4, 16)]
    assert sorted(measured) == sorted((d, *p) for d in ("bfloat16", "float32") for p in [*layers, (8, 32, 64)])
    assert all(p.gflops > 0 and p.way in ("plain", "transposed", "packed") for p in found.products)
    assert found.copy is not None and found.copy > 0
    assert (found.device, found.threads) == ("cpu", torch.get_num_threads())
    assert found.of_model(shapes, "bfloat16", 4, 8) > 0


def test_a_copy_may_be_left_out_and_no_random_number_is_used_up() -> None:
    before = torch.random.get_rng_state()
    assert measure_roofline([LinearShape(8, 8)], (2,), ("float32",), copy=False, seconds=0.0).copy is None
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("shape", "rows", "each", "matrices"),
    [
        (LinearShape(64, 128, 3), 10, 64 * 128, 3),
        (LinearShape(16, 20_000), 10, 16 * 8192, 2),  # slices of the outputs
        (LinearShape(64, 64, 500), 10, 64 * 64, 64),  # the sweep is long enough
        (LinearShape(512, 512, 30), 10, 512 * 512, 1),  # 1 MB of float32: the whole buffer
        (LinearShape(1024, 1024), 10, 1024 * 256, 1),  # wider than the buffer: a slice of it
        (LinearShape(256, 256, 30), 100_000, 256 * 256, 2),  # many rows: two matrices take long enough
    ],
)
def test_a_speed_is_the_work_of_all_matrices_over_the_time(
    shape: LinearShape, rows: int, each: int, matrices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roofline._Bench, "_best", lambda *_: 2.0)
    tool = roofline._Bench("cpu")
    assert tool.product("float32", rows, shape, 1.0).gflops == pytest.approx(2 * rows * each * matrices / 2.0 / 1e9)
    assert tool.copy(1.0) == pytest.approx(2 * 2**19 / 2.0 / 1e9)  # half a megabyte read, half a megabyte written


def test_the_ways_multiply_with_every_matrix() -> None:
    tool = roofline._Bench("cpu")
    x = torch.rand(4, 32, generator=torch.Generator().manual_seed(1)).bfloat16()
    weights = tool.weights[torch.bfloat16][: 3 * 32 * 48]
    ways = tool._ways(x, weights, 48)
    assert {"plain", "transposed"} <= set(ways)
    wanted = {
        "plain": [x @ w.T for w in weights.view(3, 48, 32)],
        "transposed": [x @ w for w in weights.view(3, 32, 48)],
    }
    wanted["packed"] = wanted["plain"]
    for name, sweep in ways.items():
        products = sweep()
        assert isinstance(products, list) and len(products) == 3
        # Products that are written to one place hold the last one; packed ones have places of their own.
        torch.testing.assert_close(products[-1], wanted[name][-1], rtol=0.02, atol=0.02)


def test_weights_are_ordinary_numbers_in_both_dtypes() -> None:
    """Denormal or huge numbers would be multiplied at another speed."""
    for weights in roofline._Bench("cpu").weights.values():
        assert torch.isfinite(weights).all() and weights.abs().max() < 0.51
        assert (weights.abs() < 1e-6).float().mean() < 1e-3
        assert weights.float().std() > 0.2


def test_a_quick_look_at_the_machine() -> None:
    found = machine_roofline(seconds=0.01)
    assert sorted((p.dtype, p.rows) for p in found.products) == [
        (d, n) for d in ("bfloat16", "float32") for n in (64, 1024)
    ]
    assert found.copy is not None
