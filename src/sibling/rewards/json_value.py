"""One JSON value that satisfies a schema, and is the reference if asked for.

The answer is one JSON value and nothing else, but for white space and one code fence (tagged json or not at all).
What the parser refuses is listed in `rewards.json_text`; the schema is checked in a child process that can be killed
(`rewards.json_child`), where no reference is ever fetched.
Bounds: 1,000,000 characters, depth 64, numbers of 400 characters, `SECONDS` for the schema. An answer whose check
takes longer, or more memory than the child has, is wrong with the code too_hard: the schema and the tasks are checked
before training, so that what is left to be slow is the answer.
Not covered: a schema that is weak. `{}` satisfies every schema of an object without `required`.
"""

from __future__ import annotations

import importlib.util
import json
from importlib import metadata
from typing import Any

from sibling.batch import Completion, Verdict
from sibling.config.rewards import JsonReward
from sibling.errors import RequestError
from sibling.rewards.json_text import MOST_CHARACTERS, NotJsonError, parse, same
from sibling.rewards.parts import part_of
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.sandbox.workers import Answer, Workers
from sibling.tasks.task import Task

SECONDS = 0.8  # of one check; with the parse, an answer is judged within a second
_SCHEMA_SECONDS = 10.0
_KEPT = 256  # schemas whose check is remembered
_MOST_AROUND = MOST_CHARACTERS + 10_000  # white space and a fence around the value
_FENCES = ("```", "~~~")


class JsonValue:
    """Right if the answer is one JSON value that satisfies the schema (and equals the reference, if `compare`).

    The schema is the option `json_schema`, else the task's column `schema` (an object, or JSON text). A task without
    a schema is only compared with its reference; without `compare` the verdict abstains.
    Raises `RequestError` if jsonschema is not installed, or if `json_schema` is not a schema.
    """

    def __init__(self, config: JsonReward) -> None:
        if importlib.util.find_spec("jsonschema") is None:
            raise RequestError(
                "The reward json needs jsonschema, which is not installed",
                do="Run `pip install 'sibling[verifiers]'` and try again",
            )
        self.uses_reference = config.compare
        self._config = config
        self._child = Workers("sibling.rewards.json_child", "answer", memory_mb=512)
        self._checked: dict[str, str | None] = {}
        self._schema = None if config.json_schema is None else json.dumps(config.json_schema)
        fault = None if self._schema is None else self._schema_fault(self._schema)
        if fault is not None:
            raise RequestError("The reward json has a json_schema that cannot be used", seen=fault)

    def facts(self) -> dict[str, str]:
        """What decides beside the options, for the record."""
        return {"packages": f"jsonschema {metadata.version('jsonschema')}"}

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        wanted: Any = None
        if self._config.compare:
            if task.reference is None:
                return abstain("the task has no reference", code="no_reference")
            try:
                wanted = parse(task.reference)
            except NotJsonError as failure:
                return error(f"the reference cannot be read: {failure.reason}", code="bad_reference")
        schema = self._schema_of(task)
        if schema is None and not self._config.compare:
            return abstain("the task has no schema", code="no_schema")
        start, end = part_of(completion.text, self._config.part)
        if end - start > _MOST_AROUND:
            return wrong(f"the answer is longer than {MOST_CHARACTERS} characters", code="too_long", span=(start, end))
        start, end = span = value_span(completion.text, start, end, self._config.fenced)
        text = completion.text[start:end]
        try:
            value = parse(text)
        except NotJsonError as failure:
            return wrong(failure.reason, code=failure.code, span=span)
        refusal = None if schema is None else self._refusal(schema, text, span)
        if refusal is not None:
            return refusal
        if self._config.compare and not same(value, wanted):
            return wrong("another value than the reference", code="different", span=span)
        return right("the value is what was asked for", code="equal" if self._config.compare else "valid", span=span)

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        schema = self._schema_of(task)
        if schema is None and not self._config.compare:
            return "it has no column `schema`, the reward has no `json_schema`, and `compare` is off"
        fault = None if schema is None else self._schema_fault(schema)
        if fault is not None:
            return f"its schema cannot be used: {fault}"
        if not self._config.compare:
            return None
        if task.reference is None:
            return "it has no reference to compare with"
        try:
            parse(task.reference)
        except NotJsonError as failure:
            return f"its reference is not JSON: {failure.reason}"
        refusal = None if schema is None else self._refusal(schema, task.reference, (0, 0))
        return None if refusal is None else f"its reference does not satisfy its schema: {refusal.reason}"

    def _schema_of(self, task: Task) -> str | None:
        if self._schema is not None or "schema" not in task.columns:
            return self._schema
        column = task.columns["schema"]
        return column if isinstance(column, str) else None if column is None else json.dumps(column)

    def _refusal(self, schema: str, text: str, span: tuple[int, int]) -> Verdict | None:
        """The verdict on a value that the schema refuses; None if it is satisfied."""
        reply = self._child.call({"schema": schema, "text": text}, SECONDS)
        if reply.failure in ("timeout", "memory", "recursion", "died"):
            fault = self._schema_fault(schema)
            if fault is not None:
                return error(f"the schema cannot be used: {fault}", code="bad_schema")
            return wrong(f"checking the schema was too hard ({reply.failure})", code="too_hard", span=span)
        if reply.failure:
            return error(f"the schema cannot be used: {reply.message}", code="bad_schema")
        fault = reply.value["fault"]
        return wrong(fault, code="schema", span=span) if fault else None

    def _schema_fault(self, schema: str) -> str | None:
        """What is wrong with a schema, in words; checked once a schema."""
        try:
            return self._checked[schema]
        except KeyError:
            reply = self._child.call({"schema": schema}, _SCHEMA_SECONDS)
        found: str | None = (reply.value["problem"] or None) if not reply.failure else _in_words(reply)
        if len(self._checked) >= _KEPT:
            self._checked.clear()
        self._checked[schema] = found
        return found


def _in_words(reply: Answer) -> str:
    if reply.failure in ("died", "recursion"):  # endless recursion overflows the stack of the child
        return "it refers to itself without end"
    return f"its check failed ({reply.failure}) {reply.message}".strip()


def value_span(text: str, start: int, end: int, fenced: bool) -> tuple[int, int]:
    """The characters of the value in `text[start:end]`: without white space around, and without one fence around it.

    >>> text = '```json\\n{}\\n```'
    >>> text[slice(*value_span(text, 0, len(text), True))]
    '{}'
    """
    start, end = _trimmed(text, start, end)
    mark = text[start : start + 3]
    if not fenced or mark not in _FENCES or end - start < 2 * len(mark) or text[end - 3 : end] != mark:
        return start, end
    line = text.find("\n", start, end)
    if line < 0 or text[start + 3 : min(line, start + 40)].strip().lower() not in ("", "json"):
        return start, end
    inside = _trimmed(text, line + 1, end - 3)
    return inside if inside[0] <= inside[1] else (start, end)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    return start, max(start, end - len(inside) + len(inside.rstrip()))
