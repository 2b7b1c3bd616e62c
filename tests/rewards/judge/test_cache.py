"""Verdicts kept by digest, and files that are not what was written."""

import json

import pytest

from sibling.errors import RequestError
from sibling.rewards.judge.cache import Cache
from sibling.rewards.judge.verdict import Opinion

KEY = "sha256:" + "ab" * 32


def test_in_memory():
    cache = Cache(None)
    assert cache.get(KEY) is None
    cache.put(KEY, Opinion(True, "same"))
    assert cache.get(KEY) == Opinion(True, "same")


def test_files_are_read_by_the_next_run(tmp_path):
    folder = tmp_path / "deep" / "cache"
    Cache(folder).put(KEY, Opinion(False, "né"))
    assert Cache(folder).get(KEY) == Opinion(False, "né")
    (file,) = (p for p in folder.rglob("*") if p.is_file())
    assert file.relative_to(folder).as_posix() == f"ab/{'ab' * 32}.json", "nothing is left beside it"


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[" * 9000,
        b"\xff",
        b"x" * 20_000,
        json.dumps({"digest": KEY, "accept": 1, "reason": ""}).encode(),
        json.dumps({"digest": KEY.replace("a", "c"), "accept": True, "reason": ""}).encode(),
        json.dumps({"digest": KEY, "accept": True, "reason": "", "more": 1}).encode(),
        json.dumps({"digest": KEY, "accept": True, "reason": None}).encode(),
    ],
)
def test_damaged_files_are_counted_and_replaced(tmp_path, damage):
    Cache(tmp_path).put(KEY, Opinion(True, "same"))
    (file,) = (p for p in tmp_path.rglob("*") if p.is_file())
    file.write_bytes(damage)
    cache = Cache(tmp_path)
    assert cache.get(KEY) is None and cache.corrupt == 1
    cache.put(KEY, Opinion(True, "again"))
    assert Cache(tmp_path).get(KEY) == Opinion(True, "again")


def test_a_verdict_that_cannot_be_written_is_kept_in_memory(tmp_path):
    cache = Cache(tmp_path)
    (tmp_path / "ab").write_text("a file where a folder should be")
    cache.put(KEY, Opinion(True, "same"))
    assert cache.get(KEY) == Opinion(True, "same") and cache.unwritten == 1


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cache of the judge"):
        Cache(tmp_path / "file" / "below")
