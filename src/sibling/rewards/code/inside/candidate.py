"""The program's side: it is loaded here and does what the tests ask of it, one request after another.

The program may read and change everything in this process; there is nothing in it but the program. It never gets the
tests, the expected values or the channel of the verdict. What it sends is data to the other side, forged or not:
whoever answers here answers for the program.
"""

from __future__ import annotations

import ast
import asyncio
import collections
import inspect
import io
import json
import operator
import os
import socket
import sys
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any

from sibling.rewards.code.inside import wire
from sibling.rewards.code.inside.values import Decoder, Encoder, Reference, UnfitError

MODULE = "solution"
_MOST_PRINTED = 1 << 16  # characters of one request that the tests get to see
_MOST_BASES = 20
_MUTABLE = (list, dict, set, bytearray, collections.deque)


def main(payload: bytes, channels: list[socket.socket]) -> None:
    """Load the program of the payload (JSON) and answer until the channel closes; without a channel, run it whole."""
    order = json.loads(payload)
    if channels:
        Answers(channels[0]).serve(order)
    else:
        run_whole(order)


def run_whole(order: dict[str, Any]) -> None:
    """Run the program as `__main__` with `stdin` to read; what it writes and how it ends is the result."""
    with open("input", "wb") as file:
        file.write(order["stdin"].encode("utf-8", "surrogatepass"))
    os.dup2(os.open("input", os.O_RDONLY), 0)
    os.unlink("input")
    source = io.BufferedReader(io.FileIO(0, closefd=False))
    sys.stdin = io.TextIOWrapper(source, encoding="utf-8", errors="surrogateescape")
    sys.argv = ["main.py"]
    module = types.ModuleType("__main__")
    try:
        code = compile(order["code"], "main.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        os._exit(SYNTAX)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # noqa: S102  this process is there for it


SYNTAX = 252  # exit code of a whole program that cannot be compiled


class Answers:
    """Does requests on objects of the program and sends what came of them."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._printed = Printed(sys.stdout)
        self._module = types.ModuleType(MODULE)

    def serve(self, order: dict[str, Any]) -> None:
        """Load the program, then answer."""
        sys.stdout = self._printed
        sys.modules[MODULE] = self._module
        self._reply(lambda: self._load(order), ())
        while (data := wire.receive(self._channel)) is not None:
            self._answer(data)

    def _load(self, order: dict[str, Any]) -> None:
        source = chosen(order["code"], order["header"], order["entry_point"])
        exec(compile(source, "solution.py", "exec", dont_inherit=True), self._module.__dict__)  # noqa: S102  this process is there for it

    def _answer(self, data: bytes) -> None:
        name, arguments, named = Decoder(self._resolve).decode(data)
        if name == "global":
            self._reply(lambda: self._module.__dict__[arguments[0]], ())
        elif name == "call":
            self._reply(lambda: arguments[0](*arguments[1:], **named), arguments[1:])
        else:
            self._reply(lambda: _REQUESTS[name](*arguments), ())

    def _reply(self, act: Callable[[], Any], arguments: Sequence[Any]) -> None:
        """Send the outcome, what became of arguments that can change in place, and what was printed."""
        before = [self._encoded(each) if type(each) in _MUTABLE else None for each in arguments]
        try:
            value = act()
        except BaseException as failure:
            self._send(self._raised(failure))
            return
        same = next((place for place, each in enumerate(arguments) if each is value and type(value) in _MUTABLE), None)
        changed = tuple(
            (place, each)
            for place, each in enumerate(arguments)
            if before[place] is not None and before[place] != (after := self._encoded(each)) and after is not None
        )
        printed = self._printed.take()
        try:
            self._send(("same", same, changed, printed) if same is not None else ("value", value, changed, printed))
        except UnfitError:
            self._send(("value", self._refer(value), (), printed))

    def _raised(self, failure: BaseException) -> tuple[Any, ...]:
        arguments = failure.args if self._encoded(failure.args) is not None else ()
        return ("raised", self._bases(type(failure)), arguments, self._refer(failure), self._printed.take())

    def _send(self, message: tuple[Any, ...]) -> None:
        wire.send(self._channel, Encoder(self._refer).encode(message))

    def _encoded(self, value: Any) -> bytes | None:
        try:
            return Encoder(self._refer).encode(value)
        except UnfitError:
            return None

    def _refer(self, value: Any) -> Reference:
        if isinstance(value, Reference):
            return value
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        if isinstance(value, type):
            failure = issubclass(value, BaseException)
            name = type.__dict__["__name__"].__get__(value)
            return Reference(number, "exception" if failure else "class", name, self._bases(value) if failure else ())
        kinds = (("coroutine", inspect.iscoroutine), ("function", inspect.isroutine))
        return Reference(number, next((kind for kind, fits in kinds if fits(value)), "object"))

    def _bases(self, kind: type) -> tuple[tuple[int, str], ...]:
        """Its line of classes: those of the program by number, others by name."""
        found = []
        for each in kind.__mro__[:_MOST_BASES]:
            own = each.__module__ == MODULE
            number = -1
            if own:
                number = self._numbers.setdefault(id(each), len(self._objects))
                if number == len(self._objects):
                    self._objects.append(each)
            found.append((number, str(each.__name__ if own else f"{each.__module__}.{each.__qualname__}")))
        return tuple(found)

    def _resolve(self, reference: Reference) -> Any:
        if reference.kind != "test":
            return self._objects[reference.number]

        def asked(*arguments: Any, **named: Any) -> Any:
            self._send(("asked", reference, arguments, named))
            data = wire.receive(self._channel)
            if data is None:
                raise SystemExit(1)
            how, value = Decoder(self._resolve).decode(data)
            if how == "raised":
                raise value[0](*value[1])
            return value

        return asked


class Printed(io.TextIOBase):
    """Standard output of the program; the beginning of what one request printed is kept for the tests."""

    def __init__(self, real: Any) -> None:
        super().__init__()
        self._real, self._kept, self._room = real, [""], _MOST_PRINTED

    def write(self, text: str) -> int:
        """Pass it on and keep what there is room for."""
        kept = text[: self._room]
        self._room -= len(kept)
        self._kept.append(kept)
        self._real.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._real.flush()

    def writable(self) -> bool:
        """It is."""
        return True

    def take(self) -> str:
        """What was kept since the last time."""
        text = "".join(self._kept)
        self._kept, self._room = [""], _MOST_PRINTED
        return text

    @property
    def buffer(self) -> Any:
        """Bytes go to the real output."""
        return self._real.buffer


def chosen(code: str, header: str, entry_point: str) -> str:
    """The source to load: the code, or the prompt's header with the code as its continuation.

    Raises `SyntaxError` if neither compiles.
    """
    tree, failure = _compiled(code)
    if tree is not None and (not entry_point or _defines(tree, entry_point)):
        return code
    indented = textwrap.indent(code, "    ")
    for text in (header + code, f"{header}\n{code}", f"{header}\n{indented}") if header.strip() and entry_point else ():
        continued, _ = _compiled(text)
        if continued is not None and _defines(continued, entry_point):
            return text
    if failure:
        raise SyntaxError(failure)
    return code


def _compiled(text: str) -> tuple[ast.Module | None, str]:
    try:
        tree = ast.parse(text)
        compile(text, "solution.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as failure:
        return None, f"{type(failure).__name__}: {failure}"
    return tree, ""


def _defines(tree: ast.Module, name: str) -> bool:
    """Whether a name is bound anywhere at the top of the module, also inside `if` and `try`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name) in (name, "*"):
            return True
    return False


def _leave(target: Any, kind: Any, text: str) -> bool:
    failure = None if kind is None else kind(text)
    return bool(type(target).__exit__(target, kind, failure, None))


_REQUESTS: dict[str, Callable[..., Any]] = {
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "len": len,
    "iter": iter,
    "next": next,
    "bool": bool,
    "str": str,
    "repr": repr,
    "format": format,
    "hash": hash,
    "isinstance": isinstance,
    "issubclass": issubclass,
    "enter": lambda target: type(target).__enter__(target),
    "exit": _leave,
    "await": asyncio.run,
    "operate": lambda name, *operands: _OPERATIONS[name](*operands),
}
_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(operator, name)
        for name in (
            "eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul",
            "and_", "or_", "xor", "lshift", "rshift", "neg", "pos", "invert", "abs", "contains", "index",
            "getitem", "setitem", "delitem",
        )
    },
    "divmod": divmod, "int": int, "float": float, "complex": complex, "round": round,
}  # fmt: skip
