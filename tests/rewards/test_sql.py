"""Queries against the rows of a reference query, on real databases in a real child process."""

import sqlite3
import time

import pytest

from sibling.batch import Status
from sibling.config.rewards import SqlReward
from sibling.rewards import sql_child
from sibling.rewards.grade import stating
from sibling.rewards.sql import Sql, ends_in_order, query_in
from sibling.tasks.task import Task

SCHEMA = "CREATE TABLE staff (name TEXT, team TEXT, pay REAL, boss TEXT);"
ONE = SCHEMA + (
    "INSERT INTO staff VALUES ('Ada','red',3.5,NULL),('Bo','red',2,'Ada'),('Cy','blue',4,'Ada'),('Di','blue',1,'Cy');"
)
TWO = SCHEMA + "INSERT INTO staff VALUES ('Eve','red',7,NULL),('Flo','green',0.1,'Eve'),('Gus','red',0.2,'Eve');"
SUMS = "SELECT team, SUM(pay) FROM staff GROUP BY team"


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


def task(reference=SUMS, databases=(ONE, TWO)):
    columns = {} if databases is None else {"databases": list(databases)}
    return Task("t", ({"role": "user", "content": "?"},), reference, columns)


@pytest.fixture(scope="module")
def sql():
    return Sql(SqlReward(seconds=1.0))


def grade(sql, text, reference=SUMS, databases=(ONE, TWO)):
    return sql.judge(task(reference, databases), stating(text))


@pytest.mark.parametrize(
    "query",
    [
        SUMS,
        SUMS + ";",
        "```sql\nSELECT team AS t, TOTAL(pay) FROM staff GROUP BY 1 ORDER BY 2\n```",
        "It sums.\n```\nselect team, sum(pay) from staff group by team;\n```\nDone.",
        "<think>SELECT 1</think>" + SUMS,
        "-- a remark\nWITH t AS (SELECT * FROM staff) SELECT team, sum(pay + 0) FROM t GROUP BY team",
        "SELECT DISTINCT team, (SELECT SUM(pay) FROM staff s WHERE s.team = staff.team) FROM staff",
    ],
)
def test_the_same_rows_are_right(sql, query):
    verdict = grade(sql, query)
    assert (verdict.status, verdict.score, verdict.code) == (Status.right, 1.0, "equal")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "no_answer"),
        ("```sql\n```", "no_answer"),
        ("I cannot say.", "unreadable"),
        ("SELECT team, SUM(pay) FROM staff", "row_count"),
        ("SELECT team FROM staff GROUP BY team", "columns"),
        ("SELECT team, SUM(pay) + 1 FROM staff GROUP BY team", "rows"),
        ("SELECT team, CAST(SUM(pay) AS TEXT) FROM staff GROUP BY team", "rows"),
        ("SELECT team, pay FROM staff", "row_count"),
        ("VALUES ('red', 5.5), ('blue', 5)", "rows"),  # what the first database gives, written down
        ("SELECT team, SUM(wage) FROM staff GROUP BY team", "query_error"),
        (SUMS + "; SELECT 1", "several_statements"),
        (f"```sql\n{SUMS}\n```\nor\n```sql\nSELECT 1\n```", "hedged"),
        ("DELETE FROM staff", "unreadable"),
        ("WITH x AS (SELECT 1) DELETE FROM staff", "forbidden"),
        ("PRAGMA table_info(staff)", "unreadable"),
        ("SELECT * FROM pragma_table_info('staff')", "forbidden"),
        ("ATTACH 'x.db' AS x", "unreadable"),
        ("SELECT load_extension('x')", "forbidden"),
        ("SELECT writefile('x', 'y')", "query_error"),
        ("SELECT team, SUM(pay) * (random() IS NOT NULL) FROM staff GROUP BY team", "forbidden"),
        ("SELECT team, SUM(pay) FROM staff GROUP BY team\0", "unreadable"),
        ("SELECT '\ud800', 1", "unreadable"),
        ("SELECT " + "(" * 20_000, "too_long"),
        ("SELECT " + "(" * 19_000 + "1" + ")" * 900, "query_error"),
        ("SELECT zeroblob(2000000000), 1", "too_hard"),
        ("SELECT hex(hex(hex(hex(hex(hex(hex(zeroblob(1000000))))))))", "too_hard"),
    ],
    ids=short,
)
def test_anything_else_is_wrong_with_its_reason(sql, query, code):
    verdict = grade(sql, query)
    assert (verdict.status, verdict.score, verdict.code) == (Status.wrong, 0.0, code)


@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i), 1 FROM n",
        "SELECT a.name, COUNT(*) FROM staff a, staff b, staff c, staff d, staff e, staff f, staff g, staff h, staff i, "
        "staff j, staff k, staff l, staff m, staff n WHERE a.pay + n.pay > 100 GROUP BY a.name",
    ],
)
def test_endless_queries_end_and_the_next_is_judged(sql, query):
    start = time.monotonic()
    assert grade(sql, query).code == "too_hard"
    assert time.monotonic() - start < 10
    assert grade(sql, SUMS).status is Status.right


def test_no_query_changes_what_later_ones_see(sql):
    for query in ("WITH x AS (SELECT 1) INSERT INTO staff SELECT 'Z','red',1,'' FROM x", "WITH a AS (SELECT 1) DROP"):
        assert grade(sql, query).status is Status.wrong
        assert grade(sql, SUMS).status is Status.right


