"""How well whole pictures are told apart, from labels and scores or predictions on the host."""

import numpy as np
from jaxtyping import Float, Int

from segjax.arguments import checked
from segjax.types import InputError


@checked
def accuracy(predictions: Int[np.ndarray, " P"], labels: Int[np.ndarray, " P"]) -> float:
    """Share of the pictures whose predicted class is their label, in [0, 1]; NaN without pictures.

    >>> accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]))
    0.75
    """
    return float(np.mean(predictions == labels)) if len(labels) else float("nan")


@checked
def balanced_accuracy(predictions: Int[np.ndarray, " P"], labels: Int[np.ndarray, " P"]) -> float:
    """Mean over the classes among the labels of the share of their pictures that is predicted, in [0, 1].

    With one site to nine pictures without, "never a site" has an accuracy of 0.9 and a balanced accuracy of 0.5. NaN
    without pictures.

    >>> balanced_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]))
    0.5
    """
    shares = [np.mean(predictions[labels == label] == label) for label in np.unique(labels)]
    return float(np.mean(shares)) if shares else float("nan")


@checked
def roc_auc(scores: Float[np.ndarray, " P"], labels: Int[np.ndarray, " P"]) -> float:
    """Area under the receiver operating characteristic, in [0, 1].

    The probability that a picture with label 1 has a higher score than one with label 0, ties counted half. NaN where
    only one of the two labels occurs, or where a score is not finite.

    Source: Hanley and McNeil, Radiology 143 (1982).

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    0.75
    """
    positives = labels == 1
    count, others = int(positives.sum()), int((labels == 0).sum())
    if count + others != len(labels):
        raise InputError("labels must be 0 or 1; choose one class, and give 1 for its pictures and 0 for the others")
    if not count or not others or not np.isfinite(scores).all():
        return float("nan")
    from scipy.stats import rankdata  # loading it takes as long as many commands

    wins = rankdata(np.asarray(scores, np.float64))[positives].sum() - count * (count + 1) / 2
    return float(wins / (count * others))


def mean_roc_auc(logits: Float[np.ndarray, "P K"], labels: Int[np.ndarray, " P"]) -> float:
    """`roc_auc` of each class against all others by its softmax probability, averaged over the classes that have one.

    With two classes it is the area of class 1 by the difference of the logits. NaN where a logit is not finite.
    """
    if not np.isfinite(logits).all():
        return float("nan")
    if logits.shape[-1] == 2:
        return roc_auc(logits[:, 1] - logits[:, 0], labels)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = shifted / shifted.sum(1, keepdims=True)
    areas = [roc_auc(probabilities[:, k], (labels == k).astype(np.int32)) for k in range(logits.shape[-1])]
    found = [area for area in areas if not np.isnan(area)]
    return float(np.mean(found)) if found else float("nan")
