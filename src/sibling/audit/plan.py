"""Which variants are tried, within a number of calls: every probe gets the same share, spread over the seeds.

Applicable is counted apart from tried: a probe that has nothing to change in a seed, or changes nothing, is no
evidence. Seeds whose right completion is refused are no evidence that a verdict is kept either.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sibling.audit.kinds import Probe, Seed, Variant

_MOST = 64  # variants of one probe for one seed
_LONG = 20_000  # characters from which a text is long
_LONG_SEEDS = 3  # seeds that get the long texts of a probe
_MARKS = re.compile(r"<[^<>]{0,40}>|\\(?:boxed|fbox|text)|[\W_]")
_GROUPS_WITHOUT_REFERENCE = ("presentation", "resource", "crash", "injection")


@dataclass(frozen=True)
class Item:
    """One completion to be graded, of which the verdict is known beforehand."""

    probe: Probe
    seed: int
    variant: Variant


@dataclass(frozen=True)
class Share:
    """What there was to try of one probe, and what was chosen."""

    probe: Probe
    seeds: int  # seeds of its kind
    applicable: int  # of which it had something to change
    items: tuple[Item, ...]
    problem: str = ""  # the probe itself failed on a seed


def plan(
    probes: Sequence[Probe], seeds: Sequence[Seed], accepted: Sequence[bool], *, calls: int, uses_reference: bool = True
) -> list[Share]:
    """What to try of each probe. `accepted[i]`: the right completion of seed i is accepted."""
    shares = [_candidates(probe, seeds, accepted, uses_reference) for probe in probes]
    most = _fair([len(share.items) for share in shares], calls)
    return [
        Share(share.probe, share.seeds, share.applicable, share.items[:n], share.problem)
        for share, n in zip(shares, most, strict=True)
    ]


def _candidates(probe: Probe, seeds: Sequence[Seed], accepted: Sequence[bool], uses_reference: bool) -> Share:
    made: list[tuple[int, list[Variant]]] = []
    suited = [i for i, seed in enumerate(seeds) if not probe.kinds or seed.kind in probe.kinds]
    long_seeds, problem = 0, ""
    for i in suited:
        if probe.expect == "keep" and not accepted[i]:
            continue
        try:
            variants = [v for v in itertools.islice(probe.make(seeds[i]), _MOST) if v.text != seeds[i].right]
        except Exception as failure:  # one odd reference must not cost the audit
            problem = f"{type(failure).__name__} on the reference {seeds[i].answer[:40]!r}: {failure}"[:300]
            continue
        if any(len(v.text) > _LONG for v in variants):
            long_seeds += 1
            if long_seeds > _LONG_SEEDS:
                variants = [v for v in variants if len(v.text) <= _LONG]
        if variants := [v for v in variants if uses_reference or _tells(probe, v)]:
            made.append((i, variants))
    return Share(probe, len(suited), len(made), tuple(_interleaved(probe, made)), problem)


def _tells(probe: Probe, variant: Variant) -> bool:
    """A reward without a reference pays for any answer, so only what says nothing at all has to be refused."""
    return probe.group in _GROUPS_WITHOUT_REFERENCE if probe.expect == "keep" else says_nothing(variant.text)


def says_nothing(text: str) -> bool:
    """No letter or digit outside tags and empty boxes.

    >>> says_nothing("<think></think><answer> . </answer>")
    True
    """
    return not _MARKS.sub("", text[:_LONG])


def _interleaved(probe: Probe, made: Sequence[tuple[int, list[Variant]]]) -> list[Item]:
    """One variant of each seed, then the next of each; seeds begin at different variants."""
    most = max((len(variants) for _, variants in made), default=0)
    return [
        Item(probe, seed, variants[(turn + place) % len(variants)])
        for turn in range(most)
        for place, (seed, variants) in enumerate(made)
        if turn < len(variants)
    ]


def _fair(wanted: Sequence[int], total: int) -> list[int]:
    """How many each gets: the same for all, except that nobody gets more than wanted."""
    left, given = total, [0] * len(wanted)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for place, i in enumerate(order):
        given[i] = min(wanted[i], max(1, left // (len(order) - place)))
        left = max(0, left - given[i])
    return given
