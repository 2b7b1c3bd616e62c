"""SQL queries that give the same rows as the reference, and queries that surely do not.

A query is rewritten as text around it, so that no SQL has to be parsed. What is wrong is wrong by count: the number of
rows is read from the task's own databases (scripts of SQL, run in memory, without files and with a bound on the work).
Without databases only the rewrites that hold for every database are made.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from sibling.audit.kinds import Seed

_MOST_STEPS = 200_000  # of SQLite's machine, in thousands: a reference query of a task is far below


class Shape(NamedTuple):
    """What the reference gives on the database where it gives most."""

    rows: int
    columns: int


def plain(seed: Seed) -> str:
    """The reference query without the semicolon at its end."""
    return seed.answer.strip().rstrip(";").rstrip()


def unordered(query: str) -> bool:
    """The query asks for no order and no part of its rows."""
    return not re.search(r"\b(order\s+by|limit|offset|with)\b", query, re.IGNORECASE) and "--" not in query


def aliased(seed: Seed) -> Iterator[str]:
    """The reference inside another query."""
    query = plain(seed)
    if unordered(query) and re.match(r"(?i)\s*select\b", query):
        yield f"SELECT * FROM ({query}) AS rows_of_interest"
        yield f"WITH rows_of_interest AS ({query}) SELECT * FROM rows_of_interest"


def spaced(seed: Seed) -> Iterator[str]:
    """Line breaks, a semicolon, a comment."""
    query = plain(seed)
    yield from (f"{query};", f"\n  {query}\n;\n", f"{query} -- the rows asked for", f"/* the rows asked for */ {query}")
    if "'" not in query and '"' not in query and "--" not in query:
        yield re.sub(r"\s+", "\n", query)


def reordered(seed: Seed) -> Iterator[str]:
    """The same rows sorted, where no order is asked for."""
    query = plain(seed)
    if unordered(query) and re.match(r"(?i)\s*select\b", query):
        yield f"SELECT * FROM ({query}) AS r ORDER BY 1 DESC"
        yield f"SELECT * FROM ({query}) AS r ORDER BY 1 ASC"


def one_row_less(seed: Seed) -> Iterator[str]:
    """All rows but one."""
    if _shape(seed).rows >= 1:
        query = plain(seed)
        yield f"SELECT * FROM ({query}) LIMIT (SELECT COUNT(*) - 1 FROM ({query}))"


def one_row_more(seed: Seed) -> Iterator[str]:
    """A row twice, and a row of nothing."""
    query, shape = plain(seed), _shape(seed)
    if shape.rows >= 1:
        yield f"SELECT * FROM ({query}) UNION ALL SELECT * FROM (SELECT * FROM ({query}) LIMIT 1)"
    if shape.columns:
        yield f"SELECT * FROM ({query}) UNION ALL SELECT {', '.join(['NULL'] * shape.columns)}"


def one_column_more(seed: Seed) -> Iterator[str]:
    """A column of constants beside the right ones."""
    if _shape(seed).rows >= 1:
        yield f"SELECT *, 1 FROM ({plain(seed)})"


def no_rows(seed: Seed) -> Iterator[str]:
    """The right columns, no row."""
    if _shape(seed).rows >= 1:
        yield f"SELECT * FROM ({plain(seed)}) WHERE 0"


def constants(seed: Seed) -> Iterator[str]:
    """The rows of one database written down: right on it, wrong on every other that differs."""
    found = [rows for rows in _rows(seed) if rows]
    if len({repr(sorted(rows, key=repr)) for rows in _rows(seed)}) < 2:
        return
    for rows in found[:1]:
        if len(rows) <= 50:
            yield "VALUES " + ", ".join("(" + ", ".join(_literal(cell) for cell in row) + ")" for row in rows)


def _literal(cell: object) -> str:
    if cell is None:
        return "NULL"
    return repr(cell) if isinstance(cell, int | float) else "'" + str(cell).replace("'", "''") + "'"


def _shape(seed: Seed) -> Shape:
    found = [rows for rows in _rows(seed) if rows]
    return max((Shape(len(rows), len(rows[0])) for rows in found), default=Shape(0, 0))


def _rows(seed: Seed) -> list[list[tuple[object, ...]]]:
    scripts = seed.task.columns.get("databases")
    if not isinstance(scripts, list | tuple):
        return []
    return [_ask(script, plain(seed)) for script in scripts if isinstance(script, str)]


def _ask(script: str, query: str) -> list[tuple[object, ...]]:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return int(steps > _MOST_STEPS)

    base = sqlite3.connect(":memory:")
    try:
        base.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
        )
        base.set_progress_handler(count, 1000)
        base.executescript(script)
        return base.execute(query).fetchmany(10_000)
    except (sqlite3.Error, sqlite3.Warning):
        return []
    finally:
        base.close()
