"""How two annotations of the same pictures differ: missing, additional, merged or split objects, outlines, classes.

One rule decides which objects belong together: two that share at least half of the pixels of the smaller one. What is
linked so, directly or through others, is looked at together: one object on each side is the same object, objects of
the first annotation alone are missing, those of the second alone additional, several for one are merged, one for
several is split (several for several are both).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Integer
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from segjax.arguments import checked
from segjax.evaluation.decision import Interval, interval
from segjax.evaluation.instances import overlaps
from segjax.types import InputError

SAME_OUTLINE = 0.9  # intersection over union from which an outline counts as the same
_CLOSE_TO_95 = 1.959964


class Differences(NamedTuple):
    """Counts of one picture; "first" is the annotation that is believed.

    Attributes:
        objects: of the first annotation.
        same: objects that are one on each side.
        touching: pairs of objects of the first that have pixels side by side.
        missing: objects of the first that the second lacks.
        additional: objects of the second that the first lacks.
        outline: same objects whose intersection over union is below 0.9.
        other_class: same objects of another class; None where there are no classes.
        merged: objects too few, because the second has one for several.
        split: objects of the first that are several in the second.
        distances: of every outline pixel of the second's same objects, in pixels: how far it lies outside (above 0) or
            inside of the first's outline.
    """

    objects: int
    same: int
    touching: int
    missing: int
    additional: int
    outline: int
    other_class: int | None
    merged: int
    split: int
    distances: Float64[np.ndarray, " P"]


@checked
def differences(
    first: Integer[np.ndarray, "H W"],
    second: Integer[np.ndarray, "H W"],
    first_classes: Integer[np.ndarray, " N"] | None = None,
    second_classes: Integer[np.ndarray, " M"] | None = None,
) -> Differences:
    """Types the differences of two annotations of one picture.

    Args:
        first, second: ids of the objects, 0 background.
        first_classes, second_classes: class of object i at position i - 1; give both or none.

    Raises:
        InputError: classes of one annotation only.

    >>> found = differences(np.array([[1, 1, 0, 2, 2, 0, 0]]), np.array([[1, 1, 0, 0, 0, 0, 5]]))
    >>> found.objects, found.same, found.missing, found.additional
    (2, 1, 1, 1)
    """
    if (first_classes is None) != (second_classes is None):
        raise InputError("classes: only one of the annotations has any; give those of both, or none")
    ids, others = (np.unique(labels[labels > 0]) for labels in (first, second))
    table = overlaps(second, first)
    smaller = np.minimum(table.prediction_area[table.prediction], table.truth_area[table.truth])
    linked = 2 * table.shared >= smaller
    own, other, union = table.truth[linked], table.prediction[linked], table.union[linked]
    size = len(ids) + len(others)
    graph = sparse.coo_matrix((np.ones(len(own)), (own, other + len(ids))), (size, size))
    groups = csgraph.connected_components(graph, directed=False)[1] if size else np.zeros(0, int)
    n, m = (np.bincount(part, minlength=size) for part in (groups[: len(ids)], groups[len(ids) :]))
    pairs = (n[groups[own]] == 1) & (m[groups[own]] == 1)
    iou = table.shared[linked][pairs] / union[pairs]
    mine, theirs = ids[own[pairs]], others[other[pairs]]
    differ = None
    if first_classes is not None and second_classes is not None:
        differ = int((first_classes[mine - 1] != second_classes[theirs - 1]).sum())
    return Differences(
        objects=len(ids),
        same=len(mine),
        touching=_touching(first),
        missing=int(n[m == 0].sum()),
        additional=int(m[n == 0].sum()),
        outline=int((iou < SAME_OUTLINE).sum()),
        other_class=differ,
        merged=int((n[m > 0] - 1).clip(0).sum()),
        split=int(((n > 0) & (m > 1)).sum()),
        distances=_distances(first, second, mine, theirs),
    )


def rate(events: Sequence[int], chances: Sequence[int]) -> Interval:
    """Events per chance over all pictures, with a 95 % interval: the wider of two.

    One is the interval of a ratio of sums over pictures (Cochran, Sampling Techniques, 1977, section 6.4), NaN below
    five pictures with chances. The other is Wilson's for independent chances, which also holds where nothing happened;
    there is none above one event per chance. Bounds are kept above 0. Without any chance all is NaN.

    Args:
        events, chances: of each picture.

    >>> [round(value, 3) for value in rate([1, 0, 0, 0, 1], [10, 10, 10, 10, 10])]
    [0.04, 0.0, 0.135, 5]
    """
    happened, could = np.array(events, float), np.array(chances, float)
    happened, could = happened[could > 0], could[could > 0]
    n, total = len(could), could.sum()
    if not n:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    found = happened.sum() / total
    over_pictures = interval(found + (happened - found * could) / could.mean())
    bounds = [(over_pictures.low, over_pictures.high)] if over_pictures.low == over_pictures.low else []
    if found <= 1:
        z = _CLOSE_TO_95**2 / total
        half = _CLOSE_TO_95 * np.sqrt(found * (1 - found) / total + z / (4 * total))
        bounds.append(((found + z / 2 - half) / (1 + z), (found + z / 2 + half) / (1 + z)))
    low = min((max(low, 0.0) for low, _ in bounds), default=float("nan"))
    high = max((high for _, high in bounds), default=float("nan"))
    return Interval(float(found), float(low), float(high), n)


def _touching(labels) -> int:
    ends = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
    touch = [np.stack([a, b])[:, (a != b) & (a > 0) & (b > 0)] for a, b in ends]
    return np.unique(np.sort(np.concatenate(touch, axis=1), axis=0), axis=1).shape[1]


def _distances(first, second, mine, theirs) -> Float64[np.ndarray, " P"]:
    found = [np.zeros(0)]
    places = [dict(_places(labels)) for labels in (first, second)]
    for one, other in zip(mine.tolist(), theirs.tolist(), strict=True):
        around = tuple(
            slice(max(min(a.start, b.start) - 1, 0), max(a.stop, b.stop) + 1)
            for a, b in zip(places[0][one], places[1][other], strict=True)
        )
        inside, drawn = first[around] == one, second[around] == other
        if inside.all():
            continue
        # Half a pixel is between the centre of a pixel and the outline, which lies between pixels.
        outward = ndimage.distance_transform_edt(~inside) - 0.5
        inward = ndimage.distance_transform_edt(inside) - 0.5
        edge = drawn & ~ndimage.binary_erosion(drawn, border_value=1)
        found.append(np.where(inside, -inward, outward)[edge] + 0.5)
    return np.concatenate(found)


def _places(labels):
    ids, dense = np.unique(labels, return_inverse=True)
    numbers = np.maximum(dense.reshape(labels.shape) - np.searchsorted(ids, 1) + 1, 0)
    return zip(ids[ids > 0].tolist(), ndimage.find_objects(numbers), strict=True)
