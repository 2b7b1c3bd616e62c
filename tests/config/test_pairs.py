"""All pairs of settings: what the rules say of each, held to pairs.txt.

Every option is one departure from a recipe that no rule minds. Of a pair, only what neither of its options has alone
is listed, and what one option mends of the other. When rules were changed on purpose, write the file again with
WRITE_PAIRS=1 in the environment, and read the difference.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import pytest

from sibling.config import AdvantageConfig, Aggregation, ObjectiveConfig, Recipe
from sibling.config.legal import RULES, holding
from sibling.errors import RequestError

SNAPSHOT = Path(__file__).parent / "pairs.txt"
Changes = dict[str, Any]
Verdict = frozenset[str]


def tags(union: Any) -> list[str]:
    return [option.model_fields["type"].default for option in get_args(get_args(union)[0])]


def kl(placement: str, estimator: str) -> Changes:
    return {"objective.kl.beta": 0.05, "objective.kl.placement": placement, "objective.kl.estimator": estimator}


def correction(level: str, action: str, low: float | None, high: float | None) -> Changes:
    return {"objective.sampler_correction": {"level": level, "action": action, "min": low, "max": high}}


AXES: dict[str, dict[str, Changes]] = {
    "row": {name: {"objective.type": name} for name in tags(ObjectiveConfig)},
    "advantage": {name: {"objective.advantage": {"type": name}} for name in tags(AdvantageConfig)}
    | {f"group/{s}": {"objective.advantage": {"type": "group", "scale": s}} for s in ("batch", "none")},
    "aggregation": {mode: {"objective.aggregation": mode} for mode in get_args(Aggregation)},
    "constant": {"16": {"objective.constant": 16}},
    "kl": {f"{e} in the loss": kl("loss", e) for e in ("k1", "k2", "k3", "k3_is", "k3_st")}
    | {f"{e} in the reward": kl("reward", e) for e in ("k1", "k2")},
    "reference": {
        "refresh": {"objective.kl.reference": {"type": "refresh", "every": 10}},
        "ema": {"objective.kl.reference": {"type": "ema"}},
    },
    "adaptive": {"on": {"objective.kl.adaptive": {}}},
    "sampler_correction": {
        "token truncate": correction("token", "truncate", None, 2.0),
        "token mask": correction("token", "mask", 0.5, 5.0),
        "sequence truncate": correction("sequence", "truncate", None, 2.0),
        "sequence mask": correction("sequence", "mask", 0.5, 2.0),
        "geometric filter": correction("geometric", "filter", 0.999, 1.002),
    },
    "off_policy_mask": {"on": {"objective.off_policy_mask": {}}},
    "entropy_mask": {"on": {"objective.entropy_mask": {}}},
    "entropy_bonus": {"on": {"objective.entropy_bonus": {}}},
    "group_size": {"1": {"sampling.group_size": 1}, "2": {"sampling.group_size": 2}},
    "truncation": {
        "top_p": {"sampling.top_p": 0.9},
        "top_k": {"sampling.top_k": 20},
        "min_p": {"sampling.min_p": 0.1},
    },
    "updates": {"2 passes": {"learner.passes": 2}, "2 minibatches": {"learner.minibatches": 2}},
    "dynamic_sampling": {"on": {"filters.dynamic_sampling.enabled": True}},
    "mask_truncated": {"on": {"filters.mask_truncated": True}},
    "rewards": {
        "step_match": {"rewards": [{"type": "step_match"}]},
        "callable": {"rewards": [{"type": "callable", "target": "rewards.py:score"}]},
        "half": {"rewards": [{"type": "final_number", "weight": 0.5}]},
        "two": {"rewards": [{"type": "final_number"}, {"type": "format_tags"}]},
        "with overlong": {"rewards": [{"type": "final_number"}, {"type": "overlong", "cache": 8}]},
    },
    "task": {"built-in": {"task": {"type": "largest_number"}}},
}
"""Axis -> option -> changes. Two options of one axis exclude each other."""

OPTIONS = [(axis, name, changes) for axis, options in AXES.items() for name, changes in options.items()]
SEVERITY = {rule.name: rule.severity for rule in RULES}


def together(one: Changes, other: Changes) -> Changes:
    """Both changes; `objective.kl.beta` and `objective.kl.reference` are different keys and do not collide."""
    assert not set(one) & set(other)
    return one | other


@pytest.fixture(scope="module")
def verdict(unchecked: Callable[[Mapping[str, Any]], Recipe]) -> Callable[[Changes], Verdict]:
    return lambda changes: frozenset(rule.name for rule in holding(unchecked(changes)))


def severity(found: Verdict) -> str:
    return min((SEVERITY[name] for name in found), default="well")  # refuse < warn < well


def listed(verdict: Callable[[Changes], Verdict]) -> Iterator[str]:
    """The lines of the snapshot."""
    alone = {(axis, name): verdict(changes) for axis, name, changes in OPTIONS}
    new: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    mended: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    count: Counter[str] = Counter()
    for (axis, name, changes), (other_axis, other, more) in combinations(OPTIONS, 2):
        if axis == other_axis:
            continue
        found = verdict(together(changes, more))
        count[severity(found)] += 1
        apart = alone[axis, name] | alone[other_axis, other]
        for rule in found - apart:
            new[rule][f"{axis}={name}"][other_axis].append(other)
        for rule in apart - found:
            mended[rule][f"{axis}={name}"][other_axis].append(other)
    yield f"{len(OPTIONS)} options, {sum(count.values())} pairs: {count['well']} without remark,"
    yield f"{count['warn']} with a warning, {count['refuse']} refused"
    yield from ("", "ONE OPTION", "")
    for (axis, name), found in alone.items():
        if found:
            yield f"{axis}={name}: {', '.join(f'{SEVERITY[r]}: {r}' for r in sorted(found))}"
    for title, table in (("TWO OPTIONS", new), ("ONE OPTION MENDS THE OTHER", mended)):
        yield from ("", title)
        for rule in (r.name for r in RULES if r.name in table):
            yield from ("", f"{SEVERITY[rule]}: {rule}")
            for first, others in table[rule].items():
                for second, names in others.items():
                    yield f"    {first} with {second}={' | '.join(names)}"


def test_all_pairs_are_as_listed(verdict: Callable[[Changes], Verdict]) -> None:
    lines = list(listed(verdict))
    if os.environ.get("WRITE_PAIRS"):
        SNAPSHOT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == SNAPSHOT.read_text(encoding="utf-8").splitlines()


def test_reading_a_pair_refuses_what_the_rules_refuse(
    unchecked: Callable[[Mapping[str, Any]], Recipe], checked: Callable[[Mapping[str, Any]], Recipe]
) -> None:
    """Every 17th pair is read from the start as a recipe is: refused by the first rule that refuses, or whole."""
    pairs = [(a, b) for a, b in combinations(OPTIONS, 2) if a[0] != b[0]]
    for (_, _, one), (_, _, other) in pairs[::17]:
        changes = together(one, other)
        refusing = [rule.name for rule in holding(unchecked(changes)) if rule.severity == "refuse"]
        if refusing:
            with pytest.raises(RequestError, match=refusing[0]):
                checked(changes)
        else:
            assert checked(changes) == unchecked(changes)
