"""Cheap annotations: what they cost, what networks are told of them, and corrected proposals."""

import numpy as np
import pytest

from experiments.harness.annotating import (
    around_points,
    counts_of,
    counts_of_correction,
    in_boxes,
    standing_out,
    sum_of,
)
from segjax.annotations.annotators import correct
from segjax.annotations.prices import KINDS, Prices
from segjax.types import IGNORED


def squares(*places, shape=(20, 20), side=4):
    """Squares with ids 1, 2, ... and their upper left corners."""
    labels = np.zeros(shape, np.int32)
    for number, (y, x) in enumerate(places, start=1):
        labels[y : y + side, x : x + side] = number
    return labels


@pytest.mark.parametrize("kind", KINDS)
def test_counts_times_prices_are_what_a_picture_costs(kind):
    prices = Prices(outline_per_px=0.5, quick_per_px=0.1)
    labels = squares((1, 1), (10, 3), (10, 12))
    counts = counts_of(kind, labels)
    assert sum(count * getattr(prices, name) for name, count in counts.items()) == pytest.approx(
        prices.of(kind, labels)
    )


def test_outlines_are_longer_in_finer_pixels():
    coarse, fine = (counts_of("careful", squares((1, 1)), one) for one in (1.0, 4.0))
    assert fine["outline_per_px"] == 4 * coarse["outline_per_px"] and fine["outline"] == coarse["outline"] == 1


def test_counts_add_up():
    assert sum_of([{"a": 1.0}, {"a": 2.0, "b": 0.5}]) == {"a": 3.0, "b": 0.5} and sum_of([]) == {}


def test_around_a_point_there_is_object_then_nothing_known_then_background():
    marked = np.zeros((20, 20), bool)
    marked[9, 9] = True
    found = around_points(marked, 5.0)  # object up to 3.5, open up to 7
    assert [found[9, 9 + distance] for distance in (0, 3, 4, 7, 8)] == [1, 1, IGNORED, IGNORED, 0]
    assert not around_points(np.zeros((4, 4), bool), 5.0).any()


def test_in_a_box_the_ellipse_is_object_and_the_corners_are_open():
    found = in_boxes(squares((2, 2), (12, 12), side=6))
    assert found[5, 5] == found[15, 15] == 1 and found[2, 2] == found[17, 17] == IGNORED and found[10, 10] == 0
    touching = np.zeros((8, 16), np.int32)
    touching[:, :8], touching[:, 8:] = 3, 7  # two objects, though one piece
    assert found.shape == (20, 20) and in_boxes(touching)[0, 7] == in_boxes(touching)[0, 8] == IGNORED


def test_a_correction_costs_what_its_counts_say():
    truth = squares((0, 0), (0, 10), (10, 0), (10, 10))
    proposal = np.zeros_like(truth)
    proposal[0:4, 0:4] = 5  # the first object as it is
    proposal[0:2, 10:14] = 6  # half of the second
    proposal[18:20, 18:20] = 8  # no object; the third and fourth have no proposal
    found, prices = correct(proposal, truth, 0.7), Prices(outline_per_px=0.5)
    counts = counts_of_correction(found, 2.0)
    assert (counts["look"], counts["correction"], counts["outline"], counts["picture"]) == (3, 1, 2, 1)
    assert counts["outline_per_px"] == pytest.approx(2 * np.pi / 4 * 32)  # in pixels half as wide
    seconds = sum(count * getattr(prices, name) for name, count in counts_of_correction(found).items())
    assert seconds == pytest.approx(prices.of_correction(found.looked, found.redrawn, found.drawn))


def test_what_stands_out_is_the_rarer_side():
    image = np.zeros((10, 10, 1), np.float32)
    image[:2] = 1.0
    assert standing_out(image) == pytest.approx(0.2) and standing_out(1 - image) == pytest.approx(0.2)
    assert standing_out(np.full((4, 4, 3), 0.5, np.float32)) == 0.0
