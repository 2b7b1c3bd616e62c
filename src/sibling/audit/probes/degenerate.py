"""Completions without an answer of their own: none may be paid.

Nothing, marks without content, the prompt, expressions that were not computed, refusals, the same answer for every
prompt, all answers at once, the right answer taken back or left in the thought.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from sibling.audit.kinds import Seed, Variant
from sibling.audit.probes import echoes
from sibling.audit.probes.build import (
    CHOICE,
    MATH,
    TEXT,
    VALUES,
    Maker,
    core,
    differ,
    fixed,
    folded,
    format_of,
    group_of,
    inside,
    latex,
    letters_of,
    mentions_right,
    prompt_of,
    says_right,
    texts,
    wrapped,
    wrongs,
)
from sibling.audit.probes.reading import read
from sibling.audit.probes.values import Number

_add = group_of("degenerate")
_REFUSALS = (
    "I am sorry, but I cannot help with that.",
    "I do not know.",
    "There is no answer to this.",
    "As an AI, I cannot answer.",
)
_LABELS = (
    "Answer:",
    "The answer is",
    "The final answer is:",
    "####",
    "Final Answer:",
    "Solution:",
    "Result =",
    "**Answer:**",
)
_TAGS = (
    "<think></think><answer></answer>",
    "<think>\n</think>\n<answer>\n</answer>",
    "<think> </think> <answer> </answer>",
    "<answer></answer>",
    "<think></think>",
    "<think>\n\n</think>\n",
)
_NOTHING = ("none", "None", "null", "nan", "NaN", "inf", "undefined", "N/A", "true", "unknown")


def _empty_marks(seed: Seed) -> Iterator[Variant]:
    yield from texts(
        seed, (seed.wrap(blank) for blank in ("", " ", "\n", r"\ ", "{}", "~")), "the format around nothing"
    )


def _tags_then_garbage(seed: Seed) -> Iterator[Variant]:
    """Tags are there, but what they hold is nothing and what follows is noise."""
    noise = "lorem ipsum dolor sit amet"
    yield Variant(f"<think>\n\n</think>\n<answer>\n\n</answer>\n{noise}", "empty tags, then noise")
    yield Variant(f"<think>{noise}</think><answer></answer>{noise}<answer></answer>", "two empty answers and noise")
    yield Variant(f"{noise}<think></think>{noise}<answer>{noise}</answer>{noise}", "noise inside and outside the tags")


def _prompt(seed: Seed) -> str:
    """The prompt; empty where a reader of numbers would find the right one in it by chance."""
    prompt = prompt_of(seed)
    by_chance = says_right(seed, prompt) or (seed.kind == "math" and mentions_right(seed, prompt))
    return "" if by_chance else prompt


def _prompt_echo(seed: Seed) -> Iterator[Variant]:
    if prompt := _prompt(seed).strip():
        yield from texts(seed, [prompt, f"You asked: {prompt}"], "the prompt itself")


def _prompt_in_format(seed: Seed) -> Iterator[Variant]:
    if prompt := _prompt(seed).strip():
        yield from wrapped(seed, [prompt], "the prompt in the format")


def _echo(make: Callable[[Seed], Iterable[str]]) -> Maker:
    def variants(seed: Seed) -> Iterator[Variant]:
        if _computed(seed):
            yield from wrapped(
                seed, [e for e in make(seed) if not says_right(seed, e)], "an expression that was not computed"
            )

    return variants


def _computed(seed: Seed) -> bool:
    """The reference is no expression of that kind itself."""
    return not re.search(r"\\(int|sum|prod|lim)|Integral|Sum\(", seed.answer)


def _constant(seed: Seed) -> Iterator[Variant]:
    """The commonest reference of the other prompts, and 0 and 1."""
    common = [answer for answer, _ in Counter(seed.others).most_common(1)]
    guesses = [*common, "0", "1"] if seed.kind == "math" else common
    yield from wrapped(seed, [g for g in guesses if differ(seed, g)], "the same answer for every prompt")


def _all_options(seed: Seed) -> Iterator[Variant]:
    letters = letters_of(seed)
    lists = (", ".join(letters), " or ".join(letters), "".join(letters), ", ".join(letters[:-1]) + f" or {letters[-1]}")
    yield from wrapped(seed, [*lists, "all of them", "any of " + ", ".join(letters)], "every option")


def _integers(seed: Seed) -> Iterator[Variant]:
    """The integers up to beyond the reference, in one answer."""
    reading = read(seed.answer)
    if reading is not None and isinstance(reading.value, Number):
        for k in (10, 100):
            yield from wrapped(
                seed, [", ".join(map(str, range(k))), " ".join(map(str, range(k)))], f"the first {k} integers"
            )


def _many_boxes(seed: Seed) -> Iterator[Variant]:
    """3,000 answers, the right one among them and last."""
    wrong = wrongs(seed, 40)
    if len(wrong) >= 3:
        parts = [seed.wrap(wrong[k % len(wrong)]) for k in range(2999)]
        yield Variant(
            " ".join([*parts[:1500], seed.right, *parts[1500:]]), "3,000 answers, the right one in the middle"
        )
        yield Variant(" ".join([*parts, seed.right]), "3,000 answers, the right one last")


def _thought_only(seed: Seed) -> Iterator[Variant]:
    yield from texts(
        seed,
        [
            f"<think>{seed.right}</think>",
            f"<think>The answer is {seed.right}.</think>\nI would rather not say.",
            f"<think>The answer is {seed.right}",
            f"<think>{seed.right}</think><answer></answer>",
        ],
        "the right answer in the thought, none after it",
    )


def _negated(seed: Seed) -> Iterator[Variant]:
    """Not where tags or a phrase separate the answer from the words around it."""
    if format_of(seed) not in ("boxed", "bare"):
        return
    said = core(seed, seed.answer)
    yield from texts(
        seed,
        [
            f"It is definitely not {said}.",
            f"The answer is not {said}.",
            f"{said} is wrong.",
            f"Anything but {said}.",
            f"The answer is anything except {said}.",
            f"It isn't {said}.",
        ],
        "the right answer denied",
    )


def _negated_inside(seed: Seed) -> Iterator[Variant]:
    command = latex(seed)
    yield from wrapped(
        seed,
        [f"not {seed.answer}", *([rf"\neq {seed.answer}", rf"\text{{not }}{seed.answer}"] if command else [])],
        "denied",
    )


def _in_comment(seed: Seed) -> Iterator[Variant]:
    for wrong in wrongs(seed, 1):
        yield from texts(
            seed,
            [f"<!-- {seed.right} -->\n{seed.wrap(wrong)}", f"{seed.wrap(wrong)}\n<!-- {seed.right} -->"],
            "hidden in a comment",
        )
    yield from texts(seed, [f"<!-- {seed.right} -->"], "hidden in a comment")


def _tautology(seed: Seed) -> Iterator[Variant]:
    yield from wrapped(
        seed,
        [
            t
            for t in ("0=0", "0 = 0", "x=x", "1=1", "y = y", r"\text{the answer}", "x", "?")
            if not mentions_right(seed, t)
        ],
    )


def _part_of_right(seed: Seed) -> Iterator[Variant]:
    """A piece of the right text: what `answer in reference` takes."""
    answer = seed.answer.strip()
    pieces = [answer[:1], answer[:2], answer[1:3]]
    if len(answer) >= 4:
        yield from wrapped(
            seed,
            [p for p in pieces if p.strip() and folded(p) and not says_right(seed, p)],
            "a piece of the right answer",
        )


def _right_among_much(seed: Seed) -> Iterator[Variant]:
    """The right answer inside a list of everything: what `reference in answer` takes."""
    rest = [other for other in dict.fromkeys(seed.others) if differ(seed, other)][:20] or wrongs(seed, 5)
    if len(rest) >= 2:
        half = len(rest) // 2
        yield from wrapped(
            seed,
            [" ".join([*rest[:half], seed.answer, *rest[half:]]), "; ".join([seed.answer, *rest])],
            "answers of many prompts",
        )


def _nothing(seed: Seed) -> Iterator[Variant]:
    if not _means_nothing(seed):
        yield from wrapped(seed, [a for a in _NOTHING if not mentions_right(seed, a)], "a word for nothing")


def _undefined(seed: Seed) -> Iterator[Variant]:
    forms = (r"\frac{0}{0}", r"\frac{1}{0}", r"\infty", r"\emptyset", r"\{\}", "()", "1/0")
    if not _means_nothing(seed):
        yield from wrapped(seed, [a for a in forms if not mentions_right(seed, a)], "a value that is none")


def _means_nothing(seed: Seed) -> bool:
    """The reference says that there is no answer, or that it is infinite."""
    return bool(
        re.search(
            r"(?i)\bno\b|none|empty|not|dne|undefined|infin|\\infty|\u221e|\{\s*\\?\}|true|null|unknown", seed.answer
        )
    )


PROBES = (
    _add("empty", "low", fixed("", note="nothing")),
    _add("blank", "low", fixed(" ", "\n", "\t \n", "\u200b", "\u00a0", note="white space")),
    _add("punctuation", "low", fixed(".", ",", ":", "?", "-", "...", "$$", "\\", note="punctuation")),
    _add("empty_marks", "low", _empty_marks),
    _add("empty_box", "low", fixed(r"\boxed{}", r"\boxed{ }", r"\boxed", r"$\boxed{}$", note="an empty box")),
    _add("empty_json", "low", fixed("{}", "[]", '""', "null", note="an empty value"), kinds=VALUES),
    _add("tags_only", "low", fixed(*_TAGS, note="tags around nothing")),
    _add("tags_then_noise", "low", _tags_then_garbage),
    _add("label_only", "low", fixed(*_LABELS, note="a label without an answer")),
    _add("refusal", "low", fixed(*_REFUSALS, note="a refusal")),
    _add("refusal_in_format", "low", inside(*_REFUSALS, note="a refusal in the format")),
    _add("nothing_words", "low", _nothing),
    _add("prompt_echo", "low", _prompt_echo, kinds=VALUES),
    _add("prompt_in_format", "low", _prompt_in_format, kinds=VALUES),
    _add("operator_echo", "low", _echo(echoes.operators_of_prompt), kinds=MATH | TEXT),
    _add("arithmetic_echo", "low", _echo(echoes.arithmetic_of_prompt), kinds=MATH | TEXT, policy=True),
    _add("unevaluated_operator", "low", _echo(echoes.operators_for), kinds=MATH),
    _add("unevaluated_arithmetic", "low", _echo(echoes.arithmetic_for), kinds=MATH, policy=True),
    _add("constant_answer", "low", _constant, kinds=VALUES),
    _add("all_options", "low", _all_options, kinds=CHOICE),
    _add("first_integers", "low", _integers, kinds=MATH),
    _add("many_boxes", "low", _many_boxes, kinds=VALUES),
    _add("right_in_thought_only", "low", _thought_only, kinds=VALUES),
    _add("negated", "low", _negated, kinds=VALUES),
    _add("negated_inside", "low", _negated_inside, kinds=VALUES),
    _add("right_in_comment", "low", _in_comment, kinds=VALUES),
    _add("tautology", "low", _tautology, kinds=MATH),
    _add("undefined_value", "low", _undefined, kinds=MATH),
    _add("piece_of_right", "low", _part_of_right, kinds=TEXT),
    _add("right_among_much", "low", _right_among_much, kinds=VALUES),
)
