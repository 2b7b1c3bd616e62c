"""Worker of TRL for a learning curve: a whole training on given prompts in the order given."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from speed.serve import Channel, serve, settings
from speed.workload import last_number

MICRO_BATCH = 16


def train(wanted: dict[str, Any]) -> dict[str, Any]:
    """Mean reward of every step, and every completion with the score it was given."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    rows: list[dict[str, Any]] = []
    prompts, size = wanted["prompts"], wanted["group_size"]
    texts, references = [p for p, _ in prompts], [r for _, r in prompts]

    def reward(completions: list[str], place: list[int], **_: Any) -> list[float]:
        scores = [float(last_number(c) == references[n]) for c, n in zip(completions, place, strict=True)]
        rows.extend({"prompt": n, "text": c, "score": s} for n, c, s in zip(place, completions, scores, strict=True))
        return scores

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=True,
            model_init_kwargs={"dtype": "float32"},
            seed=wanted["seed"],
            per_device_train_batch_size=MICRO_BATCH,
            gradient_accumulation_steps=wanted["per_step"] * size // MICRO_BATCH,
            num_generations=size,
            max_completion_length=wanted["tokens"],
            gradient_checkpointing=False,
            temperature=1.0,
            top_k=0,
            beta=0.0,
            loss_type="dapo",
            epsilon=0.2,
            epsilon_high=0.28,
            learning_rate=wanted["learning_rate"],
            lr_scheduler_type="constant",
            adam_beta1=0.9,
            adam_beta2=0.95,
            adam_epsilon=1e-8,
            weight_decay=0.0,
            max_grad_norm=1.0,
            max_steps=wanted["steps"],
            shuffle_dataset=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        data = Dataset.from_dict({"prompt": texts, "place": list(range(len(texts)))})
        trainer = GRPOTrainer(model=wanted["model"], reward_funcs=reward, args=config, train_dataset=data)
        trainer.train()
    a_step = wanted["per_step"] * size
    means = [sum(r["score"] for r in rows[i : i + a_step]) / a_step for i in range(0, len(rows), a_step)]
    return {"rewards": means, "rows": rows}


def main() -> None:
    """Load what is quick to load, then train when asked."""
    channel = Channel()
    wanted = settings()
    serve(channel, {"train": lambda: train(wanted)}, {"path": "GRPOTrainer"})


if __name__ == "__main__":
    sys.exit(main())
