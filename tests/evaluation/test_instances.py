from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segjax.evaluation import aji, f1, overlaps, panoptic_quality

few = settings(derandomize=True, deadline=None, max_examples=80)
label_maps = arrays(np.int32, (6, 6), elements=st.integers(0, 5))


def objects_of(labels):
    """Each object as the set of its pixels."""
    return [{tuple(pixel) for pixel in np.argwhere(labels == i)} for i in sorted(set(labels.ravel().tolist()) - {0})]


def aji_by_hand(prediction, truth):
    predicted, unused = objects_of(prediction), set(range(len(objects_of(prediction))))
    shared = joined = 0
    for true in objects_of(truth):
        touching = [i for i, other in enumerate(predicted) if true & other]
        if not touching:
            joined += len(true)
            continue

        def preference(i, true=true):
            both = len(true & predicted[i])
            first_y, first_x = min(true & predicted[i])
            return Fraction(both, len(true | predicted[i])), both, -first_y, -first_x

        best = max(touching, key=preference)
        shared, joined = shared + len(true & predicted[best]), joined + len(true | predicted[best])
        unused.discard(best)
    joined += sum(len(predicted[i]) for i in unused)
    return shared / joined if joined else np.nan


def panoptic_by_hand(prediction, truth):
    predicted, true = objects_of(prediction), objects_of(truth)
    ious = [Fraction(len(p & t), len(p | t)) for p in predicted for t in true]
    matches = [value for value in ious if value > Fraction(1, 2)]
    missed, invented = len(true) - len(matches), len(predicted) - len(matches)
    if not predicted and not true:
        return np.nan, np.nan, np.nan
    detection = Fraction(2 * len(matches), 2 * len(matches) + missed + invented)
    quality = float(sum(matches) / len(matches)) if matches else np.nan
    return float(sum(matches)) / (len(matches) + (missed + invented) / 2), float(detection), quality


def disc(center_x, radius=40, shape=(120, 240)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return ((y - 60) ** 2 + (x - center_x) ** 2 < radius**2).astype(np.int32)


def test_hand_computed_picture():
    truth = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3]], np.int32)
    prediction = np.array([[7, 7, 7, 0, 0, 0, 9, 9, 0]], np.int32)
    table = overlaps(prediction, truth)
    # Object 1 and 7: 3 of 4. Object 2 and 9: 1 of 3, no match. Object 3 has no partner.
    assert panoptic_quality(table) == pytest.approx((0.75 / 2.5, 1 / 2.5, 0.75))
    assert f1(table) == pytest.approx(2 / 5)
    assert aji(table) == pytest.approx((3 + 1) / (4 + 3 + 1))


@few
@given(label_maps, label_maps)
def test_against_sets_of_pixels(prediction, truth):
    table = overlaps(prediction, truth)
    expected = panoptic_by_hand(prediction, truth)
    np.testing.assert_allclose(panoptic_quality(table), expected)
    np.testing.assert_allclose(f1(table), expected[1])
    np.testing.assert_allclose(aji(table), aji_by_hand(prediction, truth))


@few
@given(label_maps, label_maps, st.permutations(range(5)), st.permutations(range(5)), st.integers(1, 10**9 // 3))
def test_ids_do_not_matter(prediction, truth, order, other_order, step):
    """Renumbered in any order, with gaps, and beyond 8 and 16 bits."""
    table = overlaps(prediction, truth)
    new_ids = np.array([0, *(1 + step * (i + 1) for i in order)], np.int64)
    other_ids = np.array([0, *(70_000 + step * (i + 1) for i in other_order)], np.int64)
    renumbered = overlaps(new_ids[prediction], other_ids[truth])
    np.testing.assert_equal((aji(table), f1(table)), (aji(renumbered), f1(renumbered)))
    np.testing.assert_allclose(panoptic_quality(table), panoptic_quality(renumbered))


@few
@given(label_maps, label_maps)
def test_panoptic_quality_is_symmetric_and_at_most_its_detection(prediction, truth):
    table, swapped = overlaps(prediction, truth), overlaps(truth, prediction)
    np.testing.assert_allclose(panoptic_quality(table), panoptic_quality(swapped))
    if table.objects:
        quality = panoptic_quality(table)
        assert quality.pq <= quality.detection <= 1
        assert 0 <= aji(table) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64])
def test_a_perfect_prediction_in_every_integer_type(dtype):
    labels = np.arange(64).reshape(8, 8).astype(dtype)
    table = overlaps(labels, labels)
    assert (aji(table), f1(table), *panoptic_quality(table)) == (1.0, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("shift", "matches"), [(0, True), (15, True), (20, True), (23, False), (40, False)])
