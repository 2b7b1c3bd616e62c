"""Name to callable, with the digest of the code it brings in."""

import sys
from pathlib import Path

import pytest

from sibling.canonical import file_digest
from sibling.errors import RequestError
from sibling.plugins import load

SOURCE = """
def score(task, completion):
    return 1.0

limit = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_rewards.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def test_a_file_relative_to_the_recipe(folder: Path) -> None:
    plugin = load("my_rewards.py:score", base=folder)
    assert plugin.call(None, None) == 1.0
    assert plugin.target == "my_rewards.py:score"
    assert plugin.code == file_digest(folder / "my_rewards.py")


def test_a_file_by_absolute_path(folder: Path) -> None:
    assert load(f"{folder / 'my_rewards.py'}:score").call(None, None) == 1.0


def test_the_folder_of_the_recipe_comes_before_the_working_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "my_rewards.py").write_text("def score(t, c): return 2.0\n", encoding="utf-8")
    monkeypatch.chdir(elsewhere)
    assert load("my_rewards.py:score", base=folder).call(None, None) == 1.0
    assert load("my_rewards.py:score").call(None, None) == 2.0


def test_two_files_of_one_name_do_not_share_a_module(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "my_rewards.py").write_text("def score(t, c): return 2.0\n", encoding="utf-8")
    first, second = load("my_rewards.py:score", base=folder), load("other/my_rewards.py:score", base=folder)
    assert (first.call(None, None), second.call(None, None)) == (1.0, 2.0)
    assert first.code != second.code


def test_a_module_beside_the_recipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / "sibling_test_module.py").write_text(SOURCE, encoding="utf-8")
    try:
        plugin = load("sibling_test_module:score", base=folder)
        assert plugin.code == file_digest(folder / "sibling_test_module.py")
    finally:
        sys.modules.pop("sibling_test_module", None)


def test_the_digest_is_of_the_file_that_defines_the_callable() -> None:
    # `json:dumps` is defined in json/__init__.py; `json:JSONEncoder` is imported there from json/encoder.py.
    import json.encoder

    assert load("json:JSONEncoder").code == file_digest(Path(json.encoder.__file__))
    assert load("json:dumps").code == file_digest(Path(json.__file__))


def test_a_callable_written_in_c_has_a_digest() -> None:
    assert load("math:sqrt").code.startswith("sha256:")


def test_an_edited_file_has_another_digest(folder: Path) -> None:
    before = load("my_rewards.py:score", base=folder).code
    (folder / "my_rewards.py").write_text(SOURCE + "# edited\n", encoding="utf-8")
    assert load("my_rewards.py:score", base=folder).code != before


@pytest.mark.parametrize("target", ["my_rewards.py", "my_rewards.py:", ":score", ""])
def test_a_target_without_module_or_name(target: str, folder: Path) -> None:
    with pytest.raises(RequestError, match=r"named by module and name.*file\.py:name"):
        load(target, base=folder)


def test_a_missing_file_names_the_places_looked_at(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"missing\.py does not exist") as caught:
        load("missing.py:score", base=folder)
    assert str(folder / "missing.py") in str(caught.value)


def test_a_missing_name_lists_the_callables(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"no 'scor'.*\['score'\]"):
        load("my_rewards.py:scor", base=folder)


def test_a_name_that_is_not_callable(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"limit is not callable.*int"):
        load("my_rewards.py:limit", base=folder)


@pytest.mark.parametrize("body", ["import not_a_module_anywhere", "1 / 0", "def broken(:", "raise SystemExit(3)"])
def test_a_file_that_fails_to_import(body: str, folder: Path) -> None:
    (folder / "bad.py").write_text(body, encoding="utf-8")
    before = set(sys.modules)
    with pytest.raises(
        RequestError,
        match=r"bad\.py does not import.*Seen: (ModuleNotFoundError|ZeroDivisionError|SyntaxError|SystemExit)",
    ):
        load("bad.py:score", base=folder)
    assert not any(m.startswith("sibling_plugin") for m in set(sys.modules) - before)


def test_a_module_that_does_not_exist() -> None:
    with pytest.raises(RequestError, match="no_such_package_here does not import"):
        load("no_such_package_here:score")
