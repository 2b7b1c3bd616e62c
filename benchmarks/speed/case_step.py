"""The whole step against TRL's trainer: forced lengths with every group live, natural lengths with half of them dead.

First every configuration of TRL is tried on its own, in a fresh process; the fastest is then measured in turn with
this package. Peak memory is that of these processes, which have done nothing else.
"""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from speed import workload
from speed.bench import Bench, entry, in_turn, say, slim, told
from speed.workers import Worker, WorkerError, pair

SEARCH_STEPS = 2  # measured steps of each configuration, after one to warm up
_KEEP = {"MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "33554432"}


@dataclass(frozen=True)
class Configuration:
    """How TRL is set up. `keep_memory`: glibc keeps freed blocks, as this package tells it to for itself."""

    precision: str
    micro_batch: int
    continuous_batching: bool = False
    keep_memory: bool = False

    def start(self, bench: Bench, *, forced: bool = True, dead: int = 0) -> Worker:
        """A fresh worker."""
        texts = workload.prompts(bench.model, workload.PROMPTS).texts
        settings = {"model": bench.model, "prompts": texts, "group_size": workload.GROUP_SIZE}
        settings |= {"tokens": workload.TOKENS, "forced": forced, "dead": dead}
        chosen = {k: v for k, v in asdict(self).items() if k != "keep_memory"}
        return Worker("side_trl", bench.peer("trl"), settings | chosen, _KEEP if self.keep_memory else None)

    def label(self) -> str:
        """In words."""
        weights = {"bf16": "bf16 weights", "fp32": "fp32", "autocast": "fp32 weights, bf16 autocast"}[self.precision]
        batching = "continuous batching" if self.continuous_batching else "generate"
        kept = ", allocator keeps memory" if self.keep_memory else ""
        return f"{weights}, {batching}, {self.micro_batch} rows a pass{kept}"


def search(bench: Bench) -> tuple[list[dict[str, Any]], Configuration | None]:
    """Every configuration tried, and the fastest."""
    rows = workload.PROMPTS * workload.GROUP_SIZE
    precisions = ("bf16",) if bench.quick else ("bf16", "autocast", "fp32")
    sizes = (8,) if bench.quick else (8, rows)
    tried: list[tuple[Configuration, dict[str, Any]]] = []

    def attempt(configuration: Configuration) -> None:
        tried.append((configuration, _try(bench, configuration)))

    for precision in precisions:
        for size in sizes:
            attempt(Configuration(precision, size))
        best = _fastest(tried)
        attempt(Configuration(precision, best.micro_batch if best else sizes[0], continuous_batching=True))
    fastest = _fastest(tried)
    if fastest is not None and not bench.quick:
        attempt(Configuration(**{**asdict(fastest), "keep_memory": True}))
    return [found for _, found in tried], _fastest(tried)


def _fastest(tried: list[tuple[Configuration, dict[str, Any]]]) -> Configuration | None:
    worked = [(found["seconds"], n) for n, (_, found) in enumerate(tried) if "seconds" in found]
    return tried[min(worked)[1]][0] if worked else None


def _try(bench: Bench, configuration: Configuration) -> dict[str, Any]:
    label = configuration.label()
    try:
        with configuration.start(bench) as worker:
            worker.call("step")
            values = [worker.call("step") for _ in range(1 if bench.quick else SEARCH_STEPS)]
    except WorkerError as error:
        say(f"  TRL, {label}: {error}")
        return {"label": label, **asdict(configuration), "problem": str(error)}
    told(f"TRL, {label}", values)
    middle = {k: statistics.median(v[k] for v in values) for k in ("seconds", "sampling", "update")}
    peak = max(v["peak_bytes"] for v in values)
    facts = {"tokens": values[-1]["tokens"], "peak_bytes": peak, "values": [slim(v) for v in values]}
    return {"label": label, **asdict(configuration), **slim(middle), **facts}


def run(bench: Bench) -> dict[str, Any]:
    """The search, then both workloads with the fastest configuration."""
    found, best = search(bench)
    if best is None:
        return {"search": found, "problem": found[0]["problem"], **_alone(bench)}
    return {
        "search": found,
        "best": best.label(),
        "forced": _turn(bench, best, forced=True, dead=0, rounds=bench.rounds),
        # Natural lengths differ from draw to draw, so there are more rounds.
        "free": _turn(bench, best, forced=False, dead=workload.PROMPTS // 2, rounds=1 if bench.quick else 5),
    }


def _arguments(bench: Bench, forced: bool, dead: int) -> dict[str, Any]:
    ids = workload.prompts(bench.model, workload.PROMPTS).ids
    return {
        "prompts": ids,
        "siblings": workload.GROUP_SIZE,
        "tokens": workload.TOKENS,
        "forced": forced,
        "dead": dead,
    }


def _turn(bench: Bench, best: Configuration, *, forced: bool, dead: int, rounds: int) -> dict[str, Any]:
    asked = _arguments(bench, forced, dead)
    rounds = max(rounds, bench.rounds)
    try:
        with pair(bench.ours(), best.start(bench, forced=forced, dead=dead)) as (us, them):
            own, other = in_turn(rounds, lambda: us.call("step", **asked), lambda: them.call("step"))
    except WorkerError as error:
        return {"problem": str(error)}
    what = "forced lengths" if forced else "natural lengths, half the groups dead"
    told(f"sibling, {what}", own)
    told(f"TRL, {what}", other)
    return {"ours": entry(us, own), "peer": entry(them, other, label=best.label())}


def _alone(bench: Bench) -> dict[str, Any]:
    """This package by itself, where there is no peer to measure it with."""
    found = {}
    for name, forced, dead in (("forced", True, 0), ("free", False, workload.PROMPTS // 2)):
        asked = _arguments(bench, forced, dead)
        with contextlib.closing(bench.ours()) as us:
            (own,) = in_turn(bench.rounds, lambda us=us, asked=asked: us.call("step", **asked))  # type: ignore[misc]
            found[name] = {"ours": entry(us, own)}
    return found
