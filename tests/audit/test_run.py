import datetime
import json
import time
from pathlib import Path

import pytest

from sibling.audit.options import Options, Suppression
from sibling.audit.report import record_entry, to_json
from sibling.audit.run import audit
from sibling.audit.target import Target
from sibling.config import parse_reward
from sibling.errors import RequestError
from sibling.tasks.task import Task

HERE = Path(__file__).parent


def test_what_was_tried_is_counted_apart_from_what_applies(audited):
    report = audited("sound")
    rows = {p.name: p for p in report.probes}
    assert rows["off_by_one"].seeds == rows["off_by_one"].applicable == 37
    assert rows["off_by_one"].run == rows["off_by_one"].planned <= 37
    assert sum(p.run for p in report.probes) <= 200
    assert {(g.group, g.side) for g in report.groups} >= {("equivalence", "false negative")}
    assert "hedging" in {g.group for g in report.groups}


def test_policy_probes_are_reported_and_do_not_decide(audited):
    report = audited("sound")
    (policy,) = report.policies
    assert (policy.probe, policy.what, report.verdict) == ("percent", "refused", "pass")
    asked = audited("sound", policy=("percent",))
    assert [v.probe for v in asked.violations] == ["percent"]
    assert asked.verdict == "fail"


def test_examples_are_shrunk(audited, probes):
    (violation,) = [v for v in audited("any_box").violations if v.probe == "either"]
    assert violation.sensitive and violation.examples[0].reference is not None
    (violation,) = [v for v in audited("ignores_reference").violations if v.probe == "off_by_one"]
    assert len(violation.examples[0].text) < len("The final answer is $\\boxed{10}$.")


def test_a_format_nobody_knows_stops_the_audit_with_what_was_tried(audited):
    report = audited("own_format")
    assert "stricter than declared" in report.stopped
    assert (report.verdict, report.profile) == ("fail", "format-strict")
    assert {f["name"] for f in report.formats} >= {"boxed", "bare", "answer tags"}
    assert report.false_negative is None
    told = audited("own_format", template="<<{answer}>>")
    assert told.stopped == ""


@pytest.mark.slow
def test_suppressions_hold_until_their_day(audited):
    today = datetime.date(2027, 1, 31)
    known = Suppression.parse("percent:2027-01-31:declared in the prompt")
    report = audited("sound", policy=("percent",), suppress=(known,), today=today)
    assert report.verdict == "pass"
    assert report.violations[0].suppressed == "declared in the prompt (until 2027-01-31)"
    late = audited("sound", policy=("percent",), suppress=(known,), today=today + datetime.timedelta(days=1))
    assert late.verdict == "fail"
    assert any("ended on 2027-01-31" in n for n in late.notes)
    idle = audited("sound", suppress=(Suppression.parse("absent:2030-01-01:x"),), today=today)
    assert any("matches no violation" in n for n in idle.notes)


@pytest.mark.parametrize("text", ["percent", "percent:soon:why", "percent:2027-01-01:", ":2027-01-01:why"])
def test_a_suppression_needs_all_its_parts(text):
    with pytest.raises(RequestError, match="suppression"):
        Suppression.parse(text)


def test_probes_and_checks_are_chosen_by_name_or_group(audited):
    report = audited("sound", leave_out=("invariance", "nothing", "length"))
    assert "nothing" not in {p.name for p in report.probes}
    assert not {c.group for c in report.checks} & {"invariance", "length"}


def test_known_verdicts_give_natural_rates(audited, tasks):
    given = list(tasks)
    for n in range(8):
        text = f"\\boxed{{{9 if n < 4 else 10}}}"
        # Known to be right: 9 (accepted) twice, 10 (refused) twice; known to be wrong: the other two of each.
        columns = {"completion": f"{text} {n}", "verdict": "right" if n % 2 else "wrong"}
        given.append(Task(f"k{n}", tasks[1].messages, "9", columns))
    found = audited("sound", given=given).natural
    assert (found.right_accepted, found.right_refused, found.wrong_accepted, found.wrong_refused) == (2, 2, 2, 2)
    assert found.q_fa.share == found.q_fr.share == 0.25
    assert len(found.examples["wrong, accepted"]) == 2


