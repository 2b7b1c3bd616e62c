"""How the cost of this package grows: siblings, prompt, completion, live groups, size of the model; and sharing.

`sharing` is one check: prompts of 1,024 tokens, 16 siblings against 4, each in a process of its own, in turn.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from speed import workload
from speed.bench import Bench, Values, entry, in_turn, told
from speed.workers import pair

VOCABULARY = 49152
LONG_PROMPT = 1024


@dataclass(frozen=True)
class Size:
    """A Llama-shaped model with random weights; the names of its sizes are those of transformers."""

    name: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int = VOCABULARY


SIZES = (
    Size("1M", 128, 4, 4, 2, 384, 1024),
    Size("10M", 256, 8, 4, 2, 704, 8192),
    Size("40M", 384, 12, 6, 2, 1024),
    Size("135M", 576, 30, 9, 3, 1536),
    Size("360M", 960, 32, 15, 5, 2560),
)


def growth(bench: Bench) -> dict[str, Any]:
    """Every sweep; each point is seconds of sampling and of the update, medians of the rounds."""
    quick = bench.quick
    found: dict[str, Any] = {}
    with bench.ours() as worker:

        def point(siblings: int, prompt: int, tokens: int, label: str) -> Values:
            asked = {
                "prompts": workload.random_ids(workload.PROMPTS, prompt, VOCABULARY),
                "siblings": siblings,
                "tokens": tokens,
            }
            (values,) = in_turn(bench.rounds, lambda: worker.call("step", **asked))
            told(label, values)
            return values

        g, p, t = workload.GROUP_SIZE, workload.PROMPT_TOKENS, workload.TOKENS
        sweeps = {
            "siblings": [(n, n, p, t) for n in ((2, 8) if quick else (2, 4, 8, 16, 32, 64))],
            "prompt": [(n, g, n, t) for n in ((16, 64) if quick else (16, 64, 256, 1024, 2048))],
            "completion": [(n, g, p, n) for n in ((16, 32) if quick else (16, 32, 64, 128, 256, 512))],
        }
        for name, points in sweeps.items():
            found[name] = [
                {"at": at, "values": entry(worker, point(s, length, n, f"{name} {at}"))["values"]}
                for at, s, length, n in points
            ]
        found["live"] = _live(bench, worker)
    found["model"] = [_model(bench, size) for size in (SIZES[:1] if quick else SIZES)]
    return found


def _live(bench: Bench, worker: Any) -> list[dict[str, Any]]:
    """The update with a share of 8 groups live."""
    prompts = workload.random_ids(8, workload.PROMPT_TOKENS, VOCABULARY)
    found = []
    for share in (0.0, 1.0) if bench.quick else (0.0, 0.25, 0.5, 0.75, 1.0):
        asked = {"prompts": prompts, "siblings": workload.GROUP_SIZE, "tokens": workload.TOKENS, "live": share}
        (values,) = in_turn(bench.rounds, lambda asked=asked: worker.call("update", **asked))  # type: ignore[misc]
        told(f"live share {share}", values)
        found.append({"at": share, "values": entry(worker, values)["values"]})
    return found


def _model(bench: Bench, size: Size) -> dict[str, Any]:
    """A step of a random model of this shape, in a fresh process."""
    prompts = workload.random_ids(workload.PROMPTS, workload.PROMPT_TOKENS, size.vocab_size)
    asked = {"prompts": prompts, "siblings": workload.GROUP_SIZE, "tokens": workload.TOKENS}
    shape = {k: v for k, v in asdict(size).items() if k != "name"}
    with bench.ours(shape=shape) as worker:
        (values,) = in_turn(bench.rounds, lambda: worker.call("step", **asked))
        told(f"model {size.name}", values)
        return {"at": size.name, "parameters": worker.ready["parameters"], "values": entry(worker, values)["values"]}


def sharing(bench: Bench) -> dict[str, Any]:
    """Time and memory of a step with long prompts, few and many siblings."""
    prompts = workload.random_ids(workload.PROMPTS, LONG_PROMPT, VOCABULARY)
    asked = {"prompts": prompts, "tokens": workload.TOKENS}
    with pair(bench.ours(), bench.ours()) as (few, many):
        a, b = in_turn(
            bench.rounds,
            lambda: few.call("step", siblings=4, **asked),
            lambda: many.call("step", siblings=16, **asked),
        )
        told(f"{LONG_PROMPT}-token prompts, 4 siblings", a)
        told(f"{LONG_PROMPT}-token prompts, 16 siblings", b)
        return {"prompts": workload.PROMPTS, "4": entry(few, a), "16": entry(many, b)}
