"""What holds for every probe: names, determinism, applicability, and that no variant repeats the right completion."""

from __future__ import annotations

from collections import Counter

import pytest

from sibling.audit.kinds import Seed
from sibling.audit.probes import PROBES
from sibling.audit.probes.build import differ, format_of, letters_of, mentions_right, same, says_right, wrongs
from sibling.audit.probes.reading import read

from .examples import DATABASES, FORMATS, PROGRAM, SCHEMA, make

MATH = [
    "42", "1234567", "-5", "3/4", "0.5", "3.14159", "7/4", r"-\frac{1}{2}", "0", "50%", r"30^\circ",
    r"\frac{3\pi}{4}", "x=5", "5 cm",
    r"\{1,2,3\}", "(1,2)", "1, 2, 3", "[0,1)", r"x\ge 3", r"2\sqrt{3}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "3:4",
    "x^2+2x", r"\text{even}", "90071992547409931", "0.0000001", "2.5",
]  # fmt: skip
SEEDS = [
    *(make(reference, "math", "boxed", r"Compute $\int_0^1 2x\,dx$ and 12 + 30.") for reference in MATH),
    make("42", "math", "bare"),
    make("C", "choice", "boxed", "Which?", options=["red", "blue", "green", "pink"]),
    make("Paris", "text", "bare"),
    make("New York", "text", "other"),
    make('{"name": "Ann", "age": 3}', "json", "fence", schema=SCHEMA),
    make("SELECT a FROM t WHERE b = 'x'", "sql", "fence", databases=DATABASES),
    make(PROGRAM, "code", "fence", asserts=["assert add_all([1], 2) == 3", "assert add_all([], 5) == 5"]),
    make(PROGRAM, "code", "bare"),
    make("n = int(input())\nprint(n)\nprint(n + 1)\n", "code", "fence",
         io=[{"stdin": "2", "stdout": "2\n3\n"}, {"stdin": "4", "stdout": "4\n5\n"}]),
]  # fmt: skip


def variants_of(seed: Seed) -> list[tuple[str, str]]:
    return [
        (probe.name, variant.text)
        for probe in PROBES
        if not probe.kinds or seed.kind in probe.kinds
        for variant in probe.make(seed)
    ]


def test_names_are_unique_words_and_groups_are_those_of_the_modules() -> None:
    names = [probe.name for probe in PROBES]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalnum() and name == name.lower() for name in names)
    groups = Counter(probe.group for probe in PROBES)
    assert set(groups) == {
        "equivalence", "presentation", "corruption", "degenerate", "hedging", "judge", "code", "resource", "injection",
        "crash",
    }  # fmt: skip
    assert len(PROBES) >= 100


def test_what_each_group_expects() -> None:
    expects = {group: {p.expect for p in PROBES if p.group == group} for group in {p.group for p in PROBES}}
    assert expects.pop("equivalence") == {"keep"} == expects.pop("presentation")
    assert expects.pop("corruption") == {"flip"}
    assert set.union(*expects.values()) == {"low"}


def test_texts_of_exploits_are_marked() -> None:
    assert all(p.sensitive for p in PROBES if p.group in ("judge", "injection"))
    assert {p.name for p in PROBES if p.group == "code" and p.sensitive} >= {"exit_code", "equal_to_all", "patched"}
    assert not any(p.sensitive for p in PROBES if p.group in ("equivalence", "corruption"))


def test_every_probe_applies_to_some_seed() -> None:
    applied = {name for seed in SEEDS for name, _ in variants_of(seed)}
    assert applied >= {p.name for p in PROBES if not p.name.endswith("_where_unmarked")}, sorted(
        {p.name for p in PROBES} - applied
    )
    bare = {name for name, _ in variants_of(make("42", "math", "bare"))}
    assert {p.name for p in PROBES if p.name.endswith("_where_unmarked")} <= bare


@pytest.mark.parametrize("seed", SEEDS, ids=lambda s: f"{s.kind}-{s.answer[:12]}")
def test_no_variant_is_the_right_completion_and_all_are_the_same_twice(seed: Seed) -> None:
    once, twice = variants_of(seed), variants_of(seed)
    assert once == twice
    assert all(isinstance(text, str) and text != seed.right for _, text in once)


@pytest.mark.parametrize("form", FORMATS)
def test_formats_are_recognised(form: str) -> None:
    assert format_of(make("42", "math", form)) == form


