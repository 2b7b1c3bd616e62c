"""Language consistency: the share of a completion's words, thought included, that are in the target language.

DeepSeek-R1 (2501.12948, sec. 2.3.2) rewards the share of words of the target language in the chain of thought, against
thoughts that change language half-way. Words are told apart by their script; where languages share a script the
detector is asked, a sentence at a time (`rewards.detector`). Code, formulas, tags, addresses, numbers, names with
digits, variables and acronyms are not counted (`rewards.scripts`); without spaces two characters are a word.
Measured on eight held-out texts of five sentences (en de fr es zh ja ru ar): 40 of 40 sentences recognised; each text
is 100 % in its own language and 0 % in the others; texts that change language between sentences have the exact share
(112 of 112); where it changes in mid-sentence, after about four words, the share is off by 0.06 on average (280).
Time: about 7 ms for 2,000 characters on one core, nearly all of it the detector.
Bounds: 20,000 characters; of a longer text, 20 pieces of 1,000 spread evenly over it.
Not covered: single foreign words in a sentence of the same script, transliterations, and text hidden in code fences
(what is left is then too little to judge, and the verdict abstains).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_letters

from sibling.batch import Completion, Verdict
from sibling.config import LanguageReward
from sibling.errors import RequestError
from sibling.rewards.detector import (
    candidates,
    check_installed,
    language_code,
    main_language,
    package_versions,
    probabilities,
    scripts_of,
)
from sibling.rewards.scripts import Word, prose, segments
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.tasks.task import Task

_LEAST_WORDS = 5  # fewer say too little
_MOST = 20_000  # characters looked at; of a longer text as many, in pieces spread evenly over it
_PIECES = 20
_CHUNK = (4, 16)  # words the detector is asked about at once: at least, at most
_SPLIT = 8  # words from which a chunk in doubt is halved
_SURE = 0.9
_IN_WORD = frozenset(ascii_letters + "\\")
_REST_OF_TAG = re.compile(r"\A[^<>\n]{0,100}>")
_BEGUN_TAG = re.compile(r"<[^<>\n]{0,100}\Z")
_LIKELY = 0.2  # a probability from which a chunk counts, although another language is ahead


@dataclass(frozen=True)
class Share:
    """`share` of `words` words are in the target language; 0 of 0 is 0."""

    share: float
    words: int


class Language:
    """Right if the share of words in the target language is `threshold` or more; the score is the share.

    The target is the option `language`, else the task's column `language`, else the language of its last user message.
    With fewer than five words of prose, or without a target, the verdict abstains. The reference is not looked at.
    Raises `RequestError` if py3langid is not installed, or if `language` is not known.
    """

    uses_reference = False

    def __init__(self, config: LanguageReward) -> None:
        check_installed("The reward language")
        if config.language is not None and language_code(config.language) is None:
            raise RequestError(
                "The reward language does not know its language",
                seen=config.language,
                wanted="a code such as en or pt-BR",
            )
        self._config = config

    def facts(self) -> dict[str, str]:
        """What decides beside the options, for the record."""
        return {"packages": package_versions("py3langid")}

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        named = self._named(task)
        target = language_code(named) if named is not None else main_language(_prompt(task))
        if target is None and named is not None:
            return error(f"the column `language` holds {str(named)[:20]!r}, which is not known", code="bad_language")
        if target is None:
            return abstain("no language is named, and the prompt is too short to tell", code="no_language")
        found = share_of(completion.text, target)
        if found.words < _LEAST_WORDS:
            return abstain(f"fewer than {_LEAST_WORDS} words of prose", code="too_short")
        reason = f"{found.share:.0%} of {found.words} words are in {target}"
        if found.share >= self._config.threshold:
            return right(reason, found.share, code="consistent")
        return wrong(reason, found.share, code="mixed")

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        named = self._named(task)
        if named is not None:
            return (
                None if language_code(named) else f"its column `language` holds {str(named)[:20]!r}, which is not known"
            )
        return None if main_language(_prompt(task)) else "no language is named, and its prompt is too short to tell"

    def _named(self, task: Task) -> object:
        return self._config.language or task.columns.get("language")


def share_of(text: str, target: str) -> Share:
    """The share of the words of `text` that are in `target`, a code of `detector.language_code`."""
    found = list(segments(prose(_spread(text))))
    total = sum(word.weight for words in found for word in words)
    if target in ("zh", "ja"):
        japanese = any(word.script == "kana" for words in found for word in words)
        ours = sum(_of_han(words, target, japanese) for words in found)
    else:
        ours = sum(_of_script(found, script, target) for script in scripts_of(target))
    return Share(ours / total if total else 0.0, total)


def _of_script(found: Sequence[Sequence[Word]], script: str, target: str) -> int:
    groups = [[word for word in words if word.script == script] for words in found]
    if len(candidates(script, target)) == 1:
        return sum(word.weight for words in groups for word in words)
    return sum(_agreeing(chunk, script, target) for chunk in _chunks(groups))


def _of_han(words: Sequence[Word], target: str, japanese: bool) -> int:
    """Chinese and Japanese share characters: kana in a sentence make it Japanese, but for a stray one."""
    han, kana = (sum(word.weight for word in words if word.script == script) for script in ("han", "kana"))
    if target == "zh":
        return han if kana * 10 <= han else 0
    return han + kana if kana * 10 > han or (japanese and han < _LEAST_WORDS) else 0


def _agreeing(words: Sequence[Word], script: str, target: str) -> int:
    """How many of the words are in `target`; where the detector is in doubt it is asked about each half."""
    found = probabilities(" ".join(word.text for word in words), candidates(script, target))
    best = max(found.values(), default=0.0)
    if best < _SURE and len(words) >= _SPLIT:
        half = len(words) // 2
        return _agreeing(words[:half], script, target) + _agreeing(words[half:], script, target)
    return len(words) if found.get(target, 0.0) >= min(best, _LIKELY) > 0 else 0


def _chunks(groups: Sequence[Sequence[Word]]) -> Iterator[list[Word]]:
    """Sentences cut into pieces of at most 16 words, and short ones put together until they have 4."""
    waiting: list[Word] = []
    for words in groups:
        at = 0
        while len(words) - at > _CHUNK[1]:
            cut = at + (len(words) - at + 1) // 2 if len(words) - at < 2 * _CHUNK[1] else at + _CHUNK[1]
            yield [*waiting, *words[at:cut]]
            waiting, at = [], cut
        waiting = [*waiting, *words[at:]]
        if len(waiting) >= _CHUNK[0]:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _spread(text: str) -> str:
    """`text`, or pieces of it if it is long."""
    if len(text) <= _MOST:
        return text
    length, step = _MOST // _PIECES, (len(text) - _MOST // _PIECES) / (_PIECES - 1)
    starts = [round(i * step) for i in range(_PIECES)]
    return "\n".join(_whole(text, start, start + length) for start in starts)


def _whole(text: str, start: int, end: int) -> str:
    """`text[start:end]` without the word, tag or command that is cut at either end: its rest would look like a word."""
    piece = text[start:end]
    if start > 0 and text[start - 1] in _IN_WORD:
        piece = piece.lstrip(ascii_letters)
    if start > 0:
        piece = _REST_OF_TAG.sub("", piece)
    if end < len(text):
        piece = _BEGUN_TAG.sub("", piece)
    return piece.rstrip(ascii_letters) if end < len(text) and text[end] in ascii_letters else piece


def _prompt(task: Task) -> str:
    """The last message of the user."""
    asked = [message.get("content", "") for message in task.messages if message.get("role") == "user"]
    return asked[-1] if asked else ""
