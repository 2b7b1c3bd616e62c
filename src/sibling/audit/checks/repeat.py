"""The same completion graded again: in one process, in fresh ones, between others, and in threads.

A verdict may depend on the completion and its task, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from sibling.audit.bench import Bench, Example, Finding
from sibling.audit.outcomes import Call, Outcome

_GROUP = "invariance"
_SAME = 32  # completions that are graded again
_FRESH = 16
_HASH_SEEDS = (1, 2)
_THREADS = 4
_MANY_THREADS = 24  # pools of a library are fine; one thread a call is not


def determinism(bench: Bench) -> list[Finding]:
    """Three times in one process, and in a fresh process with another hash seed.

    Verdicts that differ within a process, and do so in the same way in every fresh one, follow from what was graded
    before: that is hidden state. Any other difference is chance.
    """
    calls = bench.mixed(bench.few(_SAME, 3))
    first, second, third = (bench.calls.in_order(calls) for _ in range(3))
    again = _differing(calls, first, second) + _differing(calls, first, third)
    if again and _same_history(bench, calls):
        return [_finding("hidden_state", again, len(calls) * 2, "when the same completion is graded again")]
    out = [_finding("determinism", again, len(calls) * 2, "three times in one process")]
    few = calls[:_FRESH]
    one = bench.calls.fresh(few, _HASH_SEEDS[0])  # the main process has a hash seed of its own
    moved = _differing(few, first, one)
    if not again and moved and not _differing(few, one, bench.calls.fresh(few, _HASH_SEEDS[1])):
        # Fresh processes agree whatever their hash seed: it is the history.
        return [_finding("hidden_state", moved, len(few), "in a fresh process and after other completions")]
    return [*out, _finding("fresh_process", moved, len(few), "in a fresh process with another hash seed")]


def _same_history(bench: Bench, calls: Sequence[Call]) -> bool:
    one, two = (bench.calls.fresh([*calls, *calls], _HASH_SEEDS[0]) for _ in range(2))
    return not _differing([*calls, *calls], one, two) and bool(_differing(calls, one[: len(calls)], one[len(calls) :]))


def hidden_state(bench: Bench) -> list[Finding]:
    """Before and after other completions, and in the opposite order."""
    calls = bench.mixed(bench.few(_SAME, 6))
    others = [bench.call(i, text) for i in range(len(calls) // 2) for text in _odd(bench, i)]
    before = bench.calls.in_order(calls)
    bench.calls.in_order(others)
    after = bench.calls.in_order(calls)
    turned = bench.calls.in_order(calls[::-1])[::-1]
    return [
        _finding("hidden_state", _differing(calls, before, after), len(calls), "before and after other completions"),
        _finding("order", _differing(calls, before, turned), len(calls), "in the opposite order"),
    ]


def _odd(bench: Bench, i: int) -> list[str]:
    seed = bench.seeds[i]
    return [seed.right, "", seed.wrap(""), seed.wrap("x" * 2000)]


def threads(bench: Bench) -> list[Finding]:
    """In a thread that is not the main one, and in several at once. Time-outs made of signals fail there."""
    calls = bench.mixed(bench.few(_SAME, 3))
    main = bench.calls.in_order(calls)
    one = _differing(calls, main, bench.calls.threads(calls, 1))
    out = [_finding("thread", one, len(calls), "in the main thread and in another")]
    if not one:
        several = _differing(calls, main, bench.calls.threads(calls, _THREADS))
        out.append(_finding("threads", several, len(calls), f"alone and beside {_THREADS - 1} other threads"))
    return out


def threads_left(bench: Bench) -> Finding:
    """After everything: no pile of threads is left in the process of the reward."""
    most = bench.calls.tally.threads
    words = f"at most {most} threads in the reward's process"
    return Finding("threads_left", "resource", most <= _MANY_THREADS, words, 1, int(most > _MANY_THREADS))


Difference = tuple[Call, Outcome, Outcome]


def _differing(calls: Sequence[Call], first: Sequence[Outcome], second: Sequence[Outcome]) -> list[Difference]:
    pairs = zip(calls, first, second, strict=False)
    return [(c, a, b) for c, a, b in pairs if a.same != b.same and "left_out" not in (a.fault, b.fault)]


def _finding(name: str, differing: Sequence[Difference], n: int, where: str) -> Finding:
    examples = tuple(Example(c.text, f"{a.words}; then {b.words}") for c, a, b in differing[:3])
    if not differing:
        return Finding(name, _GROUP, True, f"the same verdict {where}", n)
    words = f"{len(differing)} of {n} verdicts differ {where}: {examples[0].said}"
    return Finding(name, _GROUP, False, words, n, len(differing), examples)
