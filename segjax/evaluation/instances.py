"""Object by object: aggregated Jaccard index, panoptic quality, F1.

An object is every pixel that carries its id, in one piece or in several; ids need not be sequential. A predicted and a
true object match when their intersection over union is above 0.5. Two objects of one label map share no pixel, so no
object can have two such partners and no assignment has to be solved. Empty rule of the module: no object in prediction
and truth gives NaN; objects in only one of them give 0.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Integer

from segjax.arguments import checked

_BINS_PER_PIXEL = 4  # above, pairs are sorted instead of counted, so that memory grows with the picture alone


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Areas of all objects, and the pairs of objects that share pixels (only those, so memory grows with the picture).

    Attributes:
        prediction_area, truth_area: pixels of each object, in order of ids.
        prediction, truth: position of the two objects of each pair.
        shared: pixels that the pair has in common.
        numbers: a number for each pair.
        pixels: of every pixel, in row-major order, the number of the pair that it belongs to, or another one.
    """

    prediction_area: Int64[np.ndarray, " M"]
    truth_area: Int64[np.ndarray, " N"]
    prediction: Int64[np.ndarray, " E"]
    truth: Int64[np.ndarray, " E"]
    shared: Int64[np.ndarray, " E"]
    numbers: Int64[np.ndarray, " E"]
    pixels: Integer[np.ndarray, " P"]

    @property
    def first(self) -> Int64[np.ndarray, " E"]:
        """Row-major position of the first pixel of each pair; an order that ids do not change."""
        positions = np.zeros(int(self.pixels.max(initial=0)) + 1, np.int64)
        positions[self.pixels[::-1]] = np.arange(self.pixels.size - 1, -1, -1)  # what is written last stays
        return positions[self.numbers]

    @property
    def union(self) -> Int64[np.ndarray, " E"]:
        """Pixels that either object of a pair has."""
        return self.prediction_area[self.prediction] + self.truth_area[self.truth] - self.shared

    @property
    def objects(self) -> int:
        """Predicted plus true objects."""
        return self.prediction_area.size + self.truth_area.size


class PanopticQuality(NamedTuple):
    """`pq` = `detection` x `segmentation`, each in [0, 1]; `segmentation` is NaN where nothing matches."""

    pq: float
    detection: float
    segmentation: float


@checked
def overlaps(prediction: Integer[np.ndarray, "H W"], truth: Integer[np.ndarray, "H W"]) -> Overlaps:
    """Areas and shared pixels of the objects of two label maps; 0 is background, any positive id an object.

    >>> found = overlaps(np.array([[1, 1, 0, 2]]), np.array([[5, 5, 5, 0]]))
    >>> found.prediction_area.tolist(), found.truth_area.tolist(), found.shared.tolist()
    ([2, 1], [3], [2])
    """
    prediction, truth = _without_gaps(prediction), _without_gaps(truth)
    columns = int(prediction.max(initial=0)) + 1
    bins = (int(truth.max(initial=0)) + 1) * columns
    # few and small temporaries: fresh memory costs more than the arithmetic
    pixels = np.multiply(truth, columns, dtype=np.int32 if bins < 2**31 else np.int64).ravel()
    pixels += prediction.ravel()
    if bins <= _BINS_PER_PIXEL * pixels.size:
        table = np.bincount(pixels, minlength=bins)
        numbers = np.flatnonzero(table)
        counts = table[numbers]
    else:
        numbers, counts = np.unique(pixels, return_counts=True)
    of_truth, of_prediction = np.divmod(numbers, columns)
    truth_ids, truth_area = _areas(of_truth, counts)
    prediction_ids, prediction_area = _areas(of_prediction, counts)
    shared = (of_truth > 0) & (of_prediction > 0)
    return Overlaps(
        prediction_area=prediction_area,
        truth_area=truth_area,
        prediction=np.searchsorted(prediction_ids, of_prediction[shared]),
        truth=np.searchsorted(truth_ids, of_truth[shared]),
        shared=counts[shared],
        numbers=numbers[shared].astype(np.int64),
        pixels=pixels,
    )


