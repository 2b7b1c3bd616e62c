"""The hedging curve: how often are m candidates accepted, with the right one first, in the middle or last?

In one answer ("a or b or c"), and as separate answers one after another. A reward that takes the last of several
answers by declaration is not at fault for two separate ones with the right one last: that is self-correction.
"""

from __future__ import annotations

from dataclasses import dataclass

from sibling.audit.bench import Bench, Example, Finding
from sibling.audit.kinds import Seed
from sibling.audit.outcomes import Outcome
from sibling.audit.probes.build import wrongs

_GROUP = "hedging"
_SEEDS = 8
_MANY = (2, 5, 20, 100)
_PLACES = ("first", "middle", "last")
_STYLES = ("one answer", "separate answers")
_KINDS = ("math", "choice", "text")


@dataclass(frozen=True)
class _Case:
    seed: int
    style: str
    m: int
    place: str
    text: str

    @property
    def correction(self) -> bool:
        """It reads as a correction of oneself."""
        return self.style == "separate answers" and self.place == "last"


def hedging_curve(bench: Bench) -> list[Finding]:
    """accept(m) by style and place."""
    seeds = [i for i in bench.sound(len(bench.seeds)) if bench.seeds[i].kind in _KINDS][: bench.few(_SEEDS, 22)]
    cases = [case for i in seeds for case in _cases(i, bench.seeds[i])]
    if not cases or not bench.uses_reference:
        return [Finding("hedging_curve", _GROUP, None, "tried where answers are values or a few words")]
    outcomes = bench.calls.grade([bench.call(c.seed, c.text) for c in cases])
    paid = [(c, o) for c, o in zip(cases, outcomes, strict=True) if bench.marking.accepts(o)]
    curve = _curve(cases, {id(c) for c, _ in paid})
    hedged = [(c, o) for c, o in paid if not c.correction]
    corrected = [(c, o) for c, o in paid if c.correction]
    n = sum(not c.correction for c in cases)
    out = [_finding("hedging_curve", hedged, n, curve, "lists of candidates are accepted", False)]
    if corrected:
        n = len(cases) - n
        out.append(
            _finding("last_answer_counts", corrected, n, {}, "are accepted for the last of several answers", True)
        )
    return out


def _cases(i: int, seed: Seed) -> list[_Case]:
    cases = []
    for m in _MANY:
        wrong = wrongs(seed, m - 1)
        if len(wrong) < m - 1:
            continue
        for place in _PLACES:
            at = {"first": 0, "middle": m // 2, "last": m - 1}[place]
            if m == 2 and place == "middle":
                continue
            candidates = [*wrong[:at], seed.answer, *wrong[at:]]
            texts = (seed.wrap(" or ".join(candidates)), "\n".join(seed.wrap(c) for c in candidates))
            cases += [_Case(i, style, m, place, text) for style, text in zip(_STYLES, texts, strict=True)]
    return cases


def _curve(cases: list[_Case], paid: set[int]) -> dict[str, object]:
    """style, place -> {m: share accepted}."""
    counts: dict[tuple[str, str, int], list[bool]] = {}
    for case in cases:
        counts.setdefault((case.style, case.place, case.m), []).append(id(case) in paid)
    curve: dict[str, dict[str, float]] = {}
    for (style, place, m), hits in counts.items():
        curve.setdefault(f"{style}, {place}", {})[str(m)] = sum(hits) / len(hits)
    return dict(curve)


def _finding(
    name: str, paid: list[tuple[_Case, Outcome]], n: int, curve: dict[str, object], words: str, policy: bool
) -> Finding:
    shortest = sorted(paid, key=lambda p: len(p[0].text))[:2]
    examples = tuple(
        Example(c.text, o.words, note=f"{c.m} candidates, {c.style}, the right one {c.place}") for c, o in shortest
    )
    return Finding(
        name,
        _GROUP,
        not paid,
        f"{len(paid)} of {n} {words}",
        n,
        len(paid),
        examples,
        policy,
        {"curve": curve} if curve else {},
    )
