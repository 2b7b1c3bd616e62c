"""Real small run directories, made with the record's own writer; and the means to tamper with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sibling.batch import Completion, Fate, Finish, Prompt, Row, Status, Verdict
from sibling.canonical import canonical_json, digest, file_digest, sha256, tree_digests
from sibling.config import Recipe, parse_recipe
from sibling.maths.advantages import group_advantages
from sibling.record.environment import environment_manifest
from sibling.record.events import GENESIS
from sibling.record.files import atomic_directory, atomic_write
from sibling.record.manifest import code_manifest
from sibling.record.reader import read_log
from sibling.record.samples import write_samples
from sibling.record.writer import RecordWriter

RUN = "run-7f3a"
P, G = 3, 4
NAMES, WEIGHTS = ("right", "short"), (1.0, 0.5)
ENVIRONMENT, CODE = environment_manifest(), code_manifest()


def ticking() -> Callable[[], datetime]:
    """A clock that moves a second at each look."""
    moments = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10**9))
    return lambda: next(moments)


def policy(step: int) -> str:
    """The digest of the policy after a step."""
    return digest(f"policy {step}")


def recipe(steps: int = 4, **sections: Any) -> Recipe:
    return parse_recipe(
        {
            "name": "small",
            "steps": steps,
            "task": {"type": "largest_number"},
            "rewards": [
                {"type": "final_number", "name": "right"},
                {"type": "overlong", "name": "short", "cache": 2, "weight": 0.5},
            ],
            "sampling": {"prompts_per_step": P, "group_size": G, "max_tokens": 6},
            **sections,
        }
    )


def prompts_of(step: int) -> list[Prompt]:
    return [Prompt(f"task-{step}-{p}", f"question {p}", np.arange(3 + p), str(p) if p else None) for p in range(P)]


def rows_of(step: int, *, failing: bool = True) -> list[Row]:
    """P groups: one live, one dead, and one live with a failed reward (unless not `failing`)."""
    random = np.random.default_rng(step)
    scores = np.array([[1.0, 0.0, 1.0, 0.0], [1.0] * G, [0.0, 1.0, 1.0, 0.0]])
    lengths = random.integers(2, 5, (P, G))
    lengths[1] = 3
    short = -(lengths == 4).astype(float)
    total = scores * WEIGHTS[0] + short * WEIGHTS[1]
    error = np.zeros((P, G), bool)
    error[2, 3] = failing
    reward = np.where(error, np.nan, total).ravel()
    advantage = group_advantages(reward, np.repeat(np.arange(P), G), scale="group", ddof=1, eps=1e-4).reshape(P, G)
    rows = []
    for p in range(P):
        for g in range(G):
            length = int(lengths[p, g])
            first = (
                Verdict(Status.error, None, "the reward raised ValueError")
                if error[p, g]
                else Verdict(Status.right if scores[p, g] else Status.wrong, float(scores[p, g]))
            )
            second = Verdict(Status.right, float(short[p, g]))
            logprobs = -random.random(length).astype(np.float32)
            rows.append(
                Row(
                    prompt=p,
                    sibling=g,
                    round=0,
                    completion=Completion(random.integers(0, 99, length), logprobs, Finish.eos, f"answer {p} {g}"),
                    verdicts=(first, second),
                    reward=None if error[p, g] else float(total[p, g]),
                    advantage=float(advantage[p, g]),
                    fate=Fate.reward_error if error[p, g] else Fate.dead_group if p == 1 else Fate.trained,
                )
            )
    return rows


def verdict_counts(rows: list[Row]) -> dict[str, Any]:
    table = {}
    for r, name in enumerate(NAMES):
        statuses = [row.verdicts[r].status for row in rows]
        scores = [s for row in rows if (s := row.verdicts[r].score) is not None]
        counts = {s.value: statuses.count(s) for s in Status}
        table[name] = {"n": len(rows), **counts, "mean": sum(scores) / len(scores) if scores else None}
    return table


@dataclass
class Run:
    """A run in the making. `stop_after` leaves it open at that step; `resume_from` adds a second segment."""

    directory: Path
    steps: int = 4
    sections: Mapping[str, Any] = field(default_factory=dict)  # of the recipe
    kl_beta: float = 0.0
    writer: RecordWriter = field(init=False)
    clock: Callable[[], datetime] = field(default_factory=ticking)

    def open(self) -> Run:
        """Segment 0, up to the evaluation before the first step."""
        self.directory.mkdir(parents=True, exist_ok=True)
        made = recipe(self.steps, **self.sections)
        atomic_write(self.directory / "recipe.yaml", b"name: small\n")
        atomic_write(self.directory / "resolved.json", canonical_json(made.resolved()))
        self.writer = RecordWriter(self.directory, RUN, segment=0, clock=self.clock)
        self.writer.write("run.opened", opened_body(self.directory, made))
        for type, body in setup_events().items():
            self.writer.write(type, body)
        self.evaluate("before", 0)
        return self

    def step(self, step: int, change: Callable[[list[Row]], list[Row]] = lambda rows: rows) -> None:
        rows = change(rows_of(step))
        self.writer.write("rollout.batch", self.rollout_body(step, rows))
        tokens = sum(len(r.completion.token_ids) for r in rows)
        trained = sum(r.fate is Fate.trained for r in rows)
        stats = {"generated": len(rows), "trained": trained, "sampled_tokens": tokens, "loss": 0.25 * step}
        self.writer.write("update.applied", update_body(step, stats))

    def rollout_body(self, step: int, rows: list[Row]) -> dict[str, Any]:
        name = f"samples/step-{step:06d}.parquet"
        sha, counts = write_samples(
            self.directory / name,
            step,
            RUN,
            reward_names=NAMES,
            reward_weights=WEIGHTS,
            prompts=prompts_of(step),
            rows=rows,
        )
        return {
            "step": step,
            "policy_step": step - 1,
            "policy_digest": policy(step - 1),
            "prompts": [p.id for p in prompts_of(step)],
            "samples_file": name,
            "samples_sha256": sha,
            "counts": counts,
            "rewards": verdict_counts(rows),
            "sampling": {"temperature": 1.0},
            "kl_beta": self.kl_beta,
            "wall": {"seconds": 0.5},
        }

    def refresh(self, step: int, reference: str | None = None) -> None:
        body = {"step": step, "policy_digest": policy(step), "reference_digest": reference or policy(step)}
        self.writer.write("reference.updated", body)

    def checkpoint(self, step: int) -> None:
        path = f"checkpoints/step-{step:06d}"
        with atomic_directory(self.directory / path) as folder:
            (folder / "model.safetensors").write_bytes(f"weights {step}".encode())
        body = tree_body(self.directory, path, step)
        self.writer.write("checkpoint.saved", {**body, "held_out_accuracy": None})

    def delete_checkpoint(self, step: int) -> None:
        path = f"checkpoints/step-{step:06d}"
        self.writer.write("checkpoint.deleted", {"step": step, "path": path, "reason": "keep_last=1"})
        (self.directory / path / "model.safetensors").unlink()
        (self.directory / path).rmdir()

    def evaluate(self, label: str, step: int) -> None:
        (self.directory / "evaluation").mkdir(exist_ok=True)
        name = f"evaluation/{label}.json"
        atomic_write(self.directory / name, canonical_json({"label": label, "step": step}))
        body = {
            "label": label,
            "step": step,
            "policy_digest": policy(step),
            "file": name,
            "file_sha256": file_digest(self.directory / name),
            "summary": {"greedy_accuracy": 0.1 * step},
            "wall": {"seconds": 1.5},
        }
        self.writer.write("eval.completed", body)

    def resume(self, from_step: int) -> None:
        """Drop the writer as a kill would, and go on in a new segment."""
        self.writer.close()
        log = read_log(self.directory)
        self.writer = RecordWriter(self.directory, RUN, segment=log.segment + 1, clock=self.clock)
        torn = self.writer.repair_tail()
        checkpoint = next((c for c in log.checkpoints() if c.step == from_step), None)
        body = {
            "from_step": from_step,
            "checkpoint_digest": checkpoint.body["digest"] if checkpoint else None,
            "previous_segment": log.previous_segment(),
            "discarded": log.discarded(from_step),
            "torn_bytes": torn,
        }
        self.writer.write("run.resumed", body)

    def finish(self) -> Path:
        with atomic_directory(self.directory / "model") as folder:
            (folder / "model.safetensors").write_bytes(b"final")
        self.writer.write("model.exported", tree_body(self.directory, "model", self.steps))
        self.evaluate("after", self.steps)
        self.writer.write("run.closed", closed_body(self.directory, self.steps))
        self.writer.close()
        return self.directory


def opened_body(directory: Path, made: Recipe) -> dict[str, Any]:
    return {
        "recipe_digest": made.digest(),
        "resolved_sha256": file_digest(directory / "resolved.json"),
        "recipe_sha256": file_digest(directory / "recipe.yaml"),
        "name": made.name,
        "seed": made.seed,
        "steps": made.steps,
        "environment": ENVIRONMENT,
        **CODE,
        "reward_names": list(NAMES),
        "objective": {**made.objective.model_dump(mode="json"), "equation": "J = ...", "paper": "2503.14476"},
    }


def setup_events() -> dict[str, dict[str, Any]]:
    some = digest("some")
    reward = {"type": "callable", "code_digest": some, "options": {}}
    return {
        "model.loaded": {
            "role": "policy",
            "source": {"type": "tiny"},
            "files": {"model.safetensors": some},
            "digest": digest({"model.safetensors": some}),
            "parameters": 1000,
            "compute_dtype": "float32",
            "licence": None,
            "architecture": "LlamaForCausalLM",
        },
        "template.bound": {"tokenizer_digest": some, "template_digest": some, "golden_render_digest": some},
        "data.loaded": {"source": {}, "digest": some, "held_out_ids_digest": some, "held_out": 10, "problems": []},
        "reward.bound": {
            "rewards": [{"name": n, "weight": w, **reward} for n, w in zip(NAMES, WEIGHTS, strict=True)],
            "reference_check": {"right": {"n": 8, "accepted": 8, "refused": 0, "error": 0}},
        },
    }


def update_body(step: int, stats: Mapping[str, float]) -> dict[str, Any]:
    return {
        "step": step,
        "stats": dict(stats),
        "policy_digest_before": policy(step - 1),
        "policy_digest_after": policy(step),
        "optimizer_updates": 1,
        "wall": {"seconds_step": 1.0},
    }


def tree_body(directory: Path, path: str, step: int) -> dict[str, Any]:
    files = tree_digests(directory / path)
    return {"step": step, "path": path, "files": files, "digest": digest(files), "policy_digest": policy(step)}


def closed_body(directory: Path, steps: int) -> dict[str, Any]:
    totals: dict[str, Any] = {"generated": 0, "trained": 0, "rejected": {}}
    for event in read_log(directory).rollouts():
        counts = event.body["counts"]
        totals["generated"] += counts["generated"]
        totals["trained"] += counts["trained"]
        for fate, n in counts["rejected"].items():
            totals["rejected"][fate] = totals["rejected"].get(fate, 0) + n
    return {"steps": steps, "status": "finished", "counts": totals, "summary": {}, "wall": {"seconds": 9.0}}


def finished_run(directory: Path, steps: int = 4) -> Path:
    """A finished run with a checkpoint every second step; the first one was deleted."""
    run = Run(directory, steps).open()
    for step in range(1, steps + 1):
        run.step(step)
        if step % 2 == 0:
            run.checkpoint(step)
    if steps >= 4:
        run.delete_checkpoint(2)
    return run.finish()


def resumed_run(directory: Path) -> Path:
    """Killed after step 3 (a checkpoint at 2), resumed from 2, finished at 4."""
    run = Run(directory).open()
    for step in (1, 2, 3):
        run.step(step)
        if step == 2:
            run.checkpoint(2)
    run.resume(2)
    for type, body in setup_events().items():
        run.writer.write(type, body)
    run.step(3)
    run.step(4)
    run.checkpoint(4)
    return run.finish()


def envelopes(directory: Path) -> list[dict[str, Any]]:
    """The log's lines as JSON objects, to be changed."""
    return [json.loads(line) for line in (directory / "events.jsonl").read_bytes().splitlines()]


def rewrite(directory: Path, items: list[dict[str, Any]], *, relink: bool = True) -> None:
    """Write the log from `items`; with `relink`, as a forger who fixes every number and hash would."""
    prev, lines = GENESIS, []
    for seq, item in enumerate(items):
        line = canonical_json({**item, "seq": seq, "prev": prev} if relink else item)
        prev = sha256(line)
        lines.append(line + b"\n")
    (directory / "events.jsonl").write_bytes(b"".join(lines))