@pytest.mark.parametrize(
    ("query", "reference", "ordered", "status"),
    [
        ("SELECT name FROM staff ORDER BY name DESC", "SELECT name FROM staff ORDER BY name", None, Status.wrong),
        ("SELECT name FROM staff ORDER BY name DESC", "SELECT name FROM staff", None, Status.right),
        ("SELECT name FROM staff ORDER BY name DESC", "SELECT name FROM staff ORDER BY name", False, Status.right),
        ("SELECT name FROM staff ORDER BY name DESC", "SELECT name FROM staff", True, Status.wrong),
        ("SELECT name FROM staff ORDER BY 1", "SELECT name FROM staff ORDER BY name", None, Status.right),
    ],
)
def test_order_counts_where_it_is_asked_for(query, reference, ordered, status):
    verdict = Sql(SqlReward(ordered=ordered)).judge(task(reference), stating(query))
    assert verdict.status is status
    assert verdict.code == ("equal" if status is Status.right else "order")


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("select a from t order\nby a limit 3", True),
        ("SELECT a, RANK() OVER (ORDER BY a) FROM t", False),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a)", False),
        ("SELECT 'ORDER BY' FROM t -- ORDER BY a", False),
        ("SELECT a /* ORDER BY */ FROM t", False),
    ],
)
def test_order_of_the_whole_query(query, order):
    assert ends_in_order(query) is order


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([(1,)], [(1.0,)], True),
        ([(1,)], [("1",)], False),
        ([(None,)], [(None,)], True),
        ([(None,)], [(0,)], False),
        ([("a",)], [(b"a",)], False),
        ([(1,), (1,), (2,)], [(2,), (1,), (1,)], True),
        ([(1,), (1,), (2,)], [(1,), (2,), (2,)], False),
        ([(0.1 + 0.2, "x"), (1, "y")], [(1, "y"), (0.3, "x")], True),
        ([(1.0 + 1e-8,)], [(1.0,)], False),
        ([(10**16 + 1,)], [(10**16,)], False),
        ([(1.0000000001, 2), (1.0, 3)], [(1.0, 2), (1.0000000001, 3)], True),
        ([(1, None)], [(None, 1)], False),
        ([(float("inf"),)], [(1e308,)], False),
        ([], [], True),
    ],
)
def test_rows_are_compared_by_value_as_a_multiset(one, other, same):
    assert sql_child.same_rows(one, other) is same
    assert sql_child.same_rows(other, one) is same


@pytest.mark.parametrize(
    ("reference", "databases", "words"),
    [
        (None, (ONE,), "no reference"),
        (SUMS, None, "`databases`"),
        (SUMS, (), "`databases`"),
        (SUMS, ("CREATE TABEL x",), "script 1"),
        (SUMS, (ONE, "CREATE TABLE t (a)"), "database 2"),
        ("DELETE FROM staff", (ONE,), "not a query"),
        ("SELECT random()", (ONE,), "reference query fails"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 20001) SELECT i FROM n", (ONE,), "20000"),
    ],
)
def test_tasks_that_cannot_be_graded_say_why(sql, reference, databases, words):
    told = sql.problem_with(task(reference, databases or None if databases is None else databases))
    assert told is not None and words in told
    verdict = sql.judge(task(reference, databases), stating("SELECT 1"))
    assert verdict.status in (Status.error, Status.abstain)
    assert verdict.code in ("no_reference", "no_databases", "bad_reference")


@pytest.mark.parametrize(
    ("reference", "databases", "words"),
    [
        (SUMS, (ONE, TWO), None),
        (SUMS, (ONE,), "two or more"),
        (SUMS, (ONE, ONE), "same rows on every"),
        ("SELECT name FROM staff WHERE pay > 100", (ONE, TWO), "no rows"),
        ("SELECT name FROM staff LIMIT 1", (ONE, TWO), "does not ask for"),
        ("SELECT name FROM staff ORDER BY team", (ONE, TWO), "tie"),
        ("SELECT name FROM staff ORDER BY name", (ONE, TWO), None),
    ],
)
def test_weak_tasks_are_warned_about(sql, reference, databases, words):
    warning = sql.warning_for(task(reference, databases))
    assert (warning is None) == (words is None)
    assert words is None or words in warning
    assert sql.problem_with(task(reference, databases)) is None


def test_the_span_is_the_query():
    text = "<think>x</think>So:\n```sql\n SELECT 1;\n```\n"
    query, (start, end) = query_in(text, 16, len(text))
    assert query == text[start:end] == "SELECT 1;"


def test_no_file_is_made(sql, tmp_path):
    for query in (f"WITH x AS (SELECT 1) ATTACH '{tmp_path}/a.db' AS a", f"SELECT writefile('{tmp_path}/b', 1)"):
        assert grade(sql, query).status is Status.wrong
    assert list(tmp_path.iterdir()) == []


def test_the_authorizer_alone_refuses_to_write():
    database = sql_child._database(ONE, time.monotonic() + 5)
    for statement in ("INSERT INTO staff VALUES (1,2,3,4)", "PRAGMA query_only = OFF", "ATTACH ':memory:' AS x"):
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    "text",
    [
        "x" * 50_000_000,
        " " * 50_000_000,
        "```a\n" * 2_000_000,
        "```\n" * 40_001,
        "{" * 20_000,
        "(" * 20_000,
        '"' * 20_000,
        "'" * 20_000,
        "\0" * 100,
        "\ud800" * 100,
        "10^{10^{10}}",
        "<think>" + "x" * 1_000_000,
    ],
    ids=short,
)
def test_hostile_texts_get_a_verdict_at_once(sql, text):
    start = time.monotonic()
    assert grade(sql, text).status is Status.wrong
    assert time.monotonic() - start < 5
