"""Worker of TRL: its GRPOTrainer as it is, one optimizer step a command.

The trainer's own loop runs; between steps a callback waits for the next command. Sampling is the time inside
`_generate` (tokenizing and decoding text included), rewards that inside `_calculate_rewards`, the update all the rest.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed.serve import Channel, settings, told

FOREVER = 1_000_000


class Clock:
    """Seconds of the named parts of the step under way."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.tokens = 0

    def timing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, its time added under `name`."""

        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

        return timed


def trainer_of(wanted: dict[str, Any], clock: Clock, callback: Any, folder: Path) -> Any:
    """The trainer with the settings asked for."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    rows, micro = len(wanted["prompts"]) * wanted["group_size"], wanted["micro_batch"]
    paged = wanted["continuous_batching"]
    # Continuous batching drops `min_new_tokens`, so there no token ends a completion.
    forced = ({"eos_token_id": -1} if paged else {"min_new_tokens": wanted["tokens"]}) if wanted["forced"] else {}
    # Without a GPU it takes half of the memory for its cache; this many pages are enough.
    pages = {"page_size": 32, "num_blocks": 8 * rows, "max_batch_tokens": 4096} if paged else None
    config = GRPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=wanted["precision"] == "autocast",
        model_init_kwargs={"dtype": "bfloat16" if wanted["precision"] == "bf16" else "float32"},
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=rows // micro,
        num_generations=wanted["group_size"],
        max_completion_length=wanted["tokens"],
        generation_kwargs=forced or None,
        use_transformers_continuous_batching=paged,
        transformers_continuous_batching_config=pages,
        gradient_checkpointing=False,
        temperature=1.0,
        top_k=0,
        beta=0.0,
        learning_rate=1e-9,
        lr_scheduler_type="constant",
        max_steps=FOREVER,
        shuffle_dataset=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )

    def reward(completions: list[Any], prompts: list[Any], **_: Any) -> list[float]:
        alive = set(wanted["prompts"][: len(wanted["prompts"]) - wanted["dead"]])
        return [float(i % 2) if p in alive else 0.0 for i, p in enumerate(prompts)]

    trainer = GRPOTrainer(
        model=wanted["model"],
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": wanted["prompts"]}),
        callbacks=[callback],
    )
    generate = trainer._generate

    def counting(prompts: Any) -> Any:
        out = generate(prompts)
        clock.tokens += sum(len(ids) for ids in out[1])
        clock.prompt_tokens = sorted({len(ids) for ids in out[0]})
        return out

    trainer._generate = clock.timing("sampling", counting)
    trainer._calculate_rewards = clock.timing("rewards", trainer._calculate_rewards)
    return trainer


def waiting(channel: Channel, clock: Clock, facts: dict[str, Any]) -> Any:
    """The callback that stands between two steps."""
    from transformers import TrainerCallback

    class Waiting(TrainerCallback):
        """Asks for a command before each step, answers after it."""

        started = False

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not self.started:
                self.started = True
                channel.answer(facts)
            if channel.receive() is None:
                os._exit(0)  # nothing to save, and the trainer has no other way out in the middle of its loop
            clock.seconds.clear()
            clock.tokens = 0
            self.start = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds = time.perf_counter() - self.start
            parts = {name: clock.seconds.get(name, 0.0) for name in ("sampling", "rewards")}
            rest = seconds - sum(parts.values())
            body = {"seconds": seconds, **parts, "update": rest, "tokens": clock.tokens}
            channel.answer({**body, "prompt_tokens": clock.prompt_tokens})

    return Waiting()


def describe(wanted: dict[str, Any]) -> str:
    """The configuration in words."""
    weights = {
        "fp32": "float32 weights",
        "bf16": "bfloat16 weights",
        "autocast": "float32 weights, bfloat16 autocast",
    }[wanted["precision"]]
    batching = "continuous batching" if wanted["continuous_batching"] else "`generate`"
    return f"GRPOTrainer, {weights}, {batching}, {wanted['micro_batch']} rows a forward pass"


def main() -> None:
    """Load, then let the trainer's loop run."""
    import tempfile

    channel = Channel()
    wanted = settings()
    try:
        clock = Clock()
        import torch

        facts = {"path": describe(wanted), "threads": torch.get_num_threads()}
        with tempfile.TemporaryDirectory() as folder:
            trainer_of(wanted, clock, waiting(channel, clock, facts), Path(folder)).train()
    except Exception as error:
        import traceback

        traceback.print_exc()
        channel.answer({"error": told(error)})


if __name__ == "__main__":
    sys.exit(main())
