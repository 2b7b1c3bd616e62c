import pytest

from sibling.errors import RequestError
from sibling.maths import rows_baselines, rows_grpo, rows_ratios
from sibling.maths.aggregation import MODES
from sibling.maths.elsewhere import NOTES
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.kl import ESTIMATORS as KL_ESTIMATORS
from sibling.maths.objectives import OBJECTIVES, find


def test_the_table_is_complete():
    assert len(OBJECTIVES) == 35
    rows = (*rows_grpo.ROWS, *rows_ratios.ROWS, *rows_baselines.ROWS)
    assert [r.name for r in OBJECTIVES.values()] == list(OBJECTIVES) == [r.name for r in rows]
    assert set(NOTES) == set(OBJECTIVES)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_every_row_can_be_read(name):
    row = OBJECTIVES[name]
    assert row.aggregation in MODES and row.kl in KL_ESTIMATORS and row.estimator in ESTIMATORS
    assert row.title and row.paper and row.equation.startswith("loss = ")
    assert row.equation.isascii() and row.paper.isascii() and row.title.isascii()
    assert row.notes == NOTES.get(name, ()) and all(n.isascii() and n.endswith(".") for n in row.notes)
    assert set(row.estimator_numbers) <= set(ESTIMATORS[row.estimator].numbers)


def test_find_names_the_nearest():
    assert find("grpo") is OBJECTIVES["grpo"]
    with pytest.raises(RequestError, match=r"(?i)did you mean dr_grpo"):
        find("drgrpo")
    with pytest.raises(RequestError, match="sibling objectives"):
        find("0")
