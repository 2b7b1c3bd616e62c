import pytest

from sibling.evaluation.items import any_right, greedy_right, share_right, unscored


def item(greedy, *samples):
    return {"greedy": {"status": greedy}, "samples": [{"status": s} for s in samples]}


@pytest.mark.parametrize(
    ("one", "greedy", "share", "passed", "missing"),
    [
        (item("right", "right", "wrong"), True, 0.5, True, 0),
        (item("wrong", "wrong", "wrong"), False, 0.0, False, 0),
        (item("abstain", "right", "error"), None, 1.0, None, 2),
        (item("error", "error", "abstain"), None, None, None, 3),
        (item("right"), True, None, None, 0),
    ],
)
def test_each_reading(one, greedy, share, passed, missing):
    assert (greedy_right(one), share_right(one), any_right(one), unscored(one)) == (greedy, share, passed, missing)
