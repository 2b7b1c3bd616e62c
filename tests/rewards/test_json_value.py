"""JSON answers: one value, a schema, the reference."""

import importlib.util
import json
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Status
from sibling.config.rewards import JsonReward
from sibling.errors import RequestError
from sibling.rewards.grade import stating
from sibling.rewards.json_value import JsonValue, value_span
from sibling.tasks.task import Task

PRICE = {
    "type": "object",
    "required": ["name", "price"],
    "properties": {"name": {"type": "string"}, "price": {"type": "number", "multipleOf": 0.01}},
    "additionalProperties": False,
}


def task(reference=None, **columns):
    return Task("id", ({"role": "user", "content": "?"},), reference, columns)


@pytest.fixture(scope="module")
def by_schema():
    return JsonValue(JsonReward(json_schema=PRICE))


@pytest.fixture(scope="module")
def by_column():
    return JsonValue(JsonReward())


@pytest.fixture(scope="module")
def by_reference():
    return JsonValue(JsonReward(compare=True))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"name": "a", "price": 0.07}', "valid"),
        (' \r\n{"price": 7, "name": ""}\t', "valid"),
        ('```json\n{"name": "a", "price": 1}\n```', "valid"),
        ('~~~\n{"name": "a", "price": 1}\n~~~\n', "valid"),
        ('<think>{}</think>{"name": "a", "price": 1}', "valid"),
        ('<think>{}</think><answer>{"name": "a", "price": 1}</answer> done', "valid"),
        ("", "no_answer"),
        ("```json\n```", "no_answer"),
        ('<think>{"name": "a", "price": 1}', "no_answer"),
        ("{}", "schema"),
        (".", "unreadable"),
        ('Here: {"name": "a", "price": 1}', "unreadable"),
        ('{"name": "a", "price": 1} {"name": "b", "price": 2}', "unreadable"),
        ('```json\n{"name": "a", "price": 1}\n```\n```json\n{"name": "b", "price": 1}\n```', "unreadable"),
        ('```python\n{"name": "a", "price": 1}\n```', "unreadable"),
        ('{"name": "a", "price": 0.075}', "schema"),
        ('{"name": "a", "price": true}', "schema"),
        ('{"name": "a", "price": 1, "more": 1}', "schema"),
        ('{"name": "a", "price": 1, "price": 1}', "duplicate_key"),
        ('{"name": "a", "price": NaN}', "not_finite"),
    ],
)
def test_verdicts(by_schema, text, code):
    verdict = by_schema.judge(task(), stating(text))
    assert (verdict.code, verdict.status) == (code, Status.right if code == "valid" else Status.wrong)


def test_reason_says_where(by_schema):
    verdict = by_schema.judge(task(), stating('{"name": 1, "price": 1}'))
    assert "$.name" in verdict.reason and "type 'string'" in verdict.reason


def test_span_is_the_value(by_schema):
    text = 'x</think>\n```json\n{"name": "a", "price": 1}\n```'
    start, end = by_schema.judge(task(), stating(text)).span
    assert text[start:end] == '{"name": "a", "price": 1}'


def test_fences_can_be_refused():
    strict = JsonValue(JsonReward(json_schema=PRICE, fenced=False))
    assert strict.judge(task(), stating('```\n{"name": "a", "price": 1}\n```')).code == "unreadable"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```json\n1\n```", "1"),
        ("``` JSON \r\n1\n```", "1"),
        ("```1```", "```1```"),
        ("```", "```"),
        ("``````", "``````"),
        ("```\n```", ""),
        ("~~~\n1\n```", "~~~\n1\n```"),
        ('"```\n```"', '"```\n```"'),
        ("", ""),
    ],
)
def test_value_span(text, inside):
    start, end = value_span(text, 0, len(text), True)
    assert text[start:end] == inside


@pytest.mark.parametrize(
    ("reference", "text", "code"),
    [
        ('{"a": 1, "b": [2]}', '{"b": [2.0], "a": 1e0}', "equal"),
        ("1", "true", "different"),
        ('{"a": 1}', '{"a": 1, "b": 2}', "different"),
        ('{"a": 1}', '{"a": 2}', "different"),
        (None, "1", "no_reference"),
        ("{", "1", "bad_reference"),
    ],
)
def test_compare(by_reference, reference, text, code):
    assert by_reference.judge(task(reference), stating(text)).code == code


