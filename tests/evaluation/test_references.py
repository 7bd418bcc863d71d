import numpy as np
import pytest
from scipy import ndimage

from segjax.evaluation.references import (
    area_matched_discs,
    brightness_correlation,
    coarse_map,
    disc,
    fixed_discs,
    median_radius,
)
from segjax.types import InputError

TRUTH = np.zeros((40, 50), bool)
TRUTH[4:12, 6:20] = True
TRUTH[24:38, 28:44] = True


def test_discs_lie_on_the_centres_of_the_objects():
    expected = disc((40, 50), (7.5, 12.5), 5.0) | disc((40, 50), (30.5, 35.5), 5.0)
    np.testing.assert_array_equal(fixed_discs(TRUTH, 5.0), expected)
    matched = area_matched_discs(TRUTH)
    areas = np.bincount(ndimage.label(matched)[0].ravel())[1:]
    np.testing.assert_allclose(areas, [8 * 14, 14 * 16], rtol=0.06)
    assert not fixed_discs(TRUTH & False, 5.0).any()


def test_a_disc_has_its_area():
    assert disc((60, 60), (30.0, 30.0), 20.0).sum() == pytest.approx(np.pi * 400, rel=0.01)
    assert disc((5, 5), (2.0, 2.0), 1.0).sum() == 5


def test_the_median_radius_is_that_of_the_disc_of_median_area():
    labels = np.zeros((2, 20, 20), np.int32)
    labels[0, 2:6, 2:6], labels[0, 10:18, 10:18], labels[1, :, :5] = 1, 3, 1  # areas 16, 64 and 100
    assert median_radius(labels) == pytest.approx(np.sqrt(64 / np.pi))
    assert median_radius(labels > 0) == pytest.approx(np.sqrt((16 + 64 + 100) / 2 / np.pi))  # a mask is one object


def test_a_coarse_map_averages_over_cells_and_enlarges():
    np.testing.assert_array_equal(coarse_map(TRUTH, 1), TRUTH)
    centred = coarse_map(TRUTH, 5)
    shares = TRUTH.reshape(8, 5, 10, 5).mean((1, 3))
    np.testing.assert_allclose(centred[2::5, 2::5], shares)  # the middle of a cell has its share
    moved = coarse_map(TRUTH, 5, (2, 4))
    padded = np.pad(TRUTH, ((2, 3), (4, 1)))
    np.testing.assert_allclose(moved[0::5, 3::5], padded.reshape(9, 5, 11, 5).mean((1, 3))[:8, 1:11])
    assert moved.shape == TRUTH.shape and moved.min() >= 0 and moved.max() <= 1
    with pytest.raises(InputError, match="offset from 0 to stride - 1, not 4 and"):
        coarse_map(TRUTH, 4, (0, 4))


def test_coarser_maps_have_lower_ceilings():
    from segjax.evaluation.localisation import oracle_threshold

    ceilings = [oracle_threshold(coarse_map(TRUTH, stride, (1, 0)), TRUTH).iou for stride in (2, 8, 16)]
    assert 1 >= ceilings[0] > ceilings[1] > ceilings[2] > 0


def test_correlation_with_brightness():
    image = np.random.default_rng(0).random((7, 6, 3))
    assert brightness_correlation(2 * image.mean(-1) + 1, image) == pytest.approx(1)
    assert brightness_correlation(-image.mean(-1), image) == pytest.approx(-1)
    assert np.isnan(brightness_correlation(np.ones((7, 6)), image))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_map_or_a_picture_that_is_not_finite_has_no_correlation(broken):
    image = np.random.default_rng(0).random((7, 6, 2))
    found = image.mean(-1)
    bad_map, bad_image = found.copy(), image.copy()
    bad_map[3, 2] = bad_image[3, 2, 0] = broken
    assert np.isnan(brightness_correlation(bad_map, image)) and np.isnan(brightness_correlation(found, bad_image))
