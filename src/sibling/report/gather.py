"""What a report needs of a run, read from its directory alone: `gather` -> `RunView`.

Only the effective events count: steps that a resumed run did again appear once. What is missing stays
missing (None, or an absent key), never 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sibling.errors import RecordError, RequestError
from sibling.record.events import Event, body_fault
from sibling.record.reader import EVENTS_NAME, read_log

Body = Mapping[str, Any]
Series = Mapping[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class RunView:
    """One run as its record tells it. Lists are in the order of the record."""

    directory: Path
    opened: Body
    models: Sequence[Body]
    data: Body | None
    reward: Body | None
    series: Series  # statistic -> (step, value); names as in stats.QUANTITIES, and `reward:<name>` for each reward
    rollouts: Mapping[int, Body]
    evaluations: Sequence[Body]
    comparison: Body | None
    findings: Sequence[Body]
    closed: Body | None
    interrupted: Body | None  # the last interruption, unless the run was resumed after it
    counts: Body  # generated, trained, rejected{fate: n}
    resumes: int
    started: str  # ISO-8601, UTC
    ended: str
    seconds: float | None
    head: str  # digest of the last line: the whole chain hangs on it
    events: int
    recipe: Body = field(default_factory=dict)  # resolved.json

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.opened.get("name") or self.directory.name)

    @property
    def planned(self) -> int | None:
        """Steps asked for."""
        return self.opened.get("steps")

    @property
    def done(self) -> int:
        """The last step whose update is recorded; 0: none."""
        steps = [int(step) for points in self.series.values() for step, _ in points]
        return max(steps, default=0)

    @property
    def status(self) -> str:
        """finished, failed, interrupted or unfinished (still going, or killed)."""
        if self.closed is not None:
            return str(self.closed.get("status", "finished"))
        return "interrupted" if self.interrupted is not None else "unfinished"

    def evaluation(self, label: str) -> Body | None:
        """The last evaluation event with this label."""
        return next((e for e in reversed(self.evaluations) if e.get("label") == label), None)


def find_run(name: str) -> Path:
    """The run directory called `name`: a path, or a name under runs/. Raises `RequestError` when there is none."""
    for path in (Path(name), Path("runs") / name):
        if (path / EVENTS_NAME).is_file():
            return path
    known = sorted(p.parent.name for p in Path("runs").glob(f"*/{EVENTS_NAME}"))
    raise RequestError(
        f"{name} is not a run directory",
        seen="no events.jsonl in it" if Path(name).is_dir() else "no such directory",
        wanted=f"a directory that `sibling train` made{', such as ' + ', '.join(known[:5]) if known else ''}",
    )


def gather(directory: Path) -> RunView:
    """Read a run directory. Raises `RecordError` when it holds no record."""
    log = read_log(directory)
    events = [e for e in log.effective() if body_fault(e.type, e.body) is None]  # verify tells of the others
    bodies: dict[str, list[Body]] = {}
    for event in events:
        bodies.setdefault(event.type, []).append(event.body)
    if "run.opened" not in bodies:
        raise RecordError(
            f"The record of {directory} has no run.opened event",
            wanted="a run directory",
            do="Name a folder under runs/",
        )
    rollouts = {int(b["step"]): b for b in bodies.get("rollout.batch", [])}
    closing = log.closed()
    closed = closing.body if closing is not None else None
    return RunView(
        directory=directory,
        opened=bodies["run.opened"][0],
        models=bodies.get("model.loaded", []),
        data=_last(bodies, "data.loaded"),
        reward=_last(bodies, "reward.bound"),
        series=_series(bodies.get("update.applied", []), rollouts),
        rollouts=rollouts,
        evaluations=bodies.get("eval.completed", []),
        comparison=_json(directory / "evaluation" / "compare.json"),
        findings=_distinct(bodies.get("diagnosis.noted", [])),
        closed=closed,
        interrupted=_interruption(events),
        counts=_counts(list(rollouts.values())),
        resumes=len(bodies.get("run.resumed", [])),
        started=events[0].t,
        ended=events[-1].t,
        seconds=(closed or {}).get("wall", {}).get("seconds"),
        head=log.head,
        events=len(log.events),
        recipe=_json(directory / "resolved.json") or {},
    )


def _last(bodies: Mapping[str, list[Body]], kind: str) -> Body | None:
    return bodies[kind][-1] if kind in bodies else None


def _series(updates: Sequence[Body], rollouts: Mapping[int, Body]) -> Series:
    out: dict[str, list[tuple[float, float]]] = {}
    for body in updates:
        for name, value in {**body.get("stats", {}), **(body.get("wall") or {})}.items():
            if isinstance(value, int | float):
                out.setdefault(name, []).append((float(body["step"]), float(value)))
    for step, body in rollouts.items():
        for name, reward in (body.get("rewards") or {}).items():
            if reward.get("mean") is not None:
                out.setdefault(f"reward:{name}", []).append((float(step), float(reward["mean"])))
    return {name: sorted(points) for name, points in out.items()}


def _counts(rollouts: Sequence[Body]) -> Body:
    rejected: dict[str, int] = {}
    generated = trained = 0
    for counts in (body["counts"] for body in rollouts):
        generated += counts["generated"]
        trained += counts["trained"]
        for fate, n in counts["rejected"].items():
            rejected[fate] = rejected.get(fate, 0) + n
    return {"generated": generated, "trained": trained, "rejected": rejected}


def _distinct(findings: Sequence[Body]) -> list[Body]:
    """Findings without repeats of one code: the first of each, with the number of times it was noted."""
    seen: dict[tuple[Any, Any], dict[str, Any]] = {}
    for body in findings:
        key = (body.get("code"), body.get("severity"))
        seen.setdefault(key, {**body, "times": 0})["times"] += 1
    order = {"error": 0, "warning": 1, "notice": 2}
    return sorted(seen.values(), key=lambda b: order.get(str(b.get("severity")), 3))


def _interruption(events: Sequence[Event]) -> Body | None:
    for event in reversed(events):
        if event.type == "run.resumed":
            return None
        if event.type == "run.interrupted":
            return event.body
    return None


def _json(path: Path) -> Body | None:
    """A JSON file of the run; None when it is missing or torn (a report of a broken run is still a report)."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
