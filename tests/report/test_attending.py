"""The last words of a run."""

from pathlib import Path

import pytest
from recorded import Recorded, make_run

from sibling.report.attending import farewell


def test_the_last_words_hold_the_outcome_the_speed_and_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {"sampling_roofline_share": 0.1, "learning_roofline_share": 0.2}
    run = make_run(tmp_path / "run", Recorded(steps=3, planned=3, also=measured))
    assert farewell(run, {"status": "finished"}) == 0
    told = " ".join(capsys.readouterr().out.split())
    places = [told.index(words) for words in ("Held-out accuracy rose", "Speed: sampling at 20", "report", "next")]
    assert places == sorted(places)
    assert (run / "report.html").is_file()


def test_a_run_without_measured_speeds_says_nothing_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", Recorded(steps=3, planned=3))
    assert farewell(run, {"status": "interrupted", "cause": "SIGTERM"}) == 143
    told = capsys.readouterr().out
    assert "Speed" not in told and told.endswith(f"next    sibling resume {run}\n")
