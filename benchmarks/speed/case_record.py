"""What the record, the monitors and the digests cost: the share of a step of a real run that is none of its phases."""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from speed import workload
from speed.bench import Bench, say, slim
from speed.peers import ROOT
from speed.workers import WorkerError

PHASES = ("sampling", "rewards", "learning")


def run(bench: Bench) -> dict[str, Any]:
    """A short run of the embedded model at the benchmark's sizes, read back from its own events."""
    steps = 2 if bench.quick else 3 + bench.rounds
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        events = _train(bench, directory, steps)
    return {"steps": steps, **_shares(events)}


def _train(bench: Bench, directory: Path, steps: int) -> list[dict[str, Any]]:
    options = [
        f"run_dir={directory}",
        f"steps={steps}",
        "evaluation.prompts=0",
        "filters.dynamic_sampling.enabled=false",
        f"sampling.prompts_per_step={workload.PROMPTS}",
        f"sampling.group_size={workload.GROUP_SIZE}",
        f"sampling.max_tokens={workload.TOKENS}",
        f"checkpoints.every={steps + 1}",
    ]
    command = [str(bench.peer("sibling").python), "-m", "sibling", "train", "recipes/largest-number.yaml", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerError(f"the run failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]


def _shares(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds of every step after the first, by phase; what is left between one update's event and the next.

    `seconds_step` ends before the event of the update is written, so the clock of the events themselves is used: it
    covers writing, digests, monitors and progress too.
    """
    applied = [e for e in events if e["type"] == "update.applied"]
    values = []
    for before, event in itertools.pairwise(applied):
        wall = event["body"]["wall"]
        whole = _seconds(event) - _seconds(before)
        phases = {name: float(wall.get(f"seconds_{name}", 0.0)) for name in PHASES}
        rest = whole - sum(phases.values())
        values.append(slim({"seconds": whole, **phases, "rest": rest, "share": rest / whole}))
    shares = ", ".join(f"{v['share']:.1%}" for v in values)
    say(f"  record and monitors: {shares} of a step")
    return {"values": values}


def _seconds(event: dict[str, Any]) -> float:
    from datetime import datetime

    return datetime.fromisoformat(event["t"]).timestamp()
