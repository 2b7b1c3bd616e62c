import json

import pytest

from sibling.audit.baseline import baseline_of, compared, read_baselines, write_baselines
from sibling.errors import RequestError


def test_what_is_known_does_not_fail_again(audited, tmp_path):
    report = audited("any_box")
    write_baselines(tmp_path / "b.json", [report])
    again = compared(report, read_baselines(tmp_path / "b.json")["any_box"])
    assert (again.verdict, again.worse, again.baseline) == ("pass", (), True)
    assert all(v.known for v in again.violations)
    assert report.verdict == "fail"


def test_a_new_violation_fails(audited):
    stored = baseline_of(audited("any_box"))
    stored["violations"] = [pair for pair in stored["violations"] if pair[0] != "either"]
    again = compared(audited("any_box"), stored)
    assert again.verdict == "fail"
    assert [v.probe for v in again.counted] == ["either"]


def test_a_rate_fails_only_when_the_intervals_are_apart(audited):
    report = audited("any_box")
    stored = baseline_of(report)
    share = report.false_positive_macro.share
    stored["rates"]["false_positive_macro"] = [0.0, share]  # the lower bound is below the stored upper bound
    assert compared(report, stored).verdict == "pass"
    stored["rates"]["false_positive_macro"] = [0.0, report.false_positive_macro.interval[0] / 2]
    again = compared(report, stored)
    assert again.verdict == "fail"
    assert "false positive: at least" in again.worse[0]


def test_a_group_that_got_worse_fails(audited):
    stored = baseline_of(audited("any_box"))
    stored["groups"]["hedging, false positive"] = [0.0, 0.01]
    assert compared(audited("any_box"), stored).verdict == "fail"


def test_a_stopped_audit_fails_whatever_the_baseline(audited):
    report = audited("own_format")
    assert compared(report, baseline_of(report)).verdict == "fail"


def test_bodies_that_are_no_baseline_are_refused(audited, tmp_path):
    path = tmp_path / "b.json"
    for body in ("not json", "[]", json.dumps({"x": {"format": "other"}}), json.dumps({"x": 3})):
        path.write_text(body, encoding="utf-8")
        with pytest.raises(RequestError, match="baseline"):
            read_baselines(path)
    with pytest.raises(RequestError, match="cannot be read"):
        read_baselines(tmp_path / "absent.json")
    with pytest.raises(RequestError, match="cannot be written"):
        write_baselines(tmp_path / "no" / "b.json", [])
