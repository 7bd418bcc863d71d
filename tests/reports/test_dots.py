"""Charts of methods, a row each: what is drawn is what was given."""

import pytest

from segjax.evaluation import Interval
from segjax.reports import Panel, dot_chart, svg
from segjax.reports.charts import NARROW, inline, means_said

NAN = float("nan")
SERIES = {
    "VGG16": {"CAM": Interval(0.4, 0.3, 0.5, 5), "ours": Interval(0.7, 0.6, 0.8, 5)},
    "MSD": {"ours": Interval(0.5, NAN, NAN, 2), "RISE": Interval(0.1, NAN, NAN, 2)},
}
DISC = {"disc": Interval(0.95, 0.9, 1.0, 5), "missing": Interval(NAN, NAN, NAN, 0)}


def test_rows_come_by_the_first_value_of_each_and_references_are_named():
    figure = dot_chart([Panel("IoU", SERIES, DISC)])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["ours", "CAM", "RISE"]
    text = svg(figure)
    assert "disc" in text and "VGG16" in text and "missing" not in text
    assert svg(dot_chart([Panel("IoU", SERIES)])) == svg(dot_chart([Panel("IoU", SERIES)]))


def test_references_lie_inside_the_axis_which_starts_at_0():
    low, high = dot_chart([Panel("IoU", SERIES, DISC)]).axes[0].get_xlim()
    assert low == 0 and high > 0.95
    below = {"U-Net": {"rim": Interval(0.4, NAN, NAN, 1), "halo": Interval(-0.2, NAN, NAN, 1)}}
    assert dot_chart([Panel("lost, %", below, is_share=True)]).axes[0].get_xlim()[0] < -20


@pytest.mark.parametrize("narrow", [False, True])
def test_panels_share_rows_and_colours_and_shares_are_in_percent(narrow):
    alarms = {"VGG16": {"CAM": Interval(0.91, NAN, NAN, 1)}}
    figure = dot_chart([Panel("IoU", SERIES), Panel("false alarms, %", alarms, is_share=True)], narrow=narrow)
    first, second = figure.axes
    assert (first.get_position().y0 > second.get_position().y0) == narrow
    colours = {axes: {line.get_color() for line in axes.lines if line.get_label() == "VGG16"} for axes in figure.axes}
    assert colours[first] == colours[second]
    text = inline(figure, "f", "")
    assert "CAM, VGG16: 91 %" in text and "CAM, VGG16: 0.400 (0.300 to 0.500)" in text


def tips_of(axes):
    return [line.get_gid().removeprefix("tip:") for line in axes.lines if line.get_gid()]


def test_rows_come_in_another_order_where_one_is_given():
    order = ["RISE", "CAM", "ours"]
    figure = dot_chart([Panel("IoU", SERIES)], rows=order)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == order


def test_a_dot_says_its_row_series_and_interval():
    assert tips_of(dot_chart([Panel("IoU", SERIES)]).axes[0]) == [
        "CAM, VGG16: 0.400 (0.300 to 0.500)", "ours, VGG16: 0.700 (0.600 to 0.800)",
        "ours, MSD: 0.500", "RISE, MSD: 0.100",
    ]  # fmt: skip
    one = {"VGG16": {"CAM": Interval(7.25, NAN, NAN, 2)}}
    assert tips_of(dot_chart([Panel("Dice points", one, digits=1)]).axes[0]) == ["CAM: 7.2"]


def test_dots_stand_at_their_means_and_bars_end_at_the_bounds():
    axes = dot_chart([Panel("IoU", {"VGG16": SERIES["VGG16"]})]).axes[0]
    (drawn,) = axes.containers
    ends = [segment[:, 0].round(9).tolist() for segment in drawn.lines[2][0].get_segments()]
    assert dict(zip(drawn.lines[0].get_xdata(), ends, strict=True)) == {0.4: [0.3, 0.5], 0.7: [0.6, 0.8]}


def test_a_faded_series_is_pale():
    axes = dot_chart([Panel("IoU", SERIES)], faded=["MSD"]).axes[0]
    assert [container.lines[0].get_alpha() for container in axes.containers] == [1.0, 0.3]


def test_on_phones_names_stand_above_their_rows():
    figure = dot_chart([Panel("IoU", SERIES)], narrow=True)
    assert figure.get_size_inches()[0] == NARROW
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["", "", ""]
    assert [text.get_text() for text in figure.axes[0].texts] == ["ours", "CAM", "RISE"]


def test_nothing_to_draw_is_said():
    assert "no results yet" in svg(dot_chart([Panel("IoU", {})]))
    assert "no results yet" in svg(dot_chart([], narrow=True))


def test_captions_explain_bars_only_where_there_are_some():
    few, none = Interval(0.5, NAN, NAN, 2), Interval(NAN, NAN, NAN, 0)
    assert means_said([few, none]) == "Points are means over 2 test sets."
    assert means_said([few, SERIES["VGG16"]["CAM"]]) == "Points are means over 5 test sets, bars their 95 % intervals."
    assert means_said([few._replace(n=1)]) == "Every point is one test set." and means_said([none]) == ""
