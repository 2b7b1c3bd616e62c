"""What goes with what: the combinations of settings that are refused, and those that are merely unusual.

Each rule names the combination and says why. `refusal` gives the first that forbids a recipe; `warnings` those
that a person should know of. The table is the documentation: `docs/objectives.md` prints it.
"""

from __future__ import annotations

from sibling.config.rule import Rule, Settings
from sibling.config.rules_estimators import ADVANTAGES, AGGREGATIONS, SAMPLING
from sibling.config.rules_terms import BOUNDS, CORRECTIONS, KL

__all__ = ["RULES", "Rule", "holding", "refusal", "table", "warnings"]

RULES: tuple[Rule, ...] = (*ADVANTAGES, *AGGREGATIONS, *KL, *BOUNDS, *CORRECTIONS, *SAMPLING)
"""The table, in the order in which a recipe is looked through."""


def holding(recipe: Settings) -> tuple[Rule, ...]:
    """The rules that `recipe` falls under."""
    return tuple(rule for rule in RULES if rule.holds(recipe))


def refusal(recipe: Settings) -> str | None:
    """Why `recipe` is refused, as one sentence with the rule's name; None if it is legal."""
    return next((_sentence(recipe, rule) for rule in holding(recipe) if rule.severity == "refuse"), None)


def warnings(recipe: Settings) -> list[str]:
    """What is unusual in `recipe`, one sentence each."""
    return [_sentence(recipe, rule) for rule in holding(recipe) if rule.severity == "warn"]


def table() -> list[tuple[str, str, str, str]]:
    """(name, what happens, reason, what to do) of every rule, those that refuse first."""
    happens = {"refuse": "refused", "warn": "warned of"}
    ordered = sorted(RULES, key=lambda rule: rule.severity)
    return [(rule.name, happens[rule.severity], rule.reason, rule.do) for rule in ordered]


def _sentence(recipe: Settings, rule: Rule) -> str:
    return f"{rule.name} (objective {recipe.objective.type}): {rule.reason}; {rule.do}"
