"""Charts of rows of dots: what is drawn is what was given."""

import pytest

from segjax.evaluation import Interval
from segjax.reports import Panel, dot_chart, svg
from segjax.reports.charts import NARROW

NAN = float("nan")
SERIES = {
    "VGG16": {"CAM": Interval(0.4, 0.3, 0.5, 5), "ours": Interval(0.7, 0.6, 0.8, 5)},
    "MSD": {"ours": Interval(0.5, NAN, NAN, 2), "RISE": Interval(0.1, NAN, NAN, 2)},
}
REFERENCES = {"disc": Interval(0.65, 0.6, 0.7, 5), "missing": Interval(NAN, NAN, NAN, 0)}
ALARMS = Panel("pictures, %", {"VGG16": {"CAM": Interval(0.91, NAN, NAN, 2)}}, is_share=True)


def names(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def tips_of(axes):
    return [line.get_gid().removeprefix("tip:") for line in axes.lines if line.get_gid()]


def test_rows_come_by_the_first_value_and_references_are_named():
    figure = dot_chart([Panel("IoU", SERIES, REFERENCES)])
    assert names(figure) == ["ours", "CAM", "RISE"]
    text = svg(figure)
    assert "disc" in text and "VGG16" in text and "missing" not in text
    assert svg(dot_chart([Panel("IoU", SERIES)])) == svg(dot_chart([Panel("IoU", SERIES)]))


def test_rows_come_in_another_order_where_one_is_given():
    order = ["RISE", "CAM", "ours"]
    assert names(dot_chart([Panel("IoU", SERIES)], rows=order)) == order


def test_a_dot_says_its_row_series_and_interval():
    assert tips_of(dot_chart([Panel("IoU", SERIES)]).axes[0]) == [
        "CAM, VGG16: 0.400 (0.300 to 0.500)", "ours, VGG16: 0.700 (0.600 to 0.800)",
        "ours, MSD: 0.500", "RISE, MSD: 0.100",
    ]  # fmt: skip
    one = {"VGG16": {"CAM": Interval(7.25, NAN, NAN, 2)}}
    assert tips_of(dot_chart([Panel("Dice points", one, digits=1)]).axes[0]) == ["CAM: 7.2"]


def test_shares_are_drawn_in_percent():
    (axes,) = dot_chart([ALARMS]).axes
    assert tips_of(axes) == ["CAM: 91 %"]
    assert [float(container.lines[0].get_xdata()[0]) for container in axes.containers] == [91.0]


def test_dots_stand_at_their_means_and_bars_end_at_the_bounds():
    axes = dot_chart([Panel("IoU", {"VGG16": SERIES["VGG16"]})]).axes[0]
    drawn = {float(c.lines[0].get_xdata()[0]): c.lines[2][0].get_segments()[0][:, 0] for c in axes.containers}
    assert {mean: [round(end, 9) for end in ends] for mean, ends in drawn.items()} == {0.4: [0.3, 0.5], 0.7: [0.6, 0.8]}


@pytest.mark.parametrize(("lowest", "starts_at_zero"), [(0.2, True), (-0.2, False)])
def test_the_axis_starts_at_zero_or_shows_where_it_is(lowest, starts_at_zero):
    values = {"ours": Interval(0.5, NAN, NAN, 2), "theirs": Interval(lowest, NAN, NAN, 2)}
    (axes,) = dot_chart([Panel("gain", {"MSD": values})]).axes
    assert (axes.get_xlim()[0] == 0) == starts_at_zero
    zero = [line for line in axes.lines if not line.get_gid() and list(line.get_xdata()) == [0, 0]]
    assert len(zero) == (0 if starts_at_zero else 1)


def test_a_series_has_its_colour_in_all_panels_and_panels_share_their_rows():
    figure = dot_chart([Panel("IoU", SERIES), Panel("F", {"MSD": SERIES["MSD"]})])
    colours = [{c.lines[0].get_color() for c in axes.containers} for axes in figure.axes]
    assert len(colours[0]) == 2 and len(colours[1]) == 1 and colours[1] < colours[0]
    assert [axes.get_subplotspec().colspan.start for axes in figure.axes] == [0, 1]


def test_a_faded_series_is_pale():
    axes = dot_chart([Panel("IoU", SERIES)], faded=["MSD"]).axes[0]
    assert [container.lines[0].get_alpha() for container in axes.containers] == [1.0, 1.0, 0.3, 0.3]


def test_on_phones_panels_stand_below_each_other_and_names_above_their_rows():
    figure = dot_chart([Panel("IoU", SERIES), ALARMS], narrow=True)
    assert figure.get_size_inches()[0] == NARROW and names(figure) == ["", "", ""]
    assert [axes.get_subplotspec().rowspan.start for axes in figure.axes] == [0, 1]
    assert [text.get_text() for text in figure.axes[0].texts] == ["ours", "CAM", "RISE"]


def test_nothing_to_draw_is_said():
    assert "no results yet" in svg(dot_chart([]))
