"""Does length alone move the score? Neutral text is added or taken away; the answer stays what it was.

    score = a_seed + b log(length),   |b| within 3 standard errors of 0

Right and wrong completions are fitted together, each with its own level, over the lengths at which their verdict is
what it was (whether added text changes a verdict is the business of the presentation probes, but wrong completions
that are paid when they are longer are named here).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sibling.audit.bench import Bench, Example, Finding
from sibling.audit.outcomes import Call, Outcome

_GROUP = "length"
_SEEDS = 20
_TIMES = (0, 1, 5)  # filler, in lengths of the completion
_LEAST = 60  # characters taken as the length of a shorter completion
_FILLER = (
    "The statement is read once more with care.", "Nothing in it has been overlooked.",
    "Each step follows from the one before.", "The wording is plain and so is the method.",
    "This agrees with what was found above.", "A second look gives the same picture.",
)  # fmt: skip


def length_slope(bench: Bench) -> list[Finding]:
    """The slope of the score on the logarithm of the length, and wrong completions that pay when they are longer."""
    cases = [(i, text) for i in bench.sound(bench.few(_SEEDS, 6)) for text in _both(bench, i)]
    if not cases:
        return [Finding("length_slope", _GROUP, None, "no right completion is accepted")]
    texts = [[lengthened(text, times) for times in _TIMES] + _trimmed(text) for _, text in cases]
    calls = [bench.call(i, t) for (i, _), versions in zip(cases, texts, strict=True) for t in versions]
    outcomes = iter(bench.calls.grade(calls))
    rows = [[(t, next(outcomes)) for t in versions] for versions in texts]
    slope, error = _slope([_comparable(bench, row) for row in rows])
    moved = slope is not None and abs(slope) > max(3 * error, 1e-6)
    shown = "no score differs" if slope is None else f"slope {slope:+.4g} of the score on log length, s.e. {error:.2g}"
    out = [Finding("length_slope", _GROUP, not moved, shown, len(calls), int(moved), values={"slope": slope or 0.0})]
    return [*out, _paid_when_long(bench, calls, rows)]


def _both(bench: Bench, i: int) -> list[str]:
    seed = bench.seeds[i]
    return [seed.right, *(seed.wrap(other) for other in seed.others[:1])]


def _paid_when_long(bench: Bench, calls: Sequence[Call], rows: Sequence[Sequence[tuple[str, Outcome]]]) -> Finding:
    paid = [
        (text, outcome)
        for row in rows
        if bench.marking.refuses(row[0][1])
        for text, outcome in row[1:]
        if bench.marking.accepts(outcome)
    ]
    examples = tuple(Example(text, outcome.words, note="neutral text was added") for text, outcome in paid[:2])
    words = f"{len(paid)} of {len(calls)} wrong completions are accepted when they are longer or shorter"
    return Finding("paid_for_length", _GROUP, not paid, words, len(calls), len(paid), examples)


def lengthened(text: str, times: int) -> str:
    """`text` with neutral sentences before it (within the thought, if it begins with one), `times` its length."""
    wanted = times * max(len(text), _LEAST)
    if not wanted:
        return text
    filler = " ".join(_FILLER[i % len(_FILLER)] for i in range(1 + wanted // 40))[:wanted].rsplit(".", 1)[0] + ".\n"
    if text.startswith("<think>"):
        return text[: len("<think>")] + "\n" + filler + text[len("<think>") :]
    return filler + "\n" + text


def _trimmed(text: str) -> list[str]:
    """`text` with a thought of two words, if it has a longer one."""
    end = text.find("</think>")
    return [f"<think>\nIt follows.\n{text[end:]}"] if text.startswith("<think>") and end > 40 else []


def _comparable(bench: Bench, row: Sequence[tuple[str, Outcome]]) -> list[tuple[float, float]]:
    """(log length, score) where the verdict is that of the completion as it was."""
    first = bench.marking.accepts(row[0][1])
    return [
        (math.log(len(text)), outcome.score)
        for text, outcome in row
        if outcome.score is not None and bench.marking.accepts(outcome) == first and text
    ]


def _slope(rows: Sequence[Sequence[tuple[float, float]]]) -> tuple[float | None, float]:
    """Least squares with one level a row: slope and its standard error; None if no score differs within a row."""
    x, y = [], []
    levels = 0
    for row in rows:
        if len(row) > 1:
            levels += 1
            x += [a - sum(p for p, _ in row) / len(row) for a, _ in row]
            y += [b - sum(q for _, q in row) / len(row) for _, b in row]
    sxx = sum(a * a for a in x)
    if sxx == 0 or all(abs(b) < 1e-12 for b in y):
        return None, 0.0
    slope = sum(a * b for a, b in zip(x, y, strict=True)) / sxx
    rest = sum((b - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    return slope, math.sqrt(rest / max(1, len(x) - levels - 1) / sxx)
