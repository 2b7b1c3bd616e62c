from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sibling.errors import RecordError
from sibling.record.files import aside, atomic_directory, atomic_write, is_leftover


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_write_and_replace(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two" and names(tmp_path) == {"a.json"}


def test_a_leftover_of_a_killed_write_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    aside(path).write_bytes(b"half of something longer")
    assert is_leftover(aside(path).name) and not is_leftover("a.json") and not is_leftover(".gitignore")
    atomic_write(path, b"one")
    assert path.read_bytes() == b"one" and names(tmp_path) == {"a.json"}


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"Cannot write .*a\.json.*No such file"):
        atomic_write(tmp_path / "none" / "a.json", b"")


def test_a_directory_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "step-000001"
    for text in ("one", "two"):
        with atomic_directory(path) as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / text).write_text(text)
            assert folder != path and path.exists() == (text == "two")
    assert [p.name for p in (path / "deep").iterdir()] == ["two"]
    assert names(tmp_path) == {"step-000001"}


def interrupted(path: Path) -> None:
    with atomic_directory(path) as folder:
        (folder / "x").write_text("new")
        raise KeyboardInterrupt


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "d"
    with atomic_directory(path) as folder:
        (folder / "x").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert (path / "x").read_text() == "old" and names(tmp_path) == {"d"}


def test_leftovers_of_a_killed_directory_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "d"
    for leftover in (aside(path), path.with_name(".d.old")):
        leftover.mkdir()
        (leftover / "rubbish").write_text("")
        assert is_leftover(leftover.name)
    with atomic_directory(path) as folder:
        (folder / "x").write_text("")
    assert names(path) == {"x"} and names(tmp_path) == {"d"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"]
    try:
        done = subprocess.run(["mount", *options, str(mount)], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if done.returncode:
        pytest.skip("this user cannot mount a file system")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    atomic_write(small_disk / "a", b"old")
    with pytest.raises(RecordError, match=r"No space left.*Free some space"):
        atomic_write(small_disk / "a", os.urandom(100_000))
    assert (small_disk / "a").read_bytes() == b"old" and names(small_disk) == {"a"}
    with pytest.raises(RecordError, match="No space left"), atomic_directory(small_disk / "d") as folder:
        (folder / "x").write_bytes(os.urandom(100_000))
    assert names(small_disk) == {"a"}
