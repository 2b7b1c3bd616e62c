"""The machine's limits, and where the time of this package's own step goes."""

from __future__ import annotations

from typing import Any

from speed import workload
from speed.bench import Bench, say, slim
from speed.workers import Worker


def roofline(bench: Bench) -> dict[str, Any]:
    """Products at the model's shapes and a memory copy; useful work of the workloads."""
    sizes = {
        "prompt": workload.PROMPT_TOKENS,
        "siblings": workload.GROUP_SIZE,
        "tokens": workload.TOKENS,
        "prompts": workload.PROMPTS,
    }
    with Worker("side_ours", bench.peer("sibling"), {"roofline": True}) as worker:
        found = worker.call("roofline", model=bench.model, seconds=5.0 if bench.quick else 40.0, **sizes)
    for dtype, speeds in found["speeds"].items():
        decoding = ", ".join(f"{v:.0f} at {rows} rows" for rows, v in speeds["decoding"].items())
        say(f"  {dtype}: decoding {decoding}; update {speeds['update']:.0f} GFLOP/s")
    return slim(found)


def profile(bench: Bench) -> dict[str, Any]:
    """One step under torch's profiler, seconds by kind of work."""
    asked = {
        "prompts": workload.prompts(bench.model, workload.PROMPTS).ids,
        "siblings": workload.GROUP_SIZE,
        "tokens": workload.TOKENS,
    }
    with bench.ours() as worker:
        worker.call("step", **asked)
        found = worker.call("profile", **asked)
    for phase in ("sampling", "update"):
        say(f"  {phase}: " + ", ".join(f"{k} {v:.2f} s" for k, v in found[phase].items()))
    return slim(found)
