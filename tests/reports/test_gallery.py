"""Layers and galleries on pictures small enough to know every pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from segjax.reports import look
from segjax.reports.gallery import (
    CHANGE_LEGEND,
    LABEL_LEGEND,
    PREDICTION_LEGEND,
    change_layer,
    dice_scale,
    label_layer,
    map_layer,
    outline_layer,
    outline_legend,
    prediction_layer,
    prediction_look,
    truth_layer,
)

GREEN, RED, BLUE, ORANGE, YELLOW = (0, 200, 140), (230, 60, 20), (86, 180, 233), (230, 90, 0), (240, 228, 66)
HALF = round(255 * 0.45)  # how far colours that fill cover a picture


@pytest.fixture
def cells():
    """Black 20 x 20 picture, two cells that touch: columns 2-7 and 8-13 of rows 2-11."""
    clean = np.zeros((20, 20), np.int32)
    clean[2:12, 2:8], clean[2:12, 8:14] = 1, 2
    return np.zeros((20, 20, 1), np.float32), clean


def centre(layer, row, column, factor=9):
    """Colour and opacity in the middle of an enlarged pixel."""
    return tuple(int(part) for part in layer[row * factor + factor // 2, column * factor + factor // 2])


def corner(layer, row, column, factor=9):
    """Colour and opacity at the upper left corner of an enlarged pixel."""
    return tuple(int(part) for part in layer[row * factor, column * factor])


def opened(content):
    picture = Image.open(io.BytesIO(content))
    return np.asarray(picture.convert("RGBA") if picture.mode == "P" else picture)


def test_layers_of_small_pictures_are_enlarged_and_the_picture_is_not(cells):
    image, clean = cells
    shown = look("a", image, truth_layer(clean))
    assert opened(shown.layers[0]).shape == (180, 180, 4) and opened(shown.picture).shape == (20, 20)
    assert shown.shape == (20, 20)


def test_large_pictures_and_their_layers_are_reduced_alike():
    image, mask = np.zeros((30, 1001, 3), np.float32), np.zeros((30, 1001), bool)
    shown = look("a", image, truth_layer(mask))
    assert opened(shown.layers[0]).shape == (10, 334, 4) and opened(shown.picture).shape == (10, 334, 3)


def test_kept_and_omitted_cell_can_be_told_apart(cells):
    _, clean = cells
    layer = label_layer(clean, clean == 1)
    assert corner(layer, 2, 2) == (*GREEN, 255) and corner(layer, 2, 10) == (*RED, 255)
    assert centre(layer, 6, 5) == (*BLUE, HALF)
    assert centre(layer, 6, 11)[3] == centre(layer, 16, 16)[3] == 0


def test_included_object_is_filled_without_a_green_outline(cells):
    _, clean = cells
    label = clean > 0
    label[14:18, 14:18] = True
    layer = label_layer(clean > 0, label)
    assert corner(layer, 14, 14) == centre(layer, 15, 15) == (*BLUE, HALF)


def test_truth_is_an_outline_that_parts_touching_cells(cells):
    _, clean = cells
    layer = truth_layer(clean)
    assert corner(layer, 2, 2) == corner(layer, 6, 8) == (*GREEN, 255)
    assert centre(layer, 6, 5)[3] == 0
    assert corner(truth_layer(clean > 0), 6, 8)[3] == 0  # a mask says nothing of where cells touch


def test_found_missed_and_false_pixels_have_their_colours(cells):
    _, clean = cells
    prediction = np.zeros((20, 20), bool)
    prediction[2:12, 2:8] = prediction[15:18, 15:18] = True
    layer = prediction_layer(clean, prediction)
    assert [centre(layer, *place) for place in ((5, 5), (16, 16), (5, 11))] == [
        (*colour, HALF) for colour in (BLUE, ORANGE, YELLOW)
    ]
    assert centre(layer, 0, 0)[3] == 0


def test_what_an_annotation_gained_and_lost_is_coloured_as_the_legend_says(cells):
    _, clean = cells
    layer = change_layer(clean == 1, (clean > 0) & (np.arange(20) > 4))
    assert [centre(layer, 6, column)[:3] for column in (6, 10, 3)] == [BLUE, ORANGE, YELLOW]
    assert list(CHANGE_LEGEND) == [
        (f"rgb{BLUE}", "marked before and after"), (f"rgb{ORANGE}", "added"), (f"rgb{YELLOW}", "removed")
    ]  # fmt: skip


def test_legends_name_every_colour_that_is_painted():
    named = {text: colour for colour, text in (*LABEL_LEGEND, *PREDICTION_LEGEND)}
    assert named["true object that the label omits"] == f"rgb{RED}" and named["marked by the label"] == f"rgb{BLUE}"
    assert named["false alarm"] == f"rgb{ORANGE}" and named["missed"] == f"rgb{YELLOW}"


def test_brightness_is_stretched_and_colour_pictures_stay_colour():
    image = np.zeros((200, 200, 3), np.float32)
    image[:100, :, 0] = 0.1
    shown = opened(look("a", image).picture).astype(int)
    assert abs(shown[50, 50] - [210, 0, 0]).max() <= 2 and shown[150, 50].max() <= 2  # JPEG, by its size


def test_small_pictures_are_kept_as_they_are():
    image = np.random.default_rng(0).uniform(0, 1, (64, 64, 1)).astype(np.float32)
    shown = look("a", image)
    assert shown.picture.startswith(b"\x89PNG") and len(np.unique(opened(shown.picture))) > 100


def test_a_map_is_warm_where_it_is_high_and_clear_where_it_is_negative():
    found = np.full((200, 200), -1.0)
    found[:100], found[:, 150:] = 0.5, 1.0
    layer, faded = (map_layer(found, np.zeros((200, 200), bool), pale) for pale in (False, True))
    assert layer[150, 50, 3] == 0 < layer[50, 50, 3] < layer[50, 180, 3]
    assert layer[50, 180, :3].astype(int).sum() > layer[50, 50, :3].astype(int).sum()
    assert faded[50, 180, 3] < layer[50, 180, 3]


def test_outlines_have_the_colour_of_their_class_and_the_inside_stays_clear():
    labels = np.zeros((200, 200), np.int32)
    labels[20:60, 20:60], labels[100:140, 100:140] = 1, 2
    ignored = np.zeros(labels.shape, bool)
    ignored[180:] = True
    layer = outline_layer(labels, np.asarray([2, 1]), ignored)
    legend = dict(outline_legend({1: "a", 2: "b", 8: "c", 9: "d"}, has_ignored=True))
    colours = {text: tuple(map(int, colour[4:-1].split(","))) for colour, text in legend.items()}
    assert list(colours) == ["a", "b", "c, d", "not judged"]
    assert tuple(layer[20, 30, :3]) == colours["b"] and tuple(layer[120, 139, :3]) == colours["a"]
    assert not layer[25:55, 25:55, 3].any()
    assert (layer[180:, :, :3] == colours["not judged"]).all() and layer[180:, :, 3].all()


def test_a_prediction_has_its_dice_below_it_and_its_layers_in_the_order_of_the_slider(cells):
    image, clean = cells
    half = clean == 1  # 60 of 120 pixels: 2 * 60 / 180
    shown = prediction_look("worst", image, clean, half)
    assert shown.caption == "worst: Dice 0.67"
    np.testing.assert_array_equal(opened(shown.layers[0]), truth_layer(clean))
    np.testing.assert_array_equal(opened(shown.layers[1]), prediction_layer(clean, half))
    assert prediction_look("", image, clean, half).caption == "Dice 0.67"
    assert prediction_look("best", image, 0 * clean, clean > 9).caption == "best: no object"


def predicted(right, size=100):
    """A picture with `size` true pixels, of which `right` are predicted and nothing else."""
    truth = (np.arange(200) < size).reshape(10, 20)
    found = (np.arange(200) < right).reshape(10, 20)
    return np.zeros((10, 20, 1), np.float32), truth, found


def test_a_dice_is_shown_on_the_fullest_of_the_pictures_that_have_it():
    # Dice of r right pixels of s: 2 r / (r + s); 0.95 twice, 0.86, 0.69, 0.33
    pictures = [predicted(18, 20), predicted(90), predicted(75), predicted(53), predicted(20)]
    gallery = dice_scale(pictures)
    (looks,) = gallery.rows.values()
    assert [one.caption for one in looks] == ["Dice 0.95", "Dice 0.86", "Dice 0.69"]
    assert gallery.steps == ("picture", "ground truth", "prediction")
    np.testing.assert_array_equal(opened(looks[0].layers[0]), truth_layer(pictures[1][1]))


@pytest.mark.parametrize("pictures", [[], [predicted(90)], [predicted(90), predicted(91), predicted(20)]])
def test_one_value_is_no_scale(pictures):
    assert dice_scale(pictures) is None


def test_equal_pictures_give_equal_bytes(cells):
    image, clean = cells
    assert look("a", image, label_layer(clean, clean == 1)) == look("a", image, label_layer(clean, clean == 1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (3000, 20)])
def test_pictures_of_any_shape_are_shown_in_a_size_that_browsers_can_hold(shape):
    mask = np.ones(shape, bool)
    shown = look("a", np.ones((*shape, 1), np.float32), truth_layer(mask), prediction_layer(mask, mask))
    for content in (shown.picture, *shown.layers):
        assert min(opened(content).shape[:2]) > 0 and max(opened(content).shape[:2]) <= 2000
    assert opened(shown.layers[1])[..., 3].min() == HALF


def test_a_row_of_pixels_is_as_bright_in_a_reduced_picture():
    row = np.repeat(np.float32([0, 1]), 1000)[None, :, None]
    assert opened(look("a", row).picture)[0, -1] == 210
