"""The words of the audit: seeds, which probes are made from, the variants a probe makes, and the probes themselves.

A probe turns a seed (a prompt, its reference and a completion that is right) into completions whose verdict is known
beforehand: the right answer is kept, it is lost, or there never was one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from sibling.tasks.task import Task

Expect = Literal["keep", "flip", "low"]
"""Verdict of the right answer kept | lost | never paid."""


@dataclass(frozen=True)
class Seed:
    """What a probe is made from; one triple of prompt, reference and right completion."""

    task: Task
    answer: str  # the reference as an answer, without wrapping
    wrap: Callable[[str], str]  # puts an answer into the completion format this reward accepts
    right: str  # wrap(answer), or the user's accepted completion
    others: tuple[str, ...]  # references of other prompts
    kind: str  # math | choice | code | json | sql | text : what the references look like
    rng: random.Random


@dataclass(frozen=True)
class Variant:
    """One completion to grade, and what was done to it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Probe:
    """A way to make completions whose verdict is known beforehand."""

    name: str
    group: str
    expect: Expect
    kinds: frozenset[str]  # empty: any
    make: Callable[[Seed], Iterable[Variant]]  # no variant: not applicable to this seed (counted apart)
    policy: bool = False  # a matter of declared policy: reported, not a violation unless asked for
    sensitive: bool = False  # text of an exploit: redacted in public exports
