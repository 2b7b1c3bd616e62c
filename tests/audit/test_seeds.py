from pathlib import Path

import pytest

from sibling.audit.formats import around, formats_of, template
from sibling.audit.options import Options
from sibling.audit.own_tasks import KINDS, own_tasks
from sibling.audit.seeds import accepted, answer_of, find_format, kind_of, make_seeds
from sibling.audit.target import Target
from sibling.errors import RequestError
from sibling.tasks.task import Task

HERE = Path(__file__).parent


def task(reference, **columns):
    return Task("1", ({"role": "user", "content": "?"},), reference, columns)


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("42", "math"), ("-3.5", "math"), ("\\frac{1}{2}", "math"), ("[0, 1)", "math"), ("5 km", "math"),
        ("50%", "math"),
        ("x^2+1", "math"), ("(1, 2)", "math"), ("C", "choice"), ("(B)", "choice"), ("def f(x):\n    return x", "code"),
        ('{"a": 1}', "json"), ('["a", "b"]', "json"), ("SELECT name FROM t", "sql"), ("Paris", "text"),
        ("with a smile", "text"), ("[1, 2]", "math"), ("", "text"),
    ],
)  # fmt: skip
def test_the_kind_of_a_reference(reference, kind):
    assert kind_of(task(reference)) == kind


def test_columns_tell_the_kind_too():
    assert kind_of(task(None, asserts=["assert True"])) == "code"
    assert kind_of(task("Q", options=["a", "b"])) == "choice"


def test_answers():
    assert answer_of(task("4")) == "4"
    assert answer_of(task(None, prompt="def f():\n", canonical_solution="    return 1")) == "def f():\n    return 1"
    assert answer_of(task(None, completion="It rains.", verdict=True)) == "It rains."
    assert answer_of(task(None, completion="It rains.", verdict=False)) is None
    assert answer_of(task(None)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_tasks_are_of_their_kind_and_differ(kind):
    tasks = own_tasks(kind)
    least = {"math": 50, "quantity": 20, "choice": 20, "json": 20, "sql": 10, "code": 10, "text": 30}[kind]
    assert len(tasks) >= least
    assert len({t.digest for t in tasks}) == len({t.id for t in tasks}) == len(tasks)
    assert [kind_of(t) for t in tasks].count({"quantity": "math"}.get(kind, kind)) >= 0.9 * len(tasks)


def test_no_tasks_for_an_unknown_kind():
    with pytest.raises(RequestError, match="built-in"):
        own_tasks("poetry")


def test_the_arithmetic_of_our_own_programs_and_documents():
    import json
    import sqlite3

    for t in own_tasks("code"):
        scope = {}
        exec(t.reference, scope)  # noqa: S102 - our own text
        for line in t.columns["asserts"]:
            exec(line, scope)  # noqa: S102
    for t in own_tasks("json"):
        assert set(json.loads(t.reference)) == set(t.columns["schema"]["required"])
    for t in own_tasks("sql"):
        for script in t.columns["databases"]:
            database = sqlite3.connect(":memory:")
            database.executescript(script)
            assert database.execute(t.reference).fetchall()
            database.close()


def test_formats():
    names = [f.name for f in formats_of("math")]
    assert len(set(names)) == len(names)
    wrapped = {f.name: f.wrap("7") for f in formats_of("math")}
    assert wrapped["boxed"] == "The final answer is $\\boxed{7}$."
    assert wrapped["####"].endswith("#### 7")
    assert wrapped["bare"] == "7"
    assert formats_of("sql")[0].wrap("SELECT 1") == "```sql\nSELECT 1\n```"
    assert template("so {answer}!").wrap("{7}") == "so {7}!"
    assert around("It is 7, not 8. So 7!", "7").wrap("9") == "It is 7, not 8. So 9!"
    assert around("nothing", "7") is None


def found(name, tasks, **options):
    with Target.of_callable(f"subjects.py:{name}", HERE).calls(tasks, lanes=1, seconds=1, memory_mb=0) as calls:
        return find_format(calls, tasks, "math", Options(**options))


def test_the_first_format_that_is_accepted_is_chosen(tasks):
    chosen = found("sound", tasks)
    assert chosen.format.name == "boxed"
    assert chosen.chosen.share == 1.0
    assert {t.name: t.share for t in chosen.tried}["a sentence"] == 0.0


def test_no_format_is_accepted(tasks):
    chosen = found("own_format", tasks)
    assert max(t.share for t in chosen.tried) == 0.0


def test_a_format_can_be_declared(tasks):
    chosen = found("own_format", tasks, template="<<{answer}>>")
    assert (chosen.format.name, chosen.chosen.share) == ("as declared", 1.0)


def test_the_format_of_an_accepted_completion_is_tried(tasks):
    given = [Task("x", tasks[0].messages, "7", {"completion": "<<7>>", "verdict": "right"}), *tasks]
    chosen = found("own_format", given)
    assert chosen.format.name == "as in the accepted completions"


def test_scores_on_another_scale_are_told_apart_halfway(tasks):
    assert found("out_of_ten", tasks).marking.threshold == 5.0  # right ones score 10, wrong ones 0
    assert found("sound", tasks).marking.threshold == 0.5
    assert found("out_of_ten", tasks, accept=9).marking.threshold == 9


def test_seeds(tasks):
    own = Task("x", tasks[0].messages, "7", {"completion": "I say \\boxed{7}", "verdict": True})
    chosen = found("sound", [own, *tasks])
    seeds = make_seeds([own, *tasks, task(None)], None, chosen, Options())
    assert len(seeds) == len(tasks) + 1
    assert seeds[0].right == "I say \\boxed{7}"
    assert seeds[1].right == seeds[1].wrap(seeds[1].answer)
    assert seeds[1].answer not in seeds[1].others and len(seeds[1].others) == 8
    again = make_seeds([own, *tasks], None, chosen, Options())
    assert [s.others for s in again] == [s.others for s in seeds]
    assert [s.rng.random() for s in again] == [s.rng.random() for s in seeds]


def test_known_verdicts():
    assert accepted(task("1", completion="a", verdict="right")) is True
    assert accepted(task("1", completion="a", verdict="refuse")) is False
    assert accepted(task("1", completion="a", verdict=0)) is False
    assert accepted(task("1", completion="a")) is None
    assert accepted(task("1", verdict=True)) is None
