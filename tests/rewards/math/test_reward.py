"""The verdicts of the reward: statuses, codes, spans, echoes, the options that need more than a pair."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sibling.batch import Status
from sibling.config.rewards import MathReward
from sibling.errors import RequestError
from sibling.rewards.math.reward import Math
from sibling.tasks.task import Task


def test_without_a_reference_it_abstains(judging: Any) -> None:
    verdict = judging(None, "\\boxed{42}")
    assert (verdict.status, verdict.code, verdict.score) == (Status.abstain, "no_reference", None)


@pytest.mark.parametrize("reference", ["", r"\int_0^1 x\,dx", r"\frac{1}{", "1 2 3 4 +", r"\frac{1}{0"])
def test_a_reference_that_cannot_be_used_is_an_error(reference: str, judging: Any) -> None:
    assert judging(reference, "\\boxed{42}").code == "bad_reference"
    assert judging(reference, "\\boxed{42}").status is Status.error
    reward = Math(MathReward())
    assert reward.problem_with(Task("t", (), reference))
    assert reward.problem_with(Task("t", (), None))
    assert reward.problem_with(Task("t", (), "42")) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("\\boxed{42}", "equal"),
        ("\\boxed{43}", "different"),
        ("\\boxed{}", "no_answer"),
        ("", "no_answer"),
        ("\\boxed{42", "no_answer"),
        ("\\boxed{+}", "unreadable"),
        ("\\boxed{\\sum_{k=1}^6 2k}", "unevaluated"),
        ("\\boxed{41} \\boxed{42}", "hedged"),
        ("\\boxed{41, 42}", "hedged"),
        ("\\boxed{42} or 41", "hedged"),
        ("not \\boxed{42}", "negated"),
        ("\\boxed{10^{10^{10}}}", "too_hard"),
    ],
)
def test_codes(text: str, code: str, judging: Any) -> None:
    assert judging("42", text).code == code


def test_the_span_is_the_answer(judging: Any) -> None:
    for text, answer in [
        ("so \\boxed{42} it is", "42"),
        ("<think>41</think> The answer is 42.", "42"),
        ("x" * 30_000 + "\\boxed{\\frac{84}{2}}", "\\frac{84}{2}"),
        ("6 + 36 = 42\n#### 42", "42"),
    ]:
        verdict = judging("42", text)
        assert verdict.status is Status.right
        assert text[slice(*verdict.span)] == answer


def test_only_the_last_characters_are_looked_at(judging: Any) -> None:
    assert judging("42", "\\boxed{42}" + " x" * 15_000).status is Status.wrong
    assert judging("42", " x" * 15_000 + "\\boxed{42}").status is Status.right


def test_the_prompt_itself_is_no_answer(judging: Any) -> None:
    prompt = "What is $123 \\times 456$?"
    assert judging("56088", "\\boxed{123\\times 456}", prompt).code == "echo"
    assert judging("56088", "\\boxed{56088}", prompt).status is Status.right
    assert (
        judging("56088", "\\boxed{456\\cdot 123}", prompt).status is Status.right
    )  # unevaluated: refused has that too
    assert judging("x(x+1)", "\\boxed{x^2+x}", "Factor $x^2+x$.").code == "echo"
    assert judging("x(x+1)", "\\boxed{x(x+1)}", "Factor $x^2+x$.").status is Status.right
    assert judging("\\frac{3}{4}", "\\boxed{3/4}", "Which is more, 3/4 or 2/3?").status is Status.right


def test_the_prompt_repeated_is_not_read(judging: Any) -> None:
    prompt = "Question 5: solve it for x."
    assert judging("5", prompt, prompt).status is Status.wrong
    assert judging("5", f"You asked: {prompt}", prompt).status is Status.wrong
    text = f"{prompt}\nThe answer is 5."
    verdict = judging("5", text, prompt)
    assert verdict.status is Status.right and text[slice(*verdict.span)] == "5" and verdict.span[0] > len(prompt)
    assert judging("42", "42", "42").status is Status.right
    assert judging("720", "What is $6!$?", "What is $6!$?").status is Status.wrong
    assert judging("[2, 6)", "\\boxed{2 \\le x < 6}", "Write 2 \\le x < 6 as an interval.").status is Status.right


def test_a_second_opinion_reads_what_ours_cannot(judging: Any) -> None:
    pytest.importorskip("math_verify")
    answer = "\\boxed{{1 \\over 2}}"
    assert judging("0.5", answer).code == "unreadable"
    assert judging("0.5", answer, second_opinion="math_verify").code == "second_opinion"
    assert judging("0.6", answer, second_opinion="math_verify").status is Status.wrong
    assert judging("42", "\\boxed{\\int_0^{42} dx \\square}", second_opinion="math_verify").status is Status.wrong
    assert judging("42", "\\boxed{42}", second_opinion="math_verify").code == "equal"


def test_a_missing_package_is_named_when_the_reward_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "math_verify" else real(name, *a))
    with pytest.raises(RequestError, match=r"math-verify.*not installed.*sibling\[opinions\]"):
        Math(MathReward(second_opinion="math_verify"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "sympy" else real(name, *a))
    with pytest.raises(RequestError, match=r"sympy.*sibling\[verifiers\]"):
        Math(MathReward())


def test_the_verdict_is_the_same_in_threads(judging: Any) -> None:
    asks = [
        ("\\sqrt{3+2\\sqrt2}", "\\boxed{1+\\sqrt{2}}"),
        ("42", "\\boxed{41}"),
        ("\\sin 2x", "\\boxed{2\\sin x\\cos x}"),
    ]
    alone = [judging(*ask).status for ask in asks]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda ask: judging(*ask).status, asks * 10))
    assert together == alone * 10


def test_order_counts_if_asked_for(judging: Any) -> None:
    assert judging("1, 2", "\\boxed{2, 1}").status is Status.right
    assert judging("1, 2", "\\boxed{2, 1}", ordered=True).status is Status.wrong


@pytest.mark.parametrize(
    ("reference", "text", "same"),
    [
        (r"(-\infty,-2]\cup[2,\infty)", r"\boxed{|x|\ge 2}", True),
        (r"x\le -2 \text{ or } x\ge 2", r"\boxed{2\le |x|}", True),
        (r"x\le -2 \text{ or } x\ge 2", r"\boxed{|x|>2}", False),
        (r"(-\infty,-2]\cup[2,\infty)", r"\boxed{|x|\le 2}", False),
        ("-3<x<3", r"\boxed{|x|<3}", True),
        ("-3<x<3", r"\boxed{|x|\le 3}", False),
        ("-3<x<3", r"\boxed{|x|<-3}", False),
        ("-3<x<3", r"\boxed{|y|<3}", False),
        ("x<3", r"\boxed{|x|<3}", False),
        ("0<x<3", r"\boxed{0<|x|<3}", False),
        (r"|x|<\sqrt{2}", r"\boxed{(-\sqrt{2},\sqrt{2})}", True),
    ],
)
def test_a_bounded_absolute_value_is_a_region(reference: str, text: str, same: bool, judging: Any) -> None:
    assert (judging(reference, text).status is Status.right) == same


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (r"<!-- The final answer is $\boxed{7}$. -->", "no_answer"),
        (r"<!-- The final answer is $\boxed{7}$.", "no_answer"),
        ("<think>a</think><!-- <answer>7</answer> -->", "no_answer"),
        (rf"It is not <!-- {'x' * 100} --> \boxed{{7}}", "negated"),
        (rf"\boxed{{7}}<!-- {'x' * 100} --> is wrong", "negated"),
        (r"<!-- \boxed{8} -->\boxed{7}", "equal"),
        (r"<think>a <!-- b</think>\boxed{7}", "equal"),
    ],
)
def test_a_comment_is_not_read(text: str, code: str, judging: Any) -> None:
    verdict = judging("7", text)
    assert verdict.code == code
    assert code != "equal" or text[slice(*verdict.span)] == "7"


@pytest.mark.parametrize("where", ["boxed", "any"])
@pytest.mark.parametrize(
    "reference", ["7", r"\frac{3}{4}", "6 + 1 = 7 #### 7", r"so \boxed{7}", r"\text{Tuesday}", "x=5"]
)
def test_a_reference_as_this_reward_wants_it(where: Any, reference: str, judging: Any) -> None:
    reward = Math(MathReward(where=where))
    stated = reward.stating(reference)
    reward.close()
    assert judging(reference, stated, where=where).status is Status.right
    assert ("boxed" in stated) == (where == "boxed" or "boxed" in reference)
