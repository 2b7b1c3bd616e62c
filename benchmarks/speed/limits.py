"""Roofline and useful work of the benchmark's workloads, by the package's own measurement and counting.

Runs inside a worker, since it needs torch. A layer's products can be done one by one or joined (queries, keys and
values in one; gate and up in one): both are measured at every number of rows, and the faster of the two counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

ROWS = (32, 64, 128)  # completions decoded at once
HEAD_ROWS = 512  # positions an update multiplies with the vocabulary head at a time


def roofline(model: str, seconds: float, prompt: int, siblings: int, tokens: int, prompts: int) -> dict[str, Any]:
    """GFLOP/s at the model's shapes, GB/s of a copy, and GFLOP of the workloads; `seconds` for all the measuring."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from sibling.models.roofline import measure_roofline, shapes_of
    from sibling.models.work import prefill_work, sampling_work, shape_of, update_work

    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
    single, shape = shapes_of(empty), shape_of(empty)
    many = prompts * (prompt + siblings * (tokens - 1))  # tokens that go through the layers in one update
    layouts = {"single": single, "joined": _joined(single, shape)}
    every = list({(s.inputs, s.outputs): s for layout in layouts.values() for s in layout}.values())
    rows, head_rows = (*ROWS, many), (*ROWS, HEAD_ROWS)
    found = measure_roofline(every, rows, ("bfloat16", "float32"), head_rows=head_rows, seconds=seconds)

    def speed(dtype: Any, n: int, head_rows: int | None, head: bool = True) -> float:
        kept = [[s for s in layout if head or not s.head] for layout in layouts.values()]
        return max(found.of_model(layout, dtype, n, head_rows) for layout in kept)

    speeds = {
        dtype: {
            "decoding": {n: speed(dtype, n, n) for n in ROWS},
            "update": speed(dtype, many, HEAD_ROWS),
            "prefill": speed(dtype, many, None, head=False),
        }
        for dtype in ("bfloat16", "float32")
    }
    work: dict[str, Any] = {"update": update_work(shape, [(prompt, [tokens] * siblings)] * prompts) / 1e9}
    for n in ROWS:
        groups = n // siblings
        first = prefill_work(shape, [prompt] * groups) / 1e9
        whole = sampling_work(shape, [prompt] * groups, [[tokens] * siblings] * groups) / 1e9
        work[f"sampling {n}"] = {"prefill": first, "decoding": whole - first}
    return {"update_rows": many, "speeds": speeds, "work": work, **found.body()}


def _joined(single: Any, shape: Any) -> list[Any]:
    """The layers with queries, keys and values as one product, and gate and up as one."""
    layer = next(s for s in single)
    attention = (shape.heads + 2 * shape.kv_heads) * shape.head_size
    out = [
        replace(layer, inputs=shape.hidden, outputs=attention, count=shape.layers, head=False),
        replace(layer, inputs=shape.heads * shape.head_size, outputs=shape.hidden, count=shape.layers, head=False),
        replace(layer, inputs=shape.hidden, outputs=2 * shape.intermediate, count=shape.layers, head=False),
        replace(layer, inputs=shape.intermediate, outputs=shape.hidden, count=shape.layers, head=False),
    ]
    return [*out, *(s for s in single if s.head)]
