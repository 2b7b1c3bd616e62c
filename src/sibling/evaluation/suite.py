"""Evaluation on held-out prompts: one greedy answer a prompt, then k sampled ones, graded, with intervals.

The model, the template and the graders arrive as plain callables. The result is one JSON-ready document; nothing
in it depends on the clock. Its summary (shares over items, each interval at the confidence asked for):

    greedy_accuracy    right greedy answers / scored greedy answers               Wilson interval
    mean_at_k          mean over items of the share of right samples              bootstrap over items
    pass_at_k          items with a right sample among k / items all scored       Wilson interval
    unscored           answers the first reward abstained from or failed on; in no share
    truncated_share    greedy answers that ended at max_tokens
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from sibling.batch import Completion, Finish, Prompt, Verdict
from sibling.canonical import digest
from sibling.errors import RequestError, RunError
from sibling.evaluation.items import Item, any_right, greedy_right, share_right, unscored
from sibling.maths.intervals import mean_interval, wilson_interval
from sibling.rollout.engine import GroupRequest, SamplingParams
from sibling.tasks.task import Task

Encode = Callable[[Task], Prompt]
"""A task as the model sees it."""

Generate = Callable[[Sequence[GroupRequest], SamplingParams], list[list[Completion]]]
"""Groups of completions, in the order of the requests."""

Grade = Callable[[Sequence[Task], Sequence[Completion]], list[tuple[Verdict, ...]]]
"""The verdicts on each completion, aligned; the first verdict is the one that counts here."""


def evaluate(
    label: str,
    step: int,
    policy_digest: str,
    tasks: Sequence[Task],
    encode: Encode,
    generate: Generate,
    grade: Grade,
    *,
    samples: int,
    params: SamplingParams,
    confidence: float,
) -> dict[str, Any]:
    """Evaluate one policy on `tasks`.

    Arguments: `samples` >= 0 sampled answers a prompt, drawn under `params`; 0 leaves mean@k and pass@k undefined
    (null). The greedy pass keeps max_tokens and the stop strings of `params`. Requests are keyed by task id, so a
    prompt's draws do not depend on the other prompts.

    Raises `RequestError` for no tasks or duplicate ids, `RunError` when `generate` or `grade` return another number
    of results than asked for.
    """
    _check_ids(tasks)
    prompts = [encode(task) for task in tasks]
    greedy_params = replace(params, temperature=0.0, top_p=1.0, top_k=0, min_p=0.0)
    greedy = _answers(tasks, prompts, generate, grade, 1, greedy_params)
    sampled = _answers(tasks, prompts, generate, grade, samples, params)
    items = [
        {"id": t.id, "prompt": p.text, "reference": t.reference, "greedy": g[0], "samples": s}
        for t, p, g, s in zip(tasks, prompts, greedy, sampled, strict=True)
    ]
    return {
        "label": label,
        "step": step,
        "policy_digest": policy_digest,
        "prompts_digest": digest([[i["id"], i["prompt"], i["reference"]] for i in items]),
        "settings": {**asdict(params), "stop": list(params.stop), "samples": samples},
        "items": items,
        "summary": summarise(items, samples, confidence),
    }


def summarise(items: Sequence[Item], k: int, confidence: float) -> dict[str, Any]:
    """The numbers of an evaluation (module docstring); a share with nothing to count is null, never 0."""
    greedy = [r for r in map(greedy_right, items) if r is not None]
    means = np.array([s for s in map(share_right, items) if s is not None], dtype=np.float64)
    passed = [r for r in map(any_right, items) if r is not None]
    return {
        "n": len(items),
        "greedy_accuracy": _share(greedy),
        "greedy_interval": list(wilson_interval(sum(greedy), len(greedy), confidence)) if greedy else None,
        "k": k,
        "mean_at_k": float(means.mean()) if len(means) else None,
        "mean_at_k_interval": list(mean_interval(means, confidence)) if len(means) else None,
        "pass_at_k": _share(passed),
        "pass_at_k_interval": list(wilson_interval(sum(passed), len(passed), confidence)) if passed else None,
        "confidence": confidence,
        "unscored": sum(map(unscored, items)),
        "greedy_length_mean": float(np.mean([i["greedy"]["length"] for i in items])),
        "truncated_share": _share([i["greedy"]["finish"] == Finish.length.value for i in items]),
    }


def _answers(
    tasks: Sequence[Task],
    prompts: Sequence[Prompt],
    generate: Generate,
    grade: Grade,
    siblings: int,
    params: SamplingParams,
) -> list[list[dict[str, Any]]]:
    """For each task, `siblings` graded answers."""
    if siblings == 0:
        return [[] for _ in tasks]
    requests = [GroupRequest(t.id, p.token_ids, siblings) for t, p in zip(tasks, prompts, strict=True)]
    groups = generate(requests, params)
    sizes = [len(group) for group in groups]
    if sizes != [siblings] * len(tasks):
        raise RunError(
            "The engine returned another number of completions than asked for",
            seen=f"{len(sizes)} groups of {sorted(set(sizes))}",
            wanted=f"{len(tasks)} groups of {siblings}",
        )
    owners = [task for task in tasks for _ in range(siblings)]
    completions = [completion for group in groups for completion in group]
    verdicts = grade(owners, completions)
    if len(verdicts) != len(completions) or not all(verdicts):
        raise RunError(
            "Grading returned another number of verdicts than asked for",
            seen=len(verdicts),
            wanted=f"{len(completions)}, each of at least one verdict",
        )
    answers = [_answer(c, v[0]) for c, v in zip(completions, verdicts, strict=True)]
    return [answers[i : i + siblings] for i in range(0, len(answers), siblings)]


def _answer(completion: Completion, verdict: Verdict) -> dict[str, Any]:
    return {
        "text": completion.text,
        "status": verdict.status.value,
        "score": verdict.score,
        "finish": completion.finish.value,
        "length": len(completion.token_ids),
    }


def _share(right: Sequence[bool]) -> float | None:
    return sum(right) / len(right) if right else None


def _check_ids(tasks: Sequence[Task]) -> None:
    if not tasks:
        raise RequestError("An evaluation needs at least one held-out prompt", seen=0)
    twice = [name for name, count in Counter(t.id for t in tasks).items() if count > 1]
    if twice:
        raise RequestError("Two held-out prompts have one id", seen=", ".join(twice[:5]), wanted="ids that are unique")
