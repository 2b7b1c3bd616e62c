import io

import pytest
from recorded import Recorded, rows_of, stats_of
from rich.console import Console

from sibling.report.screen import SPARKS, Screen, groups_in_words, layout, sibling_lines, sparkline
from sibling.report.siblings import group_of_rows
from sibling.stats import StepStats

HOSTILE = " [red]bold\x1b[2J\x07 語"


def filled(steps: int = 8, total: int = 60, hostile: str = HOSTILE) -> Screen:
    what = Recorded(steps=total, planned=total, hostile=hostile)
    screen = Screen(title="largest-number", phase="learn")
    for step in range(1, steps + 1):
        prompts, rows = rows_of(step + 20, what)
        stats, wall = stats_of(step + 20, rows, what)
        group = group_of_rows(step, prompts[0], [r for r in rows if r.prompt == 0])
        screen.add(StepStats(step, stats | wall), total, group)
    return screen


def drawn(screen: Screen, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, legacy_windows=False)
    console.print(layout(screen, width))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_screen_fits_and_says_what_matters(width: int) -> None:
    lines = drawn(filled(), width)
    text = "\n".join(lines)
    assert max(len(line) for line in lines) <= width
    assert len(lines) <= 24
    for words in (
        "step 8 of 60",
        "updating",
        "reward",
        "accuracy",
        "length",
        "entropy",
        "groups",
        "sampled",
        "trained",
    ):
        assert words in text, words
    assert "left" in text
    assert "Which number is the largest" in text


def test_completions_are_shown_as_they_are_without_control_characters() -> None:
    text = "\n".join(drawn(filled(), 200))
    assert "[red]bold[2J 語" in text
    assert "\x1b" not in text and "\x07" not in text


def test_an_empty_screen_can_be_drawn() -> None:
    assert "before the first step" in "\n".join(drawn(Screen(), 80))


def test_statistics_without_a_value_are_left_out() -> None:
    screen = Screen()
    screen.add(StepStats(1, {"reward_mean": 0.5}), 2, None)
    text = "\n".join(drawn(screen, 80))
    assert "0.50" in text
    assert "entropy" not in text and "groups" not in text


def test_time_left_is_the_mean_of_the_latest_steps() -> None:
    screen = Screen()
    assert screen.time_left() is None
    for step in range(1, 21):
        screen.add(StepStats(step, {"seconds_step": 100.0 if step <= 10 else 2.0}), 30, None)
    assert screen.time_left() == 20.0


def test_a_step_done_again_replaces_what_came_after_it() -> None:
    screen = Screen()
    for step in (1, 2, 3, 2):
        screen.add(StepStats(step, {"reward_mean": step / 10}), 9, None)
    assert screen.rewards == {1: 0.1, 2: 0.2}


def test_a_sparkline_rises_with_its_values_and_fits() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == SPARKS
    assert sparkline([float(i) for i in range(1000)], 16) == "".join(c * 2 for c in SPARKS)
    assert sparkline([0.5, 0.5], 8) == SPARKS[3] * 2
    assert sparkline([], 8) == "" and sparkline([1.0], 0) == ""


def test_groups_in_words() -> None:
    stats = {"live_groups": 6.0, "dead_groups_all_right": 2.0, "dead_groups_all_wrong": 0.0}
    assert groups_in_words(StepStats(1, stats)) == "6 live, 2 all right"
    assert groups_in_words(StepStats(1, {"live_groups": 0.0})) == "0 live"
    assert groups_in_words(StepStats(1, {})) is None


def test_of_many_siblings_the_best_and_the_worst_are_shown() -> None:
    group = filled().group
    assert group is not None
    lines = [line.plain for line in sibling_lines(group.siblings, most=4)]
    assert len(lines) == 5
    assert lines[2] == "2 more between"
    assert lines[0] == sibling_lines(group.siblings)[0].plain
    assert lines[-1] == sibling_lines(group.siblings)[-1].plain
