"""What the probes are made from: tasks of the user or of ours, the kind of their references, and a right completion.

A completion that is right is the reference in the first format the reward accepts, or one the user marked as right.
If no format is accepted for four in five tasks, the audit goes no further: all later rates would be about the format.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sibling.audit.calls import Calls
from sibling.audit.formats import Format, around, formats_of, template
from sibling.audit.kinds import Seed
from sibling.audit.marking import Marking, marking_of, usual_scale
from sibling.audit.options import Options
from sibling.audit.outcomes import Call, Outcome
from sibling.tasks.task import Task

ENOUGH = 0.8  # share of right completions that has to be accepted
_TRIED = 12  # tasks on which each format is tried
_OTHERS = 8
_SHORT = 60.0  # seconds of an audit below which formats are tried on half as many
_LETTER = re.compile(r"\(?[A-Z]\)?\.?")
_CODE = re.compile(r"^\s*(?:def|class|import|from)\s", re.MULTILINE)
_SQL = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[\s$]*[-+\u2212]?[\d.,]*\d[\d.,]*\s*(?:%|\\%|[a-zA-Z/\u00b0^\d]{1,12})?[\s$]*")
_MATHS = re.compile(r"[\\^=<>{}\u03c0\u221a]|\d\s*[/*+-]\s*\d|^[\[(].*[\])]$")


def kind_of(task: Task) -> str:
    """What the task's reference looks like: math, choice, code, json, sql or text.

    >>> kind_of(Task("1", (), "3/4"))
    'math'
    """
    text = (answer_of(task) or "").strip()
    if any(name in task.columns for name in ("tests", "asserts", "io", "entry_point")) or _CODE.search(text):
        return "code"
    if _LETTER.fullmatch(text) and ("options" in task.columns or text.strip("().") in "ABCDE"):
        return "choice"
    if _SQL.match(text) and " from " in f" {text.lower()} ".replace("\n", " "):
        return "sql"
    if text[:1] in "{[" and _is_document(text):
        return "json"
    return "math" if _NUMBER.fullmatch(text) or _MATHS.search(text) else "text"


def _is_document(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, str | dict) for v in value))


def answer_of(task: Task) -> str | None:
    """The reference as an answer.

    Without a reference: HumanEval's prompt and solution, or the task's own completion if it is known to be right.
    """
    if task.reference is not None:
        return task.reference
    solution = task.columns.get("canonical_solution")
    if isinstance(solution, str):
        return f"{task.columns.get('prompt', '')}{solution}"
    return str(task.columns["completion"]) if accepted(task) else None


@dataclass(frozen=True)
class Tried:
    """How a format fared: the share of right completions that were accepted."""

    name: str
    accepted: int
    n: int
    example: str  # what the reward said of the first one it did not accept

    @property
    def share(self) -> float:
        """Accepted of those tried."""
        return self.accepted / self.n if self.n else 0.0


@dataclass(frozen=True)
class Found:
    """The formats tried, the one chosen (the best, if none is good enough), and from when a score is an acceptance."""

    tried: tuple[Tried, ...]
    format: Format
    marking: Marking

    @property
    def mean_share(self) -> float:
        """Of right completions accepted, over all formats."""
        return sum(t.share for t in self.tried) / len(self.tried)

    @property
    def chosen(self) -> Tried:
        """How the chosen format fared."""
        return next(t for t in self.tried if t.name == self.format.name)


def find_format(calls: Calls, tasks: Sequence[Task], kind: str, options: Options) -> Found:
    """The first format in which at least four of five right completions are accepted, or else the best one.

    Numbers are accepted above 0.5; if no format is good enough so, from where right and wrong ones are told apart.
    """
    short = options.total_seconds is not None and options.total_seconds < _SHORT
    places = [i for i, task in enumerate(tasks) if answer_of(task) is not None][: _TRIED // 2 if short else _TRIED]
    formats = [template(options.template, "as declared")] if options.template else list(formats_of(kind))
    formats += _users(tasks)
    rights = [[Call(i, f.wrap(answer_of(tasks[i]) or "")) for i in places] for f in formats]
    wrongs = [[Call(i, f.wrap(answer_of(tasks[_next(places, i)]) or "")) for i in places] for f in formats]
    flat = calls.grade([c for group in (*rights, *wrongs) for c in group])
    said = [flat[k * len(places) : (k + 1) * len(places)] for k in range(2 * len(formats))]
    rights_said, wrongs_said = said[: len(formats)], said[len(formats) :]
    found = _best(formats, rights_said, wrongs_said, options.accept, usual=True)
    return found if found.chosen.share >= ENOUGH else _best(formats, rights_said, wrongs_said, options.accept)


def _best(
    formats: Sequence[Format],
    rights: Sequence[Sequence[Outcome]],
    wrongs: Sequence[Sequence[Outcome]],
    accept: float | None,
    *,
    usual: bool = False,
) -> Found:
    """The first format that is good enough, else the best; `usual`: of scores up to 1 only those above 0.5 accept."""
    markings = [
        Marking() if usual and accept is None and usual_scale([*good, *bad]) else marking_of(good, bad, accept)
        for good, bad in zip(rights, wrongs, strict=True)
    ]
    tried = [_tried(f.name, good, m) for f, good, m in zip(formats, rights, markings, strict=True)]
    best = next((k for k, t in enumerate(tried) if t.share >= ENOUGH), None)
    if best is None:
        best = max(range(len(tried)), key=lambda k: (tried[k].share, -k))
    return Found(tuple(tried), formats[best], markings[best])


def _users(tasks: Sequence[Task]) -> list[Format]:
    """The format of the first completion that is marked as right and says its reference."""
    for task in tasks:
        completion = task.columns.get("completion")
        if accepted(task) and isinstance(completion, str) and (form := around(completion, task.reference or "")):
            return [form]
    return []


def accepted(task: Task) -> bool | None:
    """The known verdict on the task's own completion (columns `completion` and `verdict`); None: there is none."""
    verdict = task.columns.get("verdict")
    if not isinstance(task.columns.get("completion"), str) or verdict is None:
        return None
    return (
        verdict.strip().lower() in ("right", "accept", "true", "1", "yes")
        if isinstance(verdict, str)
        else bool(verdict)
    )


def _next(places: Sequence[int], place: int) -> int:
    return places[(places.index(place) + 1) % len(places)]


def _tried(name: str, outcomes: Sequence[Outcome], marking: Marking) -> Tried:
    missed = next((o for o in outcomes if not marking.accepts(o)), None)
    return Tried(name, sum(map(marking.accepts, outcomes)), len(outcomes), missed.words if missed else "")


def make_seeds(tasks: Sequence[Task], kind: str | None, found: Found, options: Options) -> list[Seed]:
    """One seed a task that has an answer, in the order of the tasks. Its right completion may be the user's."""
    answers = [answer_of(task) for task in tasks]
    seeds = []
    for place, (task, answer) in enumerate(zip(tasks, answers, strict=True)):
        if answer is None:
            continue
        draw = random.Random(f"{options.seed}/{task.id}/{place}")
        pool = sorted({a for a in answers if a is not None and a != answer})
        completion = task.columns.get("completion")
        own = completion if accepted(task) and isinstance(completion, str) else None
        seeds.append(
            Seed(
                task, answer, found.format.wrap, own or found.format.wrap(answer),
                tuple(draw.sample(pool, min(_OTHERS, len(pool)))), kind or kind_of(task), draw,
            )
        )  # fmt: skip
    return seeds
