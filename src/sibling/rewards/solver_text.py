"""The reader of SMT-LIB terms and of values, for `rewards.solver`.

Text of an answer reaches z3 only after this reader: it has to be one term whose every name is declared by the task,
bound by the term itself, or a function of the theories (core, numbers, bit vectors, arrays, strings). Commands
(`assert`, `set-option`, `define-fun`, `include` ...) are no such names. What z3 sees is written anew.
Bounds: 20,000 characters, 5,000 words, depth 100, numerals of 200 digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Any

from sibling.rewards.json_text import NotJsonError, parse

MOST_CHARACTERS = 20_000
_MOST_WORDS = 5_000
_MOST_DEPTH = 100
_MOST_NUMERAL = 200
_MOST_INDEX = 4  # digits of what stands in (_ extract i j): a width of 9,999 bits
_WORD = re.compile(r'\s+|;[^\n]*|([()])|("(?:[^"\\]|"")*")|(\|[^|\\]*\||[^\s()"|;]+)')
_NUMERAL = re.compile(r"\d+(\.\d+)?|#b[01]+|#x[0-9a-fA-F]+", re.ASCII)
_COMMANDS = frozenset({"declare-const", "declare-fun", "declare-sort", "declare-datatype", "declare-datatypes"})
_DEFINITIONS = frozenset({"define-fun", "define-sort", "define-const"})
_CORE = frozenset(("true", "false", "not", "=>", "and", "or", "xor", "=", "distinct", "ite", "let", "forall", "exists"))
_NUMBERS = ("+", "-", "*", "/", "div", "mod", "abs", "<", "<=", ">", ">=", "to_real", "to_int", "is_int", "divisible")
_SORTS = ("Int", "Real", "Bool", "String", "RegLan", "BitVec", "Array", "_")
_BIT_VECTORS = ("concat", "extract", "repeat", "zero_extend", "sign_extend", "rotate_left", "rotate_right", "int2bv")
_THEORIES = frozenset((*_NUMBERS, *_SORTS, *_BIT_VECTORS, "select", "store", "const", "as"))
_PREFIXES = ("bv", "str.", "re.")
_COMMAND = re.compile(
    r"assert|check-.*|set-.*|get-.*|define-.*|declare-.*|include|push|pop|reset.*|exit|echo|eval|apply"
)
_PAIR = re.compile(r"\s*([A-Za-z_][\w.!-]{0,60})\s*(?::=|=|:)\s*([^=,;\n]{1,220}?)\s*(?:,|;|\n|\band\b|$)")
_BITS = re.compile(r"\(_ BitVec (\d{1,4})\)", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,200}(?:\.\d{1,200}|/\d{1,200})?", re.ASCII)

Expression = Any  # a word, or a list of expressions


class UnreadableError(ValueError):
    """The text is not what it should be; `code` is the reason as one word."""

    def __init__(self, reason: str, code: str = "unreadable") -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


def expressions(text: str) -> list[Expression]:
    """The s-expressions of a text, as nested lists of words. Raises `UnreadableError`.

    >>> expressions("(+ x 1) ; a sum")
    [['+', 'x', '1']]
    """
    if len(text) > MOST_CHARACTERS:
        raise UnreadableError(f"it is longer than {MOST_CHARACTERS} characters", "too_long")
    stack: list[list[Expression]] = [[]]
    place = words = 0
    while place < len(text):
        match = _WORD.match(text, place)
        if match is None:
            raise UnreadableError(f"character {place + 1} begins no word")
        place = match.end()
        bracket, string, word = match.groups()
        words += bool(bracket or string or word)
        if words > _MOST_WORDS or len(stack) > _MOST_DEPTH:
            raise UnreadableError(f"it has more than {_MOST_WORDS} words or is deeper than {_MOST_DEPTH}", "too_long")
        if bracket == "(":
            stack.append([])
        elif bracket == ")":
            if len(stack) == 1:
                raise UnreadableError("a bracket is closed that was not opened")
            done = stack.pop()
            stack[-1].append(done)
        elif string or word:
            stack[-1].append(string or word)
    if len(stack) > 1:
        raise UnreadableError("a bracket is not closed")
    return stack[0]


def written(expression: Expression) -> str:
    """The text of what was read."""
    if isinstance(expression, str):
        return expression
    return f"({' '.join(map(written, expression))})"


def words_of(expression: Expression) -> Iterator[str]:
    """Every word, in order."""
    if isinstance(expression, str):
        yield expression
        return
    for part in expression:
        yield from words_of(part)


def term(text: str, declared: Collection[str]) -> str:
    """The one term that a text states, written anew. Raises `UnreadableError`.

    >>> term("(> x 3)", {"x"})
    '(> x 3)'
    """
    found = expressions(text)
    if not found:
        raise UnreadableError("there is no term", "no_answer")
    if len(found) > 1:
        raise UnreadableError("it is more than one term")
    known = set(declared) | _bound_names(found[0])
    for word in words_of(found[0]):
        _check_word(word, known)
    return written(found[0])


def _check_word(word: str, known: Collection[str]) -> None:
    if word in known or word in _CORE or word in _THEORIES or word.startswith(_PREFIXES):
        if not word.isprintable() or not word.isascii():
            raise UnreadableError("it holds characters that are no text")
        return
    if word.startswith('"') and word.isascii() and word.isprintable():
        return
    if _NUMERAL.fullmatch(word) and len(word) <= _MOST_NUMERAL:
        return
    code = "forbidden" if _COMMAND.fullmatch(word) else "unreadable"
    raise UnreadableError(f"the name {word[:30]!r} is not declared", code)


def _bound_names(expression: Expression) -> set[str]:
    """Names bound by let, forall and exists. (One that is bound somewhere is let through anywhere; z3 refuses it.)"""
    found: set[str] = set()
    for part in _lists_of(expression):
        if len(part) == 3 and part[0] in ("let", "forall", "exists") and isinstance(part[1], list):
            found |= {b[0] for b in part[1] if isinstance(b, list) and len(b) == 2 and isinstance(b[0], str)}
        if part[:1] == ["_"] and any(len(w) > _MOST_INDEX for w in words_of(part) if w.isdecimal()):
            raise UnreadableError("a width is out of range", "too_long")
    return {name for name in found if re.fullmatch(r"[A-Za-z_][\w.!]{0,60}", name, re.ASCII)}


def _lists_of(expression: Expression) -> Iterator[list[Expression]]:
    waiting = [expression]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
            yield part


def declared_names(declarations: str) -> set[str]:
    """Every name that the task's declarations speak of. Raises `UnreadableError` if they do more than declare."""
    found: set[str] = set()
    for command in expressions(declarations):
        if not isinstance(command, list) or not command or command[0] not in _COMMANDS | _DEFINITIONS:
            raise UnreadableError(f"not a declaration: {written(command)[:60]}")
        found |= set(words_of(command[1:]))
    return found


