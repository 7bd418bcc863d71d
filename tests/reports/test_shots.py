"""What the figures of study 3 draw, read back from their axes, and its gallery."""

import io

import numpy as np
import pytest
from PIL import Image

from segjax.evaluation import Interval
from segjax.reports import Band, ShotsTile, Spread, heat_chart, shots_chart, shots_gallery, svg

WHOLE = Interval(0.9, 0.88, 0.92, 3)


def test_medians_quartiles_and_all_labels_stand_where_they_belong():
    band = Band("all 8 features", [1, 5], [Spread(0.5, 0.4, 0.55), Spread(0.7, 0.68, 0.74)])
    figure = shots_chart({"plasma": ([band], WHOLE), "rare": ([band], WHOLE._replace(n=0))})
    first, second = (axes for axes in figure.axes if axes.get_visible())
    line, reference = first.lines
    assert list(line.get_xdata()) == [1, 5] and list(line.get_ydata()) == pytest.approx([0.5, 0.7])
    assert reference.get_linestyle() == "--" and set(reference.get_ydata()) == {0.9}
    (filled,) = first.collections
    corners = filled.get_paths()[0].vertices
    assert {(x, round(y, 2)) for x, y in corners} == {(1, 0.4), (1, 0.55), (5, 0.68), (5, 0.74)}
    assert len(second.lines) == 1  # without all labels no line for them
    assert [axes.get_title() for axes in (first, second)] == ["plasma", "rare"]
    assert svg(figure).startswith("<?xml")


def test_a_heat_map_says_its_values_and_leaves_gaps_empty():
    values = np.array([[0.1, 0.2], [0.3, np.nan]])
    panels = heat_chart({"random": values}, [1, 8], [1, 5]).axes
    assert [text.get_text() for text in panels[0].texts] == ["0.10", "0.20", "0.30"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["1", "all 8"]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["1", "5"]


@pytest.mark.parametrize("figure", [shots_chart({}), heat_chart({}, [1], [1])], ids=["shots", "heat"])
def test_without_results_a_figure_says_so(figure):
    assert [text.get_text() for text in figure.texts][-1] == "no results yet"


def test_a_row_of_the_gallery_has_the_shot_and_every_prediction():
    image, truth = np.full((40, 40, 3), 0.5, np.float32), np.zeros((40, 40), np.int32)
    truth[10:20, 10:20] = 1
    one, two = ({"5 shots": truth > 0}, {"5 shots": truth > 0, "all labels": truth > 0})
    sheets = [
        Image.open(io.BytesIO(shots_gallery([ShotsTile("plasma", image, truth, image, truth, predictions)])))
        for predictions in (one, two)
    ]
    assert sheets[0].height == sheets[1].height and sheets[0].width < sheets[1].width
    pixels = np.asarray(sheets[1]).reshape(-1, 3)
    assert (pixels == (0, 200, 140)).all(1).sum() > 100  # the outline of the annotated cell
