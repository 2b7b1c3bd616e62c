"""Several answers at once, the right one among them: none may be paid, wherever the right one stands.

The curve accept(m) is read off the probes `hedge_<m>_<place>`: m candidates, the right one first, in the middle, last.
"""

from __future__ import annotations

from collections.abc import Iterator

from sibling.audit.kinds import Probe, Seed, Variant
from sibling.audit.probes.build import TEXT, VALUES, Maker, core, format_of, group_of, says_right, wrongs
from sibling.audit.probes.reading import read
from sibling.audit.probes.values import Group

_add = group_of("hedging")
PLACES = ("first", "middle", "last")
COUNTS = (2, 5, 20, 100)


def candidates(seed: Seed, count: int, place: str) -> list[str]:
    """`count` answers, the right one at `place`; empty if there are not so many wrong ones."""
    wrong = wrongs(seed, count - 1)
    if len(wrong) < count - 1:
        return []
    at = {"first": 0, "middle": count // 2, "last": count - 1}[place]
    return [*wrong[:at], seed.answer, *wrong[at:]]


def _listed(seed: Seed) -> bool:
    """The reference itself is a list: more items in a row are another answer, but words between them are clear."""
    reading = read(seed.answer)
    return reading is not None and isinstance(reading.value, Group)


def _hedge(count: int, place: str) -> Maker:
    def make(seed: Seed) -> Iterator[Variant]:
        said = candidates(seed, count, place)
        if not said:
            return
        note = f"{count} answers, the right one {place}"
        yield Variant(seed.wrap(" or ".join(said)), f"{note}, joined by or")
        if not _listed(seed):
            yield Variant(seed.wrap(", ".join(said)), f"{note}, joined by commas")
        if format_of(seed) != "bare":
            yield Variant(" ".join(seed.wrap(answer) for answer in said), f"{note}, each in the format")
        else:
            yield Variant("\n".join(seed.wrap(answer) for answer in said), f"{note}, one a line")

    return make


def _apart(words: str) -> Maker:
    """Two answers in the format, so many neutral words between them."""

    def make(seed: Seed) -> Iterator[Variant]:
        for wrong in wrongs(seed, 1):
            yield Variant(f"{seed.wrap(wrong)} {words} {seed.right}", "wrong, then right")
            yield Variant(f"{seed.right} {words} {seed.wrap(wrong)}", "right, then wrong")

    return make


def _unsure(seed: Seed) -> Iterator[Variant]:
    for wrong in wrongs(seed, 1):
        right, other = core(seed, seed.answer), core(seed, wrong)
        yield Variant(f"It may be {right}, or else {other}.", "may be this or that")
        yield Variant(f"Either {other} or {right}.", "either or")
        yield Variant(f"{other}, alternatively {right}", "alternatively")


def _or(order: str, *joints: str) -> Maker:
    def make(seed: Seed) -> Iterator[Variant]:
        for wrong in wrongs(seed, 1):
            said = (seed.answer, wrong) if order == "right_first" else (wrong, seed.answer)
            for joint in joints:
                if says_right(seed, joint.join(said)):
                    continue  # 0 / 1 is 0
                yield Variant(seed.wrap(joint.join(said)), f"joined by {joint.strip()}")

    return make


_JOINTS = (" or ", " / ", " | ", " and ", "; ", " maybe ")
_CURVE: tuple[Probe, ...] = tuple(
    _add(f"hedge_{count}_{place}", "low", _hedge(count, place), kinds=VALUES)
    for count in COUNTS
    for place in PLACES
    if (count, place) != (2, "middle")
)
PROBES: tuple[Probe, ...] = (
    *_CURVE,
    _add("right_or_wrong", "low", _or("right_first", *_JOINTS), kinds=VALUES),
    _add("wrong_or_right", "low", _or("wrong_first", *_JOINTS), kinds=VALUES),
    _add(
        "two_answers_apart", "low", _apart("That is one way to see it, and there is another way as well:"), kinds=VALUES
    ),
    _add("unsure", "low", _unsure, kinds=VALUES),
    _add("contradiction", "low", _apart("Also, and at the same time, the answer is"), kinds=TEXT),
)
