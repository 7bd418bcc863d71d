"""Cheap annotations: what they cost, what networks are told of them, and corrected proposals."""

import numpy as np
import pytest

from experiments.harness.annotating import around_points, corrected, counts_of, in_boxes, standing_out, sum_of
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
    labels = squares((8, 8), side=3)  # its centre is the pixel 9, 9
    found = around_points(labels, 5.0)  # object up to 3.5, open up to 7
    assert [found[9, 9 + distance] for distance in (0, 3, 4, 7, 8)] == [1, 1, IGNORED, IGNORED, 0]
    assert not around_points(np.zeros((4, 4), np.int32), 5.0).any()


def test_the_point_of_a_hollow_object_is_on_the_object():
    labels = np.ones((9, 9), np.int32)
    labels[1:-1, 1:-1] = 0
    marked = np.argwhere(around_points(labels, 0.5) == 1)
    assert len(marked) == 1 and labels[tuple(marked[0])] == 1


def test_in_a_box_the_ellipse_is_object_and_the_corners_are_open():
    found = in_boxes(squares((2, 2), (12, 12), side=6))
    assert found[5, 5] == found[15, 15] == 1 and found[2, 2] == found[17, 17] == IGNORED and found[10, 10] == 0
    touching = np.zeros((8, 16), np.int32)
    touching[:, :8], touching[:, 8:] = 3, 7  # two objects, though one piece
    assert found.shape == (20, 20) and in_boxes(touching)[0, 7] == in_boxes(touching)[0, 8] == IGNORED


def test_each_proposal_is_looked_at_and_only_what_is_wrong_is_redrawn():
    truth = squares((0, 0), (0, 10), (10, 0), (10, 10))
    proposal = np.zeros_like(truth)
    proposal[0:4, 0:4] = 5  # the first object as it is
    proposal[0:4, 11:14] = 6  # three quarters of the second
    proposal[10:12, 0:2] = 7  # a quarter of the third
    proposal[18:20, 18:20] = 8  # no object; the fourth has no proposal
    labels, counts = corrected(proposal, truth, 0.7)
    assert counts["look"] == 4 and counts["correction"] == 1 and counts["outline"] == 1 and counts["picture"] == 1
    assert counts["outline_per_px"] == pytest.approx(np.pi / 4 * 16)
    expected = truth.copy()
    expected[0:4, 10] = 0  # the second stays as it was proposed
    np.testing.assert_array_equal(labels, expected)
    _, all_redrawn = corrected(proposal, truth, 0.99)
    assert all_redrawn["correction"] == 2


def test_two_objects_under_one_proposal_cost_a_redrawn_and_a_new_outline():
    truth = squares((0, 0), (0, 4))
    labels, counts = corrected((truth > 0).astype(np.int32), truth, 0.7)
    np.testing.assert_array_equal(labels, truth)
    assert (counts["look"], counts["correction"], counts["outline"]) == (1, 1, 1)


def test_a_perfect_proposal_costs_looks_alone_and_none_costs_outlines():
    truth = squares((0, 0), (10, 10))
    labels, counts = corrected(truth, truth, 0.7)
    np.testing.assert_array_equal(labels, truth)
    assert (counts["look"], counts["correction"], counts["outline"]) == (2, 0, 0)
    labels, counts = corrected(np.zeros_like(truth), truth, 0.7)
    np.testing.assert_array_equal(labels, truth)
    assert counts == {**counts_of("careful", truth), "look": 0.0, "correction": 0.0}


def test_what_stands_out_is_the_rarer_side():
    image = np.zeros((10, 10, 1), np.float32)
    image[:2] = 1.0
    assert standing_out(image) == pytest.approx(0.2) and standing_out(1 - image) == pytest.approx(0.2)
    assert standing_out(np.full((4, 4, 3), 0.5, np.float32)) == 0.0