@pytest.mark.parametrize(
    ("odd", "kind"),
    [("", "math"), ("", "text"), ("\\boxed{", "math"), ("{" * 3000, "math"), ("1" * 5000, "math"), ("\ud800", "text"),
     ("1/0", "math"),
     ("[[[", "json"), ("{}", "json"), ("select", "sql"), (";", "sql"), ("def f(:", "code"), ("", "code"),
     ("(" * 2000, "code"),
     ("\0", "code"), ("((1,2),(3,4))", "math"), (r"\{\}", "math"), ("$$", "math"), ("Z", "choice"), ("?", "choice")],
)  # fmt: skip
def test_an_odd_reference_makes_no_probe_fail(odd: str, kind: str) -> None:
    for form in ("bare", "boxed", "fence"):
        variants_of(make(odd, kind, form))


def test_wrong_answers_are_wrong() -> None:
    for reference in MATH:
        seed = make(reference, "math", "boxed")
        for wrong in wrongs(seed, 99):
            one, two = read(wrong), read(reference)
            assert not says_right(seed, wrong)
            assert one is None or two is None or not same(one, two), (reference, wrong)
    assert len(wrongs(make("42", "math", "boxed"), 99)) == 99
    assert wrongs(make("C", "choice", "boxed"), 9) == ["A", "B", "D"]
    assert letters_of(make("E", "choice", "boxed")) == "ABCDE"


def test_hedges_of_a_fraction_do_not_divide_into_the_right_answer() -> None:
    zero = make("0", "math", "boxed")  # 0 / 1 is 0
    hedges = [v.text for p in PROBES if p.name == "right_or_wrong" for v in p.make(zero)]
    assert hedges and not any(" / " in text for text in hedges)


def test_a_prompt_of_percent_lets_hundredfold_answers_alone() -> None:
    probe = next(p for p in PROBES if p.name == "times_hundred")
    assert not list(probe.make(make("0.5", "math", "boxed", "What percent is it?")))
    assert list(probe.make(make("0.5", "math", "boxed", "What share is it?")))


def test_a_json_text_is_never_low_by_its_form_alone() -> None:
    seed = make('{"name": "Ann"}', "json", "fence", schema={"type": "object"})
    low = [t for p in PROBES if p.expect == "low" and (not p.kinds or "json" in p.kinds) for t in p.make(seed)]
    assert not any(variant.text.strip() in ("{}", "null", '{"correct": true}') for variant in low)


def test_expressions_of_the_prompt_are_echoed() -> None:
    seed = make("42", "math", "bare", r"Find $\sum_{k=1}^{6} 2k$, then \(\lim_{x\to 2} x\), 6 * 7.")
    echoes = [p for p in PROBES if p.name in ("operator_echo", "arithmetic_echo")]
    texts = {p.name: [v.text for v in p.make(seed)] for p in echoes}
    assert texts == {
        "operator_echo": [r"\sum_{k=1}^{6} 2k", r"\lim_{x\to 2} x"],
        "arithmetic_echo": ["6 * 7"],
    }
    plain = make("x**2 + C", "math", "bare", "Find the indefinite integral: ∫ 2*x dx")
    echo = next(p for p in PROBES if p.name == "operator_echo")
    assert "Integral(2*x, x)" in [v.text for v in echo.make(plain)]


@pytest.mark.parametrize(
    ("reference", "kind", "text", "mentions"),
    [
        ("10", "math", "Score: 10/10", True),
        ("10", "math", "Score: 100", False),
        (r"\text{Yes}", "math", "Final Decision: Yes", True),
        (r"\sin^2 x+\cos^2 x", "math", "Output 1", True),  # what cannot be read may come to any number
        (r"\sin^2 x+\cos^2 x", "math", "Output", False),
        ("A", "choice", "As an AI, I cannot answer.", False),
        ("Paris", "text", "a solution", False),
    ],
)
def test_a_fixed_text_that_says_the_right_answer_by_chance(
    reference: str, kind: str, text: str, mentions: bool
) -> None:
    assert mentions_right(make(reference, kind, "boxed"), text) == mentions


@pytest.mark.parametrize(
    ("reference", "other", "surely"),
    [
        ("42", "43", True),
        ("42", "42.0", False),
        ("0.5", "50%", False),  # the same to a reader of percents
        ("x=5", "5", False),
        (r"\sin^2 x+\cos^2 x", "1", False),
        ("(1,3)", "1<x<3", False),  # a pair, or an interval
        ("3:4", "3/4", False),
        ("42", r"x\ge 3", True),
        (r"\{1,2\}", "1, 2", False),
        (r"\{1,2\}", r"\{1,2,3\}", True),
        (r"\sqrt{2}", "2", True),
    ],
)
def test_another_prompts_answer_counts_only_where_it_surely_differs(reference: str, other: str, surely: bool) -> None:
    assert differ(make(reference, "math", "boxed"), other) == surely
