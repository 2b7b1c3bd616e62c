"""Moves are played, assignments are checked against every condition."""

import pytest

from sibling.rewards.gym_answers import puzzles
from sibling.rewards.gym_answers.readers import Item, RefusedError

JUGS = {"puzzle": {"jug_capacities": [3, 5], "target": 4}}
HANOI = {"num_disks": 2, "num_pegs": 3, "start_peg": 1, "target_peg": 3, "solution_length": 3}
MOVES = "Move disk 1 from Peg 1 to Peg 2\nMove disk 2 from Peg 1 to Peg 3\nMove disk 1 from Peg 2 to Peg 3"
LONGER = "Move disk 1 from Peg 1 to Peg 3\nMove disk 1 from Peg 3 to Peg 2\n" + MOVES.partition("\n")[2]
KNIGHTS = {
    "is_possible": True,
    "board": {"A": ["B"], "B": ["A", "C"], "C": ["B"]},
    "pieces": {"A": "w", "B": None, "C": None},
    "start_turn": "w",
    "solution": [],
}
ROOM = {"gamestr": "+ + + + + +\n+ * @ - X +\n+ + + + + +"}
LOCK = {
    "buttons": [
        {"name": "A", "type": "add", "value": 2, "active_state": "any"},
        {"name": "B", "type": "multiply", "value": 3, "active_state": "green"},
    ],
    "initial_value": 0,
    "initial_state": "red",
    "target_value": 6,
    "solution_path": ["A", "B"],
}
WAY = {"matrix": [["*", "O"], ["X", "#"]]}
GRAPH = {"puzzle": {"vertices": [0, 1], "edges": [[0, 1]], "color_options": [1, 2]}}
SUM = {"words_letters": ["AB", "B"], "result_letters": "AC", "allow_leading_zero": False}

CASES = [  # check, stored answer, notes, accepted with their pay, refused
    (
        puzzles.jugs,
        "",
        JUGS,
        {'["fill B","pour B->A","empty A","pour B->A","fill B","pour B->A"]': 1},
        ['["fill B"]', "[]", '["fill C"]', '["fill"]', "fill B", '["pour B->A or"]'],
    ),
    (
        puzzles.hanoi,
        MOVES,
        HANOI,
        {MOVES: 1, LONGER: 3 / 4},
        [
            "",
            "Move disk 2 from Peg 1 to Peg 3",
            MOVES + "\nor",
            MOVES.partition("\n")[0],
            "Move disk 1 from Peg 9 to Peg 3",
        ],
    ),
    (puzzles.knights, "No", {**KNIGHTS, "is_possible": False}, {"No": 1, "no": 1}, ['["w,A,B"]', "Yes", "No or yes"]),
    (puzzles.sokoban, "", ROOM, {"RR": 1, "R R": 1}, ["R", "RRR or", "", "rr", "LL"]),
    (
        puzzles.lock,
        "",
        LOCK,
        {"A → B": 1, "A, B": 1, "a->b": 1, "B A A A": 0.5},
        ["A", "ABBA", "I press A then B", "C", "A →"],
    ),
    (
        puzzles.path,
        "right down",
        WAY,
        {"right down": 1, "right left right down": 0.5},
        ["right", "down", "right down or", "", "left", "infeasible"],
    ),
    (puzzles.path, "infeasible", WAY, {"infeasible": 1}, ["right down", "not infeasible"]),
    (
        puzzles.coloring,
        "",
        GRAPH,
        {'{"0": 1, "1": 2}': 1},
        [
            '{"0": 1, "1": 1}',
            '{"0": 1}',
            '{"0": true, "1": 2}',
            '{"0": 1, "1": 3}',
            '{"0": 1, "1": 2, "2": 1}',
            '{"0": 1, "0": 2, "1": 1}',
            "[]",
        ],
    ),
    (
        puzzles.cryptarithm,
        "",
        SUM,
        {"A=1,B=2,C=4": 1, "C=8, B=4, A=3": 1},
        [
            "A=1,B=2,C=3",
            "A=1,B=1,C=2",
            "A=0,B=2,C=4",
            "A=1,B=2",
            "A=1,B=2,C=4,D=5",
            "A=1,A=3,B=2,C=4",
            "A=1,B=2,C=4.5",
            "x",
        ],
    ),
]


@pytest.mark.parametrize(("check", "reference", "notes", "accepted", "refused"), CASES)
def test_puzzles(check, reference, notes, accepted, refused):
    item = Item(reference, notes)
    assert {answer: check(answer, item) for answer in accepted} == accepted
    for answer in refused:
        with pytest.raises(RefusedError):
            check(answer, item)


def test_knights_that_are_swapped():
    board = {"A": ["B"], "B": ["A", "C"], "C": ["B", "D"], "D": ["C"]}
    pieces = {"A": "w", "B": None, "C": "B", "D": None}
    notes = {**KNIGHTS, "board": board, "pieces": pieces, "solution": [1, 2]}
    with pytest.raises(RefusedError, match="not swapped"):
        puzzles.knights('["w,A,B"]', Item("", notes))
    with pytest.raises(RefusedError, match="turn"):
        puzzles.knights('["B,C,B"]', Item("", notes))
    with pytest.raises(RefusedError, match="cannot go"):
        puzzles.knights('["w,A,C"]', Item("", notes))
    ring = {"A": ["B", "C"], "B": ["A", "C"], "C": ["A", "B"]}
    notes = {**KNIGHTS, "board": ring, "pieces": {"A": "w", "B": "B", "C": None}, "solution": [1, 2, 3]}
    assert puzzles.knights('["w,A,C", "B,B,A", "w,C,B"]', Item("", notes)) == 1.0


def test_numbers_that_grow_without_end_are_given_up():
    notes = {
        **LOCK,
        "buttons": [{"name": "A", "type": "multiply", "value": 10**9, "active_state": "any"}],
        "initial_value": 1,
    }
    with pytest.raises(RefusedError) as refused:
        puzzles.lock(" ".join("A" * 1000), Item("", notes))
    assert refused.value.code == "too_hard"
