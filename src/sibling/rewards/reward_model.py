"""A reward model as a verifier: raw scores become rewards in a stated range, of the outcome or of each step.

    score = clip(transform(raw), low, high)          transform: the logistic function, or none
    right if score >= threshold

The model itself runs with torch (`models.scoring`); here it is a plain callable. `low` and `high` keep a policy from
climbing into scores the model never gave to known-good answers, where it knows least (2210.10760). Not covered: what
the model prefers for no good reason, length above all; measure that before training on it.

Process rewards (2305.20050): a step ends with the separator (`steps.split_steps`); each gets a score, and the total is
the least, the mean, the product or the last of them.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sibling.batch import Completion, Status, StepScore, Verdict
from sibling.config import ModelReward
from sibling.errors import RequestError
from sibling.rewards.parts import part_of
from sibling.rewards.steps import split_steps
from sibling.rewards.verdicts import Span, abstain, error, raised
from sibling.tasks.task import Task

Scorer = Callable[[Sequence[Task], Sequence[str]], list[list[tuple[int, float]]]]
"""(tasks, texts) -> for each text its (end, raw score), in order: one for the outcome, one a step for a process.

`end` counts characters of the text. Empty where the text does not fit into the model.
"""


class Scored:
    """The verdicts of a reward model. Abstains (`too_long`) where task and text do not fit into it.

    A text without anything in it is `wrong` (`empty`) at the low end of the scale, or an abstention where the scale
    has none. A raw score that is not finite is an error (`not_finite`), as is a model that fails (`failed`).

    Raises `RequestError` when built: `low` above `high`, or a product of steps without the logistic function (two
    bad steps would make a good product).
    """

    uses_reference = False

    def __init__(self, config: ModelReward, scorer: Scorer) -> None:
        _check(config)
        self._config, self._scorer = config, scorer
        self._counts: Counter[str] = Counter()
        self._range = (math.inf, -math.inf)  # of raw scores
        self._lock = threading.Lock()

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion; the seconds are shared out evenly."""
        start = time.perf_counter()
        spans = [part_of(c.text, self._config.part) for c in completions]
        texts = [c.text[a:b] for c, (a, b) in zip(completions, spans, strict=True)]
        asked = [i for i, text in enumerate(texts) if text.strip()]
        scored = iter(self._ask([tasks[i] for i in asked], [texts[i] for i in asked], [spans[i] for i in asked]))
        verdicts = [
            next(scored) if text.strip() else self._empty(span) for text, span in zip(texts, spans, strict=True)
        ]
        seconds = (time.perf_counter() - start) / max(1, len(completions))
        return [replace(v, seconds=seconds) for v in verdicts]

    def problem_with(self, task: Task) -> str | None:
        """None: a reward model takes any task."""
        del task
        return None

    def facts(self) -> dict[str, Any]:
        """What identifies the model behind it, where its scorer tells: the digest of its files."""
        found = getattr(self._scorer, "digest", None)
        return {} if found is None else {"model_digest": found}

    def statistics(self) -> dict[str, Any]:
        """Counts since it was built, of completions and (raised_to_low, lowered_to_high) of scores; the raw range."""
        with self._lock:
            names = ("scored", "too_long", "empty", "not_finite", "failed", "raised_to_low", "lowered_to_high")
            low, high = self._range
            return {n: self._counts[n] for n in names} | {"raw_range": [low, high] if low <= high else None}

    def _ask(self, tasks: Sequence[Task], texts: Sequence[str], spans: Sequence[Span]) -> list[Verdict]:
        if not texts:
            return []
        try:
            found = self._scorer(tasks, texts)
            return [self._verdict(scores, span) for scores, span in zip(found, spans, strict=True)]
        except Exception as failure:  # of torch or the model; then no completion of the batch has a score
            self._count("failed", len(texts))
            return [replace(raised(failure), code="failed")] * len(texts)

    # -- one completion

    def _verdict(self, found: Sequence[tuple[int, float]], span: Span) -> Verdict:
        if not found:
            self._count("too_long")
            return abstain("prompt and completion do not fit into the model", code="too_long", span=span)
        raws = [raw for _, raw in found]
        if not all(math.isfinite(raw) for raw in raws):
            self._count("not_finite")
            return error(
                f"the model gave {next(r for r in raws if not math.isfinite(r))}", code="not_finite", span=span
            )
        self._count("scored")
        with self._lock:
            self._range = (min(self._range[0], *raws), max(self._range[1], *raws))
        scores = [self._score(raw) for raw in raws]
        total = scores[-1] if self._config.kind == "outcome" else _REDUCE[self._config.reduce](scores)
        status = Status.right if total >= self._config.threshold else Status.wrong
        steps: tuple[StepScore, ...] = ()
        if self._config.kind == "process":
            steps = tuple(StepScore(span[0] + end, s) for (end, _), s in zip(found, scores, strict=True))
        return Verdict(status, total, _reason(raws), steps=steps, code="scored", span=span)

    def _score(self, raw: float) -> float:
        value = _logistic(raw) if self._config.transform == "sigmoid" else raw
        low, high = self._config.low, self._config.high
        if low is not None and value < low:
            self._count("raised_to_low")
            return low
        if high is not None and value > high:
            self._count("lowered_to_high")
            return high
        return value

    def _empty(self, span: Span) -> Verdict:
        self._count("empty")
        low = self._config.low if self._config.low is not None else 0.0 if self._config.transform == "sigmoid" else None
        if low is None:
            return abstain("nothing to score", code="empty", span=span)
        steps = (StepScore(max(1, span[1]), low),) if self._config.kind == "process" else ()
        return Verdict(Status.wrong, low, "nothing to score", steps=steps, code="empty", span=span)

    def _count(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counts[name] += by


def step_ends(config: ModelReward) -> Callable[[str], list[int]]:
    """Where the scores of a text are read: after each step (process), or at its end (outcome). For `models.scoring`."""
    if config.kind == "outcome":
        return lambda text: [len(text)]
    return lambda text: [end for _, end in split_steps(text, config.separator)]


_REDUCE: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "mean": lambda scores: math.fsum(scores) / len(scores),
    "product": math.prod,
    "last": lambda scores: scores[-1],
}


def _logistic(raw: float) -> float:
    return 1.0 / (1.0 + math.exp(-raw)) if raw >= 0 else math.exp(raw) / (1.0 + math.exp(raw))


def _reason(raws: Sequence[float]) -> str:
    if len(raws) == 1:
        return f"raw score {raws[0]:.4g}"
    worst = min(range(len(raws)), key=lambda i: raws[i])
    return f"{len(raws)} steps, the lowest is step {worst + 1} with a raw score of {raws[worst]:.4g}"


def _check(config: ModelReward) -> None:
    if config.low is not None and config.high is not None and config.low > config.high:
        raise RequestError(
            "The range of a reward model is empty", seen=f"low {config.low}, high {config.high}", wanted="low <= high"
        )
    if config.kind == "process" and config.reduce == "product" and config.transform == "none":
        raise RequestError(
            "A product of raw step scores has no meaning: two negative ones give a positive one",
            seen="reduce product with transform none",
            do="Set transform to sigmoid, or reduce to min, mean or last",
        )
