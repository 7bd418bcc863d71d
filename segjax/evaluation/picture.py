"""The metrics of one picture under the names used in results and reports, and what each of them means."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Integer

from segjax.evaluation.boundary import hd95, surface_dice, surface_distances
from segjax.evaluation.instances import aji, f1, overlaps, panoptic_quality
from segjax.evaluation.overlap import counts, dice, iou
from segjax.ops.components import components


class Metric(NamedTuple):
    """What a metric's name stands for; `version` changes whenever the same masks would give another value."""

    formula: str
    unit: str
    better: Literal["higher", "lower"]
    empty: str
    version: int


_MATCH = "objects of a predicted mask are its 8-connected components; a match is intersection over union above 0.5"
_EMPTY_OBJECTS = "no objects in either: NaN, left out of means; in only one: 0"

METRICS: dict[str, Metric] = {
    "dice_pooled": Metric(
        "2 TP / (2 TP + FP + FN), pixels of all test pictures summed first", "1", "higher", "both empty: NaN", 1
    ),
    "dice": Metric(
        "2 TP / (2 TP + FP + FN), pixels of one picture", "1", "higher", "both empty: NaN, left out of means", 1
    ),
    "iou": Metric("TP / (TP + FP + FN), pixels of one picture", "1", "higher", "both empty: NaN, left out of means", 1),
    "surface_dice": Metric(
        "share of the outline pixels of prediction and truth within the stated tolerance of the other outline; "
        "outline: mask minus its erosion with the 3x3 cross",
        "1",
        "higher",
        "both empty: NaN, left out of means; one empty: 0",
        1,
    ),
    "hd95": Metric(
        "larger of the two 95th percentiles of the distances from one outline to the other; "
        "outline: mask minus its erosion with the 3x3 cross",
        "pixel",
        "lower",
        "both empty: NaN, left out of means; one empty: the picture's diagonal",
        1,
    ),
    "aji": Metric(
        "intersections of true objects with their best predicted object / (their unions + area of all other objects); "
        "objects of a predicted mask are its 8-connected components",
        "1",
        "higher",
        _EMPTY_OBJECTS,
        2,
    ),
    "pq": Metric(
        f"sum of the matches' intersection over union / (TP + FP / 2 + FN / 2), in objects; {_MATCH}",
        "1",
        "higher",
        _EMPTY_OBJECTS,
        2,
    ),
    "f1": Metric(f"2 TP / (2 TP + FP + FN), in objects; {_MATCH}", "1", "higher", _EMPTY_OBJECTS, 2),
    "label_dice": Metric(
        "2 TP / (2 TP + FP + FN) of perturbed against clean training labels, pixels of all their pictures summed first",
        "1",
        "higher",
        "both empty: NaN",
        1,
    ),
}


def picture_metrics(
    prediction: Bool[np.ndarray, "H W"], labels: Integer[np.ndarray, "H W"], tolerance: float
) -> dict[str, float]:
    """Every metric of one picture by its name in `METRICS`; the pooled ones are not among them.

    Args:
        prediction: the predicted mask; its objects are its 8-connected components.
        labels: the true objects, 0 background.
        tolerance: of the surface Dice, in pixels, 0 or more.

    Raises:
        InputError: the tolerance is negative or not finite.
    """
    truth = labels > 0
    pixels = counts(prediction, truth)
    outlines = surface_distances(prediction, truth)
    objects = overlaps(components(prediction), labels)
    return {
        "dice": float(dice(pixels)),
        "iou": float(iou(pixels)),
        "surface_dice": surface_dice(outlines, tolerance),
        "hd95": hd95(outlines),
        "aji": aji(objects),
        "pq": panoptic_quality(objects).pq,
        "f1": f1(objects),
    }
