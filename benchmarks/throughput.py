"""Sampling and update against a plain transformers loop, in one process, in turn: `make bench`.

Both sides draw the same number of completions of exactly `--tokens` tokens for the same prompts with the same
weights, and then make one AdamW update on the same completions. The peer is what one would
write first: `generate` on left-padded prompts repeated G times, and a padded forward pass whose logits are
gathered at the completions, both in bfloat16 autocast over float32 weights, as here. Printed are medians and
the ratio of each pair of runs; the machine is noisy, so quote ratios. Not covered: other libraries' own loops.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sibling.batch import Batch
from sibling.config import load_recipe
from sibling.models.precision import compute
from sibling.pipeline.parts import Parts, build
from sibling.pipeline.process import prepare
from sibling.rollout.engine import GroupRequest, SamplingParams
from sibling.seeds import uniforms

RECIPE = Path(__file__).parents[1] / "recipes" / "largest-number.yaml"


def main() -> None:
    """Measure both pairs and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, default=16, help="tokens of every completion")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs; the first pair is a warm-up on top")
    options = parser.parse_args()
    prepare()  # memory and threads as in a run
    parts = build(
        load_recipe(RECIPE, ["evaluation.prompts=0", f"sampling.max_tokens={options.tokens}"]), base=RECIPE.parent
    )
    peer = copy.deepcopy(parts.loaded.model)
    peer.set_attn_implementation("sdpa")
    prompts = [parts.task_at(1, i)[1].token_ids for i in range(parts.recipe.sampling.prompts_per_step)]
    drawn = parts.recipe.sampling.group_size * len(prompts) * options.tokens
    print(
        f"{len(prompts)} prompts x {parts.recipe.sampling.group_size} completions of {options.tokens} tokens, "
        f"{parts.compute_dtype}, {torch.get_num_threads()} threads"
    )
    batch = _batch(parts, prompts, options.tokens)
    _pairs(
        "sampling",
        drawn,
        options.rounds,
        lambda: _sample(parts, prompts, options.tokens),
        lambda: _peer_sample(parts, peer, prompts, options.tokens),
    )
    adamw = torch.optim.AdamW(peer.parameters(), lr=1e-9, fused=True)
    _pairs(
        "update", drawn, options.rounds, lambda: parts.learner(batch), lambda: _peer_update(parts, peer, batch, adamw)
    )


def _pairs(what: str, tokens: int, rounds: int, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    ours_seconds, their_seconds = [], []
    for round_ in range(rounds + 1):
        a, b = _time(ours), _time(theirs)
        if round_:
            ours_seconds.append(a)
            their_seconds.append(b)
    ratios = [b / a for a, b in zip(ours_seconds, their_seconds, strict=True)]
    a, b = statistics.median(ours_seconds), statistics.median(their_seconds)
    print(
        f"{what:<9} sibling {a:6.2f} s {tokens / a:7.0f} tok/s   plain {b:6.2f} s {tokens / b:7.0f} tok/s   "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def _time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _batch(parts: Parts, prompts: list[Any], tokens: int) -> Batch:
    size, rng = parts.recipe.sampling.group_size, np.random.default_rng(0)
    rows = len(prompts) * size
    ids = [rng.integers(0, parts.loaded.model.config.vocab_size, tokens) for _ in range(rows)]
    return Batch(
        prompts=tuple(prompts),
        group=np.repeat(np.arange(len(prompts)), size),
        completions=tuple(ids),
        sampler_logprobs=tuple(np.full(tokens, -10.0, dtype=np.float32) for _ in ids),
        mask=tuple(np.ones(tokens, dtype=np.bool_) for _ in ids),
        advantage=rng.normal(size=rows),
        live=np.ones(rows, dtype=np.bool_),
    )


def _sample(parts: Parts, prompts: list[Any], tokens: int) -> None:
    engine = parts.engine
    eos, engine.eos = engine.eos, frozenset()  # every completion runs to its last token, as in the peer
    try:
        requests = [GroupRequest(str(i), p, parts.recipe.sampling.group_size) for i, p in enumerate(prompts)]
        engine.generate(requests, SamplingParams(tokens), lambda key, s, n: uniforms(0, 0, key, s, n))
    finally:
        engine.eos = eos


def _peer_sample(parts: Parts, peer: Any, prompts: list[Any], tokens: int) -> None:
    pad = parts.loaded.tokenizer.pad_token_id or 0
    longest, size = max(map(len, prompts)), parts.recipe.sampling.group_size
    ids = torch.tensor([[pad] * (longest - len(p)) + p.tolist() for p in prompts for _ in range(size)])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts for _ in range(size)])
    with torch.no_grad(), compute(parts.compute_dtype):
        peer.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=1.0,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            pad_token_id=pad,
        )


def _peer_update(parts: Parts, peer: Any, batch: Batch, adamw: torch.optim.Optimizer) -> None:
    pad = parts.loaded.tokenizer.pad_token_id or 0
    rows = [np.concatenate([batch.prompts[g], c]) for g, c in zip(batch.group, batch.completions, strict=True)]
    longest, tokens = max(map(len, rows)), len(batch.completions[0])
    for part in np.array_split(np.arange(len(rows)), 4):  # four micro-batches of whole rows: less memory
        ids = torch.tensor([[pad] * (longest - len(rows[i])) + rows[i].tolist() for i in part])
        mask = torch.tensor([[0] * (longest - len(rows[i])) + [1] * len(rows[i]) for i in part])
        with compute(parts.compute_dtype):
            logits = peer(input_ids=ids, attention_mask=mask, logits_to_keep=tokens + 1).logits[:, :-1].float()
            logp = logits.log_softmax(-1).gather(-1, ids[:, -tokens:, None])[..., 0]
            loss = -(torch.tensor(batch.advantage[part])[:, None] * logp).sum() / (batch.size * tokens)
        torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(peer.parameters(), 1.0)
    adamw.step()
    adamw.zero_grad(set_to_none=True)


if __name__ == "__main__":
    main()
