"""Where the time of a call goes, by kind of torch operator; what runs outside of them is the remainder."""

from __future__ import annotations

import time
from collections.abc import Callable

OTHER = "element-wise and other operators"
OWN = "kernels of this package, and Python"

KINDS = (
    ("matrix products", ("::mm", "::addmm", "::bmm", "::baddbmm", "::dot", "mkldnn", "_linear")),
    ("attention", ("scaled_dot_product", "flash_attention")),
    ("softmax and drawing", ("softmax", "logsumexp", "searchsorted", "cumsum", "::exp", "::max", "::amax")),
    ("copies and casts", ("copy", "aten::cat", "aten::clone", "index", "gather", "aten::fill_", "aten::zero_")),
    ("optimizer", ("_fused_adam", "_foreach", "aten::norm")),
)  # fmt: skip


def by_kind(call: Callable[[], object]) -> dict[str, float]:
    """Seconds of `call` by kind, and of the `whole`: torch's own operators, and all that is none of them."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        start = time.perf_counter()
        call()
        whole = time.perf_counter() - start
    out = {name: 0.0 for name, _ in KINDS} | {OTHER: 0.0}
    for event in seen.key_averages():
        if "::" in event.key or "_fused" in event.key:  # a function of Python carries no name space
            kind = next((k for k, parts in KINDS if any(p in event.key for p in parts)), OTHER)
            out[kind] += event.self_cpu_time_total / 1e6
    return {**out, OWN: max(0.0, whole - sum(out.values())), "whole": whole}
