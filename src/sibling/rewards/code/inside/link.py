"""The tests' end of the channel: requests to the program, and what comes back of them.

Whatever the program sends is decoded as data; what is no message ends the grading. An exception comes as the nearest
class that both sides know, or one made here below it; those that would end a loop of the tests in silence
(StopIteration where nobody asked for a next item) come as RuntimeError.
"""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Callable
from typing import Any

from sibling.rewards.code.inside import wire
from sibling.rewards.code.inside.remote import Remote, UnsupportedError, number_of
from sibling.rewards.code.inside.values import (
    EXCEPTIONS,
    Decoder,
    Encoder,
    MalformedError,
    Reference,
    TooLargeError,
    UnfitError,
)

_LIBRARY = {
    "json.decoder.JSONDecodeError", "decimal.InvalidOperation", "decimal.DivisionByZero", "re.error", "queue.Empty",
    "dataclasses.FrozenInstanceError", "queue.Full", "copy.Error",
}  # fmt: skip
_NEVER = (StopIteration, StopAsyncIteration, GeneratorExit)  # they end a caller's loop in silence


class GoneError(BaseException):
    """The program ended, or sent what is no message. Nothing of the tests may catch it as a failure of its own."""


class Link:
    """Requests to the program. Once it is gone every request says so; `why` keeps the reason."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._objects: dict[tuple[int, bool], Remote] = {}
        self._classes: dict[int, type[BaseException]] = {}
        self._coroutines: dict[int, tuple[Any, int]] = {}
        self._functions: list[Callable[..., Any]] = []
        self.why = ""  # gone or forged
        self.requests = 0
        self.unsupported = ""
        self.failed_inside = False  # an assertion failed in a function that the tests gave to the program

    def named(self, name: str) -> Any:
        """What the program calls by that name. Raises `KeyError`. A function or class of that name is no touch yet."""
        value = self.ask("global", name)
        self.requests -= type(value) is Remote
        return value

    def loaded(self) -> None:
        """Wait until the program is loaded. Raises what it raised."""
        self._outcome([], "load")

    def ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        """The value of one request. Raises what the program raised, or `GoneError`."""
        if self.why:
            raise GoneError(self.why)
        body = self._encoded((name, arguments, named))
        self.requests += 1
        try:
            wire.send(self._channel, body)
        except OSError:
            self._lost("gone")
        return self._outcome(list(arguments[1:]), name)

    def _lost(self, why: str) -> None:
        self.why = self.why or why
        raise GoneError(self.why)

    def _received(self) -> Any:
        try:
            data = wire.receive(self._channel)
            message = None if data is None else Decoder(self._resolve).decode(data)
        except (MalformedError, RecursionError):
            self._lost("forged")
        if message is None:
            self._lost("gone")
        return message

    def _outcome(self, arguments: list[Any], name: str) -> Any:
        while True:
            try:
                kind, *rest = self._received()
                if kind == "asked":
                    self._asked(*rest)
                    continue
                if kind == "raised":
                    bases, given, instance, printed = rest
                    failure = self._failure(bases, given, instance)
                else:
                    value, changed, printed = rest
                    value = _settled(arguments, value, changed, same=kind == "same")
                    failure = None
                sys.stdout.write(printed)
            except (ValueError, TypeError, KeyError, IndexError, AttributeError):
                self._lost("forged")
            if failure is not None:
                _throw(failure, name)
            return value

    def _asked(self, reference: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        function = self._functions[reference] if type(reference) is int else _never()
        try:
            answer = ("value", function(*arguments, **named))
        except GoneError:
            raise
        except BaseException as failure:
            self.failed_inside |= isinstance(failure, AssertionError)
            known = next(each for each in type(failure).__mro__ if each in EXCEPTIONS.values())
            answer = ("raised", (known, tuple(str(each) for each in failure.args)))
        body = self._encoded(answer)
        try:
            wire.send(self._channel, body)
        except OSError:
            self._lost("gone")

    def _encoded(self, message: Any) -> bytes:
        try:
            return Encoder(self._refer).encode(message)
        except TooLargeError:
            raise OverflowError("a value is too large to be given to the program") from None
        except UnfitError as failure:
            self.unsupported = str(failure)
            raise UnsupportedError(str(failure)) from None

    def _refer(self, value: Any) -> Reference:
        known = number_of(value)
        if known is None and id(value) in self._coroutines:
            known = self._coroutines[id(value)][1]
        if known is not None:
            return Reference(known, "object")
        if callable(value) and not isinstance(value, type):
            self._functions.append(value)
            return Reference(len(self._functions) - 1, "test")
        raise UnfitError(f"the tests give the program a {type(value).__name__}, which cannot cross")

    def _resolve(self, reference: Reference) -> Any:
        if reference.kind == "test":
            return reference.number
        if reference.kind == "exception":
            return self._exception(reference.bases)
        if reference.kind == "coroutine":
            made = self._awaited(self.remote(reference.number))
            self._coroutines[id(made)] = (made, reference.number)
            return made
        return self.remote(reference.number, name=reference.name if reference.kind == "class" else "")

    async def _awaited(self, target: Remote) -> Any:
        return self.ask("await", target)

    def remote(self, number: int, *, able: bool = False, name: str = "") -> Remote:
        """The object of that number; the same one every time."""
        key = (number, able)
        if key not in self._objects:
            self._objects[key] = Remote(self, number, able, name)
        return self._objects[key]

    def _exception(self, bases: tuple[tuple[int, str], ...]) -> type[BaseException]:
        """The class that stands for an exception class of the program, below the nearest one that both sides know."""
        if not bases:
            return Exception
        (number, name), *rest = bases
        if number < 0:
            return _known(name) or self._exception(tuple(rest))
        if number not in self._classes:
            base = self._exception(tuple(rest))
            self._classes[number] = type(name, (base,), {"_number": number, "__getattr__": _of_instance})
        return self._classes[number]

    def _failure(self, bases: Any, given: Any, instance: Any) -> BaseException:
        kind = self._exception(bases)
        arguments = given if type(given) is tuple else ()
        failure: BaseException = kind.__new__(kind, *arguments)
        failure.args = arguments
        if isinstance(instance, Remote) and hasattr(kind, "_number"):
            failure.__dict__["_instance"] = instance
        return failure


def _of_instance(failure: Any, name: str) -> Any:
    instance = failure.__dict__.get("_instance")
    if instance is None or name.startswith("__"):
        raise AttributeError(name)
    return getattr(instance, name)


def _known(name: str) -> type[BaseException] | None:
    short = name.removeprefix("builtins.")
    if short in EXCEPTIONS:
        return EXCEPTIONS[short]
    if name not in _LIBRARY:
        return None
    module, _, last = name.rpartition(".")
    found: type[BaseException] = getattr(importlib.import_module(module), last)
    return found


def _throw(failure: BaseException, name: str) -> None:
    if isinstance(failure, _NEVER) and not (name == "next" and type(failure) is StopIteration):
        raise RuntimeError(f"the program raised {type(failure).__name__}")
    raise failure


def _never() -> Any:
    raise TypeError


def _settled(arguments: list[Any], value: Any, changed: Any, *, same: bool) -> Any:
    """Bring changes of arguments in place over; give the argument itself where the program returned it."""
    for place, new in changed:
        old = arguments[place]
        if type(old) is not type(new):
            raise TypeError
        if isinstance(old, dict):
            old.clear()
            old.update(new)
        elif isinstance(old, set):
            old.clear()
            old |= new
        elif hasattr(old, "maxlen"):
            old.clear()
            old.extend(new)
        else:
            old[:] = new
    return arguments[value] if same else value
