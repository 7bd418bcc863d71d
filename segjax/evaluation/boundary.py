"""Distances between two outlines: surface Dice and boundary F at a tolerance, and the 95 % Hausdorff distance.

The outline of a mask is the mask minus its erosion with the 3x3 cross, everything outside the picture being
background: the mask pixels that have a background pixel, or the picture's edge, among their four neighbours. So every
mask with a pixel has an outline. Distances are Euclidean, in pixels, between pixel centres.
"""

from numbers import Real
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from segjax.arguments import checked
from segjax.types import InputError


class SurfaceDistances(NamedTuple):
    """Distance of each outline pixel to the nearest pixel of the other outline; infinite where there is no other.

    Attributes:
        prediction: one entry per outline pixel of the prediction, in pixels.
        truth: one entry per outline pixel of the truth, in pixels.
        diagonal: length of the picture's diagonal, in pixels.
    """

    prediction: Float64[np.ndarray, " P"]
    truth: Float64[np.ndarray, " T"]
    diagonal: float


@checked
def surface_distances(prediction: Bool[np.ndarray, "H W"], truth: Bool[np.ndarray, "H W"]) -> SurfaceDistances:
    """Distances between the outlines of two masks, by exact distance transforms over their common bounding box.

    >>> prediction, truth = np.eye(5, dtype=bool)[2:3], np.eye(5, dtype=bool)[4:5]
    >>> surface_distances(prediction, truth).prediction.tolist()
    [2.0]
    """
    diagonal = float(np.hypot(*prediction.shape))
    box = ndimage.find_objects((prediction | truth).astype(np.uint8))
    if not box:
        return SurfaceDistances(np.zeros(0), np.zeros(0), diagonal)
    prediction_outline, truth_outline = _outline(prediction[box[0]]), _outline(truth[box[0]])
    return SurfaceDistances(
        _to_nearest(prediction_outline, truth_outline), _to_nearest(truth_outline, prediction_outline), diagonal
    )


@checked
def surface_dice(distances: SurfaceDistances, tolerance: float) -> float:
    """Share of both outlines that lies within `tolerance` pixels of the other one, in [0, 1].

    (|{p in outline P: d(p, T) <= tolerance}| + |{t in outline T: d(t, P) <= tolerance}|) / (|P| + |T|).
    NaN where both masks are empty, 0 where one is.

    Source: normalised surface Dice of Nikolov et al., arXiv:1809.04430 (2018), outline pixels for surface elements.

    Raises:
        InputError: the tolerance is negative or not finite.

    >>> distances = surface_distances(np.eye(5, dtype=bool)[2:3], np.eye(5, dtype=bool)[4:5])
    >>> surface_dice(distances, 1.0), surface_dice(distances, 2.0)
    (0.0, 1.0)
    """
    _check_tolerance(tolerance)
    both = np.concatenate([distances.prediction, distances.truth])
    return float(np.mean(both <= tolerance)) if both.size else float("nan")


@checked
def boundary_f(distances: SurfaceDistances, tolerance: float) -> float:
    """Boundary F: harmonic mean of the shares of either outline within `tolerance` pixels of the other, in [0, 1].

    2 P R / (P + R), P = |{p in outline P: d(p, T) <= tolerance}| / |P|, R = the same for T. NaN where both masks are
    empty, 0 where one is.

    Source: Csurka et al., BMVC (2013).

    Raises:
        InputError: the tolerance is negative or not finite.

    >>> distances = surface_distances(np.eye(5, dtype=bool)[2:3], np.eye(5, dtype=bool)[4:5])
    >>> boundary_f(distances, 1.0), boundary_f(distances, 2.0)
    (0.0, 1.0)
    """
    _check_tolerance(tolerance)
    if not (distances.prediction.size and distances.truth.size):
        return float("nan") if distances.prediction.size == distances.truth.size else 0.0
    precision, recall = (float(np.mean(part <= tolerance)) for part in (distances.prediction, distances.truth))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@checked
def hd95(distances: SurfaceDistances) -> float:
    """95 % Hausdorff distance: the larger of the two directed 95th percentiles (linear interpolation), in pixels.

    NaN where both masks are empty. Where one is empty the distance has no value; it is set to the picture's diagonal,
    longer than any distance in the picture: that keeps means finite, and a network that finds nothing ranks last.

    Source: Huttenlocher et al., IEEE TPAMI 15 (1993), for the distance and for a rank of it in place of the maximum.

    >>> hd95(surface_distances(np.eye(5, dtype=bool)[2:3], np.eye(5, dtype=bool)[4:5]))
    2.0
    """
    sizes = (distances.prediction.size, distances.truth.size)
    if max(sizes) == 0:
        return float("nan")
    if min(sizes) == 0:
        return distances.diagonal
    return float(max(np.percentile(distances.prediction, 95), np.percentile(distances.truth, 95)))


def _check_tolerance(tolerance: float) -> None:
    if not isinstance(tolerance, Real) or not 0 <= tolerance < np.inf:
        raise InputError(f"tolerance: {tolerance!r} is not a distance; give 0 or more pixels")


def _outline(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    return mask & ~ndimage.binary_erosion(mask)


def _to_nearest(outline: Bool[np.ndarray, "H W"], other: Bool[np.ndarray, "H W"]) -> Float64[np.ndarray, " P"]:
    if not other.any():
        return np.full(int(outline.sum()), np.inf)
    return ndimage.distance_transform_edt(~other)[outline]
