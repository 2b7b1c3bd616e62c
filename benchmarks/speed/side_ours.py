"""Worker of this package: the parts of a run, its engine and its learner, as `sibling train` uses them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speed.serve import Channel, serve, settings

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "largest-number.yaml"


class Ours:
    """A loaded model with engine and learner."""

    def __init__(self, shape: dict[str, int] | None = None, options: Sequence[str] = ()) -> None:
        from sibling.config import load_recipe
        from sibling.pipeline.parts import build

        overrides = [
            "evaluation.prompts=0",
            "learner.optimizer.learning_rate=1e-9",  # an update costs the same and every round sees the same policy
            *options,
        ]
        with tempfile.TemporaryDirectory() as folder:
            if shape is not None:
                write_random(Path(folder), shape)
                overrides += ["model.type=directory", f"model.path={folder}"]
            self.parts = build(load_recipe(RECIPE, overrides), base=RECIPE.parent)
        self.eos = self.parts.engine.eos
        self.calls = 0

    def facts(self) -> dict[str, Any]:
        """What was loaded."""
        import torch

        model = self.parts.loaded.model
        return {
            "path": f"sibling, float32 weights, {self.parts.compute_dtype} products",
            "compute_dtype": self.parts.compute_dtype,
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in model.parameters()),
        }

    def sample(self, prompts: list[list[int]], siblings: int, tokens: int, forced: bool = True) -> dict[str, Any]:
        """Draw G completions of each prompt; `forced`: of exactly `tokens` tokens."""
        start = time.perf_counter()
        groups = self._draw(prompts, siblings, tokens, forced)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "tokens": sum(len(c.token_ids) for g in groups for c in g)}

    def step(
        self, prompts: list[list[int]], siblings: int, tokens: int, forced: bool = True, dead: int = 0
    ) -> dict[str, Any]:
        """Sample, take advantages, update. The last `dead` groups score the same throughout, the others alternate."""
        from sibling.batch import Prompt
        from sibling.rollout.assemble import assemble

        start = time.perf_counter()
        groups = self._draw(prompts, siblings, tokens, forced)
        sampled = time.perf_counter()
        scored = [self._score(i, g, i >= len(prompts) - dead) for i, g in enumerate(groups)]
        asked = [Prompt(str(i), "", self._ids(p), None) for i, p in enumerate(prompts)]
        _, batch = assemble(scored, asked, self.parts.estimate(), None, [1.0], mask_truncated=False)
        rewarded = time.perf_counter()
        self.parts.learner(batch)
        end = time.perf_counter()
        return {
            "seconds": end - start,
            "sampling": sampled - start,
            "rewards": rewarded - sampled,
            "update": end - rewarded,
            "tokens": sum(len(c.token_ids) for g in groups for c in g),
            "live_tokens": sum(len(c) for c, on in zip(batch.completions, batch.live, strict=True) if on),
        }

    def update(self, prompts: list[list[int]], siblings: int, tokens: int, live: float = 1.0) -> dict[str, Any]:
        """One update on random completions; the first `live` share of the groups has advantages."""
        import numpy as np

        from sibling.batch import Batch

        rng = np.random.default_rng(0)
        rows = len(prompts) * siblings
        group = np.repeat(np.arange(len(prompts)), siblings)
        on = group < round(live * len(prompts))
        vocabulary = self.parts.loaded.model.config.vocab_size
        ids = tuple(rng.integers(0, vocabulary, tokens) for _ in range(rows))
        batch = Batch(
            prompts=tuple(self._ids(p) for p in prompts),
            group=group,
            completions=ids,
            sampler_logprobs=tuple(np.full(tokens, -10.0, dtype=np.float32) for _ in ids),
            mask=tuple(np.ones(tokens, dtype=np.bool_) for _ in ids),
            advantage=np.where(on, np.where(np.arange(rows) % 2, 1.0, -1.0), 0.0),
            live=on,
        )
        start = time.perf_counter()
        self.parts.learner(batch)
        return {"seconds": time.perf_counter() - start, "tokens": rows * tokens}

    def profile(self, prompts: list[list[int]], siblings: int, tokens: int) -> dict[str, Any]:
        """Seconds of sampling and of an update by kind of work, under torch's profiler, which slows both down."""
        from speed.profiling import by_kind

        return {
            "sampling": by_kind(lambda: self.sample(prompts, siblings, tokens)),
            "update": by_kind(lambda: self.update(prompts, siblings, tokens)),
        }

    def _draw(self, prompts: list[list[int]], siblings: int, tokens: int, forced: bool) -> Any:
        from sibling.rollout.engine import GroupRequest, SamplingParams
        from sibling.seeds import uniforms

        self.calls += 1
        call, engine = self.calls, self.parts.engine
        engine.eos = frozenset() if forced else self.eos
        requests = [GroupRequest(str(i), self._ids(p), siblings) for i, p in enumerate(prompts)]
        return engine.generate(requests, SamplingParams(tokens), lambda key, s, n: uniforms(0, call, key, s, n))

    @staticmethod
    def _ids(prompt: list[int]) -> Any:
        import numpy as np

        return np.array(prompt, dtype=np.int64)

    @staticmethod
    def _score(index: int, completions: Any, dead: bool) -> Any:
        import numpy as np

        from sibling.batch import Status, Verdict
        from sibling.rollout.assemble import Group

        scores = [0.0 if dead else float(i % 2) for i in range(len(completions))]
        verdicts = [(Verdict(Status.right if s else Status.wrong, s),) for s in scores]
        return Group(index, 0, list(completions), verdicts, np.array(scores), [None] * len(scores))


def write_random(folder: Path, shape: dict[str, int]) -> None:
    """A Llama with random weights and a tokenizer of bytes, as a directory."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from sibling.models.tiny import build_tokenizer

    torch.manual_seed(0)
    config = LlamaConfig(**shape, tie_word_embeddings=True, max_position_embeddings=8192, eos_token_id=2)
    LlamaForCausalLM(config).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)


def main() -> None:
    """Load, then serve."""
    channel = Channel()
    wanted = settings()
    from sibling.pipeline.process import prepare

    prepare()  # as the command line does before it loads torch
    if "roofline" in wanted:
        from speed.limits import roofline

        serve(channel, {"roofline": roofline}, {"path": "sibling"})
        return
    side = Ours(**wanted)
    commands = {"sample": side.sample, "step": side.step, "update": side.update, "profile": side.profile}
    serve(channel, commands, side.facts())


if __name__ == "__main__":
    sys.exit(main())