def _areas(ids: Integer[np.ndarray, " E"], counts: Int64[np.ndarray, " E"]) -> tuple[np.ndarray, np.ndarray]:
    """Ids above 0 and the sum of the counts of each."""
    sums = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
    np.add.at(sums, ids, counts)
    found = np.flatnonzero(sums[1:]) + 1
    return found, sums[found]


def _without_gaps(labels: Integer[np.ndarray, "H W"]) -> Integer[np.ndarray, "H W"]:
    """Labels with no id above the number of pixels, and 0 for background: as they are, or renumbered in order."""
    if labels.min(initial=0) >= 0 and labels.max(initial=0) <= labels.size:
        return labels
    ids = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(ids, labels) + 1, 0).astype(np.int64)


@checked
def aji(table: Overlaps) -> float:
    """Aggregated Jaccard index, in [0, 1].

    Each true object takes the predicted object with the highest intersection over union; equal ones are decided by the
    larger intersection, then by the one met first in row-major order. AJI = sum of the intersections / (sum of the
    unions + area of the true objects without a partner + area of the predicted objects taken by nobody). A predicted
    object can be taken more than once.

    Source: Kumar et al., IEEE Transactions on Medical Imaging 36 (2017), algorithm 1.

    >>> aji(overlaps(np.array([[1, 1, 0, 2]]), np.array([[5, 5, 5, 0]])))
    0.5
    """
    if table.objects == 0:
        return float("nan")
    keys = (-table.shared, -table.shared / table.union, table.truth)
    best_first = np.lexsort(keys)
    ordered = np.stack(keys)[:, best_first]
    if (ordered[:, 1:] == ordered[:, :-1]).all(0).any():  # equals are rare, and their order is dear to find
        best_first = np.lexsort((table.first, *keys))
    partnered, position = np.unique(table.truth[best_first], return_index=True)
    taken = best_first[position]
    without_partner = np.delete(table.truth_area, partnered).sum()
    taken_by_nobody = np.delete(table.prediction_area, table.prediction[taken]).sum()
    return float(table.shared[taken].sum() / (table.union[taken].sum() + without_partner + taken_by_nobody))


@checked
def panoptic_quality(table: Overlaps) -> PanopticQuality:
    """Panoptic quality: sum of the matches' intersection over union / (TP + FP / 2 + FN / 2).

    Its factors are detection quality TP / (TP + FP / 2 + FN / 2) and segmentation quality, the matches' mean
    intersection over union. TP counts matches (above 0.5), FP unmatched predicted objects, FN unmatched true ones.

    Source: Kirillov et al., CVPR (2019), equations 1 and 2.

    >>> found = panoptic_quality(overlaps(np.array([[1, 1, 0, 2]]), np.array([[5, 5, 5, 0]])))
    >>> round(found.pq, 3), round(found.detection, 3), round(found.segmentation, 3)
    (0.444, 0.667, 0.667)
    """
    matched = _matched(table)
    quality = table.shared[matched] / table.union[matched]
    segmentation = float(quality.mean()) if quality.size else float("nan")
    if table.objects == 0:
        return PanopticQuality(float("nan"), float("nan"), segmentation)
    half = table.objects / 2
    return PanopticQuality(float(quality.sum() / half), quality.size / half, segmentation)


@checked
def f1(table: Overlaps) -> float:
    """F1 = 2 TP / (2 TP + FP + FN), counted in objects, in [0, 1]: the detection quality of `panoptic_quality`.

    >>> round(f1(overlaps(np.array([[1, 1, 0, 2]]), np.array([[5, 5, 5, 0]]))), 3)
    0.667
    """
    return 2 * int(_matched(table).sum()) / table.objects if table.objects else float("nan")


def _matched(table: Overlaps) -> Bool[np.ndarray, " E"]:
    # In integers, so that exactly one half never passes by rounding.
    return 2 * table.shared > table.union
