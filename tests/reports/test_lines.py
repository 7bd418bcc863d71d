"""What charts of lines and rows draw, read back from their axes."""

import numpy as np
import pytest

from segjax.evaluation import Decision, Interval
from segjax.reports import Line, line_chart, svg
from segjax.reports.charts import NARROW, inline
from segjax.reports.lines import BeforeAfter, Compared, before_after_chart, comparison_chart, outcome_chart

NAN = float("nan")


def value(mean, half=0.02):
    return Interval(mean, mean - half, mean + half, 5)


def dots(axes):
    """Mean and ends of the bar of every dot with an interval, across."""
    found = []
    for container in axes.containers:
        (bars,) = container.lines[2]
        ends = [segment[:, 0] for segment in bars.get_segments()]
        found += list(zip(container.lines[0].get_xdata(), ends, strict=True))
    return found


def test_lines_stand_at_their_counts_and_what_is_compared_with_is_grey():
    known = Line("known", (5, 10, 40), (value(0.7), value(0.8), value(0.9)))
    before = Line("before", (5, 40), (value(0.3)._replace(low=NAN), value(0.3)._replace(low=NAN)), grey=True)
    (axes,) = line_chart({"HL60": [known, before]}, "clean pictures", "Dice").axes
    first, second = (container.lines[0] for container in axes.containers)
    np.testing.assert_allclose(first.get_xdata().astype(float), [5, 10, 40])
    np.testing.assert_allclose(first.get_ydata().astype(float), [0.7, 0.8, 0.9])
    assert second.get_linestyle() == "-." and second.get_color() == "#8a8a8a" != first.get_color()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5", "10", "40"]
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "clean pictures"


def test_what_has_no_interval_has_no_bar_not_even_in_the_legend():
    bare = Interval(0.3, NAN, NAN, 1)
    lines = line_chart({"U-Net": [Line("way", (1, 10), (bare, bare))]}, "outlined sites", "Dice")
    for figure in (lines, before_after_chart([BeforeAfter("HL60", bare, bare)])):
        (drawn,) = figure.axes[0].containers
        assert not drawn.has_xerr and not drawn.has_yerr


def test_lines_beyond_the_colours_are_told_apart_by_dashes():
    lines = [Line(f"way {number}", (1, 10), (value(0.5), value(0.6))) for number in range(16)]
    (axes,) = line_chart({"U-Net": lines}, "outlined sites", "Dice").axes
    drawn = [container.lines[0] for container in axes.containers]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 16


def test_one_panel_per_name_and_one_colour_per_line():
    panels = {name: [Line("raw", (10, 50), (value(0.6), value(0.7)))] for name in ("0 %", "10 %")}
    panels["10 %"].append(Line("clean", (10,), (value(0.8),)))
    figure = line_chart(panels, "pictures", "Dice")
    assert [axes.get_title() for axes in figure.axes] == ["0 %", "10 %"]
    colours = [axes.containers[0].lines[0].get_color() for axes in figure.axes]
    assert colours[0] == colours[1]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["raw", "clean"]


def test_before_and_after_share_a_row():
    rows = [BeforeAfter("omission", value(0.46), value(0.9)), BeforeAfter("bias", value(0.8), value(0.95))]
    (axes,) = before_after_chart(rows).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["omission", "bias"]
    joins = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"]
    assert [0.46, 0.9] in [list(join) for join in joins]
    assert [mean for mean, _ in dots(axes)] == [0.9, 0.95]


def test_comparison_shows_dice_and_paired_differences_on_one_row_each():
    behind = Decision(5.0, 2.0, 8.0, 5, 0.01, "ahead")
    rows = [Compared("upgraded", value(0.85), None), Compared("clean", value(0.80), behind)]
    left, right = comparison_chart(rows, "upgrading").axes
    assert [round(mean, 3) for mean, _ in dots(left)] == [0.85, 0.8]
    ((mean, ends),) = dots(right)
    assert mean == 5.0 and list(ends) == [2.0, 8.0]
    assert [text.get_text() for text in right.texts] == ["+5.0"]


