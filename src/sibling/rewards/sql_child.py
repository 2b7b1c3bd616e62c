"""The process in which `rewards.sql` runs queries: SQLite in memory, reading only.

Each script of the task makes one database. Then the connection is confined, before any answer is seen: the authorizer
allows SELECT, reading of columns, recursion and functions that are neither random nor reach outside; `query_only` is
set; lengths, depths and attached databases are limited; the heap of SQLite is bounded.
Covered: writing, ATTACH, PRAGMA (as a table function too), extensions, files, endless recursion (a progress handler
looks at the clock, and no more rows are fetched than the reference has, plus one), very long values.
Not covered: the clock. `date('now')` can be asked for, so that a reference should not depend on it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import sqlite3
import time
from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

MOST_ROWS = 20_000  # of a reference
TOLERANCE = 1e-9  # relative, where one of the two numbers is a float
_KEPT = 32  # tasks whose databases stay open
_OPCODES = 2_000  # of SQLite's machine between two looks at the clock
_HEAP = 256 << 20  # bytes, of all databases together
_NEVER_TWICE_THE_SAME = ("random", "randomblob", "changes", "total_changes", "last_insert_rowid")
_REACHING_OUT = ("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "sqlite_log")
_REFUSED = frozenset(_NEVER_TWICE_THE_SAME + _REACHING_OUT)
_TABLES = "SELECT quote(name) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 2_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 200_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

Row = tuple[Any, ...]


class _RefusedError(Exception):
    """A query that gives no rows: `code` is the reason as one word."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class _Wanted:
    """A database with what the reference query gives on it."""

    database: sqlite3.Connection
    width: int
    rows: list[Row]


_prepared: OrderedDict[str, list[_Wanted]] = OrderedDict()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """With "query": `{"code", "reason"}` of that query, code "" if its rows are right; or `{"unprepared": true}`.

    Without: prepares the databases; `{"problem", "warnings"}` in words. "seconds" bounds all databases together.
    """
    scripts, reference = request["scripts"], request["reference"]
    key = hashlib.sha256(json.dumps([scripts, reference]).encode()).hexdigest()
    deadline = time.monotonic() + request["seconds"]
    if "query" not in request:
        return _prepare(key, scripts, reference, request["ordered"], deadline)
    if key not in _prepared:
        return {"unprepared": True}
    try:
        for number, wanted in enumerate(_prepared[key], start=1):
            _compare(wanted, request["query"], request["ordered"], deadline, f"database {number}")
    except _RefusedError as refused:
        return {"code": refused.code, "reason": refused.reason}
    return {"code": "", "reason": ""}


def _prepare(key: str, scripts: list[str], reference: str, ordered: bool, deadline: float) -> dict[str, Any]:
    kept = []
    for number, script in enumerate(scripts, start=1):
        try:
            database = _database(script, deadline)
        except (sqlite3.Error, sqlite3.Warning, MemoryError, ValueError) as failure:
            return {"problem": f"script {number} of `databases` fails: {failure}", "warnings": []}
        try:
            width, rows = _rows(database, reference, MOST_ROWS + 1, deadline)
        except _RefusedError as refused:
            return {"problem": f"the reference query fails on database {number}: {refused.reason}", "warnings": []}
        if len(rows) > MOST_ROWS:
            return {"problem": f"the reference query gives more than {MOST_ROWS} rows", "warnings": []}
        kept.append(_Wanted(database, width, rows))
    _prepared[key] = kept
    if len(_prepared) > _KEPT:
        for old in _prepared.popitem(last=False)[1]:
            old.database.close()
    return {"problem": "", "warnings": _warnings(kept, scripts, reference, ordered, deadline)}


def _database(script: str, deadline: float) -> sqlite3.Connection:
    """A database made by `script`, then confined to reading."""
    database = _open(script, deadline)
    database.execute("PRAGMA query_only = ON")
    for limit, most in _LIMITS.items():
        database.setlimit(limit, most)
    database.set_authorizer(_allowed)
    return database


def _open(script: str, deadline: float) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.text_factory = functools.partial(str, encoding="utf-8", errors="surrogateescape")
    database.execute(f"PRAGMA hard_heap_limit = {_HEAP}")
    database.execute("PRAGMA temp_store = MEMORY")  # no temporary files
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    database.set_progress_handler(lambda: time.monotonic() > deadline, _OPCODES)
    database.executescript(script)
    return database


