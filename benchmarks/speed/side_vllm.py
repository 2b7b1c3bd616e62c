"""Worker of vLLM on a CPU: in-process engine, bfloat16, prefix caching, log-prob of each drawn token."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from speed.serve import Channel, serve, settings, told


def main() -> None:
    """Load, then serve."""
    channel = Channel()
    wanted = settings()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    try:
        from vllm import LLM, SamplingParams

        block = {"block_size": wanted["block_size"]} if wanted.get("block_size") else {}
        llm = LLM(
            wanted["model"],
            dtype="bfloat16",
            max_model_len=wanted["context"],
            max_num_seqs=wanted["rows"],
            enable_prefix_caching=True,
            **block,
        )
    except Exception as error:
        channel.answer({"error": told(error)})
        return

    def sample(prompts: list[list[int]], siblings: int, tokens: int) -> dict[str, Any]:
        """Draw; the cache of earlier calls is emptied, as after an update of the weights."""
        llm.reset_prefix_cache()
        how = SamplingParams(n=siblings, temperature=1.0, max_tokens=tokens, ignore_eos=True, logprobs=0)
        asked = [{"prompt_token_ids": p} for p in prompts]
        start = time.perf_counter()
        out = llm.generate(asked, how, use_tqdm=False)
        seconds = time.perf_counter() - start
        drawn = [c for request in out for c in request.outputs]
        assert all(c.logprobs is not None for c in drawn)
        return {"seconds": seconds, "tokens": sum(len(c.token_ids) for c in drawn)}

    import torch

    config = llm.llm_engine.vllm_config
    facts = {
        "path": f"LLM.generate in-process, bfloat16, compiled, prefix caching, blocks of "
        f"{config.cache_config.block_size}, log-prob of each token",
        "threads": torch.get_num_threads(),
    }
    serve(channel, {"sample": sample}, facts)


if __name__ == "__main__":
    sys.exit(main())
