"""The grader: all rewards of a recipe at once, weighted, described, checked on their references."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Completion, Finish, Status, Verdict
from sibling.config import (
    CallableReward,
    ExactMatchReward,
    FinalNumberReward,
    FormatTagsReward,
    GymReward,
    LargestNumberTask,
    MathReward,
    OverlongReward,
    ReasoningGymTask,
    RegexReward,
    StepMatchReward,
)
from sibling.errors import RequestError, RunError
from sibling.rewards import binding
from sibling.rewards.answers import FinalNumber
from sibling.rewards.binding import Each
from sibling.rewards.grade import Grader, stating, total_reward
from sibling.rewards.regex import Regex
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.tasks.generators import GeneratorSource
from sibling.tasks.gym import GymSource
from sibling.tasks.task import Task

MINE = """
import math

def strict(task, completion):
    return float(completion.text == f"<answer>{task.reference}</answer>")

def moody(prompts, completions, **kwargs):
    return [{"raise": math.nan, "none": None}.get(c, 1.0) for c in completions]

def boom(task, completion):
    raise RuntimeError("boom")
"""


@pytest.fixture
def base(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def task(reference="4"):
    return Task("id", ({"role": "user", "content": "2 + 2?"},), reference)


def grader(base, *rewards, max_tokens=16):
    return Grader(rewards, base=base, max_tokens=max_tokens)


def test_verdicts_are_aligned_with_completions_and_rewards(base):
    both = grader(base, FinalNumberReward(weight=2.0), FormatTagsReward(name="tags", tags=("a",)))
    rows = both.grade([task("4"), task("5"), task("4")], [stating("4"), stating("<a>5</a>"), stating("x")])
    assert both.names == ("final_number", "tags")
    assert both.weights == (2.0, 1.0)
    assert [[v.score for v in row] for row in rows] == [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    assert all(v.seconds > 0 for row in rows for v in row)
    assert [total_reward(row, both.weights) for row in rows] == [2.0, 3.0, 0.0]
    assert both.grade([], []) == []
    with pytest.raises(RunError, match="2 tasks, 1 completions"):
        both.grade([task(), task()], [stating("4")])


def test_no_silent_zero(base):
    """What failed, was late or abstained has no score, and alone has no total."""
    failing = grader(
        base,
        CallableReward(name="boom", target="mine.py:boom"),
        CallableReward(name="moody", target="mine.py:moody", signature="trl"),
        FinalNumberReward(),
    )
    nan, none, fine = failing.grade([task(None)] * 3, [stating("raise"), stating("none"), stating("4")])
    assert [v.status.value for v in nan] == ["error", "error", "abstain"]
    assert [v.status.value for v in none] == ["error", "abstain", "abstain"]
    assert [v.status.value for v in fine] == ["error", "right", "abstain"]
    assert {v.score for v in (*nan, *none)} == {None}
    assert total_reward(nan, failing.weights) is None
    assert total_reward(none, failing.weights) is None
    assert total_reward(fine, failing.weights) == 1.0


verdicts = st.one_of(
    st.just(error("x")), st.just(abstain("x")), st.floats(-9, 9).map(lambda s: wrong("x", s)), st.just(right("x"))
)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(verdicts, st.floats(-3, 3)), max_size=6))
def test_total_is_the_weighted_sum_of_the_scores_present(pairs):
    found, weights = [v for v, _ in pairs], [w for _, w in pairs]
    scored = [(v.score, w) for v, w in pairs if v.status in (Status.right, Status.wrong)]
    total = total_reward(found, weights)
    if scored:
        assert total == pytest.approx(float(np.dot(*map(np.array, zip(*scored, strict=True)))), abs=1e-9)
    else:
        assert total is None


def test_a_fault_in_a_judge_is_an_error_of_that_sample():
    class Faulty(FinalNumber):
        def judge(self, task: Task, completion: Completion) -> Verdict:
            if completion.text == "odd":
                raise ZeroDivisionError("oh")
            return super().judge(task, completion)

    first, second = Each(Faulty()).grade([task(), task()], [stating("odd"), stating("4")])
    assert (first.status, first.score, first.reason) == (Status.error, None, "raised ZeroDivisionError: oh")
    assert second.status is Status.right


def test_reference_check_counts_what_each_reward_says_of_the_reference(base):
    checked = grader(
        base,
        FinalNumberReward(),
        ExactMatchReward(),
        RegexReward(name="bare", pattern=r"(?P<answer>\d+)"),
        RegexReward(name="first_digit", pattern=r"(?P<answer>\d)"),
        RegexReward(name="tagged", pattern=r"<a>(?P<answer>.*)</a>"),
        RegexReward(name="no_group", pattern=r"x"),
        StepMatchReward(separator=";"),
        FormatTagsReward(),
        OverlongReward(cache=4),
        CallableReward(name="strict", target="mine.py:strict"),
        CallableReward(name="boom", target="mine.py:boom"),
    ).check_references([task("42"), task("four"), task(None)])
    counted = {
        name: tuple(c[k] for k in ("n", "accepted", "refused", "error", "abstain")) for name, c in checked.items()
    }
    assert counted == {
        "final_number": (2, 1, 0, 1, 0),  # 'four' is no number
        "exact_match": (2, 2, 0, 0, 0),
        "bare": (2, 1, 0, 0, 1),  # 'four' holds no digit: the pattern does not apply
        "first_digit": (2, 0, 1, 0, 1),  # takes 4 for 42
        "tagged": (2, 0, 0, 0, 2),
        "step_match": (2, 2, 0, 0, 0),
        "strict": (2, 0, 2, 0, 0),
        "boom": (2, 0, 0, 2, 0),
    }


def test_scores_of_steps_come_through_the_grader(base):
    steps = grader(base, StepMatchReward(separator=";"))
    ((verdict,),) = steps.grade([task("1; 2")], [stating("1;3")])
    assert [(s.end, s.score) for s in verdict.steps] == [(2, 1.0), (3, 0.0)]
    assert verdict.seconds > 0
    assert steps.describe()[0]["options"] == {"separator": ";", "false_accept": 0.0, "false_refuse": 0.0}


def test_generated_tasks_and_families_accept_their_references(base):
    tasks = GeneratorSource(LargestNumberTask()).held_out(5)
    assert grader(base, FinalNumberReward()).check_references(tasks)["final_number"]["accepted"] == 5
    pytest.importorskip("reasoning_gym")
    tasks = GymSource(ReasoningGymTask(family="chain_sum")).held_out(5)
    assert grader(base, GymReward()).check_references(tasks)["reasoning_gym"]["accepted"] == 5


def test_description_holds_options_and_the_digest_of_the_code(base):
    rewards = (
        OverlongReward(cache=4, weight=0.5),
        OverlongReward(name="own", cache=4, max_length=9),
        CallableReward(name="mine", target="mine.py:strict"),
        RegexReward(pattern="a"),
    )
    facts = grader(base, *rewards).describe()
    assert [(f["name"], f["type"], f["weight"]) for f in facts] == [
        ("overlong", "overlong", 0.5),
        ("own", "overlong", 1.0),
        ("mine", "callable", 1.0),
        ("regex", "regex", 1.0),
    ]
    rates = {"false_accept": 0.0, "false_refuse": 0.0}
    assert facts[0]["options"] == {"max_length": 16, "cache": 4, **rates}  # the default is spelled out
    assert facts[1]["options"]["max_length"] == 9
    assert facts[0]["code_digest"] == facts[1]["code_digest"] != facts[3]["code_digest"]
    before = facts[2]["code_digest"]
    (base / "mine.py").write_text(MINE + "\n")
    assert grader(base, *rewards).describe()[2]["code_digest"] != before
    json.dumps(facts, allow_nan=False)


def test_overlong_counts_tokens_against_max_tokens(base):
    long = Completion(np.zeros(14, np.int64), np.zeros(14, np.float32), Finish.length, "x")
    ((verdict,),) = grader(base, OverlongReward(cache=4)).grade([task()], [long])
    assert verdict.score == -0.5  # 16 - 4 = 12 tokens are free, 2 of the 4 after them are used


@pytest.mark.parametrize(
    ("reward", "reason"),
    [
        (CallableReward(target="mine.py:none"), "has no 'none'"),
        (CallableReward(target="none.py:strict"), "does not exist"),
        (CallableReward(target="mine.py:moody", signature="task"), "cannot be called with a task and a completion"),
        (CallableReward(target="mine.py:strict", signature="trl"), "cannot be called as TRL calls rewards"),
        (RegexReward(pattern="("), "not a regular expression"),
        (OverlongReward(cache=17), "max_length 16"),
        (FormatTagsReward(tags=("a", "a")), "different tag names"),
    ],
)
def test_rewards_that_cannot_be_bound_are_refused_at_once(base, reward, reason):
    with pytest.raises(RequestError, match=reason):
        grader(base, reward)


def test_known_error_rates_are_taken_out_of_the_score():
    """(r - 0.1) / (1 - 0.1 - 0.3): 1 becomes 1.5, 0 becomes -1/6; the verdict itself and an error stay."""
    rewards = (FinalNumberReward(false_accept=0.1, false_refuse=0.3), FinalNumberReward(name="plain"))
    told = grader(Path(), *rewards).grade([task("4"), task("4"), task("x")], [stating("4"), stating("5"), stating("4")])
    assert [row[0].score for row in told] == [pytest.approx(1.5), pytest.approx(-1 / 6), None]
    assert [row[0].status for row in told] == [row[1].status for row in told]
    assert [row[1].score for row in told] == [1.0, 0.0, None]


def test_prompts_that_cannot_be_graded_are_told_before_a_run():
    grading = grader(Path(), FinalNumberReward(), ExactMatchReward())
    tasks = [task("4"), task("four"), task(None)]
    assert grading.problems(tasks) == [("final_number", tasks[1], "the reference 'four' is not a number")]


def test_an_empty_reference_pays_nobody():
    (row,) = grader(Path(), ExactMatchReward()).grade([task(" ")], [stating("")])
    assert (row[0].status, row[0].code) == (Status.abstain, "no_reference")


def test_the_digest_of_a_verifier_covers_the_modules_it_names(tmp_path):
    """A worker's module is named in the verifier alone, as text or by import: it decides as well."""
    closure = binding._source_digest(Regex("r", "a", full=False))
    assert closure != binding._source_digest(FinalNumber())
    assert binding._files_of("sibling.sandbox.workers", Path(binding.__file__).parent.parent)
    assert binding._NAMED.findall('Workers("sibling.rewards.json_child", "check")') == ["sibling.rewards.json_child"]


def test_a_reference_is_stated_the_way_the_verifier_wants_answers():
    boxed = grader(Path(), MathReward(where="boxed"), MathReward(name="any"))
    assert {n: c["accepted"] for n, c in boxed.check_references([task("42")]).items()} == {"math": 1, "any": 1}
