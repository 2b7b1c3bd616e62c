"""Each fault of a reward is named by the check or the probe that it belongs to."""

import pytest

from sibling.audit.checks.length import lengthened

pytestmark = pytest.mark.slow  # an audit starts some processes, one after another


def failed(report):
    return {c.name for c in report.checks if c.ok is False}


def violated(report):
    return {v.probe for v in report.violations}


@pytest.mark.parametrize("name", ["sound", "verl_style", "trl_style", "task_style", "unclear", "awaited", "prints"])
def test_a_reward_that_holds_has_no_violation_in_any_signature(audited, name):
    report = audited(name)
    assert [v.probe for v in report.violations] == []
    assert (report.verdict, report.profile, report.exit_code) == ("pass", "sound", 0)
    assert report.false_negative.failed == report.false_positive.failed == 0
    assert report.false_negative.n > 30 and report.false_positive.n > 60
    assert report.running.faults == {}


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("trl_position", "batch_order"),
        ("trl_centred", "batch_size"),
        ("trl_short", "batch_length"),
        ("pays_once", "hidden_state"),
        ("remembers", "hidden_state"),
        ("tosses", "determinism"),
        ("by_hash", "fresh_process"),
        ("alarmed", "thread"),
        ("leaves_threads", "threads_left"),
        ("nan_when_wrong", "returns"),
        ("contains", "missing_reference"),
        ("contains", "argument_order"),
        ("ignores_reference", "shuffled_references"),
        ("any_box", "hedging_curve"),
        ("one_sided", "argument_order"),
        ("longer_pays", "length_slope"),
        ("long_wrong_pays", "paid_for_length"),
        ("partly", "partial_pay"),
    ],
)
def test_a_check_names_the_fault(audited, name, check):
    report = audited(name)
    assert check in failed(report)
    assert check in violated(report)
    assert report.verdict == "fail"


@pytest.mark.parametrize(
    ("name", "probe", "what", "profile"),
    [
        ("runs_answers", "code", "ran_code", "unsafe"),
        ("raises_on_empty", "nothing", "fault", "unstable"),
        ("nan_when_wrong", "off_by_one", "fault", "unstable"),
        ("eats_memory", "nothing", "fault", "unstable"),
        ("ignores_reference", "off_by_one", "accepted", "permissive"),
        ("any_box", "trailing_zero", "refused", "strict"),
    ],
)
def test_a_probe_names_the_fault(audited, name, probe, what, profile):
    report = audited(name)
    assert (probe, what) in {(v.probe, v.what) for v in report.violations}
    assert profile in report.profile.split(", ")


def test_a_call_that_hangs_is_named_and_the_audit_goes_on(audited):
    report = audited("hangs_on_empty", seconds=0.4)
    (violation,) = [v for v in report.violations if v.probe == "nothing"]
    assert violation.words == "calls give no verdict (late)"
    assert violation.examples[0].text.strip() == ""
    assert report.running.faults["late"] >= 1
    assert report.false_positive.n > 30


@pytest.mark.parametrize(("name", "word"), [("always_raises", "out of order"), ("always_hangs", "late")])
def test_a_reward_that_never_gives_a_verdict_stops_the_audit(audited, name, word):
    report = audited(name, seconds=0.3)
    assert word in report.stopped
    assert (report.verdict, report.profile) == ("fail", "unstable")


def test_verdicts_that_change_by_themselves_are_no_other_fault(audited):
    report = audited("tosses")
    assert not failed(report) & {"order", "thread", "length_slope", "hidden_state", "batch_order"}
    assert any("change by themselves" in note for note in report.notes)


def test_right_completions_that_are_accepted_at_times_are_no_matter_of_format(audited):
    for name, check in (("coin", "determinism"), ("pays_once", "hidden_state")):
        report = audited(name)
        assert "at one time" in report.stopped
        assert check in violated(report)
        assert report.profile == "unstable"


def test_the_hedging_curve(audited):
    (curve,) = [c.values["curve"] for c in audited("any_box").checks if c.name == "hedging_curve"]
    assert curve["separate answers, first"] == {"2": 1.0, "5": 1.0, "20": 1.0, "100": 1.0}
    assert curve["one answer, last"]["5"] == 0.0


def test_the_last_of_several_answers_is_a_matter_of_policy(audited):
    report = audited("any_box")
    assert "last_answer_counts" in {v.probe for v in report.policies}
    asked = audited("any_box", policy=("last_answer_counts",))
    assert "last_answer_counts" in {v.probe for v in asked.violations}


def test_the_order_of_two_unnamed_arguments_is_found(audited):
    (note,) = [n for n in audited("unclear").notes if "order" in n]
    assert "reference, completion" in note


def test_a_log_file_is_not_a_tripwire(audited):
    assert audited("writes_log").verdict == "pass"


def test_longer_texts():
    assert lengthened("short", 0) == "short"
    assert lengthened("The answer is 7.", 5).endswith("\n\nThe answer is 7.")
    assert 250 < len(lengthened("The answer is 7.", 5)) < 450
    assert lengthened("<think>\nYes.</think> 7", 1).startswith("<think>\nThe statement")
