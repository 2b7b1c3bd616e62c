"""A small run directory made with the record's own writer: what the report, the displays and the commands read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sibling.batch import Completion, Fate, Finish, Prompt, Row, Status, Verdict
from sibling.canonical import digest, file_digest
from sibling.config import parse_recipe
from sibling.record.samples import write_samples
from sibling.record.writer import RecordWriter

P, G = 4, 6
RENDERED = "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@dataclass
class Recorded:
    """What to make. `steps` are done out of `planned`; `hostile` goes into completions, names and findings."""

    steps: int = 12
    planned: int = 12
    evaluations: bool = True
    compare: bool = True
    close: bool = True
    hostile: str = ""
    rewards: tuple[str, ...] = ("final_number",)
    leave_out: frozenset[str] = frozenset()  # statistics that were not measured
    also: Mapping[str, float] = field(default_factory=dict)  # further statistics, each rising from step to step
    hours: float = 0.0
    findings: list[dict[str, Any]] = field(default_factory=list)


def skill(step: int, planned: int) -> float:
    """Probability of a right answer at a step: a sigmoid from about 5 % to 97 %."""
    return float(0.04 + 0.93 / (1 + np.exp(-12 * (step / planned - 0.45))))


def make_run(folder: Path, what: Recorded | None = None) -> Path:
    """Write the run into `folder` and return it."""
    what = what or Recorded()
    folder.mkdir(parents=True, exist_ok=True)
    recipe = parse_recipe(
        {
            "name": folder.name,
            "steps": what.planned,
            "task": {"type": "largest_number"},
            "rewards": [{"type": "final_number", "name": name} for name in what.rewards],
            "sampling": {"prompts_per_step": P, "group_size": G, "max_tokens": 16},
        }
    )
    (folder / "recipe.yaml").write_text("steps: 60\ntask: {type: largest_number}\nrewards: [{type: final_number}]\n")
    (folder / "resolved.json").write_text(json.dumps(recipe.resolved()))
    moment = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

    def clock() -> datetime:
        nonlocal moment
        moment += timedelta(seconds=1.7)
        return moment

    with RecordWriter(folder, "run-0001", segment=0, clock=clock) as writer:
        _open(writer, folder, what)
        if what.evaluations:
            writer.write("eval.completed", _evaluated("before", 0, what))
        for finding in what.findings:
            writer.write("diagnosis.noted", finding)
        for step in range(1, what.steps + 1):
            _step(writer, folder, step, what)
            if what.evaluations and step % 20 == 0 and step < what.steps:
                writer.write("eval.completed", _evaluated(f"step-{step:06d}", step, what))
        if what.evaluations and what.close:
            writer.write("eval.completed", _evaluated("after", what.steps, what))
        if what.close:
            wall = {"seconds": 212.4}
            counts = {"generated": 0, "trained": 0, "rejected": {}}
            closing = {"steps": what.steps, "status": "finished", "counts": counts, "summary": {}, "wall": wall}
            writer.write("run.closed", closing)
    if what.compare and what.evaluations and what.close:
        (folder / "evaluation").mkdir(exist_ok=True)
        (folder / "evaluation" / "compare.json").write_text(json.dumps(_comparison()))
    return folder


def _open(writer: RecordWriter, folder: Path, what: Recorded) -> None:
    some = digest("anything")
    writer.write(
        "run.opened",
        {
            "recipe_digest": some,
            "resolved_sha256": file_digest(folder / "resolved.json"),
            "recipe_sha256": file_digest(folder / "recipe.yaml"),
            "name": folder.name + what.hostile,
            "seed": 0,
            "steps": what.planned,
            "environment": {
                "python": "3.11.2",
                "platform": "Linux x86_64",
                "cpu": {"model": "Xeon", "count": 2},
                "packages": {"torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.3.1"},
            },
            "code_digest": some,
            "code": {"version": "0.1.0", "git": {"commit": "0123abcd" * 5, "dirty": False}},
            "reward_names": list(what.rewards),
            "objective": {
                "type": "dapo",
                "equation": "loss = (1/sum_j T_j) sum_i sum_t -min(r A, clip(r, 1-low, 1+high) A),"
                "  A_i = (R_i - mean_g) / (std_g + eps)",
                "paper": "DAPO, arXiv 2503.14476, eq. 8, 9, 11, 12 and 13",
            },
        },
    )
    writer.write(
        "model.loaded",
        {
            "role": "policy",
            "source": {"type": "embedded"},
            "files": {"model.safetensors": some},
            "digest": some,
            "parameters": 134_515_008,
            "compute_dtype": "bfloat16",
            "licence": "Apache-2.0",
            "architecture": "LlamaForCausalLM",
        },
    )
    writer.write(
        "data.loaded",
        {
            "source": {"kind": "largest_number", "count": 4, "digits": 2},
            "digest": some,
            "held_out_ids_digest": some,
            "held_out": 100,
            "problems": [],
        },
    )


def summary(step: int, planned: int) -> dict[str, Any]:
    """An evaluation summary on 100 prompts with 4 samples."""
    p = round(skill(step, planned), 2)
    near = (round(max(0.0, p - 0.06), 3), round(min(1.0, p + 0.05), 3))
    return {
        "n": 100,
        "greedy_accuracy": p,
        "greedy_interval": list(near),
        "k": 4,
        "mean_at_k": round(p * 0.95, 3),
        "mean_at_k_interval": [round(x * 0.95, 3) for x in near],
        "pass_at_k": round(1 - (1 - p) ** 3, 3),
        "pass_at_k_interval": [round(1 - (1 - x) ** 3, 3) for x in near],
        "confidence": 0.95,
        "unscored": 0,
        "greedy_length_mean": 6.2,
        "truncated_share": 0.0,
    }


def _evaluated(label: str, step: int, what: Recorded) -> dict[str, Any]:
    some = digest(label)
    return {
        "label": label,
        "step": step,
        "policy_digest": some,
        "file": f"evaluation/{label}.json",
        "file_sha256": some,
        "summary": summary(step, what.planned),
        "wall": {"seconds": 4.2},
    }


def _comparison() -> dict[str, Any]:
    return {
        "n": 100,
        "confidence": 0.95,
        "greedy": {
            "before": 0.04,
            "after": 0.97,
            "difference": 0.93,
            "interval": [0.87, 0.965],
            "wins": 93,
            "losses": 0,
            "p_value": 2e-28,
        },
        "mean_at_k": {"before": 0.042, "after": 0.92, "difference": 0.878, "interval": [0.84, 0.91]},
        "pass_at_k": {"before": 0.14, "after": 0.99, "difference": 0.85, "interval": [0.78, 0.92]},
    }


def rows_of(step: int, what: Recorded) -> tuple[list[Prompt], list[Row]]:
    """The prompts and completions of a step: answers right with the skill of that step."""
    random = np.random.default_rng(step)
    prompts, rows = [], []
    for p in range(P):
        numbers = random.integers(10, 99, 4)
        asked = f"Which number is the largest: {', '.join(map(str, numbers))}? Answer with the number alone."
        text = RENDERED.format(asked)
        prompts.append(Prompt(f"task-{step}-{p}", text, np.arange(24), str(numbers.max())))
        right = random.random(G) < skill(step, what.planned)
        dead = right.all() or not right.any()
        advantages = np.zeros(G) if dead else (right - right.mean()) / (right.std(ddof=1) + 1e-4)
        rows += [_row((p, g), numbers, float(advantages[g]), what, random, good=bool(right[g])) for g in range(G)]
    return prompts, rows


def _row(place: tuple[int, int], numbers: Any, advantage: float, what: Recorded, random: Any, *, good: bool) -> Row:
    wrong = f"The largest number in the list is {numbers.min()}, since it comes first when we sort them"
    text = f"{numbers.max()}" if good else wrong
    length = int(random.integers(3, 6)) if good else 16
    score = 1.0 if good else 0.0
    reason = "" if good else "the last number is not the reference"
    return Row(
        prompt=place[0],
        sibling=place[1],
        round=0,
        completion=Completion(
            np.arange(length),
            np.full(length, -0.5, np.float32),
            Finish.eos if good else Finish.length,
            text + what.hostile,
        ),
        verdicts=tuple(Verdict(Status.right if good else Status.wrong, score, reason) for _ in what.rewards),
        reward=score,
        advantage=advantage,
        fate=Fate.trained if advantage else Fate.dead_group,
    )


def stats_of(step: int, rows: list[Row], what: Recorded) -> tuple[dict[str, float], dict[str, float]]:
    """(stats, wall) of a step, as update.applied holds them."""
    random = np.random.default_rng(1000 + step)
    groups = [[r.reward or 0.0 for r in rows if r.prompt == p] for p in range(P)]
    rewards = [r.reward or 0.0 for r in rows]
    p = skill(step, what.planned)
    stats = {
        "reward_mean": float(np.mean(rewards)),
        "accuracy": float(np.mean(rewards)),
        "completion_length_mean": float(np.mean([len(r.completion.token_ids) for r in rows])),
        "truncated_share": float(np.mean([r.completion.finish is Finish.length for r in rows])),
        "live_groups": float(sum(len(set(g)) > 1 for g in groups)),
        "dead_groups_all_right": float(sum(set(g) == {1.0} for g in groups)),
        "dead_groups_all_wrong": float(sum(set(g) == {0.0} for g in groups)),
        "entropy": float(0.9 - 0.7 * p + 0.04 * random.random()),
        "sampler_gap_mean": float(2e-3 * (1 + random.random())),
        "sampler_gap_max": float(0.15 * (1 + random.random())),
        "clip_low_share": float(0.01 * random.random()),
        "clip_high_share": float(0.015 * random.random()),
        "grad_norm": float(2.5 * (1.2 - p) + random.random()),
        "learning_rate": 2e-5,
        "error_share": 0.0,
    }
    for name, good in (("length_right_mean", True), ("length_wrong_mean", False)):
        lengths = [len(r.completion.token_ids) for r in rows if (r.reward == 1.0) is good]
        if lengths:
            stats[name] = float(np.mean(lengths))
    wall = {
        "seconds_step": float(3.2 + random.random()),
        "sampled_tokens_per_second": float(900 + 200 * random.random()),
        "trained_tokens_per_second": float(2400 + 400 * random.random()),
    }
    stats |= {k: v * step for k, v in what.also.items()}
    return {k: v for k, v in stats.items() if k not in what.leave_out}, wall


def _step(writer: RecordWriter, folder: Path, step: int, what: Recorded) -> None:
    prompts, rows = rows_of(step, what)
    name = f"samples/step-{step:06d}.parquet"
    weights = [1.0] * len(what.rewards)
    sha, counts = write_samples(
        folder / name, step, "run-0001", reward_names=what.rewards, reward_weights=weights, prompts=prompts, rows=rows
    )
    some = digest(step)
    good = sum(r.reward == 1.0 for r in rows)
    verdicts: Mapping[str, Any] = {
        "n": len(rows), "right": good, "wrong": len(rows) - good, "abstain": 0, "error": 0, "mean": good / len(rows),
    }  # fmt: skip
    writer.write(
        "rollout.batch",
        {
            "step": step,
            "policy_step": step - 1,
            "policy_digest": some,
            "prompts": [p.id for p in prompts],
            "samples_file": name,
            "samples_sha256": sha,
            "counts": counts,
            "rewards": dict.fromkeys(what.rewards, verdicts),
            "sampling": {},
            "kl_beta": 0.0,
            "wall": {"seconds_sampling": 1.0},
        },
    )
    stats, wall = stats_of(step, rows, what)
    writer.write(
        "update.applied",
        {
            "step": step,
            "stats": stats,
            "policy_digest_before": some,
            "policy_digest_after": digest(step + 1),
            "optimizer_updates": 1,
            "wall": wall,
        },
    )
