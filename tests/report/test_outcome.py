from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recorded import Recorded, make_run, summary

from sibling.report.gather import RunView, gather
from sibling.report.outcome import measures, sentence, speed_sentence, summary_sentence


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return gather(make_run(tmp_path_factory.mktemp("outcome") / "run"))


def compared(**greedy: Any) -> dict[str, Any]:
    known = {"before": 0.4, "after": 0.5, "difference": 0.1, "interval": [0.02, 0.18], "wins": 12, "losses": 2}
    return {"n": 100, "confidence": 0.95, "greedy": {**known, **greedy}, "mean_at_k": None, "pass_at_k": None}


def test_a_rise_is_told_in_words_with_its_interval(view: RunView) -> None:
    assert sentence(view).replace("\u202f", " ") == (
        "Held-out accuracy rose from 4 % to 97 % (+93 points, 95 % interval +87 to +96) in 12 steps."
    )


def test_a_fall_is_called_one(view: RunView) -> None:
    fell = replace(view, comparison=compared(before=0.5, after=0.4, difference=-0.1, interval=[-0.18, -0.02]))
    assert "fell from 50" in sentence(fell)


def test_a_change_that_could_be_none_is_not_called_a_rise(view: RunView) -> None:
    unsure = sentence(replace(view, comparison=compared(interval=[-0.02, 0.2])))
    assert "rose" not in unsure
    assert unsure.endswith("the interval includes no change at all.")


def test_no_change_is_called_that(view: RunView) -> None:
    same = sentence(replace(view, comparison=compared(before=0.4, after=0.4, difference=0.0, interval=[-0.1, 0.1])))
    assert same.startswith("Held-out accuracy stayed at 40")


def test_without_a_comparison_the_two_evaluations_serve(view: RunView) -> None:
    assert "rose from 4" in sentence(replace(view, comparison=None))
    assert "interval" not in sentence(replace(view, comparison=None))


def test_states_without_both_evaluations(tmp_path: Path) -> None:
    training = gather(make_run(tmp_path / "a", Recorded(steps=7, planned=60, evaluations=False, close=False)))
    assert sentence(training).startswith("After 7 of 60 steps, the mean training reward went from")
    begun = gather(make_run(tmp_path / "b", Recorded(steps=0, planned=60, close=False)))
    assert sentence(begun).endswith("no step has been completed yet.")
    empty = gather(make_run(tmp_path / "c", Recorded(steps=0, planned=60, close=False, evaluations=False)))
    assert sentence(empty) == "No step has been completed."
    silent = Recorded(steps=2, planned=2, evaluations=False, leave_out=frozenset({"reward_mean"}))
    assert sentence(gather(make_run(tmp_path / "d", silent))) == "After 2 of 2 steps, no reward has been recorded."


def test_the_speed_is_told_where_it_was_measured(tmp_path: Path, view: RunView) -> None:
    assert speed_sentence(view) is None
    both = {"sampling_roofline_share": 0.1, "learning_roofline_share": 0.2}  # times the step: 1, 2, 3
    told = speed_sentence(gather(make_run(tmp_path / "a", Recorded(steps=3, planned=3, also=both))))
    assert told is not None
    assert told.replace("\u202f", " ").startswith("Speed: sampling at 20 % and learning at 40 % of this machine's")
    one = speed_sentence(
        gather(make_run(tmp_path / "b", Recorded(steps=3, planned=3, also={"learning_roofline_share": 0.2})))
    )
    assert one is not None
    assert one.replace("\u202f", " ").startswith("Speed: learning at 40 % of")


def test_measures_name_their_k_and_keep_what_is_unknown_unknown(view: RunView) -> None:
    found = {m.name: m for m in measures(view)}
    assert list(found) == ["Greedy accuracy", "mean@4", "pass@4"]
    assert found["Greedy accuracy"].wins == 93
    assert found["mean@4"].wins is None
    null = {m.name: m for m in measures(replace(view, comparison=compared()))}
    assert null["mean@4"].interval is None
    assert null["mean@4"].difference == pytest.approx(null["mean@4"].after - null["mean@4"].before)


def test_an_evaluation_in_one_line() -> None:
    line = summary_sentence("before", summary(0, 60)).replace("\u202f", " ")
    assert line == (
        "evaluation before: greedy accuracy 4 % (0 % to 9 %), mean@4 3.8 %, pass@4 11.5 % on 100 held-out prompts"
    )
    assert "no prompt could be scored" in summary_sentence("x", {"n": 3, "greedy_accuracy": None})
