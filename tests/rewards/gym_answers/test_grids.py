"""Checks of matrices and boards."""

import pytest

from sibling.rewards.gym_answers import grids
from sibling.rewards.gym_answers.readers import Item, RefusedError

MINI = {"puzzle": [[0, 2, 0, 3], [0, 3, 1, 2], [2, 0, 0, 0], [0, 0, 2, 1]]}
SOLVED = "1 2 4 3\n4 3 1 2\n2 1 3 4\n3 4 2 1"
UNEQUAL = {"puzzle": [[0, 0], [0, 0]], "constraints": [[0, 0, 0, 1, "<"]]}
BOARD = "_ Q _ _\n_ _ _ Q\nQ _ _ _\n_ _ Q _"
SUMS = {"puzzle": [[0, 0, 3], [3, 4, 7], [5, 5, 10]], "candidate_numbers": [1, 2]}

CASES = [  # check, stored answer, notes, accepted with their pay, refused
    (
        grids.matrix,
        "1 2\n3 4",
        {},
        {"1 2\n3 4": 1, " 1  2\n 3 4 ": 1, "[[1, 2], [3, 4]]": 0.1},
        ["1 2\n3 5", "1 2 3 4", "[1, 2, 3, 4]", "[[1, 2], [3, 4]", "1 2\n3 4 or"],
    ),
    (grids.number_row, "1 2 3", {}, {"1 2 3": 1, "[1, 2, 3]": 0.1}, ["1 2", "1, 2, 3", "[[1], 2, 3]", "3 2 1"]),
    (
        grids.pooled,
        "",
        {"solution": [[3.0, 16 / 3]]},
        {"3.0 5.33": 1, "3 5.334": 1},
        ["3 5.3", "3 5.33 1", "3\n5.33", "[[3, 5.33]]"],
    ),
    (
        grids.json_matrix,
        "[[0,1],[1,0]]",
        {},
        {"[[0, 1], [1, 0]]": 1},
        ["[[0,0],[0,0]]", "[[0,1],[1,0],[0,0]]", '{"0": [0,1]}', "0 1\n1 0"],
    ),
    (
        grids.queens,
        BOARD,
        {"valid_answers": [BOARD]},
        {BOARD: 1, str([row.split() for row in BOARD.split("\n")]): 0.5},
        [BOARD.replace("Q", "_"), "Q", "[]"],
    ),
    (
        grids.sudoku,
        SOLVED,
        MINI,
        {SOLVED: 1},
        [
            SOLVED.replace("1 2 4 3", "4 2 1 3"),
            SOLVED.replace("4", "5"),
            "_ 2 _ 3\n_ 3 1 2\n2 _ _ _\n_ _ 2 1",
            SOLVED + "\n1 2 3 4",
            "3 2 4 1\n4 1 3 2\n2 3 1 4\n1 4 2 3",
        ],
    ),
    (
        grids.futoshiki,
        "1 < 2\n     \n2   1",
        UNEQUAL,
        {"1 < 2\n     \n2   1": 1, "1 2\n2 1": 1},
        ["2 1\n1 2", "1 2\n1 2", "1 2"],
    ),
    (
        grids.kakurasu,
        "",
        {"row_sums": [1, 2], "col_sums": [1, 2]},
        {"1 0\n0 1": 1},
        ["0 1\n1 0", "1 0", "1 0\n0 2", "1 0 x\n0 1 x", "10\n01"],
    ),
    (
        grids.survo,
        "",
        SUMS,
        {"2 1 3\n3 4 7\n5 5 10": 1},
        ["1 2 3\n3 4 7\n5 5 10", "0 3 3\n3 4 7\n5 5 10", "2 1 3\n3 4 7\n5 5 11"],
    ),
]


@pytest.mark.parametrize(("check", "reference", "notes", "accepted", "refused"), CASES)
def test_grids(check, reference, notes, accepted, refused):
    item = Item(reference, notes)
    assert {answer: check(answer, item) for answer in accepted} == accepted
    for answer in refused:
        with pytest.raises(RefusedError):
            check(answer, item)