@pytest.mark.parametrize("narrow", [False, True])
def test_outcomes_stand_in_rows_beside_a_baseline_and_one_stands_out(narrow):
    rows = {"all clean": value(0.9126), "repaired": value(0.8574), "clean only": Interval(0.8771, NAN, NAN, 2)}
    figure = outcome_chart(rows, "Dice", "repaired", "clean only", narrow)
    (axes,) = figure.axes
    assert [(line.get_xdata()[0], line.get_linestyle()) for line in axes.lines if line.get_linestyle() == "--"] == [
        (0.8771, "--")
    ]
    drawn = {container.lines[0].get_xdata()[0]: container.lines[0].get_color() for container in axes.containers}
    assert list(drawn) == [0.9126, 0.8574, 0.8771] and drawn[0.9126] == drawn[0.8771] != drawn[0.8574]
    bold = [text.get_text() for text in (*axes.get_yticklabels(), *axes.texts) if text.get_fontweight() == "bold"]
    assert bold == ["repaired"]
    assert [text.get_text() for text in axes.texts if text.get_text()[0] == "0"] == ["0.913", "0.857", "0.877"]


def test_numbers_in_a_chart_keep_all_their_digits():
    text = inline(outcome_chart({"repaired": value(0.8574)}, "Dice", "repaired", ""), "f", "")
    assert ">0.857<" in text and "<title>repaired: 0.857 (0.837 to 0.877)</title>" in text


@pytest.mark.parametrize(
    "figure",
    [
        line_chart({}, "x", "y"),
        before_after_chart([]),
        comparison_chart([], "upgrading"),
        outcome_chart({}, "x", "", ""),
    ],
    ids=["line", "rows", "methods", "outcomes"],
)
def test_without_results_a_figure_says_so(figure):
    assert [text.get_text() for text in figure.texts if text.get_text()] == ["no results yet"]
    assert svg(figure).startswith("<?xml")


PANELS = {name: [Line("raw", (10, 50), (value(0.6), value(0.7)))] for name in ("0 %", "10 %")}
ROWS = [BeforeAfter("omission", value(0.46), value(0.9))]
METHODS = [
    Compared("ours", value(0.85), None),
    Compared("theirs", value(0.8), Decision(5.0, 2.0, 8.0, 5, 0.01, "ahead")),
]


@pytest.mark.parametrize(
    ("draw", "texts"),
    [
        (lambda narrow: line_chart(PANELS, "pictures", "Dice", narrow), ["raw, 10: 0.600 (0.580 to 0.620)"] * 2),
        (
            lambda narrow: before_after_chart(ROWS, narrow),
            ["omission, before: 0.460 (0.440 to 0.480)", "omission, after: 0.900 (0.880 to 0.920)"],
        ),
        (
            lambda narrow: comparison_chart(METHODS, "ours", narrow),
            ["ours: 0.850 (0.830 to 0.870)", "ours against theirs, Dice points: 5.0 (2.0 to 8.0)"],
        ),
    ],
    ids=["line", "rows", "methods"],
)
def test_on_phones_a_chart_is_as_wide_as_the_screen_and_says_the_same(draw, texts):
    figures = [draw(narrow) for narrow in (False, True)]
    assert figures[1].get_size_inches()[0] == NARROW < figures[0].get_size_inches()[0]
    for figure in figures:
        said = [line.get_gid() for axes in figure.axes for line in axes.lines if line.get_gid()]
        assert all(said.count(f"tip:{text}") == texts.count(text) for text in texts)


def test_on_phones_panels_stand_below_each_other():
    for figure in (line_chart(PANELS, "pictures", "Dice", True), comparison_chart(METHODS, "ours", True)):
        assert [axes.get_subplotspec().rowspan.start for axes in figure.axes] == [0, 1]
