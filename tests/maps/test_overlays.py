"""A map on its picture, pixel by pixel."""

import doctest

import numpy as np
import pytest

from segjax.maps import overlay, overlays
from segjax.types import InputError

GREY = np.full((2, 2, 1), 0.5)


def test_colours_are_mixed_by_the_share_of_the_largest_magnitude():
    found = overlay(GREY, np.array([[2.0, 0.0], [-1.0, -2.0]]))
    half, whole = 0.35, 0.7
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0, 1], [128, 128, 128])
    for place, share, colour in (
        ((0, 0), whole, (213, 94, 0)),
        ((1, 0), half, (0, 114, 178)),
        ((1, 1), whole, (0, 114, 178)),
    ):
        expected = [round((1 - share) * 127.5 + share * part) for part in colour]
        np.testing.assert_allclose(found[place], expected, atol=1)


def test_one_scale_makes_maps_comparable_and_an_empty_map_leaves_the_picture():
    weak = np.array([[0.5, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(
        overlay(GREY, weak, scale=1.0),
        overlay(GREY, np.array([[0.5, 0.0], [0.0, 1.0]])) * [[[1], [1]], [[1], [0]]] + [[[0], [0]], [[0], [128]]],
    )
    np.testing.assert_array_equal(overlay(GREY, 0 * weak), np.full((2, 2, 3), 128))
    np.testing.assert_array_equal(overlay(GREY, 8 * weak, scale=1.0), overlay(GREY, weak))


def test_colours_of_the_picture_stay():
    picture = np.zeros((1, 2, 3))
    picture[0, 0] = (1, 0.2, 0)
    assert overlay(picture, np.zeros((1, 2))).tolist() == [[[255, 51, 0], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("image", "found", "scale", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2)), None, r"image: give one picture \[H, W, 1\] or \[H, W, 3\], not \[2, 2\]"),
        (np.zeros((2, 2, 4)), np.zeros((2, 2)), None, "image: give one picture"),
        (GREY * 255, np.zeros((2, 2)), None, "image: its values must be from 0 to 1; undo"),
        (GREY * np.nan, np.zeros((2, 2)), None, "image: its values must be from 0 to 1; undo"),
        (
            GREY,
            np.zeros((1, 2)),
            None,
            r"map: its size \[1, 2\] must be that of the picture, \[2, 2\]; segjax.maps.upsample",
        ),
        (GREY, np.full((2, 2), np.nan), None, "map: it has values that are not finite"),
        (GREY, np.zeros((2, 2)), 0.0, "scale must be above 0, not 0.0"),
    ],
)
def test_what_cannot_be_shown_is_refused(image, found, scale, message):
    with pytest.raises(InputError, match=message):
        overlay(image, found, scale)


def test_the_example_in_the_documentation():
    found = doctest.testmod(overlays)
    assert found.attempted > 3 and found.failed == 0
