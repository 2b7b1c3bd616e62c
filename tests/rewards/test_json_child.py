"""The checks of the child process, called directly."""

import decimal
import json

import pytest

from sibling.rewards.json_child import answer


def fault(schema, value):
    return answer({"schema": json.dumps(schema), "text": json.dumps(value)})["fault"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", "2024-02-29", "2023-02-29"),
        ("date", "2024-01-01", "20240101"),
        ("time", "23:59:60Z", "24:00:00Z"),
        ("date-time", "2024-01-01T00:00:00.5+01:00", "2024-01-01 00:00:00Z"),
        ("date-time", "2024-01-01t00:00:00z", "2024-13-01T00:00:00Z"),
        ("duration", "P1Y2M3DT4H5M6S", "P"),
        ("duration", "P2W", "P1DT"),
        ("email", "a.b@example.org", "a b@example.org"),
        ("ipv4", "127.0.0.1", "127.0.0.256"),
        ("ipv6", "::1", "1::2::3"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("uri", "https://example.org/a?b#c", "no scheme"),
        ("regex", "a+", "("),
    ],
)
def test_formats(name, good, bad):
    schema = {"format": name}
    assert not fault(schema, good)
    assert name in fault(schema, bad)
    assert not fault(schema, 7)  # formats are about text
    assert not fault({"format": "of my own"}, bad)


def test_numbers_are_exact():
    assert not fault({"multipleOf": 0.01}, 0.07)
    assert fault({"multipleOf": 0.01}, 0.075)
    assert not fault({"multipleOf": 0.1}, 10**300)
    assert not fault({"type": "integer"}, 3.0)
    assert fault({"maximum": 0.1}, 0.10000000000000002)
    assert fault({"type": "number"}, True)


def test_numbers_are_exact_in_any_thread():
    with decimal.localcontext(decimal.Context(prec=3)):
        assert not fault({"multipleOf": 0.1}, 10**300)
        assert fault({"multipleOf": 0.01}, 1234567.895)


def test_a_fault_says_where_and_what():
    schema = {"properties": {"rows": {"items": {"enum": ["a", {"b": 1}, [1]]}}}}
    assert fault(schema, {"rows": ["a", "c"]}) == "at $.rows[1]: enum ['a', {...}, [1]]"


def test_drafts_differ():
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}
    assert "type" in fault(draft7, [1])
    assert answer({"schema": json.dumps({"items": [{"type": "string"}]})})["problem"]  # no such form in 2020-12
