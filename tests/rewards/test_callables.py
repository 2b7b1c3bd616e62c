"""Rewards of the user's own: the call convention of each signature, and every way to fail."""

import asyncio
import math
import threading

import numpy as np
import pytest

from sibling.batch import Completion, Finish, Status, Verdict
from sibling.errors import RequestError, RewardError
from sibling.rewards.callables import TaskReward, TrlReward, from_list, trl_arguments
from sibling.tasks.task import Task

LONG = 20.0


def task(prompt="2 + 2?", reference="4", **columns):
    return Task("id", ({"role": "user", "content": "2 + 2?"},), reference, {"prompt": prompt, **columns})


def completion(text, ids=(5, 6)):
    return Completion(np.array(ids, np.int64), np.zeros(len(ids), np.float32), Finish.eos, text)


CHAT = [{"role": "user", "content": "2 + 2?"}]
TASKS = [task(level=1), task(level=2)]
OUT = [completion("4"), completion("5", (7,))]


@pytest.fixture
def gate():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("sibling.rewards.bounded._GRACE", 0.25)
    monkeypatch.setattr("sibling.rewards.callables._SPREAD", 0.25)


def statuses(verdicts):
    return [v.status.value for v in verdicts]


# ------------------------------------------------------------------------------------ signature `task`


def test_task_signature_gets_the_task_and_the_completion():
    seen = []

    def score(task, completion):
        seen.append((task, completion))
        return float(completion.text == task.reference)

    verdicts = TaskReward("r", score, LONG).grade(TASKS, OUT)
    assert seen == list(zip(TASKS, OUT, strict=True))
    assert [(v.status.value, v.score) for v in verdicts] == [("right", 1.0), ("wrong", 0.0)]
    assert all(v.seconds > 0 for v in verdicts)


def test_task_signature_may_return_a_verdict():
    given = Verdict(Status.wrong, 0.75, "nearly")
    (verdict,) = TaskReward("r", lambda t, c: given, LONG).grade(TASKS[:1], OUT[:1])
    assert (verdict.status, verdict.score, verdict.reason) == (Status.wrong, 0.75, "nearly")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        (None, "abstain", "returned None"),
        (math.nan, "error", "returned nan"),
        ("4", "error", "returned '4', not a number"),
        (RuntimeError("boom"), "error", "raised RuntimeError: boom"),
        (TimeoutError("network"), "error", "raised TimeoutError: network"),
    ],
)
def test_task_signature_failures_are_verdicts_without_score(is_async, value, status, reason):
    def score(task, completion):
        if completion.text == "4":
            return 1.0
        if isinstance(value, Exception):
            raise value
        return value

    async def score_async(task, completion):
        return score(task, completion)

    good, bad = TaskReward("r", score_async if is_async else score, LONG).grade(TASKS, OUT)
    assert good.score == 1.0
    assert (bad.status.value, bad.score, bad.reason) == (status, None, reason)


def test_task_signature_hang_is_an_error_of_that_completion_alone(gate):
    def score(task, completion):
        if completion.text == "4":
            gate.wait()
        return 1.0

    verdicts = TaskReward("r", score, 0.5).grade(TASKS, OUT)
    assert statuses(verdicts) == ["error", "right"]
    assert verdicts[0].reason == "timed out after 0.5 s"


def test_task_signature_stops_after_three_hangs(gate):
    with pytest.raises(RewardError, match="hung 3 times in a row"):
        TaskReward("r", lambda t, c: gate.wait(), 0.01).grade(TASKS * 2, OUT * 2)


def test_coroutines_of_a_batch_run_side_by_side():
    waiting = []

    async def score(task, completion):
        waiting.append(completion)
        while len(waiting) < 2:  # one after another, the first would wait for ever
            await asyncio.sleep(0)
        return 1.0

    assert statuses(TaskReward("r", score, LONG).grade(TASKS, OUT)) == ["right", "right"]
    assert TaskReward("r", score, LONG).grade([], []) == []


def test_a_coroutine_that_hangs_fails_alone_and_all_of_them_three_times_stop_the_run():
    class Judge:
        def __init__(self, hangs):
            self.hangs = hangs

        async def __call__(self, task, completion):
            if completion.text in self.hangs:
                await asyncio.sleep(3600)
            return 1.0

    verdicts = TaskReward("r", Judge({"4"}), 0.5).grade(TASKS, OUT)
    assert statuses(verdicts) == ["error", "right"]
    assert verdicts[0].reason == "timed out after 0.5 s"
    dead = TaskReward("r", Judge({"4", "5"}), 0.01)
    assert statuses(dead.grade(TASKS, OUT)) == ["error", "error"]
    assert statuses(dead.grade(TASKS, OUT)) == ["error", "error"]
    with pytest.raises(RewardError, match="hung 3 times in a row"):
        dead.grade(TASKS, OUT)


def test_a_coroutine_that_blocks_its_thread_is_given_up(gate):
    async def score(task, completion):
        gate.wait()
        return 1.0

    assert statuses(TaskReward("r", score, 0.05).grade(TASKS, OUT)) == ["error", "error"]


