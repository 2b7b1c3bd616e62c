"""The tokens of an answer in LaTeX, plain text or unicode. Linear in its length; spacing and sizing commands vanish.

Numbers keep the spelling they have without separators: `1,000`, `1{,}000`, `1\\,000` and `1 000` are all 1000. A comma
between groups of three digits is a separator outside brackets only: `(1,234)` is a pair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sibling.rewards.math.characters import plain
from sibling.rewards.math.commands import BARE, GONE, SAME, TEXT, WITH_ARGUMENT
from sibling.rewards.math.tree import TooHardError, UnreadableError

MOST_CHARACTERS = 5_000  # of one answer
MOST_TOKENS = 3_000
MOST_DIGITS = 2_000  # of one number

_THIN = r"(?:\{,\}|\\,|\\!|,\\!|\\ |~|\\;|\\:)"
_TOKEN = re.compile(
    r"(?P<space>(?:\s|~|\\[,;:!>/ ]|\\(?:left|right)\s*\.)+)"
    r"|(?P<repeat>[0-9]*\.[0-9]*(?:\\(?:overline|bar)\s*(?:\{[0-9]+\}|[0-9])|\\dot\s*\{?[0-9]\}?(?:[0-9]*\\dot\s*\{?[0-9]\}?)?|\([0-9]+\)))"
    rf"|(?P<thin>[0-9]{{1,3}}(?:{_THIN}[0-9]{{3}})+(?![0-9])(?:\.[0-9]+)?)"
    r"|(?P<spaced>[0-9]{1,3}(?: [0-9]{3})+(?![0-9])(?:\.[0-9]+)?)"
    r"|(?P<comma>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?)"
    r"|(?P<num>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+(?![0-9A-Za-z.]))?)"
    r"|(?P<command>\\[A-Za-z]+)"
    r"|(?P<row>\\\\(?:\[[^\]]{0,12}\])?)"
    r"|(?P<letters>[A-Za-z]+)"
    r"|(?P<op>\\[^A-Za-z]|\.\.\.|\*\*|<=|>=|!=|=<|==|.)",
    re.DOTALL,
)
_OPEN, _CLOSE = frozenset({"(", "[", r"\{", r"\langle"}), frozenset({")", "]", r"\}", r"\rangle"})


@dataclass(frozen=True)
class Token:
    """kind: num repeat letters word command op row. `space`: white space stands before it. A word comes from \\text."""

    kind: str
    text: str
    space: bool = False


def tokens_of(text: str, *, commas: bool = True) -> list[Token]:
    """The tokens of `text`. `commas` false: a comma never separates groups of digits.

    Raises `TooHardError` beyond the bounds of this module, `UnreadableError` for braces that do not match.
    """
    if len(text) > MOST_CHARACTERS:
        raise TooHardError(f"more than {MOST_CHARACTERS:,} characters")
    text = _meridiem(plain(text)).strip()
    lexer = _Lexer(text, commas)
    lexer.run()
    return lexer.found


def braces(text: str) -> dict[int, int]:
    """Where the brace that opens at a place closes; those that never close are left out. One pass, no recursion."""
    waiting: list[int] = []
    closes: dict[int, int] = {}
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            waiting.append(match.start())
        elif match[0] == "}" and waiting:
            closes[waiting.pop()] = match.start()
    return closes


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_MERIDIEM = re.compile(r"(?<![A-Za-z])([ap])\.\s?m\.?(?![A-Za-z])", re.IGNORECASE)


_TIMES_TEN = re.compile(r"(?<=[0-9])\s?[xX]\s?(?=10\s?\^)")  # 3.5x10^-5


def _meridiem(text: str) -> str:
    return _MERIDIEM.sub(lambda match: match[1].lower() + "m", _TIMES_TEN.sub("*", text))


class _Lexer:
    def __init__(self, text: str, commas: bool) -> None:
        self._text, self._commas = text, commas
        self._closes = braces(text)
        self._dropped: set[int] = set()  # closing braces of \text{...}
        self._text_until = -1
        self._depth = 0
        self._space = False
        self._dollars = len(re.findall(r"(?<!\\)\$", text)) % 2 == 1  # an odd one is a currency sign
        self._loose = ", " in text
        self.found: list[Token] = []

    def run(self) -> None:
        place = 0
        while place < len(self._text):
            match = _TOKEN.match(self._text, place)
            assert match is not None  # the last branch takes any character
            place = self._take(match)
            if len(self.found) > MOST_TOKENS:
                raise TooHardError(f"more than {MOST_TOKENS:,} tokens")

    def _take(self, match: re.Match[str]) -> int:
        kind, written = match.lastgroup or "", match[0]
        if kind == "space":
            self._space = True
        elif kind in ("num", "thin", "spaced", "comma"):
            return self._number(match)
        elif kind == "repeat":
            self._add("repeat", written)
        elif kind == "command":
            return self._command(SAME.get(written, written), match.end())
        elif kind == "row":
            self._add("row", "\\\\")
        elif kind == "letters":
            self._add("word" if match.start() < self._text_until else "letters", written)
        else:
            self._operator(SAME.get(written, written), match.start())
        return match.end()

    def _number(self, match: re.Match[str]) -> int:
        kind, written, end = match.lastgroup, match[0], match.end()
        lists = not self._commas or (self._depth and not self._loose)
        if kind == "comma" and lists and ",0" not in written:  # no list has an element 000
            written = written.partition(",")[0]
            end = match.start() + len(written)
        elif kind == "spaced" and self._depth:
            written = written.partition(" ")[0]
            end = match.start() + len(written)
        if kind != "num":
            written = re.sub(r"[^0-9.]", "", written)
        if len(written) > MOST_DIGITS:
            raise TooHardError(f"a number of more than {MOST_DIGITS:,} digits")
        self._add("num", written)
        return end

    def _command(self, written: str, end: int) -> int:
        if written in GONE:
            self._space = self._space or "quad" in written
        elif written in TEXT or written in BARE:
            opening = end + (len(self._text[end : end + 2]) - len(self._text[end : end + 2].lstrip()))
            if opening in self._closes:
                closing = self._closes[opening]
                self._dropped.add(closing)
                if written in TEXT:
                    self._text_until = max(self._text_until, closing)
                self._space = self._space or (written in TEXT and self._text[opening + 1 : opening + 2] == " ")
                return opening + 1
        elif written in WITH_ARGUMENT:
            return self._closes.get(end, end - 1) + 1
        elif written.startswith("\\"):
            self._add("command", written)
            if written in _OPEN or written in _CLOSE:
                self._bracket(written)
        else:
            self._add("letters" if written.isalpha() else "op", written)
        return end

    def _operator(self, written: str, place: int) -> None:
        if written == "}" and place in self._dropped:
            return
        if written == "$" and not (
            self._dollars or self._text[place - 1 : place] == "\\" or written != self._text[place]
        ):
            self._space = True
        elif written in ('"', "`", "“", "”", r"\(", r"\)", r"\[", r"\]") or (written == "." and self.found):
            ends = not self._text[place + 1 : place + 20].strip(" .}")
            if written == "." and not (self.found[-1].kind in ("word", "letters") or ends):
                raise UnreadableError("a full stop within the answer")
            self._space = True
            if written == "." and len(self.found) == 1 and self.found[0].text in tuple("ABCDEFGHIJ"):
                self._add("op", ".")  # of a choice: C. 12
        else:
            self._bracket(written)
            self._add("op" if not written.startswith("\\") or written in (r"\{", r"\}") else "command", written)

    def _bracket(self, written: str) -> None:
        if written in _OPEN:
            self._depth += 1
        elif written in _CLOSE:
            self._depth = max(0, self._depth - 1)

    def _add(self, kind: str, text: str) -> None:
        self.found.append(Token(kind, text, self._space))
        self._space = False
