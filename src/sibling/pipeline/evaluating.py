"""Evaluations of a run: the policy as it is, on held-out prompts, items to a file and an event that binds it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sibling.canonical import canonical_json, sha256
from sibling.evaluation.compare import compare
from sibling.evaluation.suite import Generate, evaluate
from sibling.pipeline.binding import Write
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.parts import Parts
from sibling.record.files import atomic_write
from sibling.rollout.engine import Progress
from sibling.seeds import uniforms


def run_evaluation(
    parts: Parts, label: str, step: int, policy: str, samples: int, progress: Progress | None
) -> tuple[dict[str, Any], float]:
    """The evaluation document and the seconds it took.

    Every evaluation of a run draws with the same uniforms, so that before and after differ by the policy alone.
    """
    start = time.monotonic()
    document = evaluate(
        label,
        step,
        policy,
        parts.held_out,
        parts.prompt,
        generator(parts, progress),
        parts.grader.grade,
        samples=samples,
        params=parts.sampling_params(),
        confidence=parts.recipe.evaluation.confidence,
    )
    return document, time.monotonic() - start


def generator(parts: Parts, progress: Progress | None) -> Generate:
    """The engine as evaluations call it, with the uniforms of the recipe's seed."""
    seed = parts.recipe.seed
    return lambda requests, params: parts.engine.generate(
        requests, params, lambda key, sibling, n: uniforms(seed, 0, f"evaluation/{key}", sibling, n), progress
    )


def record_evaluation(directory: RunDirectory, document: Mapping[str, Any], seconds: float, write: Write) -> None:
    """Write the items, then eval.completed."""
    path, data = directory.evaluation(document["label"]), canonical_json(document)
    atomic_write(path, data)
    body = {k: document[k] for k in ("label", "step", "policy_digest", "summary")}
    write(
        "eval.completed",
        {**body, "file": directory.relative(path), "file_sha256": sha256(data), "wall": {"seconds": seconds}},
    )


def compare_with_before(directory: RunDirectory, after: Mapping[str, Any], confidence: float) -> dict[str, Any]:
    """The paired difference of `after` to the evaluation before training, also written to compare.json."""
    before = json.loads(directory.evaluation("before").read_bytes())
    difference = compare(before, after, confidence)
    atomic_write(directory.evaluation("compare"), canonical_json(difference))
    return difference
