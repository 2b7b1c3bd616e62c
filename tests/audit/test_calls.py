from pathlib import Path

import pytest

from sibling.audit.outcomes import Call
from sibling.audit.target import Target
from sibling.errors import RequestError, RewardError

HERE = Path(__file__).parent


def opened(name, tasks, **options):
    chosen = {"lanes": 1, "seconds": 1.0, "memory_mb": 2048, **options}
    return Target.of_callable(f"subjects.py:{name}", HERE).calls(tasks, **chosen)


def test_outcomes_come_in_order_from_several_processes(tasks):
    texts = [f"\\boxed{{{n}}}" for n in range(300)]
    with opened("sound", tasks, lanes=2) as calls:
        outcomes = calls.grade([Call(0, t) for t in texts])
        assert [o.score for o in outcomes] == [float(n == 7) for n in range(300)]
        assert {o.status for o in outcomes} == {"number"}
        assert calls.tally.calls == 300
        assert calls.tally.peak_kb > 1000


def test_one_call_that_hangs_is_named_and_the_others_are_graded(tasks):
    with opened("hangs_on_empty", tasks, seconds=0.5) as calls:
        outcomes = calls.grade([Call(0, t) for t in ("\\boxed{7}", "", "\\boxed{8}", "", "\\boxed{7}")])
    assert [o.fault for o in outcomes] == ["", "late", "", "late", ""]
    assert [o.score for o in outcomes] == [1.0, None, 0.0, None, 1.0]


def test_one_call_that_ends_its_process_is_named(tasks):
    with opened("dies_on_empty", tasks) as calls:
        outcomes = calls.grade([Call(0, t) for t in ("\\boxed{7}", "", "\\boxed{7}")])
    assert [o.fault for o in outcomes] == ["", "died", ""]


def test_memory_is_capped(tasks):
    with opened("eats_memory", tasks) as calls:
        outcomes = calls.grade([Call(0, t) for t in ("\\boxed{7}", "")])
    assert [o.fault for o in outcomes] == ["", "memory"]


def test_after_many_lost_calls_the_rest_is_left_out(tasks, monkeypatch):
    monkeypatch.setattr("sibling.audit.lane._PATIENCE", 2)
    with opened("dies_on_empty", tasks) as calls:
        outcomes = calls.grade([Call(0, " " * n) for n in range(5)])
        assert [o.fault for o in outcomes] == ["died"] * 2 + ["left_out"] * 3
        calls.patient()
        assert [o.fault for o in calls.grade([Call(0, " " * 4), Call(1, "")])] == ["died", "died"]
        assert calls.tally.calls == 4


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [("always_raises", "raised", "RuntimeError: out of order"), ("nan_when_wrong", "value", "nan")],
)
def test_what_is_not_a_number_is_a_fault(tasks, name, fault, message):
    with opened(name, tasks) as calls:
        (outcome,) = calls.grade([Call(0, "x")])
    assert outcome.fault == fault
    assert message in outcome.message


def test_a_file_that_appears_trips_the_wire_once(tasks):
    with opened("runs_answers", tasks) as calls:
        program = "\\boxed{[open('sibling_audit_tripwire','w').close(), 7][1]}"
        by_variable = "\\boxed{[open(__import__('os').environ['SIBLING_AUDIT_TRIPWIRE'],'w').close(), 7][1]}"
        outcomes = calls.grade([Call(0, t) for t in ("\\boxed{7}", program, "\\boxed{7}", by_variable)])
    assert [o.tripped for o in outcomes] == ["", "sibling_audit_tripwire", "", "sibling_audit_tripwire"]


def test_another_reference_replaces_the_columns_that_held_the_old_one(tasks):
    task = tasks[0].__class__("1", tasks[0].messages, "7", {"answer": "7", "seen": "7th"})
    with opened("trl_style", [task]) as calls:
        outcomes = calls.grade([Call(0, "\\boxed{8}"), Call(0, "\\boxed{8}", "8", True)])
    assert [o.score for o in outcomes] == [0.0, 1.0]


def test_batches_threads_and_fresh_processes(tasks):
    calls_ = [Call(i, f"\\boxed{{{2 * (i + 3) + 1}}}") for i in range(5)]
    with opened("trl_position", tasks) as calls:
        assert [o.score for o in calls.together(calls_)] == [1.0, 1.0, 1.0, 0.0, 0.0]
        assert [o.score for o in calls.in_order(calls_)] == [1.0] * 5
        assert [o.score for o in calls.threads(calls_, 2)] == [1.0] * 5
        assert [o.score for o in calls.fresh(calls_, 7)] == [1.0] * 5


def test_a_batch_with_too_few_scores_is_a_fault_of_all(tasks):
    with opened("trl_short", tasks) as calls:
        assert {o.fault for o in calls.together([Call(0, "a"), Call(0, "b")])} == {"length"}


def test_what_a_reward_prints_goes_nowhere(tasks, capfd):
    with opened("prints", tasks) as calls:
        assert calls.grade([Call(0, "\\boxed{7}")])[0].score == 1.0
    assert capfd.readouterr() == ("", "")


def test_an_async_reward(tasks):
    with opened("awaited", tasks) as calls:
        assert calls.grade([Call(0, "\\boxed{7}")])[0].score == 1.0


def test_a_reward_that_cannot_be_built_is_refused_with_the_reason(tasks, tmp_path):
    (tmp_path / "broken.py").write_text("import not_a_module_of_anyone\n", encoding="utf-8")
    with pytest.raises(RequestError, match="does not import"):
        Target.of_callable("broken.py:f", tmp_path).calls(tasks, lanes=1, seconds=1, memory_mb=0)
    with pytest.raises(RequestError, match="has no 'absent'"):
        opened("absent", tasks)
    with pytest.raises(RequestError, match="module and name"):
        Target.of_callable("no_name", HERE)


def test_a_module_that_ends_the_process_is_no_crash_of_ours(tasks, tmp_path):
    (tmp_path / "ends.py").write_text("import os\nos._exit(0)\n", encoding="utf-8")
    with pytest.raises(RewardError, match="cannot be built"):
        Target.of_callable("ends.py:f", tmp_path).calls(tasks, lanes=1, seconds=1, memory_mb=0)
