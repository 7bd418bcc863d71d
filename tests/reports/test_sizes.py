"""The chart of object sizes."""

import numpy as np

from segjax.reports import svg
from segjax.reports.charts import NARROW
from segjax.reports.sizes import size_chart


def test_every_object_is_in_a_bar_and_marks_are_named():
    diameters = np.asarray([1.0, 5, 5, 20, 300])
    figure = size_chart(diameters, small=5.0, large=128.0)
    [axes] = figure.axes
    assert sum(bar.get_height() for bar in axes.patches) == 5
    text = svg(figure)
    for words in ("5 px", "median 5 px", "half a picture", "equivalent diameter, pixels"):
        assert words in text


def test_a_chart_for_phones_has_the_same_bars():
    diameters = np.geomspace(2, 90, 30)
    wide, narrow = (size_chart(diameters, 5.0, 128.0, is_narrow) for is_narrow in (False, True))
    assert narrow.get_size_inches()[0] == NARROW < wide.get_size_inches()[0]
    heights = [[bar.get_height() for bar in figure.axes[0].patches] for figure in (wide, narrow)]
    assert heights[0] == heights[1] and sum(heights[0]) == 30


def test_one_object():
    [axes] = size_chart(np.asarray([7.0]), small=5.0, large=32.0).axes
    assert sum(bar.get_height() for bar in axes.patches) == 1
