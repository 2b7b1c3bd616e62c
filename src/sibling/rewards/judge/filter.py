"""What is refused before a judge is asked: nothing, too much, marks alone, master keys, and text for the grader.

Some judges accept ":" , "Solution" or "Thought process:" in up to 90 % of cases (2507.08794), believe an answer that
calls itself correct, and follow orders found in it. Each rule has a code to count by:

    empty too_short too_long only_punctuation   nothing there, or not to be read
    forged_delimiter forged_verdict              the form of our prompt's markers; a verdict in place of an answer
    grader_addressed self_praise                 orders to the grader; "this answer is correct"
    label_only master_key                        "Answer:"; words that open or announce an answer, and no answer
    no_number                                    the reference is a number and the answer states none, even in words
    restatement                                  the question over again, with nothing added

An answer that is the reference, or that breaks a rule which the reference breaks as well, goes to the judge. The last
four rules do not apply to the question `harmless`.
Covered and not covered: see `words` and `patterns`. A wrong answer that is plainly stated is none of this module's
business: it goes to the judge.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from sibling.rewards.judge.patterns import (
    ABOUT_ITSELF,
    ADDRESSED,
    FORGED_DELIMITER,
    FORGED_VERDICT,
    OPENING,
    SELF_PRAISE,
    Asked,
)
from sibling.rewards.judge.words import fold, states_number, states_symbol, without_fillers, words_of

_FEW_WORDS = 40
"""Longer answers are not called a label, whatever they end in."""
_WRAPPERS = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|texttt|emph|underline|mathrm|mathbf|mathsf|operatorname|left|right|quad|qquad|displaystyle)\b"
    r"|</?[a-z][a-z0-9]{0,15}\s{0,3}/?>|&nbsp;|```[a-z]{0,10}|\bn\s?/\s?a\b|\bq\.?\s?e\.?\s?d\b|(?<=[a-z])['’][a-z]{1,2}\b"
)
_NUMBERED = re.compile(
    r"\b(?:step|part|method|approach|case|phase|section|paso|etape|passo|schritt|stap|steg|krok|adim|langkah|buoc|шаг|крок|βημα|चरण)\s{0,2}[#:]?\s{0,2}\d{1,2}\b"
    r"|(?:步骤|步驟|ステップ|第|단계|ขั้นตอนที่)\s?[0-9一二三四五]{1,2}\s?(?:步|段階|단계)?"
    r"|\b(?:solution|answer|question|problem)\s{0,2}#?\d{1,2}\s{0,2}[:.)]{1,2}\s{0,4}$"
)
_NUMERAL = re.compile(r"[^\w\s]{0,3}\s?[-+−]?\s?[$€£]?\s?\d[\d.,/ ]*\s?%?[^\w\s]{0,3}")
_TOPICS = frozenset(("ignor", "overrid", "bypass", "disregard", "forget"))
_ROLES = frozenset(("judge", "grade", "evaluat", "examin", "system", "assistant", "reward model"))
_LETTERS_THAT_ARE_WORDS = frozenset("aeiouy")


@dataclass(frozen=True)
class Refusal:
    """Why an answer is refused without asking."""

    code: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """Characters: fewer than `least` (white space apart) or more than `most` are refused."""

    least: int
    most: int


def refuse(
    answer: str, *, asked: Asked, question: str, reference: str | None, limits: Limits, thought: int = 0
) -> Refusal | None:
    """Why `answer` is not put to a judge, or None if it is.

    `thought`: how many of its first characters are the thought; a thought may well say of itself that it is right.
    """
    if len(answer) > limits.most:
        return Refusal("too_long", f"{len(answer)} characters, more than {limits.most}")
    characters = sum(1 for c in answer if not _invisible(c))
    if characters == 0:
        return Refusal("empty", "nothing is answered")
    if characters < limits.least:
        return Refusal("too_short", f"{characters} characters, fewer than {limits.least}")
    folded = fold(answer)
    known = fold(reference or "")
    if reference is not None and folded.strip() == known.strip():
        return None
    asks = fold(question)
    return _manipulation(folded, fold(answer[thought:]), known, asks, asked) or _emptiness(folded, known, asks, asked)


def _manipulation(folded: str, spoken: str, known: str, question: str, asked: Asked) -> Refusal | None:
    for code, reason, pattern, text in (
        ("forged_delimiter", "it imitates the markers around an answer", FORGED_DELIMITER, folded),
        ("grader_addressed", "it speaks to the grader", ADDRESSED, folded),
        ("forged_verdict", "it states a verdict on itself", FORGED_VERDICT, folded),
        ("self_praise", "it vouches for itself", SELF_PRAISE[asked], spoken),
    ):
        found = pattern.search(text)
        if found and not pattern.search(known) and not _on_topic(code, found.group(), question, asked):
            return Refusal(code, f"{reason}: {' '.join(found.group().split())[:60]!r}")
    return None


def _on_topic(code: str, found: str, question: str, asked: Asked) -> bool:
    """Whether the question is about what makes the text suspicious: how to ignore a rule, whether a proof is right.

    Prompts often mention grades and graders, so that for `correct` those are never a topic.
    """
    if code == "self_praise":
        return ABOUT_ITSELF.search(question) is not None
    if code == "grader_addressed":
        stems = _TOPICS if asked == "correct" else _TOPICS | _ROLES
        return any(stem in found and stem in question for stem in stems)
    return False


def _emptiness(folded: str, known: str, question: str, asked: Asked) -> Refusal | None:
    bare = _WRAPPERS.sub(" ", folded)
    if not any(c.isalnum() for c in bare) and not states_symbol(bare):
        return Refusal("only_punctuation", "there is neither a letter nor a digit")
    if asked == "harmless":  # to say nothing, or that one will not say it, does no harm
        return None
    words = words_of(bare)
    if len(words) <= _FEW_WORDS and _announces(bare):
        return Refusal("label_only", "it ends where the answer should begin")
    if not _states(_without_openings(_NUMBERED.sub(" ", bare), known)) and (not known or _states(known)):
        return Refusal("master_key", "it opens or announces an answer and gives none")
    if asked == "correct" and _NUMERAL.fullmatch(known.strip()) and not _may_be_number(bare, words):
        return Refusal("no_number", "the reference is a number and the answer states none")
    if _restates(words, words_of(question), known):
        return Refusal("restatement", "it repeats the question and adds nothing")
    return None


def _announces(bare: str) -> bool:
    text = bare.rstrip(" \t\r\n*_#`~\"'$}])>")
    if not text.endswith((":", "：", "...", "…", "﹕", "∶", "=")):
        return False
    return not any(c.isdigit() or c in "=+/<>" for c in _NUMBERED.sub(" ", bare)[:-1].rstrip(" :：=…."))


def _without_openings(bare: str, known: str) -> str:
    """The text without sentences that only say what is about to be done; one that holds the reference stays."""
    sentences = re.split(r"(?<=[.!?。！？;])\s|\n", bare)
    kept = [s for s in sentences if (known and known in s) or not OPENING.match(s) or any(c.isnumeric() for c in s)]
    return "\n".join(kept)


def _states(bare: str) -> bool:
    """Whether a word states something. A single letter does if it is no word, or the last one: it may be a choice."""
    words = words_of(bare)
    if states_symbol(bare) or _last_letter(words):
        return True
    return bool(without_fillers(words))


def _may_be_number(bare: str, words: list[str]) -> bool:
    if states_number(bare) or "\\" in bare or _last_letter(words):
        return True
    return any(len(w) == 1 and w.isascii() and w not in _LETTERS_THAT_ARE_WORDS for w in words)


def _last_letter(words: list[str]) -> bool:
    return bool(words) and len(words[-1]) == 1 and words[-1].isascii() and words[-1].isalpha()


def _restates(words: list[str], question: list[str], known: str) -> bool:
    """Three words in a row of the question are nearly all there, and no word beyond the question's states anything."""
    if len(question) < 3 or len(words) < 3:
        return False
    there = {tuple(words[i : i + 3]) for i in range(len(words) - 2)}
    asked = [tuple(question[i : i + 3]) for i in range(len(question) - 2)]
    if sum(t in there for t in asked) < 0.7 * len(asked):
        return False
    added = Counter(words) - Counter(question)
    extra = without_fillers(list(added.elements()))
    stated = words_of(known)
    return not extra and not (stated and words[-len(stated) :] == stated and question[-len(stated) :] != stated)


def _invisible(c: str) -> bool:
    return c.isspace() or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp")
