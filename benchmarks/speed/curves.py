"""Learning curves: the same task, prompts in the same order and settings, trained by TRL and by this package.

This package runs as `sibling train` does, TRL as its GRPOTrainer with float32 weights and bfloat16 autocast. The reward
is 1 where the last number of the completion is the largest of those asked about. TRL's completions are graded
again by this package's own reward, and disagreements are counted. The two sides draw with different random numbers, so
curves can only coincide within noise: that of the seeds, which is reported.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from speed.bench import Bench, say
from speed.peers import ROOT
from speed.workers import Worker, WorkerError

PROMPTS, GROUP_SIZE, TOKENS = 8, 8, 16
LEARNING_RATE = 2e-5
SMOOTH = 5  # steps of the running mean in which the curves are compared
RECIPE = "recipes/largest-number.yaml"


def run(bench: Bench, *, steps: int, seeds: int) -> dict[str, Any]:
    """Both sides at every seed, one after the other."""
    if bench.quick:
        steps, seeds = 2, 1
    found: dict[str, Any] = {"steps": steps, "ours": [], "peer": [], "disagreements": 0, "graded": 0}
    found |= {"prompts": PROMPTS, "group_size": GROUP_SIZE, "tokens": TOKENS, "learning_rate": LEARNING_RATE}
    problem = None
    for seed in range(1, seeds + 1):
        found["ours"].append(_ours(bench, steps, seed))
        say(f"  sibling, seed {seed}: mean reward {statistics.mean(found['ours'][-1]):.3f}")
        try:
            found["peer"].append(_trl(bench, steps, seed, found))
            say(f"  TRL, seed {seed}: mean reward {statistics.mean(found['peer'][-1]):.3f}")
        except WorkerError as error:
            problem = str(error)
            say(f"  TRL: {problem}")
            break
    if problem is not None:
        return {**found, "problem": problem}
    return {**found, **compare(found["ours"], found["peer"])}


def options(steps: int, seed: int) -> list[str]:
    """The recipe, brought to settings that both sides have."""
    return [
        f"steps={steps}",
        f"seed={seed}",
        "evaluation.prompts=0",
        "filters.dynamic_sampling.enabled=false",
        f"sampling.prompts_per_step={PROMPTS}",
        f"sampling.group_size={GROUP_SIZE}",
        f"sampling.max_tokens={TOKENS}",
        f"learner.optimizer.learning_rate={LEARNING_RATE}",
        "learner.optimizer.warmup_steps=0",
        f"checkpoints.every={steps + 1}",
    ]


def _ours(bench: Bench, steps: int, seed: int) -> list[float]:
    """Mean reward of every step of a real run."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        command = [str(bench.peer("sibling").python), "-m", "sibling", "train", RECIPE, f"run_dir={directory}"]
        done = subprocess.run([*command, *options(steps, seed)], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise WorkerError(f"the run failed: {(done.stderr or done.stdout).strip()[-400:]}")
        events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    return [e["body"]["stats"]["reward_mean"] for e in events if e["type"] == "update.applied"]


def _trl(bench: Bench, steps: int, seed: int, found: dict[str, Any]) -> list[float]:
    """Mean reward of every step of TRL's trainer on the same prompts; counts what the two rewards disagree about."""
    with Worker("side_tasks", bench.peer("sibling"), {"options": options(steps, seed)}) as tasks:
        asked = tasks.call("prompts", steps=steps)["prompts"]
        settings = {
            "model": bench.model,
            "prompts": asked,
            "per_step": PROMPTS,
            "group_size": GROUP_SIZE,
            "tokens": TOKENS,
            "steps": steps,
            "seed": seed,
            "learning_rate": LEARNING_RATE,
        }
        with Worker("side_trl_curve", bench.peer("trl"), settings) as worker:
            answer = worker.call("train")
        graded = tasks.call("grade", steps=steps, rows=answer["rows"])
    found["disagreements"] += graded["disagreements"]
    found["graded"] += len(answer["rows"])
    return list(answer["rewards"])


def compare(ours: list[list[float]], peer: list[list[float]]) -> dict[str, Any]:
    """Gap of the means over all steps, its standard error over seeds, and the widest gap of the smoothed curves.

    With one seed a side there is no standard error, and nothing is said about coincidence.
    """
    a, b = ([statistics.mean(curve) for curve in side] for side in (ours, peer))
    gap = statistics.mean(a) - statistics.mean(b)
    smooth = [_smooth([statistics.mean(x) for x in zip(*side, strict=True)]) for side in (ours, peer)]
    widest = max(abs(x - y) for x, y in zip(*smooth, strict=True))
    if min(len(a), len(b)) < 2:
        return {"gap": gap, "widest": widest}
    error = math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
    noise = _noise(ours, peer)
    return {"gap": gap, "error": error, "widest": widest, "noise": noise, "coincide": widest <= 3 * noise}


def _smooth(curve: list[float]) -> list[float]:
    return [statistics.mean(curve[max(0, i - SMOOTH + 1) : i + 1]) for i in range(SMOOTH - 1, len(curve))] or curve


def _noise(ours: list[list[float]], peer: list[list[float]]) -> float:
    """Standard error of the gap between two smoothed mean curves, from the spread of the seeds within each side."""
    variances = []
    for side in (ours, peer):
        smoothed = [_smooth(curve) for curve in side]
        spread = statistics.mean(statistics.variance(at) for at in zip(*smoothed, strict=True))
        variances.append(spread / len(side))
    return math.sqrt(sum(variances))
