"""Overlays and galleries on pictures small enough to know every pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from segjax.reports.gallery import (
    LabelTile,
    PredictionTile,
    change_overlay,
    label_gallery,
    outline_legend,
    outline_overlay,
    overlay,
    prediction_gallery,
    prediction_overlay,
)

GREEN, RED, BLUE, ORANGE, YELLOW = (0, 200, 140), (230, 60, 20), (86, 180, 233), (230, 90, 0), (240, 228, 66)


@pytest.fixture
def cells():
    """Black 20 x 20 picture, two cells that touch: columns 2-7 and 8-13 of rows 2-11."""
    clean = np.zeros((20, 20), np.int32)
    clean[2:12, 2:8], clean[2:12, 8:14] = 1, 2
    return np.zeros((20, 20, 1), np.float32), clean


def centre(picture, row, column, factor=9):
    """Colour in the middle of an enlarged pixel."""
    return tuple(int(part) for part in picture[row * factor + factor // 2, column * factor + factor // 2])


def corner(picture, row, column, factor=9):
    """Colour at the upper left corner of an enlarged pixel."""
    return tuple(int(part) for part in picture[row * factor, column * factor])


def tinted(colour):
    return tuple(round(0.45 * part) for part in colour)


def test_small_pictures_are_enlarged_by_a_whole_factor(cells):
    image, clean = cells
    assert overlay(image, clean, clean > 0).shape == (180, 180, 3)


def test_large_pictures_are_reduced():
    image, mask = np.zeros((30, 1001, 3), np.float32), np.zeros((30, 1001), bool)
    assert overlay(image, mask, mask).shape == (10, 334, 3)


def test_kept_and_omitted_cell_can_be_told_apart(cells):
    image, clean = cells
    shown = overlay(image, clean, clean == 1)
    assert corner(shown, 2, 2) == GREEN
    assert centre(shown, 6, 5) == tinted(BLUE)
    assert corner(shown, 2, 10) == RED
    assert centre(shown, 6, 11) == (0, 0, 0)
    assert centre(shown, 16, 16) == (0, 0, 0)


def test_included_object_is_filled_without_a_green_outline(cells):
    image, clean = cells
    label = clean > 0
    label[14:18, 14:18] = True
    shown = overlay(image, clean > 0, label)
    assert corner(shown, 14, 14) == centre(shown, 15, 15) == tinted(BLUE)


def test_prediction_colours(cells):
    image, clean = cells
    prediction = np.zeros((20, 20), bool)
    prediction[2:12, 2:8] = prediction[15:18, 15:18] = True
    shown = prediction_overlay(image, clean, prediction)
    assert centre(shown, 5, 5) == tinted(BLUE)
    assert centre(shown, 16, 16) == tinted(ORANGE)
    assert centre(shown, 5, 11) == tinted(YELLOW)
    assert centre(shown, 0, 0) == (0, 0, 0)


def test_brightness_is_stretched_and_colour_pictures_stay_colour():
    image = np.zeros((200, 200, 3), np.float32)
    image[:100, :, 0] = 0.1
    shown = overlay(image, np.zeros((200, 200), bool), np.zeros((200, 200), bool))
    assert shown[50, 50].tolist() == [210, 0, 0]
    assert shown[150, 50].tolist() == [0, 0, 0]


def test_label_gallery_has_a_column_per_strength(cells):
    image, clean = cells
    one = label_gallery([LabelTile("omission", 0.3, image, clean, clean == 1)])
    two = label_gallery([LabelTile("omission", level, image, clean, clean == 1) for level in (0.3, 0.7, 0.9, 0.1)])
    rows = label_gallery([LabelTile(error, 0.3, image, clean, clean == 1) for error in ("omission", "inclusion")])
    sizes = [Image.open(io.BytesIO(png)).size for png in (one, two, rows)]
    assert sizes[1][0] == 4 * 190 + 10
    assert sizes[1][1] < sizes[0][1] + 41
    assert sizes[2][1] - sizes[0][1] == 180 + 60


def test_captions_in_published_pixels_have_room(cells):
    image, clean = cells
    tiles = [PredictionTile("msd", "bias", float(q), image, clean, clean > 0) for q in (6, 12)]
    plain, published = (Image.open(io.BytesIO(prediction_gallery(tiles, c))).size for c in (1.0, 6.0))
    assert plain[0] == 2 * 190 + 10
    assert published[0] > plain[0]  # columns as wide as their captions


def test_galleries_are_the_same_bytes_whatever_the_order(cells):
    image, clean = cells
    tiles = [LabelTile("bias", float(q), image, clean, clean > 0) for q in (2, 4)]
    assert label_gallery(tiles) == label_gallery(tiles[::-1])
    tiles = [PredictionTile(n, "none", 0.0, image, clean, clean == 1) for n in ("msd", "unet")]
    assert prediction_gallery(tiles) == prediction_gallery(tiles[::-1])


def test_a_prediction_that_is_missing_leaves_its_place_empty(cells):
    image, clean = cells
    tiles = [
        PredictionTile(network, "omission", level, image, clean, clean > 0)
        for network, level in (("unet", 0.1), ("unet", 0.3), ("msd", 0.3))
    ]
    sheet = np.asarray(Image.open(io.BytesIO(prediction_gallery(tiles))))
    # Second row of tiles: msd. Its first column is white paper below the caption, its second one a picture.
    row = sheet[-2 * 10 - 100]
    assert (row[10:180] == 255).all()
    assert not (row[210:370] == 255).all()


def test_empty_galleries_are_pictures_too():
    for png in (label_gallery([]), prediction_gallery([])):
        assert Image.open(io.BytesIO(png)).format == "PNG"


def test_what_an_annotation_gained_and_lost_is_coloured_as_the_legend_says(cells):
    image, clean = cells
    png, legend = change_overlay(image, clean == 1, (clean > 0) & (np.arange(20) > 4))
    shown = np.asarray(Image.open(io.BytesIO(png)))
    assert [centre(shown, 6, column) for column in (6, 10, 3)] == [tinted(BLUE), tinted(ORANGE), tinted(YELLOW)]
    assert [colour for colour, _ in legend] == [f"rgb{colour}" for colour in (BLUE, ORANGE, YELLOW)]
    assert [text.partition(":")[0] for _, text in legend] == ["marked before and after", "added", "removed"]


def test_outlines_have_the_colour_of_their_class_and_the_inside_stays():
    labels = np.zeros((200, 200), np.int32)
    labels[20:60, 20:60], labels[100:140, 100:140] = 1, 2
    ignored = np.zeros(labels.shape, bool)
    ignored[180:] = True
    image = np.random.default_rng(0).uniform(0, 1, (200, 200, 1)).astype(np.float32)
    png = outline_overlay(image, labels, np.asarray([2, 1]), ignored)
    plain = np.asarray(Image.open(io.BytesIO(outline_overlay(image, 0 * labels, np.asarray([2, 1])))))
    shown = np.asarray(Image.open(io.BytesIO(png)))
    legend = dict(outline_legend({1: "a", 2: "b", 8: "c", 9: "d"}, has_ignored=True))
    colours = {text: tuple(map(int, colour[4:-1].split(","))) for colour, text in legend.items()}
    assert list(colours) == ["a", "b", "c, d", "not judged"]
    assert tuple(shown[20, 30]) == colours["b"] and tuple(shown[120, 139]) == colours["a"]
    np.testing.assert_array_equal(shown[25:55, 25:55], plain[25:55, 25:55])
    assert (shown[180:] != plain[180:]).mean() > 0.9
