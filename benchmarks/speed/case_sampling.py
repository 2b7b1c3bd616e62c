"""Sampling against vLLM on a CPU and against transformers, at 32, 64 and 128 rows of exactly 64 tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from speed import workload
from speed.bench import Bench, entry, in_turn, say, told
from speed.workers import Worker, WorkerError, pair

Start = Callable[[], Worker]
_BLOCKS = (None, 32)  # vLLM's own choice (128), and one that lets siblings share most of a prompt of 61 tokens


def run(bench: Bench) -> dict[str, Any]:
    """One peer after the other, each in turn with this package."""
    sizes = workload.SAMPLING_PROMPTS[:1] if bench.quick else workload.SAMPLING_PROMPTS
    return {
        "vllm": _vllm(bench, sizes),
        "generate": _against(bench, lambda: _transformers(bench), "generate", sizes),
        "generate_batch": _against(bench, lambda: _transformers(bench), "generate_batch", sizes),
    }


def _transformers(bench: Bench) -> Worker:
    return Worker("side_transformers", bench.peer("sibling"), {"model": bench.model})


def _vllm(bench: Bench, sizes: tuple[int, ...]) -> dict[str, Any]:
    """vLLM with the block size that is faster at 64 rows."""
    context = 512
    rows = max(sizes) * workload.GROUP_SIZE

    def start(block: int | None) -> Worker:
        wanted = {"model": bench.model, "context": context, "rows": rows, "block_size": block}
        return Worker("side_vllm", bench.peer("vllm"), wanted)

    asked = _asked(bench, sizes[len(sizes) // 2])
    tried: list[tuple[float, int | None]] = []
    for block in _BLOCKS[:1] if bench.quick else _BLOCKS:
        try:
            with start(block) as worker:
                (values,) = in_turn(2, lambda worker=worker: worker.call("sample", **asked))  # type: ignore[misc]
            told(f"vLLM, {worker.ready['path']}"[:58], values)
            tried.append((min(v["seconds"] for v in values), block))
        except WorkerError as error:
            say(f"  vLLM, blocks of {block}: {error}")
            problem = str(error)
    if not tried:
        return {"problem": problem}
    block = min(tried, key=lambda t: t[0])[1]
    return _against(bench, lambda: start(block), "sample", sizes)


def _asked(bench: Bench, count: int) -> dict[str, Any]:
    ids = workload.prompts(bench.model, count).ids
    return {"prompts": ids, "siblings": workload.GROUP_SIZE, "tokens": workload.TOKENS}


def _against(bench: Bench, start: Start, do: str, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Every size in turn with one peer."""
    found: dict[str, Any] = {}
    try:
        with pair(bench.ours(), start()) as (us, them):
            for count in sizes:
                asked, rows = _asked(bench, count), count * workload.GROUP_SIZE
                own, other = in_turn(
                    bench.rounds,
                    lambda asked=asked: us.call("sample", **asked),  # type: ignore[misc]
                    lambda asked=asked: them.call(do, **asked),  # type: ignore[misc]
                )
                told(f"sibling, {rows} rows", own)
                told(f"{do}, {rows} rows", other)
                found[str(rows)] = {"ours": entry(us, own), "peer": entry(them, other)}
    except WorkerError as error:
        say(f"  {do}: {error}")
        return {"sizes": found, "problem": str(error)}
    return {"sizes": found}
