"""The process in which `rewards.json_value` checks schemas and values.

JSON Schema, draft 2020-12 or what `$schema` says. It is called through `sandbox.workers`, because a pattern in a
schema can take years on a hostile value, and because a schema can refer to itself for ever. No reference is ever
fetched: only what the schema itself and the published metaschemas define can be referred to.
Formats that are checked: date, time, date-time, duration, email, ipv4, ipv6, uuid, uri, regex. Others are remarks, as
the specification has it. Numbers are exact (`multipleOf` 0.01 holds for 0.07), and 1.0 is an integer in every draft.
"""

from __future__ import annotations

import decimal
import functools
import importlib
import ipaddress
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import referencing.jsonschema
from referencing.exceptions import Unresolvable

from sibling.rewards.json_text import NotJsonError, parse

jsonschema: Any = importlib.import_module("jsonschema")  # imported so because it has no annotations
_Faulty = jsonschema.exceptions.SchemaError
_PUBLISHED: Any = importlib.import_module("jsonschema_specifications").REGISTRY  # the metaschemas, and nothing else
_SHORT = 80
_SAMPLES: tuple[Any, ...] = (None, True, 0, "", "a", [], [0], {}, {"a": 0})

_EXACT = decimal.Context(prec=2000, Emax=10_000, Emin=-10_000)  # remainders of the largest numbers read stay exact


def answer(request: dict[str, str]) -> dict[str, str]:
    """`{"schema"}` gives `{"problem"}`: what is wrong with it. With "text" it gives `{"fault"}`: why that does not fit.

    Both are JSON texts; an empty string means that there is nothing to report.
    """
    with decimal.localcontext(_EXACT):  # a context belongs to a thread, so setting it once would not do
        if "text" in request:
            return {"fault": _fault(request["schema"], request["text"])}
        return {"problem": _problem(request["schema"])}


def _problem(schema: str) -> str:
    """What is wrong with a schema, in words."""
    try:
        contents = parse(schema)
        if not isinstance(contents, dict):
            return "it is not an object"
        validator = _validator(schema)
        _follow_references(validator, contents)
    except NotJsonError as failure:
        return f"it is not JSON: {failure.reason}"
    except _Faulty as failure:
        return f"at {_path(failure.absolute_path)}: {failure.message[: 2 * _SHORT]}"
    except Unresolvable as failure:
        return f"it refers to {str(failure.ref)[:_SHORT]!r}, which it does not define, and nothing is fetched"
    try:
        faults = [next(validator.iter_errors(sample), None) for sample in _SAMPLES]
    except RecursionError:
        return "it refers to itself without end"
    if not any(faults):
        return "it accepts any value, so that it checks nothing"
    return ""


def _fault(schema: str, text: str) -> str:
    """Why the value does not satisfy the schema: where, which keyword, and what it wants."""
    found = next(_validator(schema).iter_errors(parse(text)), None)
    if found is None:
        return ""
    wanted = _shown(found.validator_value)
    return f"at {_path(found.absolute_path)}: {found.validator} {wanted}"[: 3 * _SHORT]


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    contents = parse(schema)
    default = jsonschema.Draft202012Validator
    kind = jsonschema.validators.validator_for(contents, default=None) if "$schema" in contents else default
    if kind is None:
        raise _Faulty(f"$schema is {str(contents['$schema'])[:_SHORT]!r}, which is no draft that is known")
    kind.check_schema(contents)
    return kind(contents, registry=_PUBLISHED, format_checker=_FORMATS)


def _follow_references(validator: Any, contents: Any) -> None:
    """Look up every reference, reached or not; raises `Unresolvable`."""
    name = validator.META_SCHEMA.get("$schema", "")
    specification = referencing.jsonschema.specification_with(name, default=referencing.jsonschema.DRAFT202012)
    root = specification.create_resource(contents)

    def walk(resource: Any, resolver: Any) -> None:
        if isinstance(resource.contents, dict):
            for keyword in ("$ref", "$dynamicRef"):
                target = resource.contents.get(keyword)
                if isinstance(target, str):
                    resolver.lookup(target)
        for part in resource.subresources():
            walk(part, resolver.in_subresource(part))

    walk(root, _PUBLISHED.resolver_with_root(root))


def _path(parts: Any) -> str:
    steps = [f"[{part}]" if isinstance(part, int) else f".{str(part)[:_SHORT]}" for part in parts]
    return "$" + "".join(steps[:12])


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{...}"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(item) for item in value[:8]) + (", ...]" if len(value) > 8 else "]")
    return repr(value)[:_SHORT] if isinstance(value, str) else str(value)[:_SHORT]


# --------------------------------------------------------------------------------------------- formats

_DATE = r"\d{4}-\d\d-\d\d"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
_PATTERNS = {
    "time": re.compile(_TIME, re.ASCII),
    "duration": re.compile(r"P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)", re.ASCII),
    "email": re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,10}"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+"),
}


def _is_date(text: str) -> bool:
    if not re.fullmatch(_DATE, text, re.ASCII):
        return False
    date.fromisoformat(text)
    return True


def _is_date_time(text: str) -> bool:
    return text[10:11] in ("T", "t") and _is_date(text[:10]) and bool(_PATTERNS["time"].fullmatch(text[11:]))


def _checker() -> Any:
    def on_text(test: Callable[[str], object]) -> Callable[[object], bool]:
        return lambda value: not isinstance(value, str) or bool(test(value))

    checks: dict[str, Callable[[str], object]] = {
        "date": _is_date,
        "date-time": _is_date_time,
        "ipv4": ipaddress.IPv4Address,
        "ipv6": ipaddress.IPv6Address,
        "regex": re.compile,
        **{name: pattern.fullmatch for name, pattern in _PATTERNS.items()},
    }
    checker = jsonschema.FormatChecker(formats=())
    for name, test in checks.items():
        checker.checkers[name] = (on_text(test), (ValueError, re.error, OverflowError))
    return checker


_FORMATS = _checker()
