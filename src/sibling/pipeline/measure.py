"""StepStats of a step, and the summaries of verdicts that the record keeps, from rows and learner numbers."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sibling.batch import Fate, Finish, Prompt, Row, Status
from sibling.pipeline.yardstick import Yardstick
from sibling.rollout.collect import Rollout
from sibling.stats import StepStats


class Clock:
    """Seconds spent in the parts of a step, and since it began."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._parts: dict[str, float] = {}

    @contextlib.contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the time of the block to `name`."""
        start = time.monotonic()
        yield
        self.add(name, time.monotonic() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add `seconds` to `name`."""
        self._parts[name] = self._parts.get(name, 0.0) + seconds

    def seconds(self) -> dict[str, float]:
        """Seconds by name, and of the step so far."""
        return {**self._parts, "step": time.monotonic() - self._start}


def step_stats(
    step: int,
    rollout: Rollout,
    learned: Mapping[str, float],
    seconds: Mapping[str, float],
    yardstick: Yardstick | None = None,
) -> StepStats:
    """The numbers of one step; the shares of the roofline too where the machine was measured."""
    rows = rollout.rows
    values: dict[str, float] = {**learned, **_rewards(rows), **_lengths(rows), **_groups(rollout)}
    verdicts = [v.status for r in rows for v in r.verdicts]
    values |= {
        "generated": float(len(rows)),
        "trained": float(sum(r.fate is Fate.trained for r in rows)),
        "sampling_rounds": float(rollout.rounds),
        "sampled_tokens": float(sum(len(r.completion.token_ids) for r in rows)),
        "truncated_share": _share([r.completion.finish is Finish.length for r in rows]),
        "error_share": _share([s is Status.error for s in verdicts]),
        "abstain_share": _share([s is Status.abstain for s in verdicts]),
    }
    if rollout.batch.size > 1:
        values["advantage_std"] = float(np.std(rollout.batch.advantage, ddof=1))
    values |= {f"seconds_{k}": v for k, v in seconds.items()}
    if seconds.get("sampling"):
        values["sampled_tokens_per_second"] = values["sampled_tokens"] / seconds["sampling"]
    if seconds.get("learning") and values.get("trained_tokens"):
        values["trained_tokens_per_second"] = values["trained_tokens"] / seconds["learning"]
    values["memory_peak"] = peak_memory()
    if yardstick is not None:
        values |= yardstick.shares(rollout, learned, seconds)
    return StepStats(step, values)


def verdict_summary(rows: Sequence[Row], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per reward: n, right, wrong, abstain, error, how often each reason code was given, and the mean score.

    The mean is null where there is no score; verdicts without a code are not among `codes`.
    """
    out: dict[str, dict[str, Any]] = {}
    for r, name in enumerate(names):
        verdicts = [row.verdicts[r] for row in rows]
        scores = [v.score for v in verdicts if v.score is not None]
        out[name] = {
            "n": len(verdicts),
            **{s.value: sum(v.status is s for v in verdicts) for s in Status},
            "mean": float(np.mean(scores)) if scores else None,
            "codes": dict(sorted(Counter(v.code for v in verdicts if v.code).items())),
        }
    return out


def reward_seconds(rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    """Seconds spent in each reward."""
    return {name: sum(row.verdicts[r].seconds for row in rows) for r, name in enumerate(names)}


def peak_memory() -> float:
    """Largest resident set of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def add_counts(totals: dict[str, Any], tally: Mapping[str, Any]) -> None:
    """Add the counts of a step to those of the run, in place."""
    totals["generated"] += tally["generated"]
    totals["trained"] += tally["trained"]
    for fate, n in tally["rejected"].items():
        totals["rejected"][fate] = totals["rejected"].get(fate, 0) + n


def group_of_the_moment(rollout: Rollout) -> tuple[Prompt | None, list[Row]]:
    """The group whose rewards differ most, the first such; none when no completion has a reward."""
    rewards: dict[int, list[float]] = {}
    for row in rollout.rows:
        if row.reward is not None:
            rewards.setdefault(row.prompt, []).append(row.reward)
    if not rewards:
        return None, []
    chosen = max(rewards, key=lambda p: (max(rewards[p]) - min(rewards[p]), -p))
    return rollout.prompts[chosen], [r for r in rollout.rows if r.prompt == chosen]


def _rewards(rows: Sequence[Row]) -> dict[str, float]:
    rewards = [r.reward for r in rows if r.reward is not None]
    out: dict[str, float] = {}
    if rewards:
        out["reward_mean"] = float(np.mean(rewards))
    if len(rewards) > 1:
        out["reward_std"] = float(np.std(rewards, ddof=1))
    scored = [r.verdicts[0].status for r in rows if r.verdicts[0].score is not None]
    if scored:
        out["accuracy"] = _share([s is Status.right for s in scored])
    return out


def _lengths(rows: Sequence[Row]) -> dict[str, float]:
    of = {
        "completion_length_mean": [len(r.completion.token_ids) for r in rows],
        "length_right_mean": [len(r.completion.token_ids) for r in rows if r.verdicts[0].status is Status.right],
        "length_wrong_mean": [len(r.completion.token_ids) for r in rows if r.verdicts[0].status is Status.wrong],
    }
    return {name: float(np.mean(lengths)) for name, lengths in of.items() if lengths}


def _groups(rollout: Rollout) -> dict[str, float]:
    """Live groups of the batch; dead groups of every round, by whether every verdict of theirs says right."""
    live = {r.prompt for r in rollout.rows if r.fate in (Fate.trained, Fate.truncated)}
    dead: dict[int, bool] = {}
    for row in rollout.rows:
        if row.fate in (Fate.dead_group, Fate.refilled):
            right = all(v.status is Status.right for v in row.verdicts if v.score is not None)
            dead[row.prompt] = dead.get(row.prompt, True) and right
    return {
        "live_groups": float(len(live)),
        "dead_groups_all_right": float(sum(dead.values())),
        "dead_groups_all_wrong": float(len(dead) - sum(dead.values())),
    }


def _share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags)) if len(flags) else 0.0
