"""Polynomials and antiderivatives, computed in a child process that can be killed (`algebra_child`)."""

from __future__ import annotations

import functools
from typing import Any

from sibling.rewards.gym_answers.readers import Item, RefusedError
from sibling.rewards.gym_answers.terms import MOST_CHARACTERS
from sibling.sandbox.workers import Workers

SECONDS = 2.0  # of one answer


def polynomial(answer: str, item: Item) -> float:
    """The polynomial, multiplied out and collected; an answer that leaves a product to do states the question."""
    facts = {"reference": item.reference, "variables": list(item.metadata["variables"])}
    return _asked({"kind": "polynomial", "answer": answer, **facts})


def antiderivative(answer: str, item: Item) -> float:
    """Any expression whose derivative is the integrand; + C may be left out. The stored answer does not matter."""
    facts = {"integrand": item.metadata["integrand"], "variable": item.metadata["variable"]}
    return _asked({"kind": "antiderivative", "answer": answer, **facts})


def _asked(request: dict[str, Any]) -> float:
    if len(request["answer"]) > MOST_CHARACTERS:
        raise RefusedError(f"it is longer than {MOST_CHARACTERS} characters", "too_long")
    reply = _child().call(request, SECONDS)
    if reply.failure:
        raise RefusedError(f"computing with it was too hard ({reply.failure})", "too_hard")
    if reply.value["code"] == "bad_reference":
        raise LookupError(reply.value["reason"])
    if reply.value["code"]:
        raise RefusedError(reply.value["reason"], reply.value["code"])
    return 1.0


@functools.cache
def _child() -> Workers:
    return Workers("sibling.rewards.gym_answers.algebra_child", "answer", memory_mb=512)
