"""Answers that are text: one word, a sentence, a list of words."""

from __future__ import annotations

import re

from sibling.rewards.gym_answers.readers import Item, RefusedError, grid, json_value, literal, need
from sibling.rewards.json_text import same

_ROLES = re.compile(r"([\w'-]+) is an? ([\w'-]+)")


def exact(answer: str, item: Item) -> float:
    """The stored answer itself, but for white space around it and at the ends of its lines."""
    need(_lines(answer) == _lines(item.reference), "not the answer")
    return 1.0


def exact_any_case(answer: str, item: Item) -> float:
    """The same, in capitals or not."""
    need(_lines(answer.lower()) == _lines(item.reference.lower()), "not the answer")
    return 1.0


def exact_any_space_in_lines(answer: str, item: Item) -> float:
    """The same lines of the same words; how words are set apart does not matter."""
    need(grid(answer) == grid(item.reference), "not the answer")
    return 1.0


def exact_any_space(answer: str, item: Item) -> float:
    """The same words; how they are set apart does not matter."""
    need(answer.split() == item.reference.split(), "not the answer")
    return 1.0


def exact_any_case_or_space(answer: str, item: Item) -> float:
    """The same words, in capitals or not."""
    need(answer.lower().split() == item.reference.lower().split(), "not the answer")
    return 1.0


def one_word(answer: str, item: Item) -> float:
    """The same letters, in capitals or not, spread out or not: `w o r d` is WORD."""
    need("".join(answer.lower().split()) == "".join(item.reference.lower().split()), "not the word")
    return 1.0


def word_list(answer: str, item: Item) -> float:
    """The sorted words, with commas between them, and nothing else."""
    need([word.strip() for word in answer.split(",")] == list(item.metadata["sorted_words"]), "not that list")
    return 1.0


def palindrome(answer: str, item: Item) -> float:
    """A palindrome of exactly the letters given."""
    word = answer.lower()
    need(word == word[::-1], "not a palindrome")
    need(sorted(word) == sorted(letter.lower() for letter in item.metadata["letters"]), "not of these letters")
    return 1.0


def anagrams(answer: str, item: Item) -> float:
    """The words in groups, in any order."""
    need(_groups(json_value(answer)) == _groups(item.metadata["solution"]), "not these groups")
    return 1.0


def partitions(answer: str, item: Item) -> float:
    """All partitions, each once, in any order."""
    stated = _lists(json_value(answer))
    need(sorted(stated) == sorted(map(list, item.metadata["solution"])), "not these partitions")
    return 1.0


def json_object(answer: str, item: Item) -> float:
    """The same JSON value, or the stored answer itself where that is none."""
    try:
        wanted = json_value(item.reference)
    except RefusedError:
        return exact(answer, item)
    need(same(json_value(answer), wanted), "another value")
    return 1.0


def roles(answer: str, item: Item) -> float:
    """Who is what: `A is a knight, and B is a knave`. Each person once, in any order."""
    need(_roles(answer) == _roles(item.reference), "not who is what")
    return 1.0


def string_or_letters(answer: str, item: Item) -> float:
    """The string; written as a list of its letters it is worth a tenth, as the family has it."""
    if answer.startswith("["):
        letters = literal(answer)
        need(isinstance(letters, list) and all(isinstance(x, str) for x in letters), "not a list of letters")
        need("".join(letters) == item.reference.strip(), "not the answer")
        return 0.1
    return exact(answer, item)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def _lists(value: object) -> list[list[str]]:
    need(isinstance(value, list), "not a list of lists", "unreadable")
    assert isinstance(value, list)
    fits = all(isinstance(part, list) and all(isinstance(word, str) for word in part) for part in value)
    need(fits, "not a list of lists of words", "unreadable")
    return value


def _groups(value: object) -> list[list[str]]:
    return sorted(sorted(group) for group in _lists(value))


def _roles(text: str) -> dict[str, str]:
    parts = [part.strip() for part in re.split(r",\s*and\s+|,|\s+and\s+", text.strip().rstrip(".").lower())]
    found: dict[str, str] = {}
    for part in parts:
        match = _ROLES.fullmatch(part)
        if match is None:
            raise RefusedError("it does not say of each who is what")
        name, role = match.groups()
        need(name not in found, "it says two things of one person", "hedged")
        found[name] = role
    return found
