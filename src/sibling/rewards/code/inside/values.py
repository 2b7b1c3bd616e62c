"""Values as bytes: what may cross between the program and its tests, and nothing else.

Covered: None, bool, int, float (NaN and infinities too), complex, str (lone surrogates too), bytes, bytearray, list,
tuple, set, frozenset, dict, range, `...`, named tuples, Counter, OrderedDict, deque, Fraction, Decimal, dates, builtin
types. They are built again from exact builtin types on the other side, so that no code of the sender runs there.
Everything else is a reference: a number that names an object which stays where it is.
Bounds: a message of 16 MB, 300,000 items, 150 levels. A value beyond them (a list that holds itself too) does not fit.
Not covered: two places of one value that are the same object arrive as equal copies.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import decimal
import fractions
import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

MOST_BYTES = 16 << 20
MOST_ITEMS = 300_000
MOST_LEVELS = 150
_MOST_FIELDS = 100

TYPES = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and not issubclass(value, BaseException)
}
EXCEPTIONS = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException) and not issubclass(value, BaseExceptionGroup)
}
_TYPE_NAMES = {id(value): name for name, value in [*TYPES.items(), *EXCEPTIONS.items()]}


class Reference(NamedTuple):
    """An object that stays where it is: its number, whose it is, what it is, and names that tell more."""

    number: int
    kind: str  # object, class, exception, function; `test`: it is the tester's
    name: str = ""
    bases: tuple[tuple[int, str], ...] = ()  # of an exception class: (number, name); number -1: a builtin one


class UnfitError(Exception):
    """A value is too large, too deep or cannot cross."""


class TooLargeError(UnfitError):
    """It is too large or too deep."""


class MalformedError(Exception):
    """Bytes that are not the encoding of a value."""


_PACK: dict[type, tuple[str, Callable[[Any], Any]]] = {
    collections.Counter: ("Counter", dict),
    collections.OrderedDict: ("OrderedDict", lambda v: list(v.items())),
    collections.deque: ("deque", lambda v: (list(v), v.maxlen)),
    fractions.Fraction: ("Fraction", lambda v: (v.numerator, v.denominator)),
    decimal.Decimal: ("Decimal", str),
    datetime.datetime: ("datetime", lambda v: v.isoformat()),
    datetime.date: ("date", lambda v: v.isoformat()),
    datetime.time: ("time", lambda v: v.isoformat()),
    datetime.timedelta: ("timedelta", lambda v: (v.days, v.seconds, v.microseconds)),
    range: ("range", lambda v: (v.start, v.stop, v.step)),
    bytearray: ("bytearray", bytes),
}
_UNPACK: dict[str, Callable[[Any], Any]] = {
    "Counter": lambda v: collections.Counter(_is(v, dict)),
    "OrderedDict": lambda v: collections.OrderedDict(_is(v, list)),
    "deque": lambda v: collections.deque(*_is(v, tuple)),
    "Fraction": lambda v: fractions.Fraction(*(_is(each, int) for each in _is(v, tuple))),
    "Decimal": lambda v: decimal.Decimal(_is(v, str)),
    "datetime": lambda v: datetime.datetime.fromisoformat(_is(v, str)),
    "date": lambda v: datetime.date.fromisoformat(_is(v, str)),
    "time": lambda v: datetime.time.fromisoformat(_is(v, str)),
    "timedelta": lambda v: datetime.timedelta(*_is(v, tuple)),
    "range": lambda v: range(*(_is(each, int) for each in _is(v, tuple))),
    "bytearray": lambda v: bytearray(_is(v, bytes)),
}
_SEQUENCES: dict[type, bytes] = {list: b"l", tuple: b"t", set: b"S", frozenset: b"z"}
_MADE: dict[bytes, Callable[[list[Any]], Any]] = {b"l": list, b"t": tuple, b"S": set, b"z": frozenset}


class Encoder:
    """Values to bytes; `refer` gives the reference for what is no data, or raises `UnfitError`."""

    def __init__(self, refer: Callable[[Any], Reference]) -> None:
        self._refer = refer
        self._parts: list[bytes] = []
        self._items = self._size = 0

    def encode(self, value: Any) -> bytes:
        """The bytes of one value. Raises `UnfitError`."""
        self._parts, self._items, self._size = [], 0, 0
        self._put(value, 0)
        return b"".join(self._parts)

    def _write(self, tag: bytes, body: bytes = b"") -> None:
        self._size += len(body) + 5
        if self._size > MOST_BYTES:
            raise TooLargeError("too large")
        self._parts.append(tag + struct.pack("<I", len(body)) + body)

    def _put(self, value: Any, level: int) -> None:
        self._items += 1
        if self._items > MOST_ITEMS or level > MOST_LEVELS:
            raise TooLargeError("too many items or levels")
        kind = type(value)
        if kind in _SEQUENCES:
            self._many(_SEQUENCES[kind], value, level)
        elif kind is dict or kind is collections.defaultdict:
            self._many(b"m", [part for pair in dict.items(value) for part in pair], level)
        elif kind in _PACK:
            name, plain = _PACK[kind]
            self._many(b"X", (name, plain(value)), level)
        elif not self._atom(kind, value):
            self._other(kind, value, level)

    def _atom(self, kind: type, value: Any) -> bool:
        if value is None or value is True or value is False or value is ...:
            self._write(b"N" if value is None else b"E" if value is ... else b"T" if value else b"F")
        elif kind is int:
            if value.bit_length() > MOST_BYTES * 8:
                raise TooLargeError("too large")
            self._write(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
        elif kind is float:
            self._write(b"d", struct.pack("<d", value))
        elif kind is complex:
            self._write(b"c", struct.pack("<dd", value.real, value.imag))
        elif kind is str:
            if len(value) > MOST_BYTES:
                raise TooLargeError("too large")
            self._write(b"s", value.encode("utf-8", "surrogatepass"))
        elif kind is bytes:
            self._write(b"b", value)
        else:
            return False
        return True

    def _other(self, kind: type, value: Any, level: int) -> None:
        fields = kind.__dict__.get("_fields") if issubclass(kind, tuple) else None
        if kind is Reference:
            self._many(b"R", tuple(value), level)
        elif id(value) in _TYPE_NAMES:
            self._write(b"B", _TYPE_NAMES[id(value)].encode())
        elif type(fields) is tuple and kind.__bases__ == (tuple,) and len(fields) <= _MOST_FIELDS:
            self._many(b"P", (kind.__name__, fields, tuple.__getitem__(value, slice(None))), level)
        else:
            reference = self._refer(value)
            self._many(b"R", (reference.number, reference.kind, reference.name, reference.bases), level)

    def _many(self, tag: bytes, values: Sequence[Any], level: int) -> None:
        self._write(tag, struct.pack("<I", len(values)))
        for each in values:
            self._put(each, level + 1)


class Decoder:
    """Bytes to values; `resolve` gives the object that a reference stands for."""

    def __init__(self, resolve: Callable[[Reference], Any]) -> None:
        self._resolve = resolve
        self._data, self._at = b"", 0

    def decode(self, data: bytes) -> Any:
        """The value that the bytes say. Raises `MalformedError` for any bytes that are not one encoded value."""
        self._data, self._at = data, 0
        try:
            value = self._take(0)
        except MalformedError:
            raise
        except Exception as failure:
            raise MalformedError(type(failure).__name__) from None
        if self._at != len(data):
            raise MalformedError("bytes after the value")
        return value

    def _take(self, level: int) -> Any:
        if level > MOST_LEVELS + 8:
            raise MalformedError("too deep")
        tag = self._data[self._at : self._at + 1]
        (size,) = struct.unpack_from("<I", self._data, self._at + 1)
        start = self._at + 5
        body = self._data[start : start + size]
        if len(body) != size:
            raise MalformedError("cut short")
        self._at = start + size
        if tag in b"ltSzmXPR":
            (count,) = struct.unpack("<I", body)
            return self._build(tag, [self._take(level + 1) for _ in range(min(count, MOST_ITEMS + 1))])
        return _atom(tag, body)

    def _build(self, tag: bytes, values: list[Any]) -> Any:
        if tag in _MADE:
            return _MADE[tag](values)
        if tag == b"m":
            return dict(zip(values[::2], values[1::2], strict=True))
        if tag == b"X":
            name, plain = values
            return _UNPACK[_is(name, str)](plain)
        if tag == b"P":
            return _named(*values)
        number, kind, name, bases = values
        plain_bases = tuple((_is(n, int), _is(each, str)) for n, each in _is(bases, tuple))
        return self._resolve(Reference(_is(number, int), _is(kind, str), _is(name, str), plain_bases))


def _atom(tag: bytes, body: bytes) -> Any:
    if tag in b"NTFE":
        return {b"N": None, b"T": True, b"F": False, b"E": ...}[tag]
    if tag == b"i":
        return int.from_bytes(body, "little", signed=True)
    if tag == b"d":
        return struct.unpack("<d", body)[0]
    if tag == b"c":
        return complex(*struct.unpack("<dd", body))
    if tag == b"s":
        return body.decode("utf-8", "surrogatepass")
    if tag == b"b":
        return body
    if tag == b"B":
        name = body.decode()
        return TYPES[name] if name in TYPES else EXCEPTIONS[name]
    raise MalformedError("unknown tag")


def _is(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise MalformedError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _named(name: Any, fields: Any, values: Any) -> Any:
    """A tuple with names for its places, made without any code of the sender's."""
    names = [_is(field, str) for field in _is(fields, tuple)]
    if any(not each.isidentifier() or each.startswith("_") for each in names) or len(names) != len(_is(values, tuple)):
        raise MalformedError("not a named tuple")
    space: dict[str, Any] = {each: property(operator.itemgetter(place)) for place, each in enumerate(names)}
    return type(_is(name, str), (tuple,), {**space, "_fields": tuple(names), "__slots__": ()})(values)
