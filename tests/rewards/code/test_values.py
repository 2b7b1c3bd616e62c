"""Values cross unchanged, and no bytes can do more than be refused."""

import collections
import contextlib
import datetime
import decimal
import fractions
import math
import random
import struct
from typing import Any

import pytest

from sibling.rewards.code.inside.values import (
    MOST_ITEMS,
    Decoder,
    Encoder,
    MalformedError,
    Reference,
    TooLargeError,
    UnfitError,
)


def refuse(value: Any) -> Reference:
    raise UnfitError(type(value).__name__)


def there_and_back(value: Any) -> Any:
    return Decoder(lambda reference: reference).decode(Encoder(refuse).encode(value))


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, ..., 0, -1, 255, -256, 10**400, -(10**400), 1.5, -0.0, math.inf, -math.inf, 1j, "", "a\0b",
        "\ud800", "ü€😀", b"\x00\xff", bytearray(b"x"), [], [1, [2, "3"]], (), (1,), {1, 2}, frozenset({"a"}),
        {"a": [1], (1, 2): None}, range(1, 9, 2), int, ValueError, fractions.Fraction(1, 3), decimal.Decimal("1.50"),
        collections.Counter("abca"), collections.OrderedDict(b=1, a=2), collections.deque([1, 2], 3),
        datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, 2, 3, 4), datetime.timedelta(days=-1),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_arrives_as_it_was(value: Any) -> None:
    back = there_and_back(value)
    assert back == value and type(back) is type(value) and repr(back) == repr(value)


def test_nan_arrives_as_nan() -> None:
    assert math.isnan(there_and_back([math.nan])[0])


def test_a_named_tuple_keeps_its_names_and_stays_a_tuple() -> None:
    made = collections.namedtuple("made", "x y")
    back = there_and_back(made(1, 2))
    assert back == (1, 2) and back.x == 1 and back.y == 2


@pytest.mark.parametrize("kind", [int, str, list, tuple, dict, float, set])
def test_instances_of_derived_classes_are_no_data(kind: type) -> None:
    derived = type("Derived", (kind,), {"__eq__": lambda *_: True, "__hash__": lambda *_: 0})
    with pytest.raises(UnfitError, match="Derived"):
        there_and_back(derived())


def test_a_list_that_holds_itself_and_a_list_that_doubles_do_not_fit() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TooLargeError):
        there_and_back(loop)
    double: list[Any] = [1]
    for _ in range(40):
        double = [double, double]
    with pytest.raises(TooLargeError):
        there_and_back(double)
    with pytest.raises(TooLargeError):
        there_and_back([0] * (MOST_ITEMS + 1))


def test_random_bytes_are_a_value_or_malformed() -> None:
    seed = random.Random(5)
    good = Encoder(refuse).encode([1, "two", {"three": (4.0, None)}, collections.Counter("x")])
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(seed.randint(1, 6)):
            data[seed.randrange(len(data))] = seed.randrange(256)
        with contextlib.suppress(MalformedError):
            Decoder(lambda reference: reference).decode(bytes(data[: seed.randint(0, len(data))]))


def test_a_deep_message_and_a_false_count_are_malformed() -> None:
    one = b"l" + struct.pack("<II", 4, 1)
    with pytest.raises(MalformedError):
        Decoder(refuse).decode(one * 100_000)
    with pytest.raises(MalformedError):
        Decoder(refuse).decode(b"l" + struct.pack("<II", 4, 2**32 - 1))


def test_a_named_tuple_cannot_bring_special_names() -> None:
    parts = [("__eq__",), (1,)]
    data = b"P" + struct.pack("<II", 4, 3) + b"".join(Encoder(refuse).encode(each) for each in ("Bad", *parts))
    with pytest.raises(MalformedError):
        Decoder(refuse).decode(data)