def test_a_shifted_disc_matches_up_to_half_overlap(shift, matches):
    radius, half = 40, shift / 80
    # Area that two discs of one radius share, in units of the disc's.
    shared = 2 / np.pi * (np.arccos(half) - half * np.sqrt(1 - half**2))
    table = overlaps(disc(100 + shift, radius), disc(100, radius))
    assert (shared / (2 - shared) > 0.5) == matches
    assert aji(table) == pytest.approx(shared / (2 - shared), abs=0.01)
    assert f1(table) == float(matches)
    assert panoptic_quality(table).pq == (aji(table) if matches else 0.0)


def test_exactly_one_half_is_no_match():
    table = overlaps(np.array([[1, 1, 0]], np.int32), np.array([[1, 0, 0]], np.int32))
    assert (aji(table), f1(table), panoptic_quality(table).pq) == (0.5, 0.0, 0.0)


def test_an_id_in_two_pieces_is_one_object():
    truth = np.array([[4, 4, 0, 0, 4, 4]], np.int32)
    whole, half = overlaps(truth, truth), overlaps(np.array([[1, 1, 0, 0, 2, 2]], np.int32), truth)
    assert (aji(whole), f1(whole)) == (1.0, 1.0)
    # Two predicted halves: one of them is the partner at one half, the other is nobody's.
    assert (aji(half), f1(half)) == (pytest.approx(2 / (4 + 2)), 0.0)


def test_a_predicted_object_over_two_true_ones_is_taken_twice_but_not_added_again():
    truth = np.array([[1, 1, 1, 2, 2, 2]], np.int32)
    merged = np.ones((1, 6), np.int32)
    assert aji(overlaps(merged, truth)) == pytest.approx((3 + 3) / (6 + 6))


def test_equal_partners_are_decided_by_the_larger_intersection():
    # True object of 10 pixels; 2 of 2 pixels and 4 of 14 pixels are both one fifth of their unions.
    truth = np.array([[1] * 10 + [0] * 10], np.int32)
    prediction = np.array([[1] * 2 + [2] * 4 + [0] * 4 + [2] * 10], np.int32)
    assert aji(overlaps(prediction, truth)) == pytest.approx(4 / (20 + 2))


@pytest.mark.parametrize("ids", [(1, 2), (2, 1)])
def test_fully_equal_partners_are_decided_by_position_and_not_by_id(ids):
    # Both predicted objects share 2 of 6 pixels with the first true object; only the first is also on the second.
    truth = np.array([[1, 1, 1, 1, 2, 2, 0, 0]], np.int32)
    first, second = ids
    prediction = np.array([[first] * 2 + [second] * 2 + [first] * 2 + [second] * 2], np.int32)
    assert aji(overlaps(prediction, truth)) == pytest.approx((2 + 2) / (6 + 4 + 4))


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"), [(0, 0, np.nan), (3, 0, 0.0), (0, 300, 0.0), (70_000, 300, 1.0)]
)
def test_empty_rule(prediction, truth, expected):
    table = overlaps(np.full((3, 4), prediction, np.int32), np.full((3, 4), truth, np.int32))
    quality = panoptic_quality(table)
    np.testing.assert_equal((aji(table), f1(table), quality.pq, quality.detection), (expected,) * 4)
    np.testing.assert_equal(quality.segmentation, 1.0 if expected == 1 else np.nan)


def test_thousands_of_instances():
    y, x = np.mgrid[:300, :300]
    truth = (1 + (y // 3) * 100 + x // 3).astype(np.int32)  # 10,000 objects of 9 pixels
    prediction = np.where((truth % 4 > 0) & (y % 3 < 2), 10_001 - truth, 0).astype(np.int32)  # 2/3 of 3 in 4 objects
    table = overlaps(prediction, truth)
    assert (table.truth_area.size, table.prediction_area.size, table.shared.size) == (10_000, 7_500, 7_500)
    assert f1(table) == pytest.approx(7_500 / 8_750)
    assert panoptic_quality(table) == pytest.approx((7_500 * (2 / 3) / 8_750, 7_500 / 8_750, 2 / 3))
    assert aji(table) == pytest.approx(7_500 * 6 / 90_000)


@pytest.mark.parametrize("largest", [3, 40, 2**31 - 1])
def test_ids_with_wide_gaps_give_the_same_table(largest):
    """Counting, sorting and renumbering are three ways to one table."""
    generator = np.random.default_rng(largest)
    small = generator.integers(0, 4, (2, 5, 6)).astype(np.int32)
    wide = np.where(small > 0, np.int64(largest) - 3 + small, -7 if largest > 40 else 0).astype(np.int64)
    a, b = overlaps(*small), overlaps(*wide)
    for name in ("prediction_area", "truth_area", "prediction", "truth", "shared", "first"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert aji(a) == aji(b)
