from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sibling.record import kinds

_leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))

CHECKS = [
    kinds.text,
    kinds.flag,
    kinds.whole,
    kinds.number,
    kinds.digest,
    kinds.one_of("a", "b"),
    kinds.list_of(kinds.whole),
    kinds.map_of(kinds.number),
    kinds.record(a=kinds.text, b=kinds.optional(kinds.whole)),
]


@given(JSON)
def test_a_check_answers_in_one_short_line_and_never_raises(value: object) -> None:
    for check in CHECKS:
        fault = check(value)
        assert fault is None or (len(fault) < 250 and "\n" not in fault)


def test_kinds() -> None:
    assert kinds.whole(0) is None and kinds.number(-0.5) is None and kinds.number(3) is None
    for bad in (True, -1, 1.0, "1", None):
        assert kinds.whole(bad)
    for bad in (True, float("nan"), float("inf"), "1", None):
        assert kinds.number(bad)
    assert kinds.flag(False) is None and kinds.flag(0)
    assert kinds.digest("sha256:" + "0f" * 32) is None
    assert kinds.digest("sha256:" + "0F" * 32) and kinds.digest("sha256:" + "0" * 65)
    assert kinds.one_of("a", "b")("b") is None and kinds.one_of("a", "b")("c") == "is 'c', wanted one of a, b"
    assert kinds.anything(object()) is None


def test_composed_kinds_name_the_place_of_a_fault() -> None:
    check = kinds.record(a=kinds.list_of(kinds.map_of(kinds.whole)))
    assert check({"a": [{"x": 1}, {}], "more": None}) is None
    assert check({"a": [{"x": 1}, {"y": "no"}]}) == "a: [1] 'y': is 'no', wanted a whole number of 0 or more"
    assert check({}) == "lacks 'a'"
    assert check({"a": {}}) == "a: is an object of 0, wanted a list"
    optional = kinds.record(a=kinds.optional(kinds.whole))
    assert optional({"a": None}) is None and optional({"a": "x"}) and optional({}) == "lacks 'a'"