def test_system_exit_in_a_coroutine_is_an_error():
    async def score(task, completion):
        raise SystemExit(3)

    assert statuses(TaskReward("r", score, LONG).grade(TASKS, OUT)) == ["error", "error"]


@pytest.mark.parametrize(
    "call", [lambda: 1, lambda t: 1, lambda a, b, c: 1, lambda t, c, *, k: 1, lambda prompts, completions: 1]
)
def test_task_signature_of_the_wrong_arity_is_refused(call):
    with pytest.raises(RequestError, match=r"cannot be called with a task and a completion.*rewards\[\]\.signature"):
        TaskReward("r", call, LONG)


# ------------------------------------------------------------------------------------- signature `trl`


def test_trl_signature_gets_what_trl_gives():
    seen = {}

    def reward(prompts, completions, completion_ids, level, **kwargs):
        seen.update(kwargs, prompts=prompts, completions=completions, completion_ids=completion_ids, level=level)
        kwargs["log_extra"]("column", [1, 2])
        kwargs["log_metric"]("metric", 1.0)
        return [1.0, None]

    verdicts = TrlReward("r", reward, LONG).grade(TASKS, OUT)
    assert seen.pop("log_extra") and seen.pop("log_metric")
    assert seen == {
        "prompts": ["2 + 2?", "2 + 2?"],
        "completions": ["4", "5"],
        "completion_ids": [[5, 6], [7]],
        "level": [1, 2],
        "reference": ["4", "4"],
    }
    assert [(v.status.value, v.score) for v in verdicts] == [("right", 1.0), ("abstain", None)]


def test_trl_conversational_data():
    chat = trl_arguments([task(CHAT)], [completion("4")])
    assert chat["prompts"] == [CHAT]
    assert chat["completions"] == [[{"role": "assistant", "content": "4"}]]
    generated = trl_arguments([Task("id", ({"role": "user", "content": "2 + 2?"},), "4")], [completion("4")])
    assert (generated["prompts"], generated["completions"]) == (["2 + 2?"], ["4"])


def test_a_column_called_reference_is_not_replaced():
    assert trl_arguments([task(reference="4", level=1)], [completion("")])["reference"] == ["4"]
    own = Task("id", ({"role": "user", "content": "?"},), "4", {"reference": 4})
    assert trl_arguments([own], [completion("")])["reference"] == [4]


def test_trl_functions_get_only_what_they_name():
    assert statuses(TrlReward("r", lambda completions, level: level, LONG).grade(TASKS, OUT)) == ["right", "right"]
    assert statuses(TrlReward("r", lambda completion_ids, other=0: [1, 0], LONG).grade(TASKS, OUT)) == [
        "right",
        "wrong",
    ]


def test_trl_async():
    async def reward(completions, **kwargs):
        await asyncio.sleep(0)
        return [float(len(c)) for c in completions]

    verdicts = TrlReward("r", reward, LONG).grade(TASKS, OUT)
    assert [v.score for v in verdicts] == [1.0, 1.0]
    assert verdicts[0].seconds == verdicts[1].seconds > 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1.0], "returned 1 scores for 2 completions"),
        ([1.0, 2.0, 3.0], "returned 3 scores for 2 completions"),
        ([], "returned 0 scores for 2 completions"),
        (1.0, "returned a float, not a list of 2 numbers"),
        (None, "returned a NoneType, not a list"),
        ("11", "returned a str, not a list"),
        ({"a": 1, "b": 2}, "returned a dict, not a list"),
        ((1 / 0 for _ in "ab"), "raised ZeroDivisionError"),
    ],
)
def test_trl_lists_that_do_not_fit_are_errors_of_all(value, reason):
    verdicts = TrlReward("r", lambda completions, **kw: value, LONG).grade(TASKS, OUT)
    assert statuses(verdicts) == ["error", "error"]
    assert reason in verdicts[0].reason


def test_trl_values_are_judged_one_by_one():
    assert statuses(from_list(np.array([1.0, math.nan, -1.0]), 3)) == ["right", "error", "wrong"]
    assert statuses(from_list([None, True], 2)) == ["abstain", "right"]


def test_trl_raise_and_hang(gate):
    def boom(completions, **kwargs):
        raise KeyError("level")

    verdicts = TrlReward("r", boom, LONG).grade(TASKS, OUT)
    assert statuses(verdicts) == ["error", "error"]
    assert "KeyError" in verdicts[0].reason
    slow = TrlReward("r", lambda completions, **kw: gate.wait(), 0.01)
    assert [v.reason for v in slow.grade(TASKS, OUT)] == ["timed out after 0.01 s"] * 2
    assert slow.grade([], []) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda task, completion: [1.0],
        lambda: [1.0],
        lambda completions, /, **kw: [1.0],
        lambda completions, trainer_state, **kw: [1.0],
    ],
)
def test_trl_signatures_that_cannot_be_called_are_refused(call):
    with pytest.raises(RequestError, match="cannot be called as TRL calls rewards"):
        TrlReward("r", call, LONG)


def test_trl_column_that_the_data_lacks_is_refused():
    with pytest.raises(RequestError, match=r"requires 'ground_truth'.*columns level, reference"):
        TrlReward("r", lambda completions, ground_truth: [1.0], LONG).grade(TASKS, OUT)
