"""Checks of answers that are numbers: one case accepted and one refused for each way of being nearly right."""

import pytest

from sibling.rewards.gym_answers import numbers
from sibling.rewards.gym_answers.readers import Item, RefusedError

CASES = [  # check, stored answer, notes, accepted, refused
    (numbers.value, "1000", {}, ["+01,000.00", "1e3", "1000"], ["1000 or 2", "1001", "x"]),
    (numbers.whole, "7", {}, ["7", "7.0"], ["6", "7.5"]),
    (numbers.last_place, "2.981", {}, ["2.981", "2.982", "2.9805"], ["2.983", "2.9"]),
    (numbers.candidate, "741787256.323", {}, ["741,787,256.323", "7.41787256323e8"], ["741787256.324", "741787256"]),
    (numbers.three_figures, "-0.0013674811", {}, ["-1.37e-3", "-0.00137"], ["-1.36e-3", "1.37e-3", "0"]),
    (numbers.three_figures, "999.9", {}, ["1.00e3", "1000"], ["999", "1010"]),
    (numbers.three_figures, "0.0", {}, ["0"], ["1e-9"]),
    (numbers.three_figures, "1.7574418e-22", {}, ["1.76e-22"], ["1.75e-22", "1e999999999"]),
    (numbers.hexadecimal, "-0x1f", {}, ["-0x1F", "-31", "-0x01f"], ["0x1f", "-0x1f or 2", "1f"]),
    (
        numbers.lowest_terms,
        "$\\frac{131}{319}$",
        {"simplified_numerator": 131, "simplified_denominator": 319},
        ["131/319", "$\\dfrac{131}{319}$", "\\frac{131}{319}", "$131 / 319$"],
        ["262/638", "\\frac{131}{319} or \\frac{1}{2}", "131", "12445/30305"],
    ),
    (
        numbers.probability,
        "0.003173828125",
        {"rational": {"numerator": 13, "denominator": 4096}},
        ["13/4096", "0.00317", "0.003173828125", "26/8192"],
        ["0", "0.0031", "0.003", "1e999999999"],
    ),
    (
        numbers.prime_factors,
        "3 × 3 × 71",
        {"factors": [3, 3, 71]},
        ["71*3*3", "3×3×71", "3 x 71 x 3"],
        ["639", "9 × 71", "3,3,71", "a"],
    ),
    (numbers.solutions, "-0.04, 0.0", {}, ["0, -0.04", "-0.0401, 0"], ["0", "-0.04, 0.0, 1", "-0.05, 0", "nan"]),
    (
        numbers.complex_number,
        "-5.0 + 20.0i",
        {"result": [-5, 20]},
        ["-5+20i", "(-5.0 + 20.0j)"],
        ["nan", "-5", "20i", "-5+20", "5+20i"],
    ),
    (numbers.complex_number, "-1.0i", {"result": [0, -1]}, ["-i", "-1i", "0 - i"], ["i", "-1", ""]),
    (
        numbers.sorted_numbers,
        "['-94.2', '30.0']",
        {},
        ["[-94.2, 30]", '["-94.20", "30.0"]'],
        ["['-94', '30']", "['30.0', '-94.2']", "-94.2, 30", "[[1]]"],
    ),
    (
        numbers.duration,
        "67 days, 01:04:00",
        {"task_type": "datetime"},
        ["67 days, 01:04"],
        ["67 days", "66 days, 01:04:00", "67 days, 01:04:00 or 1"],
    ),
    (numbers.duration, "34 days", {"task_type": "date"}, ["34", "34 days"], ["34 or 35 days", "35"]),
    (numbers.duration, "01:45:29.840", {"task_type": "time_ms"}, ["1:45:29.84"], ["01:45:29", "01:45:29.841"]),
    (
        numbers.geometry,
        "16.91°",
        {"task_type": "angle_measure", "angle_ABC_degrees": "16.909271"},
        ["16.91°", "16.909"],
        ["16.9", "17°"],
    ),
    (
        numbers.geometry,
        "(4.051, -5.487)",
        {"task_type": "orthocenter", "ortho": ["4.0512", "-5.4871"]},
        ["(4.051, -5.487)", "4.051,-5.487"],
        ["(4.05, -5.487)", "(4.051, -5.487), (1, 2)"],
    ),
    (
        numbers.geometry,
        "1.234",
        {"task_type": "incircle_radius", "incircle_radius_approx": 1.2341},
        ["1.234"],
        ["1.23", "1.24"],
    ),
    (
        numbers.reaches(24),
        "8*(5*1 - 2)",
        {"numbers": [5, 1, 2, 8]},
        ["(5*1-2)*8"],
        ["24", "8*3", "6*4*1*1", "8*(5*1 - 2) or 1", "12+12"],
    ),
    (numbers.reaches(), "", {"numbers": [2, 3, 4], "target": 10}, ["2*3+4"], ["4*3-2*1", "2*3", "2*3+4+4", "10"]),
]


@pytest.mark.parametrize(("check", "reference", "notes", "accepted", "refused"), CASES)
def test_numbers(check, reference, notes, accepted, refused):
    item = Item(reference, notes)
    assert [check(answer, item) for answer in accepted] == [1.0] * len(accepted)
    for answer in refused:
        with pytest.raises(RefusedError):
            check(answer, item)
