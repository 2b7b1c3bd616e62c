"""Answers that are matrices and boards: read row by row, and compared, or checked by the rules of the puzzle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import isqrt
from typing import Any

from sibling.rewards.gym_answers.readers import (
    Item,
    grid,
    integer,
    json_value,
    literal,
    need,
    number,
    number_grid,
)

_COMPARISONS = str.maketrans("", "", "<>∧∨^vV|")
_IN_OTHER_FORM = 0.1  # of full pay, for the right values written as a list, as these families have it
_BOARD_IN_OTHER_FORM = 0.5


def matrix(answer: str, item: Item) -> float:
    """The matrix, one row a line; written as a list of lists it is worth a tenth, as the family has it."""
    wanted = number_grid(item.reference)
    if answer.startswith("["):
        rows = literal(answer)
        need(_is_matrix(rows), "not a list of rows", "unreadable")
        need([[number(word) for word in row] for row in rows] == wanted, "another matrix")
        return _IN_OTHER_FORM
    need(number_grid(answer) == wanted, "another matrix")
    return 1.0


def number_row(answer: str, item: Item) -> float:
    """The numbers with blanks between them; as a list they are worth a tenth."""
    wanted = [number(word) for word in item.reference.split()]
    if answer.startswith("["):
        row = literal(answer)
        need(_is_row(row) and [number(word) for word in row] == wanted, "other numbers")
        return _IN_OTHER_FORM
    need([number(word) for word in answer.split()] == wanted, "other numbers")
    return 1.0


def pooled(answer: str, item: Item) -> float:
    """The matrix, its elements to two decimals."""
    wanted = [[Fraction(str(value)) for value in row] for row in item.metadata["solution"]]
    stated = number_grid(answer)
    need([len(row) for row in stated] == [len(row) for row in wanted], "a matrix of another shape")
    pairs = zip((x for row in stated for x in row), (x for row in wanted for x in row), strict=True)
    need(all(abs(one - other) <= Fraction(501, 100_000) for one, other in pairs), "another matrix")
    return 1.0


def json_matrix(answer: str, item: Item) -> float:
    """The matrix as an array of arrays."""
    need(json_value(answer) == json_value(item.reference), "another matrix")
    return 1.0


def queens(answer: str, item: Item) -> float:
    """One of the boards; written as a list of lists it is worth half, as the family has it."""
    boards = [grid(board) for board in item.metadata["valid_answers"]]
    if answer.startswith("["):
        need(literal(answer) in boards, "not a board that solves it")
        return _BOARD_IN_OTHER_FORM
    need(grid(answer) in boards, "not a board that solves it")
    return 1.0


def sudoku(answer: str, item: Item) -> float:
    """A board of the right numbers in rows, columns and boxes that keeps the numbers given."""
    given: list[list[int]] = item.metadata["puzzle"]
    board = _whole_grid(answer, len(given), len(given))
    _latin(board)
    side = isqrt(len(given))
    _keeps(board, given)
    for top in range(0, len(given), side):
        for left in range(0, len(given), side):
            box = [board[top + i][left + j] for i in range(side) for j in range(side)]
            need(len(set(box)) == len(given), "a number stands twice in a box")
    return 1.0


def futoshiki(answer: str, item: Item) -> float:
    """A board of the right numbers in rows and columns that keeps the numbers and the comparisons given."""
    given: list[list[int]] = item.metadata["puzzle"]
    rows = [line for line in answer.translate(_COMPARISONS).splitlines() if line.strip()]
    board = _whole_grid("\n".join(rows), len(given), len(given))
    _latin(board)
    _keeps(board, given)
    for row, column, other_row, other_column, sign in item.metadata["constraints"]:
        one, other = board[row][column], board[other_row][other_column]
        need(one < other if sign == "<" else one > other, "a comparison does not hold")
    return 1.0


def kakurasu(answer: str, item: Item) -> float:
    """A board of zeros and ones with the right weighted sums."""
    rows, columns = item.metadata["row_sums"], item.metadata["col_sums"]
    board = _whole_grid(answer, len(rows), len(columns))
    need(all(value in (0, 1) for row in board for value in row), "not zeros and ones")
    need([_weight(row) for row in board] == list(rows), "the sum of a row is wrong")
    need([_weight(column) for column in zip(*board, strict=True)] == list(columns), "the sum of a column is wrong")
    return 1.0


def survo(answer: str, item: Item) -> float:
    """A board filled with the numbers on offer, so that the sums at its edges are right."""
    given: list[list[int]] = item.metadata["puzzle"]
    board = _whole_grid(answer, len(given), len(given))
    _keeps(board, given)
    places = [(i, j) for i, row in enumerate(given) for j, value in enumerate(row) if value == 0]
    filled = Counter(board[i][j] for i, j in places)
    need(filled == Counter(item.metadata["candidate_numbers"]), "filled with other numbers")
    for line in [*board, *zip(*board, strict=True)]:
        need(sum(line[:-1]) == line[-1], "a sum is wrong")
    return 1.0


def _whole_grid(text: str, height: int, width: int) -> list[list[int]]:
    words = grid(text)
    need(len(words) == height and all(len(row) == width for row in words), "a board of another shape", "unreadable")
    return [[integer(word) for word in row] for row in words]


def _latin(board: list[list[int]]) -> None:
    wanted = set(range(1, len(board) + 1))
    need(all(set(row) == wanted for row in board), "a row does not hold each number once")
    need(all(set(column) == wanted for column in zip(*board, strict=True)), "a column does not hold each number once")


def _keeps(board: list[list[int]], given: Sequence[Sequence[int]]) -> None:
    for row, olds in zip(board, given, strict=True):
        kept = all(not old or new == old for new, old in zip(row, olds, strict=True))
        need(kept, "a number that was given is changed")


def _weight(line: Sequence[int]) -> int:
    return sum(place for place, value in enumerate(line, start=1) if value)


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _is_matrix(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_row, value))
