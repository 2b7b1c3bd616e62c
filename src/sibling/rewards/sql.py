"""A query is right if it gives the rows of the reference query on every database of the task.

The task's column `databases` is a list of SQL scripts, each of which makes one database in memory; its reference is a
query. Two databases or more with different contents are what keeps a query from being right that only writes down the
rows it should compute. The answer is one SELECT, WITH or VALUES statement: what stands in a code fence (tagged sql,
sqlite or not at all) or, without a fence, the whole part. It runs in a child process that can be killed
(`rewards.sql_child` says what a query may do there).
Rows are compared as a multiset: NULL is NULL, 1 is 1.0, text is never a number, floats agree to 1e-9 relative; the
number of columns counts and their names do not; order counts if the reference ends in ORDER BY, or as `ordered` says.
Several different queries are refused as hedging. A query that does not end in `seconds`, or needs too much memory, is
wrong with the code too_hard.
Bounds: the last 200,000 characters of the part, a query of 20,000 characters, a reference of 20,000 rows.
Not covered: rows that tie under the reference's ORDER BY have one order that is taken for right; `warning_for` tells.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

from sibling.batch import Completion, Verdict
from sibling.canonical import digest
from sibling.config.rewards import SqlReward
from sibling.rewards.fences import blocks, trimmed
from sibling.rewards.parts import part_of
from sibling.rewards.verdicts import Span, abstain, error, right, wrong
from sibling.sandbox.workers import Workers
from sibling.tasks.task import Task

MOST_CHARACTERS = 20_000
_WINDOW = 200_000
_PREPARE_SECONDS = 30.0  # to make the databases of a task and run its reference, once
_GRACE = 1.0  # seconds from the bound on a query until its process is killed
_KEPT = 4096
_TRIES = 3
_FENCE_TAGS = ("", "sql", "sqlite", "sqlite3")
_SKIPPED = r"""--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`[^`]*`?|\[[^\]]*\]?"""
_WORDS = re.compile(rf"({_SKIPPED})|(\()|(\))|(;)|(\w+)", re.DOTALL)


class Sql:
    """Right if the query gives the reference's rows on every database."""

    uses_reference = True

    def __init__(self, config: SqlReward) -> None:
        self._config = config
        self._child = Workers("sibling.rewards.sql_child", "answer", memory_mb=1024)
        self._known: OrderedDict[str, tuple[str, list[str]]] = OrderedDict()

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        if task.reference is None:
            return abstain("the task has no reference", code="no_reference")
        scripts = _scripts(task)
        if not scripts:
            return error("the task has no column `databases` that lists scripts", code="no_databases")
        problem, _ = self._prepared(scripts, task.reference)
        if problem:
            return error(problem, code="bad_reference")
        found = query_in(completion.text, *part_of(completion.text, self._config.part))
        if isinstance(found, Verdict):
            return found
        query, span = found
        return self._compared(scripts, task.reference, query, span)

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        if task.reference is None:
            return "it has no reference query"
        scripts = _scripts(task)
        if not scripts:
            return "its column `databases` is not a list of SQL scripts"
        if _first_word(task.reference) not in ("select", "with", "values"):
            return "its reference is not a query (SELECT, WITH or VALUES)"
        return self._prepared(scripts, task.reference)[0] or None

    def warning_for(self, task: Task) -> str | None:
        """What makes the task easy to cheat or its verdicts uncertain, in words; None if nothing is seen."""
        scripts = _scripts(task)
        if task.reference is None or not scripts:
            return None
        return "; ".join(self._prepared(scripts, task.reference)[1]) or None

    def _prepared(self, scripts: list[str], reference: str, *, again: bool = False) -> tuple[str, list[str]]:
        """(what is wrong with databases or reference, what is weak), found once a task."""
        key = digest({"scripts": scripts, "reference": reference})
        if again or key not in self._known:
            request = self._request(scripts, reference, _PREPARE_SECONDS)
            reply = self._child.call(request, _PREPARE_SECONDS + _GRACE)
            failed = f"the databases cannot be made: {reply.failure} {reply.message}"
            self._known[key] = (failed, []) if reply.failure else (reply.value["problem"], reply.value["warnings"])
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return self._known[key]

    def _request(self, scripts: list[str], reference: str, seconds: float) -> dict[str, Any]:
        ordered = ends_in_order(reference) if self._config.ordered is None else self._config.ordered
        return {"scripts": scripts, "reference": reference, "ordered": ordered, "seconds": seconds}

    def _compared(self, scripts: list[str], reference: str, query: str, span: Span) -> Verdict:
        request = {**self._request(scripts, reference, self._config.seconds), "query": query}
        for _ in range(_TRIES):
            reply = self._child.call(request, self._config.seconds + _GRACE)
            if reply.failure in ("timeout", "memory", "died", "recursion"):
                return wrong(f"the query was too hard ({reply.failure})", code="too_hard", span=span)
            if reply.failure:
                return error(f"the comparison failed: {reply.message}", code="failed", span=span)
            if "unprepared" not in reply.value:
                code, reason = reply.value["code"], reply.value["reason"]
                return wrong(reason, code=code, span=span) if code else right("the same rows", code="equal", span=span)
            problem, _ = self._prepared(scripts, reference, again=True)  # its process was killed, or forgot
            if problem:
                return error(problem, code="bad_reference")
        return error("the databases could not be kept open", code="failed", span=span)


def query_in(text: str, start: int, end: int) -> tuple[str, Span] | Verdict:
    """The query that `text[start:end]` states, with its characters; or the verdict that refuses it.

    >>> query_in("So:\\n```sql\\nSELECT 1;\\n```", 0, 25)
    ('SELECT 1;', (11, 20))
    """
    seen_from = max(start, end - _WINDOW)
    part = text[seen_from:end]
    fenced = blocks(part, _FENCE_TAGS)
    spans = [trimmed(part, *block) for block in fenced] or [trimmed(part, 0, len(part))]
    queries = {" ".join(part[a:b].rstrip("; \n\t\r").split()) for a, b in spans}
    first, last = spans[-1]
    span = (seen_from + first, seen_from + last)
    query = part[first:last]
    if not query:
        return wrong("there is no query", code="no_answer", span=span)
    if len(queries) > 1:
        return wrong("several different queries", code="hedged", span=span)
    if len(query) > MOST_CHARACTERS or (not fenced and seen_from > start):
        return wrong(f"the query is longer than {MOST_CHARACTERS} characters", code="too_long", span=span)
    if "\0" in query or not _is_text(query):
        return wrong("it holds characters that are no text", code="unreadable", span=span)
    if _first_word(query) not in ("select", "with", "values"):
        return wrong("it does not begin with SELECT, WITH or VALUES", code="unreadable", span=span)
    return query, span


def ends_in_order(query: str) -> bool:
    """Whether the query as a whole is ordered: ORDER BY outside of all brackets, strings and comments.

    >>> ends_in_order("SELECT a FROM t ORDER BY a LIMIT 3"), ends_in_order("SELECT rank() OVER (ORDER BY a) FROM t")
    (True, False)
    """
    depth, before, found = 0, "", False
    for match in _WORDS.finditer(query):
        skipped, opening, closing, _, word = match.groups()
        if skipped is not None:
            continue
        depth += (opening is not None) - (closing is not None)
        now = (word or "").lower()
        found = found or (depth == 0 and before == "order" and now == "by")
        before = now
    return found


def _first_word(query: str) -> str:
    for match in _WORDS.finditer(query):
        if not (match.group(1) or "").startswith(("--", "/*")):
            return (match.group(5) or "").lower()
    return ""


def _scripts(task: Task) -> list[str]:
    column = task.columns.get("databases")
    scripts = [column] if isinstance(column, str) else column
    if not isinstance(scripts, list | tuple) or not all(isinstance(script, str) for script in scripts):
        return []
    return list(scripts)


def _is_text(query: str) -> bool:
    try:
        query.encode()
    except UnicodeEncodeError:
        return False
    return True
