"""What a kind of instruction is: a name, parameters that are checked before training, and one small function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sibling.rewards.detector import language_code
from sibling.rewards.instructions.answer import Answer

Relation = Literal["at least", "at most", "exactly", "more than", "less than"]
RELATIONS: tuple[Relation, ...] = ("at least", "at most", "exactly", "more than", "less than")
_MOST_COUNT = 100_000
_MOST_TEXT = 20_000
_MOST_KEYWORDS = 100

Shape = Literal["count", "relation", "text", "texts", "letter", "word", "language"]
Values = Mapping[str, Any]
Check = Callable[[Answer, Values], str]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kind; `default` None: it has to be given."""

    name: str
    shape: Shape
    words: str
    default: Any = None
    optional: bool = False  # may be left out although there is no default


@dataclass(frozen=True)
class Kind:
    """A kind of instruction. `check` returns why the answer does not follow it, or nothing if it does."""

    name: str
    words: str  # one line for the documentation
    check: Check
    parameters: tuple[Parameter, ...] = ()
    short: bool = False  # a few words can be a whole answer to it, so that the least number of words does not apply

    def fault(self, values: Values) -> str | None:
        """What is wrong with the parameters, in words."""
        known = [p.name for p in self.parameters]
        for name in values:
            if name not in known:
                return f"takes no parameter {name!r}; it takes {', '.join(known) or 'none'}"
        for parameter in self.parameters:
            value = values.get(parameter.name, parameter.default)
            if value is None and not parameter.optional:
                return f"needs the parameter {parameter.name!r}: {parameter.words}"
            if value is not None and not _fits(parameter.shape, value):
                return f"has {parameter.name} = {str(value)[:40]!r}, wanted {_WANTED[parameter.shape]}"
        return None

    def filled(self, values: Values) -> dict[str, Any]:
        """`values` with the defaults of what is left out."""
        return {
            p.name: values.get(p.name, p.default) if values.get(p.name) is not None else p.default
            for p in self.parameters
        }


def compares(number: int, relation: str, count: int) -> bool:
    """Whether `number` stands in `relation` to `count`."""
    return {
        "at least": number >= count,
        "at most": number <= count,
        "exactly": number == count,
        "more than": number > count,
        "less than": number < count,
    }[relation]


def counted(number: int, values: Values, things: str) -> str:
    """Why `number` of things is not what `relation` and `count` ask for, or nothing."""
    if compares(number, values["relation"], values["count"]):
        return ""
    return f"{number} {things}, wanted {values['relation']} {values['count']}"


def count(words: str) -> Parameter:
    """The parameter `count`."""
    return Parameter("count", "count", words)


def relation(default: Relation = "at least") -> Parameter:
    """The parameter `relation`."""
    return Parameter("relation", "relation", f"one of {', '.join(RELATIONS)}", default)


_WANTED = {
    "count": f"a whole number from 0 to {_MOST_COUNT}",
    "relation": "one of " + ", ".join(RELATIONS),
    "text": f"a text of 1 to {_MOST_TEXT} characters",
    "texts": f"a list of 1 to {_MOST_KEYWORDS} texts",
    "letter": "one character that is no space",
    "word": "one word of letters",
    "language": "a language code such as en",
}


def _fits(shape: Shape, value: object) -> bool:
    match shape:
        case "count":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_COUNT
        case "relation":
            return value in RELATIONS
        case "text":
            return isinstance(value, str) and 0 < len(value) <= _MOST_TEXT and bool(value.strip())
        case "texts":
            if not isinstance(value, list | tuple) or not 0 < len(value) <= _MOST_KEYWORDS:
                return False
            return all(_fits("text", item) for item in value)
        case "letter":
            return isinstance(value, str) and len(value) == 1 and not value.isspace()
        case "word":
            return isinstance(value, str) and value.isalpha() and len(value) <= _MOST_KEYWORDS
        case "language":
            return language_code(value) is not None
