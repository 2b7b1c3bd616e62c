"""Claim: GRPO needs no value model and so saves a large part of PPO's memory and compute.

Source: DeepSeekMath, [2402.03300](https://arxiv.org/abs/2402.03300), section 4.1.

Design: The package's whole pipeline (sampling, reward, advantages, update, record) on a randomly initialised
llama-shaped model of some 25 million float32 weights, as `grpo` and as `ppo` with its critic, a copy of the policy's
trunk that is trained beside it. Recipes are otherwise equal: 4 prompts, 8 completions of at most 32 tokens, one pass,
AdamW, no reference policy. The reward is the share of lower-case letters, so that no group is dead and skipped. Each
run is a fresh process of one thread, the two in turn for every seed; the first of three steps is a warm-up. Memory
is the peak resident set up to the end of the third step, before anything is saved, less that before the model was
built; time is processor time a step, of sampling and of learning (scoring and advantages included).

Expected: Weights, gradients and AdamW's two moments are four copies of the model; a critic of the same size doubles
that, while activations live only while one model's backward pass runs: PPO's peak is between 1.6 and 2 times GRPO's.
Learning takes a forward pass for the values and a second update: between 2 and 2.3 times as long. Sampling does not
differ, so a whole step gains less.

Rule: Reproduced, each for itself, if the interval of the paired ratio PPO / GRPO is above 1.25 for memory, for the
time of learning, and for the time of a whole step.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from claims.claim import Claim, Judgement, Runs, Table, Values, column
from claims.intervals import difference, estimate, ratio, verdict

VOCABULARY = 259  # of the byte-level tokenizer
SETTINGS: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 1408,
    "layers": 8,
    "heads": 8,
    "steps": 3,
    "prompts": 4,
    "siblings": 8,
    "most_tokens": 32,
    "learning_rate": 1e-5,
    "bound": 1.25,
}
ARMS = {"grpo": "GRPO", "ppo": "PPO with a critic"}
_PROBE = Path(__file__).with_name("critic_probe.py")


def critic_bytes() -> int:
    """One float32 copy of the critic's trunk: embeddings, attention, MLP and norms; no vocabulary head."""
    width, inner = SETTINGS["hidden_size"], SETTINGS["intermediate_size"]
    layer = 4 * width * width + 3 * width * inner + 2 * width
    return 4 * int(VOCABULARY * width + SETTINGS["layers"] * layer + width)


def write_model(directory: Path, seed: int) -> None:
    """A random llama-shaped model with a byte-level tokenizer, as files."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from sibling.models.quiet import quiet
    from sibling.models.tiny import build_tokenizer

    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=SETTINGS["hidden_size"],
        intermediate_size=SETTINGS["intermediate_size"],
        num_hidden_layers=SETTINGS["layers"],
        num_attention_heads=SETTINGS["heads"],
        num_key_value_heads=SETTINGS["heads"],
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(seed)
    with quiet():
        LlamaForCausalLM(config).save_pretrained(directory)
        tokenizer.save_pretrained(directory)


def recipe(arm: str, seed: int, folder: Path) -> dict[str, Any]:
    """The two differ in the objective's type only."""
    return {
        "name": f"{arm}-{seed}",
        "run_dir": str(folder / "run"),
        "seed": seed,
        "steps": SETTINGS["steps"],
        "threads": 1,
        "model": {"type": "directory", "path": str(folder / "model")},
        "task": {"type": "largest_number", "count": 3, "digits": 1},
        "rewards": [{"type": "callable", "target": f"{_PROBE}:letters", "signature": "trl"}],
        "reward_policy": {"refused_references": "warn"},
        "sampling": {
            "prompts_per_step": SETTINGS["prompts"],
            "group_size": SETTINGS["siblings"],
            "max_tokens": SETTINGS["most_tokens"],
        },
        "objective": {"type": arm},
        "learner": {"compute_dtype": "float32", "optimizer": {"learning_rate": SETTINGS["learning_rate"]}},
        "evaluation": {"prompts": 0},
        "checkpoints": {"every": 1000},
    }


def measure(arm: str, seed: int) -> Values:
    """One run in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model", seed)
        path = folder / "recipe.json"
        path.write_text(json.dumps(recipe(arm, seed, folder)), encoding="utf-8")
        done = subprocess.run([sys.executable, str(_PROBE), str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the {arm} run failed:\n{done.stderr[-2000:]}")
    measured: Values = json.loads(done.stdout.splitlines()[-1])
    return {**measured, "step": measured["sampling"] + measured["learning"]}


def judge(runs: Runs) -> Judgement:
    """The rule of the docstring."""
    bound = SETTINGS["bound"]
    statements = []
    for name, what in (
        ("memory", "PPO needs more memory than GRPO"),
        ("learning", "PPO needs more time to learn from a rollout"),
        ("step", "PPO needs more time for a whole step"),
    ):
        times = ratio(column(runs, "ppo", name), column(runs, "grpo", name))
        quantity = f"{times.text()} times"
        if name == "memory":
            gap = difference(
                [m / 2**20 for m in column(runs, "ppo", name)], [m / 2**20 for m in column(runs, "grpo", name)]
            )
            quantity += (
                f"; {gap.text(0)} MiB more, where four copies of the critic are {4 * critic_bytes() / 2**20:.0f}"
            )
        statements.append((what, quantity, verdict(times, above=bound)))
    rows = [
        [
            ARMS[arm],
            estimate([m / 2**20 for m in column(runs, arm, "memory")]).text(0),
            *(estimate(column(runs, arm, name)).text() for name in ("sampling", "learning", "step")),
        ]
        for arm in ARMS
    ]
    head = ["arm", "peak memory, MiB", "sampling, s", "learning, s", "whole step, s"]
    return Judgement(statements, [Table(head, rows)])


REMARK = """
Time is as expected. What is saved in memory is roughly what the critic's weights, gradients and moments take; the
ratio was expected too high, because activations and the blocks that the allocator keeps are as large as the model's
own four copies at this size, and they do not double. With more parameters for each token of a micro-batch the ratio
comes nearer to 2.
"""

CLAIM = Claim(
    "critic", "GRPO's memory and time against PPO", __doc__ or "", SETTINGS, ARMS, measure, judge, REMARK, alone=True
)
