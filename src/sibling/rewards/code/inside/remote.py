"""The tests' side of the channel: objects of the program as they look to the tests.

An object of the program that is no data is shown by reference. It equals no data, whatever it says of itself, and
its arithmetic and its order with data are refused, because the program could let them come out as the tests like;
what it gives when it is called, read, iterated or turned into text is data again, computed without sight of what is
expected. Two objects of the program are compared by the program. Only an object that the tests made themselves, by
calling a class with a capital letter, may compute with data (`Vector(1, 2) * 3`).
Not covered: `==` between such an object and data is false even where the class means it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sibling.rewards.code.inside.values import EXCEPTIONS


class UnsupportedError(Exception):
    """The tests want something that cannot be done across the channel: a fault of theirs, not of the program."""


class Remote:
    """An object of the program."""

    __slots__ = ("_able", "_link", "_name", "_number")

    def __init__(self, link: Any, number: int, able: bool, name: str) -> None:
        for slot, value in (("_link", link), ("_number", number), ("_able", able), ("_name", name)):
            object.__setattr__(self, slot, value)

    def __call__(self, *arguments: Any, **named: Any) -> Any:  # noqa: D102
        link, _, _, name = _inner(self)
        value = link.ask("call", self, *arguments, **named)
        if name[:1].isupper() and type(value) is Remote:
            return link.remote(_inner(value)[1], able=True)
        return value

    def __getattr__(self, name: str) -> Any:
        return _inner(self)[0].ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _inner(self)[0].ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        _inner(self)[0].ask("delattr", self, name)

    def __contains__(self, item: Any) -> bool:
        if _inner(self)[2]:
            return bool(_operate("contains", self, item))
        return any(each == item for each in self)

    def __iter__(self) -> Any:
        return _inner(self)[0].ask("iter", self)

    def __bool__(self) -> bool:
        return bool(_inner(self)[0].ask("bool", self) is True)

    def __eq__(self, other: object) -> bool:
        return type(other) is Remote and (self is other or _operate("eq", self, other) is True)

    def __ne__(self, other: object) -> bool:
        return type(other) is not Remote or (self is not other and _operate("ne", self, other) is True)

    def __hash__(self) -> int:
        value = _inner(self)[0].ask("hash", self)
        return value if type(value) is int else 0

    def __instancecheck__(self, instance: Any) -> bool:
        return type(instance) is Remote and _inner(self)[0].ask("isinstance", instance, self) is True

    def __subclasscheck__(self, subclass: Any) -> bool:
        return number_of(subclass) is not None and _inner(self)[0].ask("issubclass", subclass, self) is True

    def __mro_entries__(self, bases: Any) -> Any:
        link = _inner(self)[0]
        link.unsupported = "the tests derive a class from one of the program"
        raise UnsupportedError(link.unsupported)

    def __exit__(self, kind: Any, failure: Any, _: Any) -> bool:
        known = None if kind is None else next(each for each in kind.__mro__ if each in EXCEPTIONS.values())
        return _inner(self)[0].ask("exit", self, known, str(failure)) is True


def number_of(value: Any) -> int | None:
    """The number of an object or exception class of the program; None for anything else."""
    if type(value) is Remote:
        return number_inside(value)
    if isinstance(value, type) and "_number" in value.__dict__:
        return int(value.__dict__["_number"])
    return None


def number_inside(remote: Remote) -> int:
    """The number of an object."""
    return _inner(remote)[1]


def _inner(remote: Remote) -> tuple[Any, int, bool, str]:
    get = object.__getattribute__
    return get(remote, "_link"), get(remote, "_number"), get(remote, "_able"), get(remote, "_name")


def _operate(name: str, *operands: Any) -> Any:
    """Let the program compute. Data takes part only beside an object that may; the outcome then may too."""
    remotes = [each for each in operands if type(each) is Remote]
    link = _inner(remotes[0])[0]
    able = any(_inner(each)[2] for each in remotes)
    if not able and (len(remotes) < len(operands) or len(operands) == 1):
        raise TypeError(f"an object of the program and data do not go with `{name.strip('_')}`")
    value = link.ask("operate", name, *operands)
    return link.remote(_inner(value)[1], able=True) if able and type(value) is Remote else value


def _equip() -> None:
    """The special methods that all look alike."""

    def asking(name: str) -> Callable[..., Any]:
        return lambda self, *rest: _inner(self)[0].ask(name, self, *rest)

    def typed(name: str, kind: type) -> Callable[..., Any]:
        return lambda self, *rest: _typed(_inner(self)[0].ask(name, self, *rest), kind)

    def computing(name: str) -> Callable[..., Any]:
        return lambda self, *rest: _operate(name, self, *rest)

    def turned(name: str) -> Callable[..., Any]:
        return lambda self, other: _operate(name, other, self)

    def item(name: str) -> Callable[..., Any]:
        return lambda self, *rest: _inner(self)[0].ask("operate", name, self, *rest)

    for name in ("next", "enter"):
        setattr(Remote, f"__{name}__", asking(name))
    for name, kind in {"len": int, "str": str, "repr": str, "format": str}.items():
        setattr(Remote, f"__{name}__", typed(name, kind))
    for name in ("getitem", "setitem", "delitem"):
        setattr(Remote, f"__{name}__", item(name))
    for name in ("lt", "le", "gt", "ge", "neg", "pos", "invert", "abs", "index", "int", "float", "complex", "round"):
        setattr(Remote, f"__{name}__", computing(name))
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "divmod", "and_", "or_", "xor",
                 "lshift", "rshift"):  # fmt: skip
        setattr(Remote, f"__{name.strip('_')}__", computing(name))
        setattr(Remote, f"__r{name.strip('_')}__", turned(name))


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"the program gave a {type(value).__name__}, not a {kind.__name__}")
    return value


_equip()
