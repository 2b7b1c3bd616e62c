"""Tasks of our own, for audits without the user's: per kind of reference, in our own words."""

from __future__ import annotations

import json
from typing import Any

from sibling.audit.own_math import FORMS, NUMBERS, QUANTITIES
from sibling.audit.own_programs import DATABASES, DOCUMENTS, PROGRAMS, QUERIES
from sibling.audit.own_words import CHOICES, TEXTS
from sibling.errors import RequestError
from sibling.tasks.task import Task

KINDS = ("math", "quantity", "choice", "code", "json", "sql", "text")


def own_tasks(kind: str) -> list[Task]:
    """The built-in tasks of a kind. Raises `RequestError` for a kind that has none."""
    match kind:
        case "math":
            rows: list[tuple[str, str, dict[str, Any]]] = [(q, a, {}) for q, a in (*NUMBERS, *FORMS)]
        case "quantity":
            rows = [(q, a, {}) for q, a in QUANTITIES]
        case "choice":
            rows = [(_choice(q, options), a, {"options": list(options)}) for q, options, a in CHOICES]
        case "code":
            rows = [(q, program, {"asserts": list(asserts)}) for q, program, asserts in PROGRAMS]
        case "json":
            rows = [(_document(q, a), a, {"schema": schema_of(a)}) for q, a in DOCUMENTS]
        case "sql":
            rows = [(_query(q), a, {"databases": list(DATABASES)}) for q, a in QUERIES]
        case "text":
            rows = [(q, a, {}) for q, a in TEXTS]
        case _:
            raise RequestError(
                "There are no built-in tasks of this kind", seen=kind, wanted=f"one of {', '.join(KINDS)}",
                do="Give tasks of your own, with a reference each, or with `completion` and `verdict`",
            )  # fmt: skip
    return [
        Task(f"{kind}-{i:02d}", ({"role": "user", "content": question},), answer, columns)
        for i, (question, answer, columns) in enumerate(rows, start=1)
    ]


def _choice(question: str, options: tuple[str, ...]) -> str:
    return question + "\n" + "\n".join(f"{letter}. {o}" for letter, o in zip("ABCD", options, strict=True))


_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array"}


def schema_of(document: str) -> dict[str, Any]:
    """A JSON Schema that wants exactly the properties of a flat object, each of its type."""
    value: dict[str, Any] = json.loads(document)
    properties: dict[str, Any] = {name: {"type": _JSON_TYPES[type(v)]} for name, v in value.items()}
    return {"type": "object", "properties": properties, "required": list(value), "additionalProperties": False}


def _document(question: str, document: str) -> str:
    return f"Write one JSON object for: {question}.\nSchema: {json.dumps(schema_of(document))}"


def _query(question: str) -> str:
    return f"{question} Write one SQL query. Tables: items (id, name, price, shelf), sales (item, day, pieces)."
