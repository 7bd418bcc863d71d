"""Scores of whole pictures: values worked out by hand, and scikit-learn's."""

import numpy as np
import pytest

from segjax.evaluation import accuracy, balanced_accuracy, roc_auc
from segjax.evaluation.classification import mean_roc_auc

LABELS = np.array([0, 0, 1, 0, 1], np.int32)
SCORES = np.array([0.1, 0.4, 0.4, 0.2, 0.9], np.float32)


def test_area_is_the_share_of_pairs_in_order():
    # of the six pairs five are in order and one is a tie
    assert roc_auc(SCORES, LABELS) == 5.5 / 6
    assert roc_auc(-SCORES, LABELS) == 0.5 / 6
    assert np.isnan(roc_auc(SCORES, np.zeros(5, np.int32)))
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        roc_auc(SCORES, LABELS + 1)


def test_balanced_accuracy_is_not_fooled_by_a_rare_class():
    labels = np.array([0] * 9 + [1], np.int32)
    never = np.zeros(10, np.int32)
    assert accuracy(never, labels) == 0.9
    assert balanced_accuracy(never, labels) == 0.5
    assert np.isnan(accuracy(never[:0], labels[:0])) and np.isnan(balanced_accuracy(never[:0], labels[:0]))


def test_two_classes_are_told_apart_by_the_difference_of_logits():
    logits = np.stack([np.array([3.0, 1.0, 0.0]), np.array([3.5, 0.5, 1.0])], axis=1)
    assert mean_roc_auc(logits, np.array([1, 0, 1], np.int32)) == 1.0


def test_values_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60).astype(np.int32)
    logits = (rng.standard_normal((60, 3)) + 1.5 * np.eye(3)[labels]).round(1)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predictions = logits.argmax(1).astype(np.int32)
    area = metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    np.testing.assert_allclose(mean_roc_auc(logits, labels), area)
    binary, scores = (labels == 2).astype(np.int32), logits[:, 2]  # rounded: with ties
    np.testing.assert_allclose(roc_auc(scores, binary), metrics.roc_auc_score(binary, scores))
    np.testing.assert_allclose(accuracy(predictions, labels), metrics.accuracy_score(labels, predictions))
    expected = metrics.balanced_accuracy_score(labels, predictions)
    np.testing.assert_allclose(balanced_accuracy(predictions, labels), expected)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_that_are_not_finite_have_no_area(broken, classes):
    scores = SCORES.copy()
    scores[4] = broken
    assert np.isnan(roc_auc(scores, LABELS))
    logits = np.tile(SCORES[:, None], classes) * np.arange(classes)
    logits[4, 1] = broken
    assert np.isnan(mean_roc_auc(logits, LABELS))
