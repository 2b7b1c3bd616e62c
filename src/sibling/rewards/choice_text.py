"""How a piece of text names an option: by its letter in some dress, by its text, by several at once, or by denial."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_DRESS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathsf|mathit|boldsymbol|operatorname|boxed|fbox)\s?(?=\{)"
    r"|\\[()\[\],;!: ]|[{}$*`~\"“”]|(?<!\w)_+|_+(?!\w)|</?[a-z]{1,10}>"
)
_WRONG = (
    r"\s*(?:(?:is|was|are|were|seems?|can|could|would|must|does|do|did)(?:\s(?:clearly|definitely|also|both|all|be))?\s"
    r"(?:not|never|wrong|incorrect|false|invalid|impossible|eliminated|excluded|ruled|out)\b"
    r"|(?:isn|wasn|aren|weren|can|couldn|wouldn|doesn|don|didn)['’]t\b|cannot\b)"
)
_RIGHT = (
    r"\s*(?:is|was|must be|seems|are)\s(?:to be\s)?(?:(?:definitely|clearly|indeed|therefore|thus|also|both)\s)?"
    r"(?:the\s)?(?:only\s)?(?:most\s)?(?:correct|right|best|true|accurate|appropriate|valid|answer)\b"
)
_REASON = (
    r"because|since|as|for|which|given|based|due|hence|so|by|with|here|from|according|considering"
    r"|rather|not|instead|over|but"
)
_DENIAL = (
    r"\b(?:not|never|neither|nor|n['’]t|than|over|except|unlike|instead of|ruled? out|ruling out|eliminate[sd]?"
    r"|excluded?|reject(?:ed)?|(?:isn|wasn|can|couldn)['’]t)\s(?:be\s|likely\s|definitely\s)?"
    r"(?:the answer\s|answer\s|option\s|choice\s)?"
)
_DOUBT = (
    r"\b(?:or|maybe|perhaps|possibly|alternatively|also|(?:could|might|may)(?:\s(?:also|well))?\sbe)[\s,]{1,2}"
    r"(?:also\s|maybe\s|perhaps\s|possibly\s|even\s)?(?:option\s|choice\s|answer\s)?"
)
_LISTED = r"[\s,;/&]{0,3}(?:(?:and|or|nor)\s)?"
_JOINT = re.compile(r"\s(or|and|while|whereas|unless|then|plus|vs|versus)\b")
_ARTICLES = "AI"  # letters that are also words


@dataclass(frozen=True)
class Reading:
    """What a piece of text says: `letter`, or why there is none. Places count from the beginning of the piece."""

    kind: Literal["letter", "hedged", "negated", "none"]
    letter: str = ""
    start: int = 0
    end: int = 0


class Reader:
    """Reads options named by `letters`; `texts` maps the normal form of a text to its letters (several: ambiguous)."""

    def __init__(self, letters: str, texts: Mapping[str, str]) -> None:
        either = "".join(re.escape(c) for c in sorted({*letters, *letters.lower()}))
        upper = "".join(re.escape(c) for c in letters)
        article = "".join(c for c in letters if c in _ARTICLES)
        word = rf"(?:(?<=[{article}])(?!\s(?!(?:or|and|nor|is|are|was|but|must|can)\b)[a-z]))" if article else ""
        bare = rf"(?<![\w'’])([{upper}])(?![\w'’]){word and f'(?:{word}|(?<![{article}]))'}"
        named = rf"[(\[]?{bare}[)\]]?"
        self._texts = texts
        self._head = re.compile(
            r"['‘]?(?:(?i:option|choice|answer|letter)[\s:]{1,2})?"
            rf"(?:[(\[]\s?([{either}])\s?[)\]]|([{either}])\)|([{upper}])(?!\w|[.,:/]\d)|([{either}])(?=\W*$))"
        )
        self._named = re.compile(named)
        self._list = re.compile(rf"(?:{_LISTED}{named}){{0,26}}")
        self._before = re.compile(rf"{named}(?:[\s,/&]|(?:and|or|nor)\s){{1,4}}$")
        self._wrong = re.compile(rf"(?:{_LISTED}{named}){{0,26}}(?i:{_WRONG})")
        self._denied = re.compile(
            rf"(?i:{_DENIAL}){named}(?:{_LISTED}{named}){{0,26}}|{named}(?:{_LISTED}{named}){{0,26}}(?i:{_WRONG})"
            rf"|(?i:\b(?:don['’]t|do not)\s(?:think|believe)\b[^.\n]{{0,30}}?){named}"
        )
        self._offered = re.compile(rf"(?i:{_DOUBT}){named}")
        self.judged = re.compile(rf"(?<![\w'’])(?:[{upper}]|\([{either}]\))(?=[*_`]{{0,2}}(?i:{_RIGHT}))")

    def read(self, piece: str) -> Reading:
        """What `piece`, which begins where an answer is expected, says on its first line."""
        plain, places = undressed(re.split(r"</[a-z]{1,10}>", piece, maxsplit=1)[0])
        indent = len(plain) - len(plain.lstrip())
        line = plain[indent:].split("\n", 1)[0].rstrip()
        found = self._by_letter(line)
        named = self._texts.get(normal_text(line), "")
        if named:
            agrees = found.kind != "letter" or found.letter == named
            found = Reading("letter", named, 0, len(line)) if len(named) == 1 and agrees else Reading("hedged")
        if found.end <= found.start:
            return found
        return Reading(found.kind, found.letter, places[indent + found.start], places[indent + found.end - 1] + 1)

    def _by_letter(self, line: str) -> Reading:
        head = self._head.match(line)
        if head is None:
            return Reading("none")
        group = head.lastindex or 1
        letter, start = head[group].upper(), head.start(group)
        rest = re.sub(r"^['’]", "", line[head.end() :])
        own = self._texts.get(normal_text(rest.lstrip(" .:)-–—,")), "")
        if own:
            return Reading("letter", letter, start, len(line)) if letter in own else Reading("hedged")
        if self._wrong.match(rest):
            return Reading("negated", letter, start, start + 1)
        if re.match(r"\s*\?", rest):
            return Reading("hedged")
        dressed = group <= 2 or re.match(rf"$|[.,;:!)/&→–—。，、-]|\s[(→–—-]|\s(?:{_REASON})\b|(?i:{_RIGHT})", rest)
        beside = self._list.match(rest)
        if not dressed and not (beside and beside.group().strip()):
            return self._joined(rest, letter, start)
        clauses = re.split(r"[.!?;](?:\s|$)", rest)
        alone = any(self._named.fullmatch(c.strip()) and letter not in c for c in clauses[1:])
        if alone or self._others(clauses[0], letter):
            return Reading("hedged")
        return Reading("letter", letter, start, start + 1)

    def _joined(self, rest: str, letter: str, start: int) -> Reading:
        """A letter with a clause behind it: "A or the answer is B" hedges, "A and the answer is B" states A as well."""
        joint = _JOINT.match(rest)
        if joint is None or letter == "I":  # "I and my friend"
            return Reading("none")
        return Reading("hedged") if joint[1] == "or" else Reading("letter", letter, start, start + 1)

    def _others(self, clause: str, letter: str) -> bool:
        """Whether another letter is named in `clause` without being denied there."""
        denied = self.denied(clause)
        return any(found[1] not in (letter, *denied) for found in self._named.finditer(clause))

    def beside(self, before: str, after: str, letter: str) -> bool:
        """Whether another letter stands beside a boxed `letter`: in the clause after it, or right before it."""
        ahead = self._before.search(undressed(before)[0])
        clause = re.split(r"[.!?;](?:\s|$)|\n", undressed(after)[0], maxsplit=1)[0]
        return (ahead is not None and ahead[1] != letter) or "?" in after[:2] or self._others(clause, letter)

    def denied(self, text: str) -> set[str]:
        """The letters that undressed `text` says are not the answer: "not C", "A and B are wrong"."""
        return {named[1] for found in self._denied.finditer(text) for named in self._named.finditer(found.group())}

    def offered(self, text: str) -> set[str]:
        """The letters that `text` puts beside another answer: "or D", "could also be D"."""
        return {found[1] for found in self._offered.finditer(text)}


def undressed(piece: str) -> tuple[str, list[int]]:
    """`piece` without LaTeX and Markdown dress, and the place in `piece` of each character that is left."""
    kept: list[int] = []
    at = 0
    for found in _DRESS.finditer(piece):
        kept.extend(range(at, found.start()))
        at = found.end()
    kept.extend(range(at, len(piece)))
    return "".join(piece[i] for i in kept), kept


def normal_text(text: str) -> str:
    """The form in which texts of options are compared: dress, case, spacing and punctuation around it are nothing."""
    plain, _ = undressed(unicodedata.normalize("NFKC", text))
    return " ".join(plain.casefold().split()).strip(" .,;:'‘’")
