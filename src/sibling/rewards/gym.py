"""Answers to prompts of reasoning-gym, scored by the family: our scorers where the package's are not safe or sound.

The answer is what stands in the last `<answer>...</answer>` of the completion, or else the whole completion, without
surrounding white space. `gym_answers.table` says of every family whether its one right answer is compared, whether a
checker of ours reads it, or whether the package's scorer sees it; the last runs in a child process that can be killed,
and only where it was reviewed. Full marks are `right`. Families that pay for a right answer in another form, or for
a solution that is longer than it has to be, give that part of a mark; it is kept as the score of a wrong answer.
Covered: answers that would be executed, hedging, padding, echoes of the prompt, texts of any length.
Not covered: a family of a newer package that nobody has reviewed. It gets the package's scorer in a child process,
and every verdict of it the code `unreviewed`. That process bounds time and memory, it is no sandbox.
Bounds: answers of 20,000 characters (four times the stored answer, if that is more), 2 s of algebra, `seconds` for a
shipped scorer; what needs more is wrong with the code too_long or too_hard.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sibling.batch import Completion, Verdict
from sibling.canonical import digest, file_digest
from sibling.rewards.fences import trimmed
from sibling.rewards.gym_answers import shipped_child, table
from sibling.rewards.gym_answers.readers import Item, RefusedError
from sibling.rewards.verdicts import Span, abstain, error, right, wrong
from sibling.sandbox.workers import Workers
from sibling.tasks.gym import package_version
from sibling.tasks.task import Task

MOST_CHARACTERS = 20_000
_SECONDS = 5.0
_PREPARE_SECONDS = 90.0  # to import the package and to make a prompt again; some families search for theirs
_FULL_MARKS = 1.0 - 1e-9
_NO_ORACLE = ("simple_integration", "intermediate_integration")  # what they store may be an integral left to do


class Gym:
    """Score of the family that made the prompt; abstains on prompts that no family made."""

    uses_reference = True

    def __init__(self, name: str, seconds: float = _SECONDS) -> None:
        del name
        self._seconds = seconds
        self._child = Workers(shipped_child.__name__, "answer", memory_mb=4096)

    def facts(self) -> dict[str, Any]:
        """For the record: the digest of the scorers, and the version of the package that was reviewed."""
        files = sorted(Path(table.__file__).parent.glob("*.py"))
        return {"scorers": digest({f.name: file_digest(f) for f in files}), "reviewed": table.REVIEWED_VERSION}

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion."""
        verdicts = []
        for task, completion in zip(tasks, completions, strict=True):
            start = time.perf_counter()
            verdict = self._judge(task, completion.text)
            verdicts.append(dataclasses.replace(verdict, seconds=time.perf_counter() - start))
        return verdicts

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can, or if no family made it."""
        if "gym" not in task.columns:
            return None
        name, family = table.family_of(task.columns)
        if family is None or family.check is None:
            return self._prepared(task) or None
        if task.reference is None or name in _NO_ORACLE:
            return None
        verdict = _checked(family.check, task, task.reference.strip(), (0, 0))
        return None if verdict.score == 1.0 else f"its stored answer is not accepted: {verdict.reason}"

    def _judge(self, task: Task, text: str) -> Verdict:
        if "gym" not in task.columns:
            return abstain("no reasoning-gym family made this prompt", code="no_family")
        name, family = table.family_of(task.columns)
        start, end = span = answer_span(text)
        if start == end:
            return wrong("there is no answer", code="no_answer", span=span)
        if end - start > max(MOST_CHARACTERS, 4 * len(task.reference or "")):
            return wrong(f"the answer is longer than {MOST_CHARACTERS} characters", code="too_long", span=span)
        answer = text[start:end]
        if family is None:
            return self._shipped(task, answer, span, reviewed=False, name=name)
        if family.check is None:
            if family.form is not None and not family.form.fullmatch(answer):
                return wrong("it has not the form that the prompt asks for", code="unreadable", span=span)
            reviewed = package_version() == table.REVIEWED_VERSION
            return self._shipped(task, answer, span, reviewed=reviewed, name=name)
        verdict = _checked(family.check, task, answer, span)
        if verdict.code == "unreadable" and (fault := self.problem_with(task)):
            return error(fault, code="bad_reference", span=span)
        return verdict

    def _shipped(self, task: Task, answer: str, span: Span, *, reviewed: bool, name: str) -> Verdict:
        """The verdict of the package's scorer."""
        if fault := self._prepared(task):
            return error(fault, code="bad_reference", span=span)
        reply = self._child.call({"columns": dict(task.columns), "answer": answer}, self._seconds)
        if reply.failure:
            return wrong(f"scoring it was too hard ({reply.failure})", code="too_hard", span=span)
        score, reason = reply.value["score"], str(reply.value["reason"])
        code = "" if reviewed else "unreviewed"
        if score is None:
            return wrong(f"the scorer of {name} fails on it: {reason}", code=code or "unreadable", span=span)
        if score >= _FULL_MARKS:
            return right("full marks", code=code or "equal", span=span)
        return wrong("not full marks", code=code or "different", span=span)

    def _prepared(self, task: Task) -> str:
        """Make the prompt again in the child process, which keeps it; what is wrong with it, in words."""
        reply = self._child.call({"columns": dict(task.columns)}, _PREPARE_SECONDS)
        return f"its prompt cannot be made again: {reply.message}" if reply.failure else str(reply.value["fault"])


def answer_span(text: str) -> Span:
    """The characters of `stated_answer`."""
    opening = text.rfind("<answer>")
    inside = opening + len("<answer>")
    closing = text.find("</answer>", inside) if opening >= 0 else -1
    start, end = (inside, closing) if closing >= 0 else (0, len(text))
    return trimmed(text, start, end)


def stated_answer(text: str) -> str:
    """What stands in the last `<answer>...</answer>`, or all of the text; without white space around it."""
    start, end = answer_span(text)
    return text[start:end]


def _checked(check: table.Check, task: Task, answer: str, span: Span) -> Verdict:
    try:
        metadata = task.columns["metadata"]
        score = check(answer, Item(task.reference or "", metadata))
    except RefusedError as refused:
        return wrong(refused.reason, code=refused.code, span=span)
    except (LookupError, TypeError, AttributeError, ValueError) as failure:  # its metadata is not what it was
        return error(f"the family's notes cannot be read: {failure!r}", code="bad_reference", span=span)
    if score >= _FULL_MARKS:
        return right("accepted", code="equal", span=span)
    return wrong("right, but not in the form or length asked for", score, code="partial", span=span)
