import math

import numpy as np
import pytest
import torch

from sibling.errors import RequestError
from sibling.maths.golden_numbers import column, compare_numbers, inexact_zeros, miss, missing_as_none, padded


@pytest.mark.parametrize(
    ("seen", "wanted", "dtype", "equal"),
    [
        (1.0, 1.0 + 5e-11, "float64", True),
        (1.0, 1.0 + 5e-10, "float64", False),
        (1000.0, 1000.0 + 5e-8, "float64", True),
        (-1000.0, -1000.0 + 5e-7, "float64", False),
        (1e-3, 1e-3 + 9e-11, "float64", True),
        (1e-3, 1e-3 + 1.5e-10, "float64", False),
        (1e-10, 0.0, "float64", True),
        ([1e-8, 1.0], [2e-8, 1.0], "float32", True),
        ([1.0, 1.0], [1.0, 1.0 + 3e-5], "float32", False),
        ([1.0, -100.0], [1.0009, -100.0], "float32", True),
        (0.0, 9e-8, "float32", True),
        (0.0, 1.1e-7, "float32", False),
        (math.nan, 0.0, "float64", False),
        (None, None, "float64", True),
        (None, 0.0, "float64", False),
        (0.0, None, "float64", False),
        ([None, 5.0], [None, 5.0], "float32", True),
        ([1.0], [1.0, 2.0], "float64", False),
        ([[1.0], (2.0, torch.tensor(3.0))], np.array([1.0, 2.0, 3.0]), "float64", True),
        (True, 1, "float64", True),
        ([], [], "float64", True),
    ],
)
def test_comparison(seen, wanted, dtype, equal):
    assert (compare_numbers("x", seen, wanted, dtype) is None) == equal


def test_phrases():
    assert compare_numbers("x", [1.0, 2.0], [1.0, 3.0], "float64") == "x: 2.0, wanted 3.0 (entry 1)"
    assert compare_numbers("x", 2.0, 3.0, "float64") == "x: 2.0, wanted 3.0"
    assert compare_numbers("x", [1.0], [1.0, 2.0], "float64") == "x: 1 numbers, wanted 2"
    assert list(miss("x", 1.0, 1.0, "float64")) == [] and list(miss("x", 1.0, 2.0, "float64")) == ["x: 1.0, wanted 2.0"]
    assert list(inexact_zeros("x", [0.0, 1e-17, 1.0], [0.0, 0.0, 1.0])) == ["x: 1e-17, wanted exactly 0 (entry 1)"]
    assert missing_as_none(np.array([1.0, math.nan])) == [1.0, None]


def test_columns():
    masks = [np.array([True, False]), np.array([True])]
    rows = [{"x": [1.0, None]}, {"x": [2.0]}]
    got = column(rows, "x", masks)
    assert got[0][0] == 1.0 and math.isnan(got[0][1]) and got[1].tolist() == [2.0]
    for bad in (None, math.inf, math.nan):
        with pytest.raises(RequestError, match="x of sequence 1 is not finite"):
            column([rows[0], {"x": [bad]}], "x", masks)
    with pytest.raises(RequestError, match=r"x of sequence 1.*\(2,\) and \(1,\)"):
        column([rows[0], {"x": [1.0, 2.0]}], "x", masks)
    missing = column([{"logp_sampler": [None, 1.0]}], "logp_sampler", masks[:1])
    assert math.isnan(missing[0][0])
    with pytest.raises(RequestError, match="not finite"):
        column([{"logp_sampler": [-math.inf, 1.0]}], "logp_sampler", masks[:1])


def test_padding():
    got = padded([[1.0], [2.0, 3.0]], 50.0, torch.float32)
    assert got.tolist() == [[1.0, 50.0], [2.0, 3.0]] and got.dtype == torch.float32
    assert padded([], 0.0, torch.float64).shape == (0, 0)
    assert padded([[], []], False, torch.bool).shape == (2, 0)
