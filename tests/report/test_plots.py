import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.report.plots import (
    Line,
    interval_plot,
    line_chart,
    log_ticks,
    smooth,
    stacked_chart,
    thin,
    ticks,
    unbroken,
    value_axis,
)

finite = st.floats(-1e9, 1e9, allow_nan=False)


def label(value: float) -> str:
    return f"{value:g}"


@settings(deadline=None, max_examples=100)
@given(finite, st.floats(1e-6, 1e9))
def test_ticks_are_few_inside_and_evenly_spaced(low: float, width: float) -> None:
    high = low + width
    if high <= low:
        return
    marks = ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), width)
    assert len(marks) <= 9
    assert all(low - slack <= m <= high + slack for m in marks)


def test_ticks_are_round_numbers() -> None:
    assert ticks(0, 1) == [0, 0.25, 0.5, 0.75, 1.0]
    assert ticks(0, 60, 5) == [0, 20, 40, 60]
    assert ticks(3, 3) == [3]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=40))
def test_every_value_lies_in_the_plot_and_higher_is_higher(values: list[float]) -> None:
    axis = value_axis(values)
    pixels = [axis(v) for v in values]
    assert all(8 - 1e-6 <= p <= 156 + 1e-6 for p in pixels)
    if axis.high > axis.low:
        assert axis(max(values)) <= axis(min(values))


def test_a_floor_of_zero_is_the_bottom_of_the_axis() -> None:
    axis = value_axis([0.2, 0.9], floor=0.0, ceiling=1.0)
    assert (axis.low, axis.high) == (0.0, 1.0)


def test_a_logarithmic_axis_spans_whole_powers_of_ten() -> None:
    axis = value_axis([0.002, 0.3], log=True)
    assert log_ticks(axis) == pytest.approx([0.001, 0.01, 0.1, 1.0])
    assert axis(0.01) - axis(0.1) == pytest.approx(axis(0.1) - axis(1.0))


def test_a_curve_breaks_where_steps_are_missing() -> None:
    runs = unbroken([(1.0, 0.0), (2.0, 0.0), (5.0, 0.0), (6.0, 0.0)])
    assert [len(r) for r in runs] == [2, 2]
    assert [len(r) for r in unbroken([(float(i), 0.0) for i in range(5)])] == [5]
    assert unbroken([]) == []


def test_smoothing_keeps_steps_and_constants() -> None:
    assert smooth([(1, 2.0), (2, 2.0), (3, 2.0)], 3) == [(1, 2.0), (2, 2.0), (3, 2.0)]
    assert smooth([(1, 0.0), (2, 3.0), (3, 0.0)], 3) == [(1, 1.5), (2, 1.0), (3, 1.5)]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5000))
def test_thinning_keeps_the_mean_roughly_and_the_size_small(n: int) -> None:
    points = [(float(i), float(i)) for i in range(n)]
    fewer = thin(points, 100)
    assert len(fewer) <= 100
    assert math.isclose(fewer[0][1], sum(y for _, y in points[: math.ceil(n / 100)]) / math.ceil(n / 100))


def test_one_point_is_a_dot_and_two_are_a_path() -> None:
    one = line_chart([Line("a", [(1, 0.5)])], steps=(0, 1), label=label)
    two = line_chart([Line("a", [(1, 0.5), (2, 0.7)])], steps=(0, 2), label=label)
    assert one.count("<circle") == 1 and "<path" not in one
    assert two.count("<path") == 1 and "<circle" not in two


def test_plots_are_well_formed_and_escape_their_title() -> None:
    plot = line_chart(
        [Line("a", [(0, 0.1), (5, 0.9)], "c2", "dots", [(0.0, 0.2), None])], steps=(0, 5), label=label, title='<&">'
    )
    root = ElementTree.fromstring(plot)
    assert root.get("aria-label") == '<&">'
    assert len(re.findall('class="whisker', plot)) == 1


def test_stacked_columns_add_up() -> None:
    layers = [Line("a", [(1, 2.0), (2, 1.0)], "c1"), Line("b", [(1, 2.0), (2, 3.0)], "c2")]
    plot = ElementTree.fromstring(stacked_chart(layers, steps=(0, 2), label=label))
    paths = [p.get("d") or "" for p in plot.iter("path")]
    bottom = [float(y) for y in re.findall(r"V([\d.]+)", paths[0])]
    top = [float(y) for y in re.findall(r"V([\d.]+)", paths[1])]
    assert top[0] == top[1] < bottom[0] < bottom[1]  # both columns reach 4; the first layer is 2 high, then 1


def test_an_interval_plot_has_a_dot_for_each_row() -> None:
    plot = interval_plot([(0.05, (0.0, 0.1), "c6"), (0.97, None, "c1")], "x")
    assert plot.count("<circle") == 2
    assert plot.count("whisker") == 1
