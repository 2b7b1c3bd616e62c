"""Instructions as a reward: shares, the least number of words, tasks that cannot be graded."""

import time

import pytest

from sibling.batch import Status
from sibling.config.rewards import InstructionsReward
from sibling.rewards.grade import stating
from sibling.rewards.instructions.judge import Instructions
from sibling.rewards.instructions.table import TABLE
from sibling.tasks.task import Task

ALL = Instructions(InstructionsReward())
SHARE = Instructions(InstructionsReward(score="share"))
FREE = Instructions(InstructionsReward(least_words=0))
VALUES = {
    "keywords": ["zebra"], "keyword": "zebra", "letter": "z", "language": "en", "count": 0, "word": "abc",
    "phrase": ".", "options": ["yes"], "columns": 0, "least": 0, "most": 100, "paragraph": 1, "relation": "at least",
}  # fmt: skip


def task(*instructions, prompt="Say something about cats."):
    return Task("id", ({"role": "user", "content": prompt},), None, {"instructions": list(instructions)})


THREE = task(
    {"type": "no_commas"}, {"type": "bullet_count", "count": 1}, {"type": "keywords_present", "keywords": ["cat"]}
)


@pytest.mark.parametrize(
    ("text", "status", "share", "code"),
    [
        ("The cat is here:\n- it sleeps now", Status.right, 1.0, "followed"),
        ("The cat is here now, asleep", Status.wrong, 1 / 3, "not_followed"),
        ("The dog is here:\n- it sleeps now", Status.wrong, 2 / 3, "not_followed"),
        ("cat", Status.wrong, 0.0, "too_short"),
        ("", Status.wrong, 0.0, "no_answer"),
        ("<think>The cat is here:\n- it sleeps now", Status.wrong, 0.0, "no_answer"),
        ("<think>a, b</think>The cat is here:\n- it sleeps now", Status.right, 1.0, "followed"),
    ],
)
def test_verdicts(text, status, share, code):
    one, other = ALL.judge(THREE, stating(text)), SHARE.judge(THREE, stating(text))
    assert (one.status, one.code, one.score) == (status, code, float(status is Status.right))
    assert (other.status, other.code) == (status, code) and other.score == pytest.approx(share)


def test_the_reason_names_what_was_not_followed():
    reason = ALL.judge(THREE, stating("The dog is here now, asleep")).reason
    assert reason.startswith("3 of 3") and all(
        name in reason for name in ("no_commas", "bullet_count", "'cat' is missing")
    )


@pytest.mark.parametrize("text", ["", "{}", ".", " \n", "[]", "...", "***", "```\n```", '""', "<<>>", "\u200b", "🙂"])
@pytest.mark.parametrize("name", sorted(TABLE))
def test_an_empty_answer_follows_nothing(name, text):
    asked = {"type": name, **{p.name: VALUES[p.name] for p in TABLE[name].parameters if p.name in VALUES}}
    for judge in (ALL, SHARE, FREE):
        verdict = judge.judge(task(asked), stating(text))
        assert (verdict.status, verdict.score, verdict.code) == (Status.wrong, 0.0, "no_answer")


def test_a_few_words_can_be_a_whole_answer():
    yes = {"type": "one_of", "options": ["Yes", "No"]}
    assert ALL.judge(task(yes, {"type": "no_commas"}), stating("Yes.")).status is Status.right
    assert ALL.judge(task({"type": "no_commas"}), stating("Yes.")).code == "too_short"
    assert FREE.judge(task({"type": "no_commas"}), stating("Yes.")).status is Status.right


def test_ifeval_columns():
    columns = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    ours = Task("id", ({"role": "user", "content": "?"},), None, columns)
    assert ALL.judge(ours, stating("five words and no mark")).status is Status.right
    assert ALL.judge(ours, stating("five words, and a mark")).status is Status.wrong


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        ([{"type": "no_commas"}], None),
        ([{"type": "no_comma"}], "no_commas"),
        ([{"type": "word_count", "count": 4, "relation": "at most"}], "at most 4 words"),
        ([{"type": "word_count", "count": 5, "relation": "less than"}], "at most 4 words"),
        ([{"type": "word_range", "least": 1, "most": 3}], "at most 3 words"),
        ([{"type": "word_count", "count": 4, "relation": "at least"}], None),
        ([{"type": "word_count", "count": 4, "relation": "at most"}, {"type": "json"}], None),
        ([{"type": "all_upper"}, {"type": "all_lower"}], "all_upper and all_lower"),
        ([{"type": "no_digits"}, {"type": "has_number"}], "no_digits and has_number"),
        (
            [{"type": "keywords_present", "keywords": ["a"]}, {"type": "keywords_absent", "keywords": ["A"]}],
            "forbids it",
        ),
    ],
)
def test_problem_with(instructions, words):
    found = ALL.problem_with(task(*instructions))
    assert found is None if words is None else words in found


def test_language_needs_its_package(monkeypatch):
    monkeypatch.setattr("sibling.rewards.instructions.judge.installed", lambda: False)
    assert "py3langid" in ALL.problem_with(task({"type": "language", "language": "en"}))
    assert ALL.problem_with(THREE) is None


def test_facts_name_the_detector():
    assert ALL.facts()["packages"].startswith("py3langid ")


def test_nothing_to_repeat():
    assert "nothing to repeat" in ALL.problem_with(task({"type": "repeat_prompt"}, prompt=" "))
    assert ALL.problem_with(task({"type": "repeat_prompt"})) is None


def test_tasks_without_or_with_bad_instructions_have_no_score():
    without = ALL.judge(Task("id", (), None), stating("five words are enough here"))
    bad = ALL.judge(task({"type": "unheard"}), stating("five words are enough here"))
    assert (without.status, without.code) == (Status.abstain, "no_instructions")
    assert (bad.status, bad.code) == (Status.error, "bad_instructions")


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "a b " * 50_000, "```a\n" * 40_000, "|-|\n" * 50_000, "." * 199_999 + "x", "a\n" * 100_000, "*a" * 100_000,
        "[a" * 100_000, "<<a" * 60_000, "- a\n" * 50_000, "\x00" * 200_000, "\ud800 a b c d e", "A. " * 60_000,
        "a'" * 100_000, "Section 1\n" * 20_000, "|" * 200_000, "x" * 100_000_000, "zebra " * 33_000, "\n \n" * 60_000,
    ],
)  # fmt: skip
def test_hostile_answers_are_bounded(text):
    for name, kind in TABLE.items():
        asked = {"type": name, **{p.name: VALUES[p.name] for p in kind.parameters if p.name in VALUES}}
        start = time.perf_counter()
        assert ALL.judge(task(asked), stating(text)).code
        assert time.perf_counter() - start < 10


def test_an_answer_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, kind in TABLE.items():
        asked = {"type": name, **{p.name: VALUES[p.name] for p in kind.parameters if p.name in VALUES}}
        ALL.judge(
            task(asked),
            stating("import os and then __import__('os').system('touch tripwire') {0.__class__} $(touch x)"),
        )
    assert not list(tmp_path.iterdir())
