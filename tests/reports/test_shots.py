"""What the figures of study 3 draw, read back from their axes."""

import numpy as np
import pytest

from segjax.evaluation import Interval
from segjax.reports import svg
from segjax.reports.charts import NARROW
from segjax.reports.shots import Band, Spread, heat_chart, shots_chart

WHOLE = Interval(0.9, 0.88, 0.92, 3)
BAND = Band("all 8 features", [1, 5], [Spread(0.5, 0.4, 0.55), Spread(0.7, 0.68, 0.74)])
PANELS = {"plasma": ([BAND], WHOLE), "rare": ([BAND], WHOLE._replace(n=0))}


def drawn(axes):
    return [line for line in axes.lines if not line.get_gid()]


def test_medians_quartiles_and_all_labels_stand_where_they_belong():
    figure = shots_chart(PANELS)
    first, second = (axes for axes in figure.axes if axes.get_visible())
    line, reference = drawn(first)
    assert list(line.get_xdata()) == [1, 5] and list(line.get_ydata()) == pytest.approx([0.5, 0.7])
    assert reference.get_linestyle() == "--" and set(reference.get_ydata()) == {0.9}
    (filled,) = first.collections
    corners = filled.get_paths()[0].vertices
    assert {(x, round(y, 2)) for x, y in corners} == {(1, 0.4), (1, 0.55), (5, 0.68), (5, 0.74)}
    assert len(drawn(second)) == 1  # without all labels no line for them
    assert [axes.get_title() for axes in (first, second)] == ["plasma", "rare"]
    assert svg(figure).startswith("<?xml")


def test_another_study_is_dotted_in_its_panel_alone_and_in_the_legend():
    other = Band("elsewhere", [1, 15], [Spread(0.3, 0.3, 0.3), Spread(0.6, 0.6, 0.6)])
    figure = shots_chart(PANELS, metric="F1", dotted={"rare": other})
    first, second = (axes for axes in figure.axes if axes.get_visible())
    lines = [[line.get_linestyle() for line in drawn(axes)] for axes in (first, second)]
    assert lines == [["-", "--"], ["-", ":"]]
    assert list(drawn(second)[1].get_ydata()) == [0.3, 0.6] and first.get_ylabel() == "F1"
    assert {1, 15} <= {int(text.get_text()) for text in second.get_xticklabels()}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["all 8 features", "all labels", "elsewhere"]


def test_a_point_says_its_median_and_quartiles():
    texts = [line.get_gid() for line in shots_chart(PANELS).axes[0].lines if line.get_gid()]
    assert texts == ["tip:all 8 features, 1: 0.500 (0.400 to 0.550)", "tip:all 8 features, 5: 0.700 (0.680 to 0.740)"]


def test_a_heat_map_says_its_values_and_leaves_gaps_empty():
    values = np.array([[0.1, 0.2], [0.3, np.nan]])
    panels = heat_chart({"random": values}, [1, 8], [1, 5]).axes
    assert [text.get_text() for text in panels[0].texts] == ["0.10", "0.20", "0.30"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["1", "all 8"]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["1", "5"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda narrow: shots_chart(PANELS, narrow),
        lambda narrow: heat_chart({name: np.ones((2, 2)) for name in "ab"}, [1, 8], [1, 5], narrow),
    ],
    ids=["shots", "heat"],
)
def test_on_phones_panels_stand_below_each_other(draw):
    wide, narrow = draw(False), draw(True)
    assert narrow.get_size_inches()[0] == NARROW < wide.get_size_inches()[0]
    assert [[axes.get_subplotspec().rowspan.start for axes in figure.axes][:2] for figure in (wide, narrow)] == [
        [0, 0], [0, 1]
    ]  # fmt: skip


@pytest.mark.parametrize("figure", [shots_chart({}), heat_chart({}, [1], [1])], ids=["shots", "heat"])
def test_without_results_a_figure_says_so(figure):
    assert [text.get_text() for text in figure.texts][-1] == "no results yet"
