"""The package's scorers, called as the child process calls them."""

import pytest

from sibling.rewards.gym_answers.shipped_child import answer
from sibling.tasks import gym

pytest.importorskip("reasoning_gym")

BOXES = {"gym": {"family": "boxnet", "options": {}, "seed": 1}}
CARS = {"gym": {"family": "rush_hour", "options": {"min_moves": 1, "max_moves": 4}, "seed": 1}}


def test_a_solved_field_is_paid_in_full():
    state = gym.remake(BOXES)["metadata"]["initial_state"]
    where = {item: place for place, items in state.items() for item in items}
    plan = []
    for box in (item for item in where if item.startswith("box_")):
        at, to = (list(map(float, where[name].split("_"))) for name in (box, box.replace("box_", "target_")))
        while at != to:
            axis = 0 if at[0] != to[0] else 1
            after = list(at)
            after[axis] += 1 if to[axis] > at[axis] else -1
            plan.append({f"Agent[{at[0]}, {at[1]}]": f"move({box}, square[{after[0]}, {after[1]}])"})
            at = after
        plan.append({f"Agent[{at[0]}, {at[1]}]": f"move({box}, {box.replace('box_', 'target_')})"})
    text = str(plan).replace("'", '"')
    assert answer({"columns": BOXES, "answer": text})["score"] == 1.0
    assert answer({"columns": BOXES, "answer": "[]"})["score"] < 1.0


def test_a_solved_board_is_paid_in_full():
    assert gym.remake(CARS)["metadata"]["board_config"] == "ooooooooBBBoAAooDoooooDooooCCooooooo"
    assert answer({"columns": CARS, "answer": "C-1 D+2 A+4"})["score"] == 1.0
    assert answer({"columns": CARS, "answer": "D+2 A+4"})["score"] < 1.0


def test_what_a_scorer_fails_on_has_no_score():
    reply = answer({"columns": BOXES, "answer": '["x"]'})
    assert reply["score"] is None and "AttributeError" in reply["reason"] and reply["fault"] == ""


def test_a_prompt_that_cannot_be_made_again_is_said():
    assert answer({"columns": CARS}) == {"fault": "", "score": None}
    broken = {"gym": {"family": "no_such_family", "options": {}, "seed": 1}}
    assert "no_such_family" in answer({"columns": broken})["fault"]
