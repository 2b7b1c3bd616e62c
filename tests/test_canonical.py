"""RFC 8785 and digests, against values fixed outside this project."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.canonical import canonical_json, digest, file_digest, sha256, tree_digests
from sibling.errors import RunError

ABC = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Beyond 2^53 a float without a fraction is written as an integer that JSON readers may round; the record has none.
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53), 2.0**53, allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def test_numbers_and_key_order_of_rfc_8785() -> None:
    # RFC 8785, section 3.2.2 (numbers) and 3.2.3 (keys sort by UTF-16 code units).
    numbers = [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]
    assert canonical_json(numbers) == b"[333333333.3333333,1e+30,4.5,0.002,1e-27]"
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    seen = json.loads(canonical_json(dict.fromkeys(keys)))
    assert list(seen) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_no_white_space_and_utf_8() -> None:
    assert canonical_json({"b": [1, True, None], "a": "é"}) == '{"a":"é","b":[1,true,null]}'.encode()


@given(JSON)
@settings(deadline=None, max_examples=60)
def test_canonical_json_reads_back_as_the_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(TEXT, st.integers(0, 9), max_size=6))
@settings(deadline=None, max_examples=60)
def test_digest_does_not_depend_on_insertion_order(value: dict[str, int]) -> None:
    assert digest(value) == digest(dict(reversed(list(value.items()))))


def test_digest_is_the_sha256_of_the_canonical_bytes() -> None:
    assert digest({"b": 1, "a": 2}) == "sha256:" + hashlib.sha256(b'{"a":2,"b":1}').hexdigest()
    assert digest({"a": 1}) != digest({"a": 2})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, {1: "a"}, {"a": object()}, {"a": b"x"}])
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(RunError, match="canonical JSON"):
        canonical_json(value)


def test_sha256_and_file_digest_agree(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256(b"abc") == file_digest(path) == ABC


def test_file_digest_reads_past_its_chunk(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000  # 1.28 MB, more than one chunk
    (tmp_path / "big").write_bytes(data)
    assert file_digest(tmp_path / "big") == "sha256:" + hashlib.sha256(data).hexdigest()


def test_tree_digests_are_sorted_posix_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    tree = tree_digests(tmp_path)
    assert list(tree) == ["a", "b/x"]
    assert tree["b/x"] == ABC
