import io
import json
from pathlib import Path

import pytest
from recorded import G, P, Recorded, make_run
from rich.console import Console

from sibling.errors import RequestError
from sibling.report.browsing import Query, find, json_lines, show
from sibling.report.siblings import Sibling

HOSTILE = " [red]\x1b[2J tail"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("browsing") / "run", Recorded(steps=12, planned=12, hostile=HOSTILE))


def printed(run: Path, query: Query, *, full: bool = False, width: int = 80) -> str:
    file = io.StringIO()
    show(run, query, Console(file=file, width=width), full=full)
    return file.getvalue()


def test_the_last_step_is_shown_unless_another_is_asked_for(run: Path) -> None:
    assert {g.step for g in find(run, Query())} == {12}
    assert {g.step for g in find(run, Query(steps="3"))} == {3}
    assert {g.step for g in find(run, Query(steps="3-5"))} == {3, 4, 5}
    assert sum(len(g.siblings) for g in find(run, Query(steps="all"))) == 12 * P * G


def test_filters_keep_what_they_say(run: Path) -> None:
    right = list(find(run, Query(steps="all", reward_above=0.5)))
    wrong = list(find(run, Query(steps="all", reward_below=0.5)))
    assert {s.reward for g in right for s in g.siblings} == {1.0}
    assert {s.reward for g in wrong for s in g.siblings} == {0.0}
    assert sum(len(g.siblings) for g in [*right, *wrong]) == 12 * P * G
    trained = [s for g in find(run, Query(steps="all", fate="trained")) for s in g.siblings]
    assert trained and all(s.advantage != 0 for s in trained)
    assert [g.task_id for g in find(run, Query(steps="all", prompt="task-7-2"))] == ["task-7-2"]
    assert len(list(find(run, Query(steps="all", prompt="WHICH number")))) == 12 * P
    assert len(list(find(run, Query(steps="all", limit=5)))) == 5


def test_a_completion_without_a_reward_passes_no_reward_filter() -> None:
    unscored = Sibling(0, "x", None, 0.0, 1, "eos", "reward_error", ("error",), (None,), ("timed out",))
    assert Query().takes(unscored)
    assert Query(fate="reward_error").takes(unscored)
    assert not Query(reward_below=0.5).takes(unscored)
    assert not Query(reward_above=-1.0).takes(unscored)


@pytest.mark.parametrize("steps", ["99", "x", "3-", "-2"])
def test_a_step_that_is_not_there_is_named(run: Path, steps: str) -> None:
    with pytest.raises(RequestError):
        list(find(run, Query(steps=steps)))


def test_an_unknown_fate_is_named(run: Path) -> None:
    with pytest.raises(RequestError, match="dead_group"):
        list(find(run, Query(fate="lost")))


def test_one_line_a_completion_that_fits(run: Path) -> None:
    text = printed(run, Query(steps="6", limit=2), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert len([line for line in text.splitlines() if line.startswith(("  1.00", "  0.00"))]) == 2 * G
    assert "\x1b" not in text


def test_full_texts_are_whole_and_harmless(run: Path) -> None:
    text = printed(run, Query(steps="6", reward_below=0.5, limit=1), full=True)
    assert "[red][2J tail" in text
    assert "wrong 0.00  the last number is not the reference" in text
    assert "ended by length" in text
    assert "\x1b" not in text


def test_nothing_found_is_said(run: Path) -> None:
    assert "No completion on record" in printed(run, Query(reward_above=2.0))


def test_json_has_one_object_a_completion(run: Path) -> None:
    rows = [json.loads(line) for line in json_lines(run, Query(steps="6"))]
    assert len(rows) == P * G
    assert rows[0]["text"].endswith(HOSTILE)
    assert {"step", "prompt", "round", "task_id", "reference", "reward", "advantage", "fate"} <= set(rows[0])


def test_a_run_without_completions_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=0, planned=3, close=False))
    with pytest.raises(RequestError, match="no completions"):
        list(find(folder, Query()))
