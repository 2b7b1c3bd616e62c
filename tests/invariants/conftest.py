"""These tests share helpers that lie beside the tests of the learner, and run both ways a model can be run."""

import sys
from pathlib import Path

import pytest

from sibling.models import native

sys.path.append(str(Path(__file__).parents[1] / "learner"))

needs_kernels = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)


@pytest.fixture(params=[pytest.param("native", marks=needs_kernels), "torch"])
def kernels(request, monkeypatch):
    """How the model is run: by the kernels, or through transformers' modules."""
    monkeypatch.setenv("SIBLING_KERNELS", request.param)
    return request.param
