"""Pairs of a task and a completion from a JSON-lines file, graded one by one: what `sibling grade` does.

A row holds `completion`, `reference` (where the reward compares with one), what columns the reward reads (`tests`,
`asserts`, `io`, `schema`, ...) and, if a person has labelled it, `want`: accept or refuse. `contested` marks a label on
which people differ; such a pair is graded and listed, and counts for neither rate.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sibling.batch import Completion, Status, Verdict
from sibling.errors import RequestError
from sibling.rewards.grade import Grader, stating
from sibling.tasks.task import Task

_AT_ONCE = 64  # pairs handed to the reward together, so that a pool has work and results come steadily
_SHOWN = 5


@dataclass(frozen=True)
class Pair:
    """One row of the file."""

    id: str
    task: Task
    completion: Completion
    want: str | None  # accept, refuse or not labelled
    contested: bool


@dataclass(frozen=True)
class Graded:
    """One pair with its verdict."""

    pair: Pair
    verdict: Verdict

    @property
    def mistake(self) -> str | None:
        """`false_accept` or `false_refusal`, where the label says so; an error or an abstention accepts nothing."""
        accepted = self.verdict.status is Status.right
        if self.pair.want is None or accepted == (self.pair.want == "accept"):
            return None
        return "false_accept" if accepted else "false_refusal"

    def line(self) -> dict[str, Any]:
        """The pair as one JSON line."""
        v = self.verdict
        labelled = {} if self.pair.want is None else {"want": self.pair.want, "mistake": self.mistake}
        return {
            "id": self.pair.id,
            "verdict": v.status.value,
            "score": v.score,
            "reason": v.reason,
            "code": v.code,
            "span": v.span,
            "seconds": round(v.seconds, 6),
            **labelled,
        }


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a JSON-lines file. Raises `RequestError` naming the rows that are none."""
    if not path.is_file():
        raise RequestError(f"The file {path} does not exist", wanted="pairs as JSON lines: id, reference, completion")
    pairs, faults = [], []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            found = _pair(line, number)
            if isinstance(found, Pair):
                pairs.append(found)
            else:
                faults.append(f"line {number}: {found}")
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise RequestError(
            f"{len(faults)} rows of {path} are not pairs",
            seen="; ".join(faults[:_SHOWN]) + more,
            wanted='one JSON object a line, such as {"id": "a", "reference": "42", "completion": "So 42."}',
        )
    if not pairs:
        raise RequestError(f"The file {path} holds no pairs", wanted="one JSON object a line")
    return pairs


def grade_pairs(grader: Grader, pairs: Sequence[Pair]) -> Iterator[Graded]:
    """The verdict of the grader's first reward on each pair, in order, some at a time."""
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        rows = grader.grade([p.task for p in some], [p.completion for p in some])
        yield from (Graded(pair, row[0]) for pair, row in zip(some, rows, strict=True))


def totals(graded: Sequence[Graded]) -> dict[str, Any]:
    """Counts by verdict, the mistakes by id where there are labels, and the seconds a pair took."""
    statuses = Counter(g.verdict.status for g in graded)
    labelled = [g for g in graded if g.pair.want is not None and not g.pair.contested]
    seconds = sorted(g.verdict.seconds for g in graded)
    found: dict[str, Any] = {
        "pairs": len(graded),
        **{s.value: statuses[s] for s in Status},
        "seconds": {
            "total": round(sum(seconds), 6),
            "median": round(_quantile(seconds, 0.5), 6),
            "p99": round(_quantile(seconds, 0.99), 6),
        },
    }
    if labelled:
        found |= {
            "labelled": len(labelled),
            "false_accepts": [g.pair.id for g in labelled if g.mistake == "false_accept"],
            "false_refusals": [g.pair.id for g in labelled if g.mistake == "false_refusal"],
            "contested_otherwise": [g.pair.id for g in graded if g.pair.contested and g.mistake],
        }
    return found


def _quantile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` of all do not exceed; 0 where there is none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def _pair(line: bytes, number: int) -> Pair | str:
    """The pair on a line, or what is wrong with it."""
    try:
        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except (ValueError, RecursionError) as fault:
        return f"not JSON ({fault})"
    if not isinstance(row, Mapping):
        return f"a JSON {type(row).__name__}, not an object"
    completion, want = row.get("completion"), row.get("want")
    if not isinstance(completion, str):
        return "no text under `completion`"
    if want not in (None, "accept", "refuse"):
        return f"`want` is {want!r}, not accept or refuse"
    reference = row.get("reference")
    stated = reference if reference is None or isinstance(reference, str) else json.dumps(reference)
    prompt = row.get("prompt")
    columns = {k: v for k, v in row.items() if k not in ("id", "completion", "want", "contested")}
    name = str(row.get("id", number))
    task = Task(name, ({"role": "user", "content": prompt if isinstance(prompt, str) else ""},), stated, columns)
    return Pair(name, task, stating(completion), want, bool(row.get("contested", False)))
