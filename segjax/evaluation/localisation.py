"""How well a map says where an object is: from (map, mask) pairs, no classifier needed.

A map is any array of numbers, higher for the object; nothing is scaled. Pictures without a single object pixel have no
pointing game, no energy and no IoU (NaN), but they count in `pixel_average_precision` and in the choice of a threshold,
where a map that lights up on nothing must lose. A map with a value that is not finite has no score: NaN, too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from segjax.arguments import checked
from segjax.types import InputError

Map = Float[np.ndarray, "H W"]
Mask = Bool[np.ndarray, "H W"]
Maps = Sequence[Float[np.ndarray, "_ _"]]  # of any sizes
Masks = Sequence[Bool[np.ndarray, "_ _"]]


@checked
def pointing_game(activation_map: Map, truth: Mask, tolerance: float = 0.0) -> float:
    """1 where the map's highest pixel is an object pixel or within `tolerance` pixels of one, else 0.

    Of equally high pixels the first in row-major order is taken; NaN without an object. Published with 15 pixels.

    Source: Zhang et al., IJCV 126 (2018).

    >>> activation_map, truth = np.array([[0.1, 0.9, 0.2]]), np.array([[False, True, True]])
    >>> pointing_game(activation_map, truth)
    1.0
    """
    if not truth.any() or not np.isfinite(activation_map).all():
        return float("nan")
    row, column = np.unravel_index(np.argmax(activation_map), activation_map.shape)
    rows, columns = np.nonzero(truth)
    return float(np.min(np.hypot(rows - row, columns - column)) <= tolerance)


@checked
def energy_in_mask(activation_map: Map, truth: Mask) -> float:
    """Share of the map's positive values that lies on the object, in [0, 1].

    0 where no value is positive, NaN without an object.

    Source: the energy-based pointing game of Wang et al., CVPR workshops (2020).

    >>> energy_in_mask(np.array([[1.0, 2.0, 1.0]]), np.array([[False, True, True]]))
    0.75
    """
    if not truth.any() or not np.isfinite(activation_map).all():
        return float("nan")
    positive = np.maximum(activation_map, 0, dtype=np.float64)
    total = positive.sum()
    return float(positive[truth].sum() / total) if total > 0 else 0.0


def pixel_average_precision(maps: Maps, truths: Masks) -> float:
    """PxAP: average precision of "map value above a threshold" as a detector of object pixels, all pictures together.

    Sum over thresholds, downwards, of (R_n - R_(n-1)) P_n, a threshold between any two values. One scale for all
    pictures is part of what is judged. NaN where no picture has an object.

    Source: Choe et al., CVPR (2020); there from 1,000 bins of maps scaled to [0, 1].

    >>> pixel_average_precision([np.array([[0.1, 0.9, 0.2]])], [np.array([[False, True, True]])])
    1.0
    """
    if [one.shape for one in maps] != [one.shape for one in truths]:
        raise InputError("truths: give one mask for each map, of its size")
    values = np.concatenate([one.ravel() for one in maps])
    is_object = np.concatenate([one.ravel() for one in truths])
    if not is_object.any() or not np.isfinite(values).all():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    values, is_object = values[order], is_object[order]
    is_last = np.append(values[1:] != values[:-1], True)  # equal values pass a threshold together
    hits = np.cumsum(is_object)[is_last]
    precision = hits / (np.flatnonzero(is_last) + 1)
    return float(np.sum(np.diff(hits, prepend=0) * precision) / hits[-1])


class Threshold(NamedTuple):
    """A threshold and what it was chosen with.

    Attributes:
        level: pixels above it are object.
        iou: mean intersection over union that it reaches on the pictures it was chosen with.
        pictures: how many outlined pictures these were.
    """

    level: float
    iou: float
    pictures: int


def choose_threshold(maps: Maps, truths: Masks, levels: int = 200) -> Threshold:
    """One threshold for a data set: that with the highest mean IoU on a few outlined pictures, none of the test's.

    Candidates are quantiles of these pictures' map values. A picture without an object counts 1 where nothing is above
    the threshold and 0 elsewhere. Of equally good candidates the middle one is taken.

    Raises:
        InputError: there is no picture, or a map has a value that is not finite.

    Source: the protocol of Choe et al., CVPR (2020): the number of outlined pictures is part of the result.
    """
    if not len(maps):
        raise InputError("threshold: no outlined picture is given to choose it with; give some, and say how many")
    values = np.concatenate([one.ravel() for one in maps])
    if not np.isfinite(values).all():
        raise InputError("threshold: a map has values that are not finite; leave that map out, or mend its network")
    candidates = np.unique(np.quantile(values, np.linspace(0, 1, levels)))
    scores = np.mean([_ious(one, truth, candidates) for one, truth in zip(maps, truths, strict=True)], axis=0)
    best = np.flatnonzero(scores == scores.max())
    chosen = best[len(best) // 2]
    return Threshold(float(candidates[chosen]), float(scores[chosen]), len(maps))


def oracle_threshold(activation_map: Map, truth: Mask) -> Threshold:
    """The best threshold of one picture, which only its outline tells: an upper bound, never a result.

    Every value of the map is a candidate. Without an object IoU is NaN, of a map that is not finite the level, too.
    """
    if not np.isfinite(activation_map).all():
        return Threshold(float("nan"), float("nan"), 1)
    candidates = np.append(np.unique(activation_map), -np.inf)
    if not truth.any():
        return Threshold(float(candidates[-2]), float("nan"), 1)
    scores = _ious(activation_map, truth, candidates)
    best = int(np.argmax(scores))
    return Threshold(float(candidates[best]), float(scores[best]), 1)


def _ious(activation_map: Map, truth: Mask, levels: Float[np.ndarray, " L"]) -> Float64[np.ndarray, " L"]:
    """Intersection over union of the masks above each level; an empty mask of an empty truth counts 1."""
    above, hits = (_pixels_above(part, levels) for part in (activation_map.ravel(), activation_map[truth]))
    union = above + truth.sum() - hits
    return np.where(union == 0, 1.0, hits / np.maximum(union, 1))


def _pixels_above(values, levels):
    return values.size - np.searchsorted(np.sort(values), levels, side="right")