def test_cost_comes_from_known_verdicts_if_there_are_some(audited, tasks):
    wrong = Task("w", tasks[0].messages, "7", {"completion": "\\boxed{7} no", "verdict": False})
    right = Task("r", tasks[0].messages, "7", {"completion": "\\boxed{7}", "verdict": True})
    cost = audited("sound", given=[*tasks, wrong, right]).cost
    assert (cost.source, cost.pass_rate, cost.share) == ("known verdicts", 0.5, 0.5)  # half of what is paid is wrong
    guess = audited("ignores_reference").cost
    assert guess.source == "probes"
    assert guess.share > 0.1


def test_the_cheapest_exploit(audited):
    found = audited("ignores_reference").cheapest
    assert found.pay == 1.0
    assert found.length == len(found.example.text) == len("The final answer is $\\boxed{}$.")
    assert found.probe == "nothing"
    assert audited("sound").cheapest is None


def test_the_report_is_json_and_hides_exploits(audited):
    report = audited("any_box")
    body = to_json(report)
    text = json.dumps(body)
    assert "left out" in text
    (either,) = [v for v in body["violations"] if v["probe"] == "either"]
    assert "boxed" not in json.dumps(either["examples"])
    shown = json.dumps(to_json(report, show_sensitive=True))
    assert "left out" not in shown and "or The final answer" in shown


def test_the_record_entry_is_small_and_says_where_it_is_brittle(audited):
    entry = record_entry(audited("any_box"))
    assert len(json.dumps(entry)) < 3000
    assert {"probe", "group", "what", "failed", "n", "suppressed"} == set(entry["brittle"][0])
    assert entry["verdict"] == "fail"
    assert entry["false_positive_rate"]["high"] >= entry["false_positive_rate"]["share"]


def test_two_audits_say_the_same(audited):
    one, two = (to_json(audited("any_box", again=k)) for k in range(2))
    for body in (one, two):
        body.pop("running")
    assert one == two


def test_time_runs_out(audited):
    report = audited("sound", total_seconds=0.0)
    assert report.running.left_out > 100
    assert report.false_positive.n == 0


def test_no_answer_to_start_from(audited):
    with pytest.raises(RequestError, match="No task has a reference"):
        audited("sound", given=[Task("1", ({"role": "user", "content": "?"},), None)])


def test_a_reward_of_a_recipe_with_our_own_tasks(probes):
    target = Target.of_config(parse_reward("final_number"), HERE)
    report = audit(target, options=Options(calls=150, shrink_calls=5), probes=probes)
    assert (report.tasks, report.type, report.kind) == ("ours", "final_number", "math")
    assert 10 <= report.triples <= 60  # those of our tasks whose answers are numbers
    assert "either" in {v.probe for v in report.violations}  # the last number counts, whatever stands before it


def test_rewards_without_a_reference_are_asked_only_what_they_can_know(probes):
    target = Target.of_config(parse_reward("format_tags"), HERE)
    report = audit(target, options=Options(calls=150, leave_out=("preamble",)), probes=probes)
    assert report.verdict == "pass"
    assert "thought, answer tags" in report.format
    assert {g.group for g in report.groups} == {"degenerate"}


@pytest.mark.parametrize("name", ["learned"])
def test_what_cannot_be_audited_is_refused(name):
    with pytest.raises(RequestError, match="learned"):
        Target.of_config(parse_reward(name, ["labels=x"]), HERE)


@pytest.mark.slow
def test_8000_calls_of_a_quick_reward_take_less_than_a_minute():
    target = Target.of_callable("subjects.py:sound", HERE)
    start = time.monotonic()
    report = audit(target, options=Options())
    assert report.running.calls >= 8000
    assert time.monotonic() - start < 60


@pytest.mark.slow
def test_a_quick_audit_takes_some_seconds():
    start = time.monotonic()
    report = audit(Target.of_callable("subjects.py:sound", HERE), options=Options.quick())
    assert report.triples <= 50
    assert time.monotonic() - start < 30  # about 4 s on an idle machine
