"""Charts of methods and the panel of maps: what is drawn is what was given."""

import io

import numpy as np
from PIL import Image

from segjax.evaluation import Interval
from segjax.reports import MapTile, dot_chart, map_panel, svg

NAN = float("nan")


def test_rows_come_by_the_first_series_and_references_are_named():
    series = {
        "VGG16": {"CAM": Interval(0.4, 0.3, 0.5, 5), "ours": Interval(0.7, 0.6, 0.8, 5)},
        "MSD": {"ours": Interval(0.5, NAN, NAN, 2), "RISE": Interval(0.1, NAN, NAN, 2)},
    }
    figure = dot_chart(series, "IoU", {"disc": Interval(0.65, 0.6, 0.7, 5), "missing": Interval(NAN, NAN, NAN, 0)})
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["ours", "CAM", "RISE"]
    text = svg(figure)
    assert "disc" in text and "VGG16" in text and "missing" not in text
    assert svg(dot_chart(series, "IoU")) == svg(dot_chart(series, "IoU"))


def test_nothing_to_draw_is_said():
    assert "no results yet" in svg(dot_chart({}, "IoU"))


def test_a_panel_has_maps_in_columns_and_the_outline_in_red():
    image = np.full((32, 32, 1), 0.5, np.float32)
    outline = np.zeros((32, 32), bool)
    outline[8:24, 8:24] = True
    tiles = [
        MapTile("VGG16", "ours", image, outline.astype(float), outline),
        MapTile("VGG16", "CAM", image, np.zeros((32, 32)), outline),
        MapTile("MSD", "ours", image, -outline.astype(float), outline, faded=True),
    ]
    png = map_panel(tiles, {"ours": "Contour-CAM (ours)"})
    assert png == map_panel(tiles, {"ours": "Contour-CAM (ours)"})
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    is_red = (picture[..., 0] > 220) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
    height, width = is_red.shape
    quarters = [
        is_red[: height // 2, : width // 2],
        is_red[: height // 2, width // 2 :],
        is_red[height // 2 :, : width // 2],
        is_red[height // 2 :, width // 2 :],
    ]
    assert [quarter.any() for quarter in quarters] == [True, True, True, False]


def test_a_panel_goes_on_below_after_seven_maps():
    blank, outline = np.full((8, 8, 1), 0.5, np.float32), np.eye(8, dtype=bool)
    tiles = [MapTile("VGG16", f"map {place}", blank, np.eye(8), outline) for place in range(9)]
    sizes = [Image.open(io.BytesIO(map_panel(tiles[:count]))).size for count in (7, 9)]
    assert abs(sizes[1][0] - sizes[0][0]) < 0.05 * sizes[0][0]
    assert sizes[1][1] > 1.7 * sizes[0][1]
