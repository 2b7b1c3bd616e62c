"""Answers that are moves or assignments: played through, or checked against every condition of the puzzle.

A solution that is longer than it has to be is worth what the family pays for it (a share of the shortest, or a half);
moves that solve nothing are worth nothing, and nothing may stand beside the moves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sibling.rewards.gym_answers.readers import Item, RefusedError, integer, json_value, need

_MOST_MOVES = 2000
_HANOI = re.compile(r"Move disk (\d{1,4}) from Peg (\d{1,4}) to Peg (\d{1,4})\.?", re.IGNORECASE)
_JUG = re.compile(r"(fill|empty) ([A-Z])|(pour) ([A-Z])\s*->\s*([A-Z])")
_BUTTONS = re.compile(r"[A-Z](?:\s*(?:→|->|,|\s)\s*[A-Z])*", re.IGNORECASE)
_STEPS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
_LETTERS = {"U": (-1, 0), "D": (1, 0), "L": (0, -1), "R": (0, 1)}


def jugs(answer: str, item: Item) -> float:
    """Moves after which a jug holds the target."""
    sizes, target = item.metadata["puzzle"]["jug_capacities"], item.metadata["puzzle"]["target"]
    held = [0] * len(sizes)
    for move in _json_moves(answer):
        match = _JUG.fullmatch(move.strip())
        if match is None:
            raise RefusedError(f"{move[:20]!r} is no move")
        single, name, _, source, to = match.groups()
        places = [ord(letter) - ord("A") for letter in (name, source, to) if letter]
        need(all(place < len(sizes) for place in places), "there is no such jug", "unreadable")
        if single:
            held[places[0]] = sizes[places[0]] if single == "fill" else 0
        else:
            amount = min(held[places[0]], sizes[places[1]] - held[places[1]])
            held[places[0]] -= amount
            held[places[1]] += amount
    need(target in held, "no jug holds the target")
    return 1.0


def hanoi(answer: str, item: Item) -> float:
    """Legal moves that bring all disks to the target; longer than needed: the share of the needed moves."""
    facts = item.metadata
    pegs: dict[int, list[int]] = {peg: [] for peg in range(1, facts["num_pegs"] + 1)}
    pegs[facts["start_peg"]] = list(range(facts["num_disks"], 0, -1))
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    need(len(lines) <= max(_MOST_MOVES, 2 * facts["solution_length"]), "too many moves", "too_long")
    for line in lines:
        match = _HANOI.fullmatch(line)
        if match is None:
            raise RefusedError(f"{line[:40]!r} is no move")
        disk, source, to = map(int, match.groups())
        need(source in pegs and to in pegs, "there is no such peg", "unreadable")
        need(pegs[source] and pegs[source][-1] == disk, "that disk is not on top of its peg", "illegal_move")
        need(not pegs[to] or pegs[to][-1] > disk, "a disk on a smaller one", "illegal_move")
        pegs[to].append(pegs[source].pop())
    need(len(pegs[facts["target_peg"]]) == facts["num_disks"], "not all disks are on the target peg")
    return min(1.0, int(facts["solution_length"]) / max(1, len(lines)))


def knights(answer: str, item: Item) -> float:
    """Legal moves that swap the knights, or `No` if they cannot be swapped; longer than needed: the share."""
    facts = item.metadata
    if not facts["is_possible"] or answer.lower() == "no":
        need(not facts["is_possible"] and answer.lower() == "no", "not so")
        return 1.0
    pieces, turn = dict(facts["pieces"]), facts["start_turn"]
    moves = _json_moves(answer)
    for move in moves:
        color, _, way = move.partition(",")
        source, _, to = way.partition(",")
        need(color == turn, "not that color's turn", "illegal_move")
        need(pieces.get(source) == color, "no knight of that color stands there", "illegal_move")
        need(to in facts["board"][source] and pieces.get(to) is None, "a knight cannot go there", "illegal_move")
        pieces[source], pieces[to] = None, color
        turn = "B" if turn == "w" else "w"
    old = facts["pieces"]
    for color, other in (("w", "B"), ("B", "w")):
        swapped = {p for p, c in pieces.items() if c == color} == {p for p, c in old.items() if c == other}
        need(swapped, "the knights are not swapped")
    return min(1.0, len(facts["solution"]) / max(1, len(moves)))


def sokoban(answer: str, item: Item) -> float:
    """Moves (letters U, D, L, R) after which every box is on a goal."""
    rows = [line.replace(" ", "") for line in item.metadata["gamestr"].strip().splitlines()]
    cells = {(i, j): mark for i, row in enumerate(rows) for j, mark in enumerate(row)}
    free = {place for place, mark in cells.items() if mark != "+"}
    boxes = {place for place, mark in cells.items() if mark in "@$"}
    goals = {place for place, mark in cells.items() if mark in "X$%"}
    player = next(place for place, mark in cells.items() if mark in "*%")
    moves = "".join(answer.split())
    need(len(moves) <= _MOST_MOVES and all(m in _LETTERS for m in moves), "not a string of U, D, L and R", "unreadable")
    for move in moves:
        down, right = _LETTERS[move]
        to = (player[0] + down, player[1] + right)
        beyond = (to[0] + down, to[1] + right)
        if to in boxes and beyond in free and beyond not in boxes:
            boxes = (boxes - {to}) | {beyond}
        if to in free and to not in boxes:
            player = to
    need(boxes <= goals, "a box is not on a goal")
    return 1.0


def lock(answer: str, item: Item) -> float:
    """Buttons after which the number is the target; with more presses than the stored solution it is worth half."""
    need(_BUTTONS.fullmatch(answer), "not a sequence of buttons", "unreadable")
    buttons = {button["name"]: button for button in item.metadata["buttons"]}
    pressed = re.findall(r"[A-Z]", answer.upper())
    need(len(pressed) <= _MOST_MOVES and set(pressed) <= set(buttons), "there is no such button", "unreadable")
    held, light = item.metadata["initial_value"], item.metadata["initial_state"]
    for name in pressed:
        button = buttons[name]
        if button["active_state"] in (light, "any"):
            held = _pressed(held, button)
            light = "green" if light == "red" else "red"
        need(abs(held) < 10**60, "the number grows out of range", "too_hard")
    need(held == item.metadata["target_value"], "the number is not the target")
    return 1.0 if len(pressed) <= len(item.metadata["solution_path"]) else 0.5


def path(answer: str, item: Item) -> float:
    """Steps from the start to the destination; with more steps than needed they are worth half."""
    if item.reference.strip() == "infeasible" or answer == "infeasible":
        need(answer == item.reference.strip(), "not so")
        return 1.0
    cells = {(i, j): mark for i, row in enumerate(item.metadata["matrix"]) for j, mark in enumerate(row)}
    place = next(place for place, mark in cells.items() if mark == "*")
    steps = answer.split()
    need(len(steps) <= _MOST_MOVES and all(step in _STEPS for step in steps), "not a sequence of steps", "unreadable")
    for step in steps:
        place = (place[0] + _STEPS[step][0], place[1] + _STEPS[step][1])
        need(cells.get(place, "X") != "X", "a step leaves the way", "illegal_move")
    need(cells[place] == "#", "not at the destination")
    return 1.0 if len(steps) <= len(item.reference.split()) else 0.5


def coloring(answer: str, item: Item) -> float:
    """A color for each vertex, no edge between two of the same."""
    puzzle, colors = item.metadata["puzzle"], json_value(answer)
    need(isinstance(colors, dict), "not a JSON object", "unreadable")
    need(set(colors) == {str(vertex) for vertex in puzzle["vertices"]}, "not one color for each vertex")
    allowed = all(type(color) is int and color in puzzle["color_options"] for color in colors.values())
    need(allowed, "a color that is not on offer")
    need(all(colors[str(a)] != colors[str(b)] for a, b in puzzle["edges"]), "two neighbors have the same color")
    return 1.0


def cryptarithm(answer: str, item: Item) -> float:
    """A digit for each letter, all different, so that the sum is right."""
    facts, digits = item.metadata, dict[str, int]()
    for pair in answer.split(","):
        letter, _, digit = (part.strip() for part in pair.partition("="))
        need(letter not in digits, "it gives a letter twice", "hedged")
        digits[letter] = integer(digit)
    words = [*facts["words_letters"], facts["result_letters"]]
    need(set(digits) == set("".join(words)), "not one digit for each letter")
    need(all(0 <= digit <= 9 for digit in digits.values()), "not digits")
    need(len(set(digits.values())) == len(digits), "two letters have the same digit")
    need(facts["allow_leading_zero"] or all(digits[word[0]] for word in words), "a number begins with 0")
    *addends, total = (int("".join(str(digits[letter]) for letter in word)) for word in words)
    need(sum(addends) == total, "the sum is wrong")
    return 1.0


def _pressed(held: int, button: Mapping[str, Any]) -> int:
    kind, by = button["type"], int(button["value"])
    return held + by if kind == "add" else held - by if kind == "subtract" else held * by


def _json_moves(answer: str) -> list[str]:
    moves = json_value(answer)
    need(isinstance(moves, list) and all(isinstance(m, str) for m in moves), "not a JSON list of moves", "unreadable")
    need(len(moves) <= _MOST_MOVES, "too many moves", "too_long")
    return list(moves)
