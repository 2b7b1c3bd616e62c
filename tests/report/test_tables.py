from dataclasses import replace

import pytest
from recorded import make_run

from sibling.batch import Fate
from sibling.report import tables
from sibling.report.gather import RunView, gather


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return gather(make_run(tmp_path_factory.mktemp("tables") / "run"))


def test_before_and_after_with_intervals_and_prompts_won(view: RunView) -> None:
    table = tables.before_after(view).replace("\u202f", " ")
    for words in ("4 %", "0 to 9 %", "97 %", "+93", "+87 to +96", "93 / 0", "p &lt; 0.0001", "100 held-out prompts"):
        assert words in table, words


def test_what_was_not_measured_says_so(view: RunView) -> None:
    half = replace(view, comparison=None, evaluations=view.evaluations[:1])
    assert tables.before_after(half).count("not measured") == 6  # after and change, of three measures
    assert "no evaluation" in tables.before_after(replace(view, comparison=None, evaluations=[]))


def test_the_account_balances_and_says_when_it_does_not(view: RunView) -> None:
    balanced = tables.account(view)
    assert "NOT balanced" not in balanced
    assert view.head in balanced
    wrong = {**view.counts, "trained": view.counts["trained"] + 1}
    assert "NOT balanced" in tables.account(replace(view, counts=wrong))


def test_every_reason_for_rejection_is_in_words() -> None:
    assert set(tables.FATES) == {f.value for f in Fate} - {"trained"}


def test_findings_are_escaped(view: RunView) -> None:
    body = {"code": "x", "severity": "<i>", "step": 3, "sentence": "<b>\x1b[31m", "advice": "&", "times": 2}
    html = tables.findings(replace(view, findings=[body]))
    assert "<b>" not in html and "<i>" not in html and "\x1b" not in html
    assert "step 3, 2 times" in html
    assert "Nothing was noted" in tables.findings(replace(view, findings=[]))


def test_the_objective_has_its_equation_on_lines_and_its_values(view: RunView) -> None:
    html = tables.objective(view)
    assert "clip(r, 1-low, 1+high) A),\nA_i = (R_i - mean_g)" in html
    assert "DAPO, arXiv 2503.14476" in html
    assert "clip_high" in html and "0.28" in html


def test_the_environment_leaves_out_what_is_unknown(view: RunView) -> None:
    assert "torch 2.13.0" in tables.environment(view)
    assert "None" not in tables.environment(replace(view, data=None, models=[]))


def test_nested_maps_are_flattened() -> None:
    assert tables.flat({"a": {"b": 1, "c": [{"d": 2}]}, "e": []}) == {"a.b": 1, "a.c.0.d": 2, "e": []}
