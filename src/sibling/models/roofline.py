"""Measured limits of the machine: how fast it multiplies matrices and copies memory, best of several tries.

A roofline is what the hardware gives when nothing else is in the way: the shares of it that a run reports say how
much of the time went into useful multiplications. Three things make it honest. Weights are distinct matrices, as
many as fit in `BUFFER` or the model has, so that caches do not hold what a model would stream. Results are written
where memory is there already, so that no page fault is timed. And each product is tried in every way that torch
offers (weights as they are, transposed, packed for the processor); the fastest counts.

Left out: sparse and expert layers, integer products, and everything that is not a matrix product.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product as pairs
from typing import Any

import torch
from torch import Tensor, nn

from sibling.errors import RunError
from sibling.models.precision import ComputeDtype

BUFFER = 2**27
"""Bytes of distinct weights that a measurement goes through: more than most caches hold."""

SLICE = 8192
"""Most outputs of one product: a wider layer, such as a vocabulary head, is measured in slices of its outputs."""

TRIES = 5

_MOST = 64  # matrices in one sweep, at most
_SWEEP = 4e9  # operations of one sweep on a processor, for many rows: then two matrices are enough


@dataclass(frozen=True)
class LinearShape:
    """A linear layer of a model, and how often it occurs: [rows, inputs] -> [rows, outputs]."""

    inputs: int
    outputs: int
    count: int = 1
    head: bool = False  # the vocabulary head, which runs on other rows than the layers do

    @property
    def parameters(self) -> int:
        """Weights of all of them, without biases."""
        return self.inputs * self.outputs * self.count


@dataclass(frozen=True)
class Product:
    """The speed of one matrix product: [rows, inputs] times [inputs, outputs]."""

    dtype: ComputeDtype
    rows: int
    inputs: int
    outputs: int
    gflops: float  # 1e9 multiplications and additions a second
    way: str  # plain, transposed or packed: how the weights lay when it was fastest


@dataclass(frozen=True)
class Roofline:
    """Speeds measured on one device with this many threads."""

    device: str
    threads: int
    products: tuple[Product, ...]
    copy: float | None = None  # GB/s, bytes read and bytes written; None: not measured

    def gflops(self, dtype: ComputeDtype, rows: int, inputs: int, outputs: int) -> float:
        """GFLOP/s of one product. Raises `RunError` when it was not measured."""
        asked = (dtype, rows, inputs, outputs)
        for p in self.products:
            if (p.dtype, p.rows, p.inputs, p.outputs) == asked:
                return p.gflops
        raise RunError("A product was not measured", seen=asked, wanted="a dtype, rows and shape of the roofline")

    def of_model(
        self, shapes: Sequence[LinearShape], dtype: ComputeDtype, rows: int, head_rows: int | None = None
    ) -> float:
        """GFLOP/s of all linear layers together, sum(work) / sum(work / speed), at `rows` a product.

        `head_rows`: rows that the head is multiplied with at a time, where they are others. Every token is counted
        as going through every layer and the head once. Raises `RunError` when a product was not measured.
        """
        if not shapes:
            raise RunError("A model without linear layers has no roofline")
        seconds = 0.0
        for s in shapes:
            n = head_rows if s.head and head_rows is not None else rows
            seconds += s.parameters / self.gflops(dtype, n, s.inputs, s.outputs)
        return sum(s.parameters for s in shapes) / seconds

    def body(self) -> dict[str, Any]:
        """JSON-ready: device, threads, copy in GB/s, products in GFLOP/s."""
        return {**asdict(self), "products": [asdict(p) for p in self.products]}


def shapes_of(model: Any) -> tuple[LinearShape, ...]:
    """The linear layers of a transformers model without adapters, equal ones together, the vocabulary head last."""
    head = model.get_output_embeddings()
    counts: dict[tuple[int, int], int] = {}
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not head:
            shape = (module.in_features, module.out_features)
            counts[shape] = counts.get(shape, 0) + 1
    layers = [LinearShape(inputs, outputs, count) for (inputs, outputs), count in counts.items()]
    if isinstance(head, nn.Linear):
        layers.append(LinearShape(head.in_features, head.out_features, head=True))
    return tuple(layers)


MACHINE = LinearShape(2048, 2048, count=16)
"""The layer that `machine_roofline` measures."""

FEW, MANY = 64, 1024
"""Rows of its products: a step of decoding, and a pass of learning."""


def machine_roofline(device: str = "cpu", seconds: float = 0.7) -> Roofline:
    """A quick look at the machine: products of `MACHINE` with few rows and many, in both dtypes; a copy."""
    return measure_roofline([MACHINE], (FEW, MANY), ("bfloat16", "float32"), device=device, seconds=seconds)


@torch.inference_mode()
def measure_roofline(
    shapes: Sequence[LinearShape],
    rows: Sequence[int],
    dtypes: Sequence[ComputeDtype],
    *,
    head_rows: Sequence[int] | None = None,
    device: str = "cpu",
    seconds: float = 1.0,
    copy: bool = True,
) -> Roofline:
    """Time every product of `shapes` at each of `rows` (the head: of `head_rows`) in each dtype, and a copy.

    `seconds`: about how long all of it may take on top of making the buffers; each product is still tried once
    after one warm-up, and at most `TRIES` times. The global random state is left as it was.
    """
    tool = _Bench(device)
    wanted = {
        (dtype, n, s.inputs, s.outputs): s
        for dtype, s in pairs(dtypes, shapes)
        for n in (head_rows if s.head and head_rows is not None else rows)
    }
    products = tuple(
        tool.product(dtype, n, shape, seconds / (len(wanted) + copy)) for (dtype, n, _, _), shape in wanted.items()
    )
    speed = tool.copy(seconds / (len(wanted) + 1)) if copy else None
    return Roofline(device, torch.get_num_threads(), products, speed)


class _Bench:
    """One buffer of random weights, looked at as matrices of any dtype and shape."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.random = torch.Generator().manual_seed(0)
        noise = self._uniform(2**16).bfloat16()
        data = noise.repeat(BUFFER // noise.nbytes)
        # Two bfloat16 numbers side by side are one float32 of ordinary size: one buffer serves both.
        self.weights = {torch.bfloat16: data, torch.float32: data.view(torch.float32)}

    def product(self, dtype: ComputeDtype, rows: int, shape: LinearShape, seconds: float) -> Product:
        """The fastest way to multiply `rows` rows with weights of `shape`, within about `seconds`."""
        kind: torch.dtype = getattr(torch, dtype)
        pool = self.weights[kind]
        width = min(shape.outputs, SLICE, len(pool) // shape.inputs)
        size, work = shape.inputs * width, 2.0 * rows * shape.inputs * width
        n = min(shape.count * (shape.outputs // width), len(pool) // size, _MOST)
        if self.device.type == "cpu":
            n = min(n, max(2, int(_SWEEP // work)))
        x = self._uniform(rows * shape.inputs).to(kind).view(rows, shape.inputs)
        ways = self._ways(x, pool[: n * size], width)
        best = {name: self._best(sweep, seconds / len(ways)) for name, sweep in ways.items()}
        way = min(best, key=lambda name: best[name])
        return Product(dtype, rows, shape.inputs, shape.outputs, work * n / best[way] / 1e9, way)

    def copy(self, seconds: float) -> float:
        """GB/s of a copy within the memory of the device: bytes read and bytes written."""
        source, target = self.weights[torch.bfloat16].chunk(2)
        return 2 * source.nbytes / self._best(lambda: target.copy_(source), seconds) / 1e9

    def _uniform(self, n: int) -> Tensor:
        return (torch.rand(n, generator=self.random) - 0.5).to(self.device)

    def _ways(self, x: Tensor, weights: Tensor, width: int) -> dict[str, Callable[[], object]]:
        """Functions that multiply x [rows, inputs] with every matrix in `weights`, by how the weights lie."""
        inputs = x.shape[1]
        out = x.new_zeros(x.shape[0], width)
        plain = weights.view(-1, width, inputs).transpose(1, 2)
        ways = {"plain": plain, "transposed": weights.view(-1, inputs, width)}
        sweeps: dict[str, Callable[[], object]] = {
            name: lambda matrices=list(matrices): [torch.mm(x, w, out=out) for w in matrices]  # type: ignore[misc]
            for name, matrices in ways.items()
        }
        if x.dtype == torch.bfloat16 and self.device.type == "cpu":
            with contextlib.suppress(AttributeError, RuntimeError):  # not in every build of torch
                ops: Any = torch.ops.mkldnn
                packed = [ops._reorder_linear_weight(w.T, len(x)) for w in plain]
                sweeps["packed"] = lambda: [ops._linear_pointwise(x, w, None, "none", [], "") for w in packed]
                sweeps["packed"]()
        return sweeps

    def _best(self, sweep: Callable[[], object], seconds: float) -> float:
        """Seconds of the quickest of at most `TRIES` runs after one that warms up."""
        started, best = self._now(), float("inf")
        sweep()
        for _ in range(TRIES):
            before = self._now()
            sweep()
            after = self._now()
            best = min(best, after - before)
            if after - started > seconds:
                break
        return best

    def _now(self) -> float:
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return time.perf_counter()