def _allowed(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and str(second).lower() not in _REFUSED:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _rows(database: sqlite3.Connection, query: str, most: int, deadline: float) -> tuple[int, list[Row]]:
    """(columns, the first `most` rows). Raises `_RefusedError`."""
    database.set_progress_handler(lambda: time.monotonic() > deadline, _OPCODES)
    try:
        cursor = database.execute(query)
        try:
            if cursor.description is None:
                raise _RefusedError("unreadable", "it is not a query")
            return len(cursor.description), cursor.fetchmany(most)
        finally:
            cursor.close()
    except MemoryError:
        raise _RefusedError("too_hard", "it needs too much memory") from None
    except (sqlite3.Error, sqlite3.Warning, ValueError) as failure:  # ValueError: what is no text in UTF-8
        raise _RefusedError(*_named(failure)) from None


def _named(failure: Exception) -> tuple[str, str]:
    name = getattr(failure, "sqlite_errorname", "") or ""
    if name == "SQLITE_INTERRUPT":
        return "too_hard", "it did not end in time"
    if name in ("SQLITE_TOOBIG", "SQLITE_NOMEM"):
        return "too_hard", f"it makes values that are too large: {failure}"
    if name == "SQLITE_AUTH" or "not authorized" in str(failure):
        return "forbidden", f"it does more than read: {failure}"
    if isinstance(failure, sqlite3.Warning) or "one statement" in str(failure):
        return "several_statements", "it is more than one statement"
    return "query_error", f"SQLite refuses it: {failure}"


# ---------------------------------------------------------------------------------------- comparison


def _compare(wanted: _Wanted, query: str, ordered: bool, deadline: float, place: str) -> None:
    """Raises `_RefusedError` unless `query` gives the wanted rows."""
    width, rows = _rows(wanted.database, query, len(wanted.rows) + 1, deadline)
    if width != wanted.width:
        raise _RefusedError("columns", f"{width} columns on {place}, not {wanted.width}")
    if len(rows) != len(wanted.rows):
        found = f"{len(rows)} rows" if len(rows) <= len(wanted.rows) else "more rows"
        raise _RefusedError("row_count", f"{found} on {place}, not {len(wanted.rows)}")
    if not same_rows(rows, wanted.rows):
        raise _RefusedError("rows", f"other rows on {place}")
    if ordered and not all(map(_same_row, rows, wanted.rows)):
        raise _RefusedError("order", f"the right rows on {place}, in another order")


def same_rows(one: Sequence[Row], other: Sequence[Row]) -> bool:
    """Whether they are the same multiset of rows: 1 is 1.0, NULL is NULL, text is not a number, floats to 1e-9."""
    ours, theirs = Counter(map(_exact, one)), Counter(map(_exact, other))
    left, right = list((ours - theirs).elements()), list((theirs - ours).elements())
    if len(left) != len(right):
        return False
    buckets: dict[Row, list[Row]] = {}
    for row in right:
        buckets.setdefault(_shape(row), []).append(row)
    return not left or all(_matched(rows, buckets.get(shape, [])) for shape, rows in _by_shape(left).items())


def _by_shape(rows: list[Row]) -> dict[Row, list[Row]]:
    found: dict[Row, list[Row]] = {}
    for row in rows:
        found.setdefault(_shape(row), []).append(row)
    return found


def _matched(rows: list[Row], others: list[Row]) -> bool:
    """Whether each of `rows` has a row of its own among `others`; they differ in numbers alone."""
    if len(rows) != len(others):
        return False
    others = sorted(others, key=_first_number)
    starts = [_first_number(row) for row in others]
    free = [True] * len(others)
    for row in sorted(rows, key=_first_number):
        number = _first_number(row)
        reach = abs(number) * 2 * TOLERANCE if math.isfinite(number) else 0.0
        near = range(bisect_left(starts, number - reach), bisect_right(starts, number + reach))
        place = next((i for i in near if free[i] and _same_row(row, others[i])), None)
        if place is None:
            return False
        free[place] = False
    return True


def _exact(row: Row) -> Row:
    """The row with every value tagged by its kind, so that '1' is not 1 and b'a' is not 'a'; 1.0 is 1."""
    return tuple(("n", value) if isinstance(value, int | float) else (type(value).__name__, value) for value in row)


def _shape(row: Row) -> Row:
    return tuple("n" if kind == "n" else (kind, value) for kind, value in row)


def _first_number(row: Row) -> float:
    return next((float(value) for kind, value in row if kind == "n"), 0.0)


def _same_row(one: Row, other: Row) -> bool:
    return len(one) == len(other) and all(map(_same, one, other))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):  # tagged by `_exact`
        return one[0] == cast("tuple[str, Any]", other)[0] and _same(one[1], other[1])
    if isinstance(one, int | float) and isinstance(other, int | float):
        exact = isinstance(one, int) and isinstance(other, int)
        return one == other or (not exact and math.isclose(one, other, rel_tol=TOLERANCE))
    return type(one) is type(other) and bool(one == other)


# ------------------------------------------------------------------------------------------ warnings


def _warnings(
    kept: list[_Wanted], scripts: list[str], reference: str, asks_for_order: bool, deadline: float
) -> list[str]:
    """What makes the task weak, in words."""
    found = []
    if len(kept) == 1:
        found.append("one database only: a query that writes down its rows is right; give two or more")
    elif all(same_rows(w.rows, kept[0].rows) for w in kept[1:]):
        found.append("the reference gives the same rows on every database: a query that writes them down is right")
    if not any(w.rows for w in kept):
        found.append("the reference gives no rows on any database: any query without rows is right")
    turned = [
        (w.rows, rows)
        for script, w in zip(scripts, kept, strict=True)
        for rows in (_turned(script, reference, deadline, walk) for walk in (True, False))
        if rows is not None
    ]
    if not all(same_rows(one, other) for one, other in turned):
        found.append("the rows of the reference depend on an order that it does not ask for")
    elif asks_for_order and any(one != other for one, other in turned):
        found.append("rows tie under the ORDER BY of the reference, and only one order of them is right")
    return found


def _turned(script: str, reference: str, deadline: float, walk: bool) -> list[Row] | None:
    """The rows when tables are walked (`walk`) or filled backwards, which shows what the query leaves open."""
    try:
        with contextlib.closing(_open(script, deadline)) as database:
            for (table,) in [] if walk else database.execute(_TABLES).fetchall():
                rows = database.execute(f"SELECT * FROM {table}").fetchall()
                database.execute(f"DELETE FROM {table}")
                places = ", ".join("?" * len(rows[0])) if rows else ""
                database.executemany(f"INSERT INTO {table} VALUES ({places})", reversed(rows))
            database.execute(f"PRAGMA reverse_unordered_selects = {int(walk)}")
            return _rows(database, reference, MOST_ROWS + 1, deadline)[1]
    except (sqlite3.Error, MemoryError, _RefusedError):  # a trigger, a generated column: there is nothing to say then
        return None
