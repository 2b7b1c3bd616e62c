"""The words of `sibling grade`."""

from sibling.report.grading import one_line, render_totals

TIMES = {"total": 3.0, "median": 0.0005, "p99": 1.5}


def test_a_line_fits_the_width():
    pair = {"id": "a" * 60, "verdict": "wrong", "reason": "one\ntwo " * 30, "mistake": "false_refusal"}
    line = one_line(pair, 80)
    assert len(line) == 80
    assert line.startswith("a" * 24 + " wrong    FALSE REFUSAL one two")
    assert one_line({"id": "b", "verdict": "right", "reason": "same"}, 80).split() == ["b", "right", "same"]


def test_totals_in_words():
    found = {"pairs": 4, "right": 2, "wrong": 1, "abstain": 0, "error": 1, "seconds": TIMES}
    text = render_totals(found, 80)
    assert "4 pairs: 2 right, 1 wrong, 1 error." in text
    assert "0.50 ms (median), 1.50 s (99th percentile)" in text
    assert "labelled" not in text
    labelled = {"labelled": 3, "false_accepts": ["x", "y"], "false_refusals": [], "contested_otherwise": ["z"]}
    text = render_totals(found | labelled, 80)
    assert "Of 3 labelled pairs: 2 false accepts (x, y); 0 false refusals." in text
    assert "graded otherwise than labelled: z." in text
    assert max(map(len, text.splitlines())) <= 80
