"""Name to callable: `module:name` or `path/to/file.py:name`, with the digest of the code it brings in."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sibling.canonical import file_digest, sha256
from sibling.errors import RequestError


@dataclass(frozen=True)
class Plugin:
    """A callable found by name. `code` is the SHA-256 of the source file that defines it."""

    target: str
    call: Callable[..., Any]
    code: str


def load(target: str, *, base: Path | None = None) -> Plugin:
    """Find `target`, written `module:name` or `file.py:name` (relative to `base`, then to the working folder).

    Raises `RequestError` when the module does not import, the name is missing or it is not callable.
    """
    module_name, _, name = target.rpartition(":")
    if not module_name or not name:
        raise RequestError(
            "A callable must be named by module and name",
            seen=repr(target),
            wanted="'package.module:name' or 'file.py:name'",
        )
    module = _from_file(module_name, base) if module_name.endswith(".py") else _from_module(module_name, base)
    call = getattr(module, name, None)
    if call is None:
        public = sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_"))
        raise RequestError(f"{module_name} has no {name!r}", seen=target, wanted=f"one of {public}")
    if not callable(call):
        raise RequestError(f"{target} is not callable", seen=type(call).__name__, wanted="a function")
    return Plugin(target=target, call=call, code=_code_digest(module, call))


def _from_module(name: str, base: Path | None) -> Any:
    if base is not None and str(base) not in sys.path:
        sys.path.insert(0, str(base))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever it raises is one failure: it does not import
        raise _import_failure(name, error) from error


def _from_file(name: str, base: Path | None) -> Any:
    candidates = [p for p in ((base / name) if base else None, Path(name)) if p is not None]
    path = next((p for p in candidates if p.is_file()), None)
    if path is None:
        raise RequestError(
            f"The Python file {name} does not exist", seen=", ".join(str(c) for c in candidates), wanted="a .py file"
        )
    unique = f"sibling_plugin_{sha256(str(path.resolve()).encode())[7:19]}"
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # as above; a script without a main guard may well exit
        del sys.modules[unique]
        raise _import_failure(name, error) from error
    return module


def _import_failure(name: str, error: BaseException) -> RequestError:
    return RequestError(
        f"The module {name} does not import",
        seen=f"{type(error).__name__}: {error}",
        wanted="a module that imports without error",
        do="Run `python` on it to see the traceback, mend it or install what it imports; nothing was run",
    )


def _code_digest(module: Any, call: Callable[..., Any]) -> str:
    try:
        source = inspect.getsourcefile(inspect.unwrap(call)) or getattr(module, "__file__", None)
    except TypeError:
        source = getattr(module, "__file__", None)
    return file_digest(Path(source)) if source else sha256(repr(call).encode())
