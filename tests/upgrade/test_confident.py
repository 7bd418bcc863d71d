"""Confident learning against tables worked out by hand, and on labels whose errors are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segjax.upgrade.confident import confident_joint, correct_mask

# labels 0 0 0 0 | 1 1 1; t_0 = mean of 1 - p over the first four = 0.575, t_1 = mean of p over the last three = 0.6
PROBABILITY = np.array([0.1, 0.2, 0.5, 0.9, 0.9, 0.7, 0.2])
MASK = np.array([0, 0, 0, 0, 1, 1, 1], bool)


def test_the_joint_by_hand():
    # label 0: 0.1 and 0.2 are confidently 0, 0.9 confidently 1, 0.5 neither; label 1: 0.9 and 0.7 are 1, 0.2 is 0
    np.testing.assert_array_equal(confident_joint(PROBABILITY, MASK), [[2, 1], [1, 2]])


def test_the_correction_by_hand():
    # int(4 * 1 / 3) = 1 of label 0 is flipped, the one at 0.9; int(3 * 1 / 3) = 1 of label 1, the one at 0.2
    np.testing.assert_array_equal(correct_mask(PROBABILITY, MASK), np.array([0, 0, 0, 1, 1, 1, 0], bool))


def test_both_classes_reached_counts_the_more_probable():
    # t_0 = t_1 = 0.5 and every probability is 0.5 or more for one class
    probability, mask = np.array([0.3, 0.7, 0.3, 0.7]), np.array([0, 0, 1, 1], bool)
    np.testing.assert_array_equal(confident_joint(probability, mask), [[1, 1], [1, 1]])
    np.testing.assert_array_equal(correct_mask(probability, mask), [False, True, False, True])


@pytest.mark.parametrize("mask", [np.zeros((3, 4), bool), np.ones((3, 4), bool)])
def test_a_class_without_pixels_changes_nothing(mask):
    probability = np.random.default_rng(0).random((3, 4))
    np.testing.assert_array_equal(correct_mask(probability, mask), mask)


def test_a_network_that_knows_the_truth_repairs_an_omitted_object():
    truth = np.zeros((20, 20), bool)
    truth[2:8, 2:8] = truth[11:17, 11:17] = True
    given = truth.copy()
    given[11:17, 11:17] = False
    # t_0 < 0.875 and t_1 = 0.75: every pixel is confidently what it truly is, so all 36 are flipped and no other
    np.testing.assert_array_equal(correct_mask(np.where(truth, 0.75, 0.125), given), truth)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=40))
def test_what_is_flipped_is_less_believed_than_what_is_kept(pixels):
    probability, mask = np.array([p for p, _ in pixels]), np.array([label for _, label in pixels])
    corrected = correct_mask(probability, mask)
    for label, own in ((False, 1 - probability), (True, probability)):
        flipped, kept = (mask == label) & (corrected != label), (mask == label) & (corrected == label)
        if flipped.any() and kept.any():
            assert own[flipped].max() <= own[kept].min()
