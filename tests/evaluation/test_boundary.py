import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from skimage.metrics import hausdorff_distance

from segjax.evaluation import boundary_f, hd95, surface_dice, surface_distances
from segjax.types import InputError

few = settings(derandomize=True, deadline=None, max_examples=60)
masks = arrays(bool, (6, 7))


def outline_by_hand(mask):
    """Pixels with a neighbour, of four, that is background or outside."""
    height, width = mask.shape

    def is_inside(y, x):
        return 0 <= y < height and 0 <= x < width and mask[y, x]

    def is_outline(y, x):
        return mask[y, x] and not all(is_inside(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)))

    return np.array([[is_outline(y, x) for x in range(width)] for y in range(height)])


def distances_by_hand(prediction, truth):
    pairwise = cdist(np.argwhere(outline_by_hand(prediction)), np.argwhere(outline_by_hand(truth)))
    return pairwise.min(axis=1), pairwise.min(axis=0)


def percentile_by_hand(values, share):
    """Linear interpolation between order statistics."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


def square(top, left, size=10, shape=(30, 40)):
    mask = np.zeros(shape, bool)
    mask[top : top + size, left : left + size] = True
    return mask


@few
@given(masks, masks, st.sampled_from([0.0, 1.0, 1.5, 2.0]))
def test_against_pairwise_distances(prediction, truth, tolerance):
    distances = surface_distances(prediction, truth)
    if not (prediction.any() and truth.any()):
        assert min(distances.prediction.size, distances.truth.size) == 0
        return
    to_truth, to_prediction = distances_by_hand(prediction, truth)
    np.testing.assert_allclose(np.sort(distances.prediction), np.sort(to_truth))
    np.testing.assert_allclose(np.sort(distances.truth), np.sort(to_prediction))
    within = sum(d <= tolerance for d in (*to_truth, *to_prediction))
    assert surface_dice(distances, tolerance) == pytest.approx(within / (len(to_truth) + len(to_prediction)))
    expected = max(percentile_by_hand(to_truth, 0.95), percentile_by_hand(to_prediction, 0.95))
    assert hd95(distances) == pytest.approx(expected)


@few
@given(masks, masks)
def test_largest_distance_is_the_hausdorff_distance_of_the_outlines(prediction, truth):
    if not (prediction.any() and truth.any()):
        return
    distances = surface_distances(prediction, truth)
    largest = max(distances.prediction.max(), distances.truth.max())
    assert largest == pytest.approx(hausdorff_distance(outline_by_hand(prediction), outline_by_hand(truth)))
    assert hd95(distances) <= largest


@few
@given(masks, masks)
def test_symmetry_and_growth_with_the_tolerance(prediction, truth):
    there, back = surface_distances(prediction, truth), surface_distances(truth, prediction)
    np.testing.assert_equal([surface_dice(there, 1.0), hd95(there)], [surface_dice(back, 1.0), hd95(back)])
    if (prediction | truth).any():
        assert 0 <= surface_dice(there, 0.0) <= surface_dice(there, 1.0) <= surface_dice(there, 3.0) <= 1


def test_hand_computed_shifted_square():
    # Outlines of 36 pixels, the second 3 to the right: the top and bottom rows share 7 pixels each; the others of the
    # rows are 1, 2, 3 away; left and right columns are 3 away but for rows near the other square's top and bottom.
    distances = surface_distances(square(5, 5), square(5, 8))
    assert distances.prediction.size == distances.truth.size == 36
    assert surface_dice(distances, 0.0) == pytest.approx(14 / 36)
    assert surface_dice(distances, 3.0) == 1.0
    assert surface_dice(distances, 2.9) < 1.0
    assert hd95(distances) == 3.0


def test_hd95_forgives_a_few_far_pixels_and_the_maximum_does_not():
    with_speck = square(5, 5)
    with_speck[25, 35] = True
    distances = surface_distances(with_speck, square(5, 5))
    assert hd95(distances) == 0.0
    assert distances.prediction.max() == pytest.approx(np.hypot(11, 21))


def test_the_picture_edge_belongs_to_the_outline():
    full = np.ones((6, 8), bool)
    assert surface_distances(full, full).truth.size == 2 * (6 + 8) - 4


def test_an_outline_has_the_mask_side_of_its_border_only():
    inner, outer = square(6, 6, 8), square(5, 5, 10)
    distances = surface_distances(inner, outer)
    assert (distances.prediction == 1.0).all()
    assert surface_dice(distances, 1.0) == pytest.approx((28 + 32) / (28 + 36))  # four corners are sqrt(2) away


def test_cropping_to_the_union_changes_nothing():
    rng = np.random.default_rng(0)
    prediction, truth = rng.random((2, 9, 11)) < 0.5
    small = surface_distances(prediction, truth)
    padded = surface_distances(np.pad(prediction, ((13, 2), (0, 30))), np.pad(truth, ((13, 2), (0, 30))))
    np.testing.assert_array_equal(np.sort(small.prediction), np.sort(padded.prediction))
    np.testing.assert_array_equal(np.sort(small.truth), np.sort(padded.truth))


@pytest.mark.parametrize(
    ("prediction", "truth", "expected_dice", "expected_hd95"),
    [
        (False, False, np.nan, np.nan),
        (True, False, 0.0, 50.0),
        (False, True, 0.0, 50.0),
        (True, True, 1.0, 0.0),
    ],
)
def test_empty_rule(prediction, truth, expected_dice, expected_hd95):
    mask = square(4, 6)
    distances = surface_distances(mask & prediction, mask & truth)
    np.testing.assert_equal([surface_dice(distances, 1e6), hd95(distances)], [expected_dice, expected_hd95])


@pytest.mark.parametrize("tolerance", [-1.0, np.nan, np.inf])
def test_a_tolerance_that_is_no_distance_is_refused(tolerance):
    with pytest.raises(InputError, match="tolerance"):
        surface_dice(surface_distances(square(4, 6), square(4, 6)), tolerance)


@few
@given(masks, masks, st.sampled_from([0.0, 1.0, 2.0]))
def test_boundary_f_is_the_harmonic_mean_of_both_shares(prediction, truth, tolerance):
    found = boundary_f(surface_distances(prediction, truth), tolerance)
    if not prediction.any() or not truth.any():
        assert found == 0 if prediction.any() or truth.any() else np.isnan(found)
        return
    precision, recall = (np.mean(part <= tolerance) for part in distances_by_hand(prediction, truth))
    expected = 0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(found, expected)


def test_boundary_f_refuses_what_is_no_distance():
    with pytest.raises(InputError, match="tolerance"):
        boundary_f(surface_distances(np.ones((2, 2), bool), np.ones((2, 2), bool)), -1.0)
