"""Groups of siblings: from the rows of a running step or from the samples of a record, and which to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sibling.batch import Prompt, Row
from sibling.errors import RunError
from sibling.record.samples import sample_rows
from sibling.report.gather import Body, RunView


@dataclass(frozen=True)
class Sibling:
    """One completion of a group. `reward` is None when nothing scored it."""

    index: int
    text: str
    reward: float | None
    advantage: float
    length: int  # tokens
    finish: str
    fate: str
    status: tuple[str, ...]  # R, one a reward
    score: tuple[float | None, ...]  # R
    reason: tuple[str, ...]  # R


@dataclass(frozen=True)
class Group:
    """A prompt and its siblings, best first; those without a reward come last."""

    step: int
    prompt: int
    round: int
    task_id: str
    prompt_text: str
    reference: str | None
    siblings: tuple[Sibling, ...]

    @property
    def spread(self) -> float:
        """Highest reward less the lowest; 0 for a dead group."""
        rewards = [s.reward for s in self.siblings if s.reward is not None]
        return max(rewards) - min(rewards) if rewards else 0.0

    @property
    def scored(self) -> list[Sibling]:
        """The siblings that have a reward, best first."""
        return [s for s in self.siblings if s.reward is not None]


def best_first(siblings: Sequence[Sibling]) -> tuple[Sibling, ...]:
    """Siblings by reward, highest first, then as they were drawn; those without a reward last."""
    return tuple(sorted(siblings, key=lambda s: (s.reward is None, -(s.reward or 0.0), s.index)))


def group_of_rows(step: int, prompt: Prompt, rows: Sequence[Row]) -> Group:
    """The group of a step that has just run."""
    siblings = [
        Sibling(
            index=r.sibling,
            text=r.completion.text,
            reward=r.reward,
            advantage=r.advantage,
            length=len(r.completion.token_ids),
            finish=r.completion.finish.value,
            fate=r.fate.value,
            status=tuple(v.status.value for v in r.verdicts),
            score=tuple(v.score for v in r.verdicts),
            reason=tuple(v.reason for v in r.verdicts),
        )
        for r in rows
    ]
    first = rows[0] if rows else None
    return Group(
        step=step,
        prompt=first.prompt if first else 0,
        round=first.round if first else 0,
        task_id=prompt.id,
        prompt_text=prompt.text,
        reference=prompt.reference,
        siblings=best_first(siblings),
    )


def read_groups(path: Path) -> list[Group]:
    """The groups of one samples file, in the order they were drawn. Raises `RunError` when it cannot be read."""
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in sample_rows(path):
        groups.setdefault((row["round"], row["prompt"]), []).append(row)
    return [_recorded(rows) for rows in groups.values()]


def showcase(view: RunView) -> list[tuple[str, Group]]:
    """One live group early, in the middle and late, each with the widest spread of rewards in its step.

    A step counts as having a live group when its update says so; steps whose samples cannot be read are
    passed over. Fewer than three when the run has fewer such steps.
    """
    live = [int(step) for step, n in view.series.get("live_groups", []) if n > 0 and int(step) in view.rollouts]
    if not live:
        return []
    steps = sorted({live[0], live[len(live) // 2], live[-1]})
    groups = [group for step in steps if (group := _widest(view, step)) is not None]
    labels = {1: ("Live",), 2: ("Early", "Late"), 3: ("Early", "Midway", "Late")}
    return list(zip(labels[len(groups)], groups, strict=True)) if groups else []


def samples_file(directory: Path, rollout: Body) -> Path:
    """The samples file that a rollout.batch names. Raises `RunError` when it lies outside the run directory."""
    path = directory / str(rollout["samples_file"])
    if not path.resolve().is_relative_to(directory.resolve()):
        raise RunError("A samples file lies outside its run directory", seen=str(path), wanted="a file below the run")
    return path


def _widest(view: RunView, step: int) -> Group | None:
    try:
        groups = read_groups(samples_file(view.directory, view.rollouts[step]))
    except RunError:
        return None
    best = max(groups, key=lambda g: g.spread, default=None)  # the first of equals
    return best if best is not None and best.spread > 0 else None


def _recorded(rows: Sequence[dict[str, Any]]) -> Group:
    siblings = [
        Sibling(
            index=row["sibling"],
            text=row["text"],
            reward=row["reward"],
            advantage=row["advantage"],
            length=row["length"],
            finish=row["finish"],
            fate=row["fate"],
            status=tuple(row["status"]),
            score=tuple(row["score"]),
            reason=tuple(row["reason"]),
        )
        for row in rows
    ]
    first = rows[0]
    return Group(
        step=first["step"],
        prompt=first["prompt"],
        round=first["round"],
        task_id=first["task_id"],
        prompt_text=first["prompt_text"],
        reference=first["reference"],
        siblings=best_first(siblings),
    )
