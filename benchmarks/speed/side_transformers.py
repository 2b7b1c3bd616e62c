"""Worker of transformers in bfloat16: `generate` on repeated prompts, or its continuous batching, `generate_batch`."""

from __future__ import annotations

import sys
import time
from typing import Any

from speed.serve import Channel, serve, settings


class Transformers:
    """A model in bfloat16 with sdpa attention."""

    def __init__(self, model: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        self.model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
        self.threads = torch.get_num_threads()

    def generate(self, prompts: list[list[int]], siblings: int, tokens: int) -> dict[str, Any]:
        """Left-padded prompts, each G times, in one call."""
        import torch

        longest = max(map(len, prompts))
        rows = [p for p in prompts for _ in range(siblings)]
        ids = torch.tensor([[0] * (longest - len(p)) + p for p in rows])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in rows])
        start = time.perf_counter()
        with torch.no_grad():
            out = self.model.generate(ids, attention_mask=mask, min_new_tokens=tokens, **self._how(tokens))
        return {"seconds": time.perf_counter() - start, "tokens": (out.shape[1] - longest) * len(rows)}

    def generate_batch(self, prompts: list[list[int]], siblings: int, tokens: int) -> dict[str, Any]:
        """Continuous batching over a paged cache."""
        import torch
        from transformers import GenerationConfig
        from transformers.generation import ContinuousBatchingConfig

        rows = [p for p in prompts for _ in range(siblings)]
        how = GenerationConfig(eos_token_id=-1, **self._how(tokens))
        # Without a GPU it cannot tell how much memory there is, so the cache is given its size.
        pages = ContinuousBatchingConfig(page_size=32, num_blocks=8 * len(rows), max_batch_tokens=4096)
        start = time.perf_counter()
        with torch.no_grad():
            out = self.model.generate_batch(
                rows, generation_config=how, continuous_batching_config=pages, progress_bar=False
            )
        seconds = time.perf_counter() - start
        drawn = sum(len(o.generated_tokens) for o in out.values())
        if drawn != len(rows) * tokens:
            raise RuntimeError(f"{drawn} tokens were drawn where {len(rows) * tokens} were asked for")
        return {"seconds": seconds, "tokens": drawn}

    @staticmethod
    def _how(tokens: int) -> dict[str, Any]:
        how = {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0}
        return {**how, "max_new_tokens": tokens, "pad_token_id": 2}


def main() -> None:
    """Load, then serve."""
    channel = Channel()
    side = Transformers(settings()["model"])
    facts = {"path": "bfloat16 weights, sdpa", "threads": side.threads}
    serve(channel, {"generate": side.generate, "generate_batch": side.generate_batch}, facts)


if __name__ == "__main__":
    sys.exit(main())
