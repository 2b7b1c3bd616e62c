from dataclasses import replace
from pathlib import Path

import pytest
from recorded import Recorded, make_run, rows_of

from sibling.errors import RunError
from sibling.report.gather import gather
from sibling.report.siblings import Sibling, best_first, group_of_rows, read_groups, samples_file, showcase


def sibling(index: int, reward: float | None) -> Sibling:
    return Sibling(index, "x", reward, 0.0, 1, "eos", "trained", ("right",), (reward,), ("",))


def test_the_best_come_first_and_the_unscored_last() -> None:
    order = best_first([sibling(0, None), sibling(1, -1.0), sibling(2, 1.0), sibling(3, 1.0), sibling(4, 0.0)])
    assert [s.index for s in order] == [2, 3, 4, 1, 0]


def test_a_running_step_and_its_record_show_the_same_group(tmp_path: Path) -> None:
    what = Recorded(steps=6, planned=6)
    folder = make_run(tmp_path / "run", what)
    prompts, rows = rows_of(6, what)
    recorded = read_groups(folder / "samples" / "step-000006.parquet")
    running = [group_of_rows(6, p, [r for r in rows if r.prompt == i]) for i, p in enumerate(prompts)]
    assert recorded == running


def test_the_showcase_is_early_midway_and_late_and_always_live(tmp_path: Path) -> None:
    shown = showcase(gather(make_run(tmp_path / "run", Recorded(steps=20, planned=20))))
    assert [label for label, _ in shown] == ["Early", "Midway", "Late"]
    steps = [group.step for _, group in shown]
    assert steps == sorted(set(steps))
    assert all(group.spread == 1.0 for _, group in shown)
    assert all(group.scored[0].reward == 1.0 and group.scored[-1].reward == 0.0 for _, group in shown)


def test_a_run_without_live_groups_has_no_showcase(tmp_path: Path) -> None:
    view = gather(make_run(tmp_path / "run", Recorded(steps=2, planned=2)))
    dead = replace(view, series={"live_groups": [(1.0, 0.0), (2.0, 0.0)]})
    assert showcase(dead) == []


def test_a_samples_file_outside_the_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="outside"):
        samples_file(tmp_path / "run", {"samples_file": "../other/step-000001.parquet"})
