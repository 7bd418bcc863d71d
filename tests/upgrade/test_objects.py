"""Objects of an upgraded mask: truths on small pictures, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from segjax.upgrade import number_objects
from segjax.upgrade.objects import changes_of

FULL = np.ones((40, 40), np.float32)


def discs(*placed, size=40):
    """Label map of discs (id, y, x, radius); later ones lie on top."""
    rows, columns = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int32)
    for number, y, x, radius in placed:
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    return labels


def kinds(repaired):
    return {change.object: change.change for change in repaired.changes}


def test_unchanged_labels_stay_as_they_are():
    before = discs((7, 10, 10, 5), (3, 28, 28, 6))
    repaired = number_objects(before > 0, FULL, before)
    np.testing.assert_array_equal(repaired.labels, before)
    assert kinds(repaired) == {3: "kept", 7: "kept"}
    assert all(change.outline_distance == 0 and change.changed == 0 for change in repaired.changes)


def test_an_empty_column_changes_nothing():
    generator = np.random.default_rng(0)
    for _ in range(60):
        noise = ndimage.gaussian_filter(generator.standard_normal((2, 55, 17)), (0, 2, 2)) > 0.03
        mask, drawn = ndimage.binary_opening(noise[0]), noise[1]
        mask[:, -1] = drawn[:, -1] = False
        before = ndimage.label(drawn, np.ones((3, 3)))[0].astype(np.int32)
        given = mask, np.full(mask.shape, 0.7, np.float32), before
        narrow, wide = number_objects(*given), number_objects(*(np.pad(one, ((0, 0), (0, 1))) for one in given))
        np.testing.assert_array_equal(narrow.labels, wide.labels[:, :-1])


@pytest.mark.parametrize("radius", [3, 9])
def test_a_grown_or_shrunk_object_keeps_its_id(radius):
    before, after = discs((4, 20, 20, 6)), discs((4, 20, 20, radius))
    repaired = number_objects(after > 0, FULL, before)
    np.testing.assert_array_equal(repaired.labels, after)
    (change,) = repaired.changes
    assert change.change == "moved" and abs(change.outline_distance - 3) < 0.5
    assert (change.area_before, change.area_after) == ((before > 0).sum(), (after > 0).sum())
    assert change.changed == abs(change.area_before - change.area_after)
    assert (change.y, change.x) == (20, 20)


def test_missing_objects_are_removed_and_others_added_with_new_ids():
    before = discs((2, 8, 8, 4), (5, 30, 8, 4))
    after = discs((2, 8, 8, 4), (9, 8, 30, 4), (9, 30, 30, 4))
    probability = np.where(after > 0, 0.9, 0.2).astype(np.float32)
    repaired = number_objects(after > 0, probability, before)
    assert kinds(repaired) == {2: "kept", 5: "removed", 6: "added", 7: "added"}
    np.testing.assert_array_equal(repaired.labels == 6, discs((1, 8, 30, 4)) > 0)
    confidence = {change.object: change.confidence for change in repaired.changes}
    np.testing.assert_allclose([confidence[2], confidence[5], confidence[6]], [0.9, 0.8, 0.9], atol=1e-6)


def test_touching_objects_are_told_apart_by_the_noisy_ids():
    before = discs((1, 20, 12, 6), (2, 20, 28, 6))
    after = discs((1, 20, 12, 8), (2, 20, 28, 8)) > 0  # the two discs meet between columns 20 and 21
    labels = number_objects(after, FULL, before).labels
    assert set(np.unique(labels)) == {0, 1, 2} and np.array_equal(labels > 0, after)
    columns = np.broadcast_to(np.arange(40), (40, 40))
    assert columns[labels == 1].max() <= 20 and columns[labels == 2].min() >= 20


def test_an_added_object_that_touches_a_kept_one_is_an_object_of_its_own():
    before = discs((1, 20, 12, 7))
    after = discs((1, 20, 12, 7), (2, 20, 27, 8)) > 0
    repaired = number_objects(after, FULL, before)
    assert kinds(repaired)[2] == "added" and len(repaired.changes) == 2
    assert np.mean(repaired.labels[discs((1, 20, 27, 8)) > 0] == 2) > 0.95


def test_a_noisy_blob_over_two_cells_gives_its_id_to_the_larger_one():
    before = discs((1, 20, 12, 9), (1, 20, 27, 9))
    after = discs((1, 20, 11, 4), (2, 20, 28, 6))
    repaired = number_objects(after > 0, FULL, before)
    np.testing.assert_array_equal(repaired.labels, np.select([after == 2, after == 1], [1, 2], 0))
    assert kinds(repaired) == {1: "moved", 2: "added"}


def test_an_object_in_two_pieces_keeps_its_id_in_both():
    before = discs((6, 20, 8, 5), (6, 20, 30, 5))
    after = discs((6, 20, 8, 4), (6, 20, 30, 6))
    np.testing.assert_array_equal(number_objects(after > 0, FULL, before).labels, after)


def test_specks_are_left_out_where_asked_and_matched_objects_never():
    before = discs((4, 10, 10, 1))
    after = discs((4, 10, 10, 1), (5, 30, 10, 1), (6, 25, 30, 3))  # 5, 5 and 29 pixels
    kept = number_objects(after > 0, FULL, before, minimum_area=6)
    assert kinds(kept) == {4: "kept", 5: "added"}
    np.testing.assert_array_equal(kept.labels, np.select([after == 4, after == 6], [4, 5], 0))
    assert kinds(number_objects(after > 0, FULL, before, minimum_area=5)) == {4: "kept", 5: "added", 6: "added"}


def test_an_empty_mask_removes_everything_and_an_empty_label_map_adds_everything():
    some, nothing = discs((3, 20, 20, 5)), np.zeros((40, 40), np.int32)
    gone, came = number_objects(nothing > 0, FULL * 0, some), number_objects(some > 0, FULL, nothing)
    assert kinds(gone) == {3: "removed"} and gone.changes[0].confidence == 1 and not gone.labels.any()
    assert kinds(came) == {1: "added"} and np.isnan(came.changes[0].outline_distance)
    assert number_objects(nothing > 0, FULL, nothing).changes == ()


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (9, 9)), arrays(np.int32, (9, 9), elements=st.integers(0, 4)))
def test_the_objects_cover_the_mask_exactly_and_are_listed_once(mask, before):
    repaired = number_objects(mask, np.full((9, 9), 0.7, np.float32), before)
    np.testing.assert_array_equal(repaired.labels > 0, mask)
    listed = [change.object for change in repaired.changes]
    assert listed == sorted({*np.unique(before), *np.unique(repaired.labels)} - {0})
    for change in repaired.changes:
        assert change.area_before == (before == change.object).sum()
        assert change.area_after == (repaired.labels == change.object).sum()


def test_the_outline_distance_is_that_of_brute_force():
    before, after = discs((1, 20, 20, 6)), discs((1, 22, 19, 8))

    def outline(labels):
        return np.argwhere((labels > 0) & ~ndimage.binary_erosion(labels > 0))

    gaps = np.linalg.norm(outline(before)[:, None] - outline(after)[None], axis=-1)
    expected = np.concatenate([gaps.min(0), gaps.min(1)]).mean()
    (change,) = changes_of(before, after, FULL)
    assert change.outline_distance == pytest.approx(expected)
