"""The right answer with something around it: its verdict must be kept.

Where the format marks the answer (a box, `####`, a phrase), what stands around it is the model's to choose. Where the
completion is the answer and nothing else, or where tags allow nothing outside, text around it is a matter of declared
policy, and the same rewrites run there as `..._where_unmarked`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from sibling.audit.kinds import Probe, Seed, Variant
from sibling.audit.probes.build import (
    MATH,
    TEXT,
    VALUES,
    Format,
    core,
    format_of,
    group_of,
    short,
    texts,
    wrapped,
    wrongs,
)

_add = group_of("presentation")
_BOXED: frozenset[Format] = frozenset({"boxed"})
_MARKED: frozenset[Format] = frozenset({"boxed", "hash", "fence", "other"})
_FIRST: frozenset[Format] = frozenset({"boxed", "hash", "other"})
_SENTENCE = "Let us look at the task with care and go through it step by step until the result is clear"
_NEUTRAL = _SENTENCE.split()

Around = Callable[[Seed], Iterable[str]]


@lru_cache(maxsize=8)
def neutral(words: int) -> str:
    """So many words that say nothing of any answer: no digits, no single letters, no negation."""
    repeated = [_NEUTRAL[k % len(_NEUTRAL)] for k in range(words)]
    lines = [" ".join(repeated[at : at + 16]) for at in range(0, words, 16)]
    return "\n".join(lines)


def _around(
    name: str, around: Around, marked: frozenset[Format], *, kinds: frozenset[str] = VALUES
) -> tuple[Probe, Probe]:
    def where(seed: Seed) -> Iterator[Variant]:
        if format_of(seed) in marked:
            yield from texts(seed, around(seed), name.replace("_", " "))

    def elsewhere(seed: Seed) -> Iterator[Variant]:
        if format_of(seed) not in marked:
            yield from texts(seed, around(seed), name.replace("_", " "))

    return (
        _add(name, "keep", where, kinds=kinds),
        _add(f"{name}_where_unmarked", "keep", elsewhere, kinds=kinds, policy=True),
    )


def _core(seed: Seed) -> str:
    return core(seed, seed.answer)


def _white_space(seed: Seed) -> Iterator[Variant]:
    forms = ("  {}", "{}  ", "{}\n", "\n\n{}\n\n")
    yield from texts(seed, [form.replace("{}", seed.right) for form in forms], "white space around")


def _white_space_inside(seed: Seed) -> Iterator[Variant]:
    if format_of(seed) != "other":  # within a sentence it would look like a slip
        yield from wrapped(seed, [f" {seed.answer} ", f"{seed.answer}\n"], "white space around the answer")


def _no_break_space(seed: Seed) -> Iterator[Variant]:
    yield from texts(seed, [f"\u00a0{seed.right}", f"{seed.right}\u00a0"], "a no-break space around")


def _full_stop(seed: Seed) -> Iterator[str]:
    if not seed.answer.endswith("."):
        yield f"{_core(seed)}."


def _lines(seed: Seed) -> Iterator[str]:
    yield f"{neutral(40)}\n\n{seed.right}".replace("\n", "\r\n")


def _think_draft(seed: Seed) -> Iterator[str]:
    for wrong in wrongs(seed, 1):
        yield f"<think>At first sight {seed.wrap(wrong)}, which has to be checked.</think>\n{seed.right}"


def _corrected(seed: Seed) -> Iterator[Variant]:
    for wrong in wrongs(seed, 1):
        for words in ("Wait, no.", "Wait, that is not right. Let me correct it:"):
            yield Variant(
                f"First {seed.wrap(wrong)}. {words} {seed.right}", f"{short(wrong)} corrected to the right answer"
            )


def _boxes(seed: Seed) -> Iterator[Variant]:
    if format_of(seed) == "boxed":
        yield from texts(
            seed,
            [
                rf"\boxed {{{seed.answer}}}",
                rf"\boxed{{ {seed.answer} }}",
                rf"\fbox{{{seed.answer}}}",
                rf"\boxed{{\boxed{{{seed.answer}}}}}",
            ],
            "another way to write the box",
        )


def _mathematics(seed: Seed) -> Iterator[str]:
    said = core(seed, seed.answer)
    yield from (f"${said}$", f"$${said}$$", rf"\[{said}\]", rf"\({said}\)")


def _zero_width(seed: Seed) -> Iterator[str]:
    yield f"\ufeff{seed.right}"
    yield f"\u200b{seed.right}\u200b"


def _zero_width_inside(seed: Seed) -> Iterator[Variant]:
    yield from wrapped(
        seed, [f"\u200b{seed.answer}", f"{seed.answer}\u200b", f"\u2060{seed.answer}"], "zero-width characters"
    )


def _compatible(seed: Seed) -> Iterator[Variant]:
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c.isalnum() else c for c in seed.answer)
    if "\\" not in seed.answer:
        yield from wrapped(seed, [wide], "full-width characters, which NFKC maps to plain ones")


_AROUND = (
    _around("preamble_of_20_words", lambda s: [f"{neutral(20)}.\n\n{s.right}"], _MARKED),
    _around("preamble_of_200_words", lambda s: [f"{neutral(200)}.\n\n{s.right}"], _MARKED),
    _around("preamble_of_5000_words", lambda s: [f"{neutral(5000)}.\n\n{s.right}"], _MARKED),
    _around("line_ends", _lines, _MARKED),
    _around("bold", lambda s: [f"**{_core(s)}**", f"So **{_core(s)}**."], _BOXED),
    _around("italic", lambda s: [f"*{_core(s)}*"], _BOXED),
    _around("sentence", lambda s: [f"So the final answer is ${_core(s)}$.", f"Therefore: {_core(s)}."], _BOXED),
    _around("code_fence", lambda s: [f"```\n{s.right}\n```"], _BOXED),
    _around("sign_off", lambda s: [f"{s.right}\n\nI hope this helps!", f"{s.right} Let me know how it goes."], _BOXED),
    _around("think_block", lambda s: [f"<think>\n{neutral(60)}.\n</think>\n\n{s.right}"], _FIRST),
    _around("think_block_with_draft", _think_draft, _BOXED, kinds=MATH),
    _around("mathematics_mode", _mathematics, _BOXED),
    _around("zero_width_around", _zero_width, _BOXED),
    _around("full_stop", _full_stop, _FIRST),
    _around("heading", lambda s: [f"## Answer\n\n{_core(s)}", f"- {_core(s)}"], _BOXED),
)
PROBES: tuple[Probe, ...] = (
    *(probe for pair in _AROUND for probe in pair),
    _add("white_space_around", "keep", _white_space, kinds=VALUES),
    _add("no_break_space", "keep", _no_break_space, kinds=VALUES),
    _add("white_space_inside", "keep", _white_space_inside, kinds=VALUES),
    _add("box_spellings", "keep", _boxes, kinds=VALUES),
    _add("self_correction", "keep", _corrected, kinds=MATH, policy=True),
    _add("zero_width_inside", "keep", _zero_width_inside, kinds=VALUES, policy=True),
    _add("full_width_letters", "keep", _compatible, kinds=TEXT, policy=True),
)  # fmt: skip
