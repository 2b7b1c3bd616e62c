"""Which scorer each family of reasoning-gym gets, and why: a review of all 106 families of version 0.1.25.

`exact`: the stored answer is the only right one; it is paid in full, and nothing else is paid. The package's default
scorer pays any text that contains the answer for the share of it, so that hedging and padding are paid; not here.
`ours`: several answers are right, or one in several forms; our checker reads the whole answer and executes nothing.
`shipped`: the package's scorer, reviewed, in a process of its own (`shipped_child`), which is given only answers of
the form that the family asks for; only full marks are paid.
Each reason says what is wrong with the shipped scorer where it is not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from sibling.rewards.gym_answers import algebra, grids, logic, numbers, puzzles, texts
from sibling.rewards.gym_answers.readers import Item

REVIEWED_VERSION = "0.1.25"

How = Literal["ours", "exact", "shipped"]
Check = Callable[[str, Item], float]


@dataclass(frozen=True)
class Family:
    """How answers to one family are scored. `check` is None for a shipped scorer; `form` is then what it may see."""

    name: str
    how: How
    reason: str
    check: Check | None = None
    form: re.Pattern[str] | None = None


def families() -> list[dict[str, str]]:
    """One row a family for the documentation: its name, how it is scored, what is accepted, and why."""
    return [
        {
            "family": family.name,
            "how": family.how,
            "accepts": " ".join((family.check.__doc__ or "").split()) if family.check else "what the package accepts",
            "reason": family.reason,
        }
        for family in FAMILIES.values()
    ]


_DEFAULT = "the default scorer pays for any text that contains the answer"
_DEFAULT_FAMILIES = (
    *("simple_equations", "base_conversion", "binary_alternation", "caesar_cipher", "count_primes"),
    *("isomorphic_strings", "letter_counting", "number_filtering", "ransom_note", "rotate_matrix", "rotten_oranges"),
    *("string_manipulation", "string_splitting", "string_synthesis", "word_sequence_reversal", "arc_1d"),
    *("basic_arithmetic", "count_bits", "gcd", "lcm", "leg_counting", "bf", "modulo_grid", "number_sequence"),
    *("mahjong_puzzle", "maze", "simple_geometry", "course_schedule", "largest_island", "acre", "list_functions"),
    *("aiw", "syllogism"),
)

_EXACT: Mapping[str, tuple[Check, str]] = {
    "ab": (texts.exact_any_space, "one right answer"),
    "arc_agi": (texts.exact_any_space_in_lines, "the shipped scorer pays 0.05 for any grid"),
    "rearc": (texts.exact_any_space_in_lines, "the shipped scorer pays 0.05 for any grid"),
    "calendar_arithmetic": (texts.exact_any_case, "the shipped scorer pays for any weekday, and for numbers nearby"),
    "circuit_logic": (texts.exact, "one right answer"),
    "color_cube_rotation": (texts.exact_any_case, "the shipped scorer pays 0.01 for anything"),
    "dice": (texts.exact_any_case, "one right answer: a reduced fraction"),
    "emoji_mystery": (texts.exact, "the shipped scorer pays for single characters"),
    "family_relationships": (texts.exact_any_case, "one right answer"),
    "figlet_font": (texts.one_word, "the shipped scorer pays a tenth a letter: a word of ten is paid with any ending"),
    "game_of_life_halting": (texts.exact_any_case, "the shipped scorer pays any text in full: bool('False') is true"),
    "letter_jumble": (texts.exact_any_case_or_space, "the shipped scorer pays for words in place, whatever follows"),
    "needle_haystack": (texts.one_word, "one right answer"),
    "path_star": (texts.exact_any_space, "one right path"),
    "self_reference": (texts.exact, "one right answer"),
    "sentence_reordering": (texts.exact_any_case_or_space, "the shipped scorer pays 0.05 for anything"),
    "spell_backward": (texts.exact_any_case, "the shipped scorer pays for the letters in place, whatever follows"),
    "tsumego": (texts.exact_any_case, "the shipped scorer pays for any text that contains the answer"),
    "zebra_puzzles": (texts.exact_any_case, "one right answer"),
}

_DECIMAL = "the shipped scorer pays for any text that contains the answer"
_OURS: Mapping[str, tuple[Check, str]] = {
    "chain_sum": (numbers.value, _DECIMAL),
    "products": (numbers.value, _DECIMAL),
    "bitwise_arithmetic": (numbers.hexadecimal, "the shipped scorer evaluates the problem"),
    "complex_arithmetic": (numbers.complex_number, "the shipped scorer pays `nan` in full, and numbers nearby"),
    "coin_flip": (numbers.probability, "the shipped scorer pays 0 for a small probability, and hangs on 1e999999999"),
    "countdown": (numbers.reaches(), "the shipped scorer executes the answer"),
    "puzzle24": (numbers.reaches(24), "the shipped scorer executes the answer, and takes other numbers"),
    "decimal_arithmetic": (numbers.last_place, "the shipped scorer's tolerance is that of the terms"),
    "decimal_chain_sum": (numbers.value, "the shipped scorer is sound; ours bounds the number"),
    "fraction_simplification": (numbers.lowest_terms, "the shipped scorer pays for the question, and takes the first"),
    "advanced_geometry": (numbers.geometry, "the shipped scorer takes the first point, and pays 0.01 for anything"),
    "gsm_symbolic": (numbers.value, "the shipped scorer takes the first number of any text"),
    "number_format": (numbers.candidate, "the shipped scorer is sound; ours bounds the number"),
    "number_sorting": (numbers.sorted_numbers, "the shipped scorer takes numbers that are off by 1"),
    "polynomial_equations": (numbers.solutions, "the shipped scorer pays for numbers nearby and skips what is none"),
    "power_function": (numbers.three_figures, "the shipped scorer pays 0.01 for anything"),
    "prime_factorization": (numbers.prime_factors, "the shipped scorer fails on what is no number, and pays n = n"),
    "rectangle_count": (numbers.whole, "the shipped scorer pays for numbers nearby"),
    "time_intervals": (numbers.duration, "the shipped scorer takes the first number, and pays for times nearby"),
    "simple_integration": (algebra.antiderivative, "the shipped scorer executes the answer, and pays `Integral(...)`"),
    "intermediate_integration": (algebra.antiderivative, "the shipped scorer executes the answer"),
    "polynomial_multiplication": (algebra.polynomial, "the shipped scorer executes the answer, and pays `a or b`"),
    "binary_matrix": (grids.matrix, "the shipped scorer executes the answer"),
    "spiral_matrix": (grids.number_row, "the shipped scorer executes the answer"),
    "string_insertion": (texts.string_or_letters, "the shipped scorer executes the answer"),
    "n_queens": (grids.queens, "the shipped scorer executes the answer"),
    "manipulate_matrix": (grids.matrix, "the shipped scorer pays for any text that contains the answer"),
    "pool_matrix": (grids.pooled, "the shipped scorer pays 0.1 for the shape, and takes numbers off by 1 %"),
    "game_of_life": (grids.json_matrix, "the shipped scorer pays for each cell: an empty board is nearly right"),
    "sudoku": (grids.sudoku, "the shipped scorer pays for the puzzle itself"),
    "mini_sudoku": (grids.sudoku, "the shipped scorer pays for the puzzle itself, and knows one solution of several"),
    "futoshiki": (grids.futoshiki, "the shipped scorer pays for the puzzle itself"),
    "kakurasu": (grids.kakurasu, "the shipped scorer skips what it does not know between the digits"),
    "survo": (grids.survo, "the shipped scorer skips words between the numbers, and knows one solution of several"),
    "group_anagrams": (texts.anagrams, "the shipped scorer pays 0.01 for any JSON"),
    "palindrome_generation": (texts.palindrome, "the shipped scorer pays for any text"),
    "palindrome_partitioning": (texts.partitions, "the shipped scorer reads JSON without a bound on its depth"),
    "word_sorting": (texts.word_list, "the shipped scorer pays for words in place, whatever follows"),
    "codeio": (texts.json_object, "the shipped scorer pays for any JSON, and looks for it inside other text"),
    "knights_knaves": (texts.roles, "the shipped scorer pays 0.3 and more for a guess, and lets both be said of one"),
    "cryptarithm": (puzzles.cryptarithm, "the shipped scorer takes the last of two digits for one letter"),
    "graph_color": (puzzles.coloring, "the shipped scorer pays 0.01 for any JSON, and takes the last of two colors"),
    "jugs": (puzzles.jugs, "the shipped scorer pays 0.01 for any moves"),
    "knight_swap": (puzzles.knights, "the shipped scorer pays 0.05 for moves that solve nothing"),
    "tower_of_hanoi": (puzzles.hanoi, "the shipped scorer pays 0.05 for moves that solve nothing"),
    "sokoban": (puzzles.sokoban, "the shipped scorer skips every character that is no move"),
    "quantum_lock": (puzzles.lock, "the shipped scorer reads buttons out of any text"),
    "shortest_path": (puzzles.path, "the shipped scorer is sound; ours bounds the path"),
    "propositional_logic": (logic.conclusion, "the shipped scorer pays a repeated premise"),
}

_CUBE = re.compile(r"[UDLRFBMESXYZ]w?'?(?:\s+[UDLRFBMESXYZ]w?'?){0,400}")
_RUSH = re.compile(r"[A-Z][+-][1-9](?:\s+[A-Z][+-][1-9]){0,400}")
_LADDER = re.compile(r"[A-Za-z]{1,20}(?:\s*,\s*[A-Za-z]{1,20}){1,60}")
_BOXES = re.compile(r"\s*\[.{2,8000}\]\s*", re.DOTALL)
_SHIPPED: Mapping[str, tuple[re.Pattern[str], str]] = {
    "boxnet": (_BOXES, "needs the package's field; boxes that reach their targets are counted; only all are paid"),
    "rubiks_cube": (_CUBE, "needs the package's cube; only a solved one is paid, and no move may carry a count"),
    "rush_hour": (_RUSH, "needs the package's board; it looks for moves in any text, so only moves are let through"),
    "word_ladder": (_LADDER, "needs the package's words; a step that is no word halves its pay, here there is none"),
}


def _all() -> dict[str, Family]:
    rows = [Family(name, "exact", _DEFAULT, texts.exact) for name in _DEFAULT_FAMILIES]
    rows += [Family(name, "exact", reason, check) for name, (check, reason) in _EXACT.items()]
    rows += [Family(name, "ours", reason, check) for name, (check, reason) in _OURS.items()]
    rows += [Family(name, "shipped", reason, form=form) for name, (form, reason) in _SHIPPED.items()]
    rows.append(Family("composite", "ours", "each prompt is scored as its own family", _of_its_source))
    return {family.name: family for family in sorted(rows, key=lambda family: family.name)}


def _of_its_source(answer: str, item: Item) -> float:
    """What the family that the prompt comes from accepts."""
    check = FAMILIES[item.metadata["source_dataset"]].check
    if check is None:
        raise LookupError("a shipped scorer is not one of ours")
    return check(answer, item)


FAMILIES: Mapping[str, Family] = MappingProxyType(_all())


def family_of(columns: Mapping[str, Any]) -> tuple[str, Family | None]:
    """(name, what is known of it) of the family that made a task, by its columns; a mix's part is its own family."""
    name = str(columns["gym"]["family"])
    if name == "composite":
        name = str(columns.get("metadata", {}).get("source_dataset", name))
    return name, FAMILIES.get(name)