def constants(declarations: str) -> dict[str, str]:
    """Declared constants: name -> sort, as it is written. Raises `UnreadableError` on anything that is none."""
    found: dict[str, str] = {}
    for command in expressions(declarations):
        if isinstance(command, list) and command[0] == "declare-const" and len(command) == 3:
            found[command[1]] = written(command[2])
        elif isinstance(command, list) and command[0] == "declare-fun" and len(command) == 4 and command[2] == []:
            found[command[1]] = written(command[3])
        else:
            raise UnreadableError(f"not a constant: {written(command)[:60]}")
    return found


def formulas(reference: str) -> str:
    """One formula that says all that a reference asks for: formulas, each alone or in (assert ...)."""
    parts = [part[1] if part[0] == "assert" and len(part) == 2 else part for part in expressions(reference)]
    if not parts:
        raise UnreadableError("there is no formula")
    return written(parts[0]) if len(parts) == 1 else written(["and", *parts])


# ---------------------------------------------------------------------------------------------- values


def stated_values(text: str, sorts: dict[str, str]) -> dict[str, str]:
    """The value of every constant, as SMT-LIB writes it. Raises `UnreadableError`.

    >>> stated_values("x = 3, y = -1/2", {"x": "Int", "y": "Real"})
    {'x': '3', 'y': '(- (/ 1.0 2.0))'}
    """
    if len(text) > MOST_CHARACTERS:
        raise UnreadableError(f"it is longer than {MOST_CHARACTERS} characters", "too_long")
    pairs = _pairs(text)
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise UnreadableError(f"it gives {name[:40]} twice", "hedged")
        if name not in sorts:
            raise UnreadableError(f"there is no {name[:40]!r}", "unreadable")
        values[name] = _value(value, sorts[name])
    if missing := sorted(set(sorts) - set(values)):
        raise UnreadableError(f"no value for {', '.join(missing)[:60]}", "missing_value")
    return values


def _pairs(text: str) -> list[tuple[str, str]]:
    text = text.strip()
    if text.startswith("{"):
        try:
            stated = parse(text)
        except NotJsonError as failure:
            raise UnreadableError(
                failure.reason, "hedged" if failure.code == "duplicate_key" else failure.code
            ) from None
        return [(name, json.dumps(v) if isinstance(v, str | bool) else str(v)) for name, v in stated.items()]
    if text.startswith("("):
        found = expressions(text)
        if len(found) != 1 or not all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) for p in found[0]):
            raise UnreadableError("it is not a list of names with values")
        return [(name, _plain(value)) for name, value in found[0]]
    place, pairs = 0, []
    while place < len(text):
        match = _PAIR.match(text, place)
        if match is None or match.end() == place:
            raise UnreadableError("it is not a list of names with values")
        pairs.append((match.group(1), match.group(2).strip()))
        place = match.end()
    return pairs


def _plain(value: Any) -> str:
    """(- 3) and (/ 1 2) as -3 and 1/2."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "-":
        return "-" + _plain(value[1])
    if isinstance(value, list) and len(value) == 3 and value[0] == "/":
        return f"{_plain(value[1])}/{_plain(value[2])}".replace(".0", "")
    return written(value)


def _value(text: str, sort: str) -> str:
    """A value of that sort, as SMT-LIB writes it. Raises `UnreadableError`."""
    bits = _BITS.fullmatch(sort)
    if sort == "Bool" and text.lower() in ("true", "false"):
        return text.lower()
    if sort == "String" and re.fullmatch(r'"[ !#-\[\]-~]{0,200}"', text):
        return text
    if bits and re.fullmatch(r"#b[01]{1,9999}|#x[0-9a-fA-F]{1,2500}", text):
        width = len(text[2:]) * (1 if text[1] == "b" else 4)
        if width == int(bits.group(1)):
            return text.lower()
    elif (sort in ("Int", "Real") or bits) and _DECIMAL.fullmatch(text) and not re.search(r"/0+$", text):
        number = Fraction(text)
        if bits and number.denominator == 1 and 0 <= number < 2 ** int(bits.group(1)):
            return f"(_ bv{number} {bits.group(1)})"
        if sort == "Real":
            size = f"(/ {abs(number).numerator}.0 {number.denominator}.0)"
            return f"(- {size})" if number < 0 else size
        if sort == "Int" and number.denominator == 1:
            return f"(- {-number})" if number < 0 else str(number)
    raise UnreadableError(f"{text[:30]!r} is no value of sort {sort}", "wrong_type")
