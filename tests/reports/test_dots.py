"""Charts of methods beside each other: what is drawn is what was given."""

from segjax.evaluation import Interval
from segjax.reports import dot_chart, svg
from segjax.reports.charts import NARROW

NAN = float("nan")
SERIES = {
    "VGG16": {"CAM": Interval(0.4, 0.3, 0.5, 5), "ours": Interval(0.7, 0.6, 0.8, 5)},
    "MSD": {"ours": Interval(0.5, NAN, NAN, 2), "RISE": Interval(0.1, NAN, NAN, 2)},
}


def names(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def tips_of(figure):
    return [line.get_gid().removeprefix("tip:") for line in figure.axes[0].lines if line.get_gid()]


def test_rows_come_by_the_first_series_and_references_are_named():
    figure = dot_chart(SERIES, "IoU", {"disc": Interval(0.65, 0.6, 0.7, 5), "missing": Interval(NAN, NAN, NAN, 0)})
    assert names(figure) == ["ours", "CAM", "RISE"]
    text = svg(figure)
    assert "disc" in text and "VGG16" in text and "missing" not in text
    assert svg(dot_chart(SERIES, "IoU")) == svg(dot_chart(SERIES, "IoU"))


def test_rows_come_in_another_order_where_one_is_given():
    assert names(dot_chart(SERIES, "IoU", rows=["RISE", "CAM", "ours"])) == ["RISE", "CAM", "ours"]


def test_a_dot_says_its_row_series_and_interval():
    assert tips_of(dot_chart(SERIES, "IoU")) == [
        "CAM, VGG16: 0.400 (0.300 to 0.500)", "ours, VGG16: 0.700 (0.600 to 0.800)",
        "ours, MSD: 0.500", "RISE, MSD: 0.100",
    ]  # fmt: skip
    one = {"VGG16": {"CAM": Interval(7.25, NAN, NAN, 2)}}
    assert tips_of(dot_chart(one, "Dice points", digits=1)) == ["CAM: 7.2"]


def test_dots_stand_at_their_means_and_bars_end_at_the_bounds():
    axes = dot_chart({"VGG16": SERIES["VGG16"]}, "IoU").axes[0]
    drawn = {float(c.lines[0].get_xdata()[0]): c.lines[2][0].get_segments()[0][:, 0] for c in axes.containers}
    assert {mean: [round(end, 9) for end in ends] for mean, ends in drawn.items()} == {0.4: [0.3, 0.5], 0.7: [0.6, 0.8]}


def test_a_faded_series_is_pale():
    axes = dot_chart(SERIES, "IoU", faded=["MSD"]).axes[0]
    assert [container.lines[0].get_alpha() for container in axes.containers] == [1.0, 1.0, 0.3, 0.3]


def test_on_phones_names_stand_above_their_rows():
    figure = dot_chart(SERIES, "IoU", narrow=True)
    assert figure.get_size_inches()[0] == NARROW and names(figure) == ["", "", ""]
    assert [text.get_text() for text in figure.axes[0].texts] == ["ours", "CAM", "RISE"]


def test_nothing_to_draw_is_said():
    assert "no results yet" in svg(dot_chart({}, "IoU"))