def test_what_is_compared_decides_uses_reference(by_schema, by_reference):
    assert by_reference.uses_reference and not by_schema.uses_reference


def test_facts_name_the_package(by_schema):
    assert by_schema.facts()["packages"].startswith("jsonschema ")


def test_a_schema_in_the_task(by_column):
    number = {"type": "integer"}
    assert by_column.judge(task(schema=number), stating("1.0")).code == "valid"
    assert by_column.judge(task(schema=json.dumps(number)), stating("1.5")).code == "schema"
    verdict = by_column.judge(task(), stating("1"))
    assert (verdict.status, verdict.code) == (Status.abstain, "no_schema")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (PRICE, None),
        ({"type": "array", "items": {"$ref": "#"}}, None),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}, None),
        ({"not": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}, None),
        ({"const": {"$ref": "elsewhere"}}, None),  # data, not a reference
        ({}, "checks nothing"),
        ({"required": ["$ref"], "properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}, "nothing is fetched"),
        ({"$ref": "#/$defs/none"}, "nothing is fetched"),
        ({"$ref": "#"}, "refers to itself"),
        ({"type": "strin"}, "$.type"),
        ({"pattern": "("}, "$.pattern"),
        ({"$schema": "urn:mine"}, "no draft"),
        ("{", "not JSON"),
        ('{"type": "array", "type": "object"}', "twice"),
        (7, "not an object"),
        (None, "no column"),
    ],
)
def test_problem_with_a_schema(by_column, schema, words):
    found = by_column.problem_with(task(schema=schema))
    assert found is None if words is None else words in found


@pytest.mark.parametrize(
    ("reference", "words"),
    [("1", None), ('"x"', "does not satisfy"), ("{", "not JSON"), (None, "no reference")],
)
def test_problem_with_a_reference(reference, words):
    judge = JsonValue(JsonReward(json_schema={"type": "number"}, compare=True))
    found = judge.problem_with(task(reference))
    assert found is None if words is None else words in found


def test_a_bad_schema_is_found_when_built():
    with pytest.raises(RequestError, match=r"\$\.type"):
        JsonValue(JsonReward(json_schema={"type": "strin"}))


def test_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"sibling\[verifiers\]"):
        JsonValue(JsonReward())


def test_a_bad_schema_is_never_a_score(by_column):
    assert by_column.judge(task(schema={"pattern": "("}), stating('"a"')).status is Status.error
    assert by_column.judge(task(schema={"$ref": "#"}), stating("1")).code == "bad_schema"


def test_a_slow_pattern_is_too_hard():
    slow = JsonValue(JsonReward(json_schema={"pattern": "^(a+)+$"}))
    verdict = slow.judge(task(), stating(json.dumps("a" * 60 + "b")))
    assert (verdict.status, verdict.code) == (Status.wrong, "too_hard")
    assert slow.judge(task(), stating('"aa"')).code == "valid"  # a fresh process serves the next one


def test_no_reference_is_fetched(by_column):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        seen = []

        def watch():
            try:
                server.accept()[0].close()
                seen.append(True)
            except TimeoutError:
                pass

        watcher = threading.Thread(target=watch)
        watcher.start()
        schema = {"$ref": f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"}
        assert by_column.judge(task(schema=schema), stating("1")).status is Status.error
        watcher.join()
    assert not seen


@pytest.mark.parametrize(
    "text",
    [
        "\x00" * 50,
        '"\ud800"',
        "{" * 20_000,
        " " * 100_000_000,
        '{"a":' * 20_000_000,
        "1e999999999",
        "10^{10^{10}}",
        "9" * 900_000,
        "[" + "1.5," * 240_000 + "1]",
        "[" + "{}," * 300_000 + "1]",
        '__import__("os").system("touch tripwire")',
    ],
)
def test_hostile_answers_are_refused(by_schema, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verdict = by_schema.judge(task(), stating(text))
    assert verdict.status is Status.wrong and not list(tmp_path.iterdir())


@given(st.text(alphabet='{}[]",:\\ \n`json1e.-tru\ud800', max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_has_a_verdict(text):
    verdict = COMPARED.judge(task('{"never": "this one"}'), stating(text))
    assert verdict.status is Status.wrong and verdict.code


COMPARED = JsonValue(JsonReward(compare=True))
