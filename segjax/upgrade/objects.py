"""Objects of an upgraded mask: which noisy object each is, how sure the network is, and what has changed."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy import ndimage
from skimage.segmentation import find_boundaries, watershed

from segjax.arguments import checked
from segjax.evaluation import overlaps, surface_distances
from segjax.ops.components import components

Kind = Literal["added", "removed", "moved", "kept"]

MATCH = 0.5  # share of the smaller of two regions that they must have in common


class Change(NamedTuple):
    """What happened to one object.

    Attributes:
        object: its id in the upgraded labels; of a removed one, in the noisy labels.
        change: "added", "removed", "moved" (some pixels differ) or "kept" (none does).
        confidence: mean probability over the object's pixels that they belong to an object; of a removed one, over its
            noisy pixels that they do not.
        area_before, area_after: pixels.
        changed: pixels that are in only one of the two.
        outline_distance: mean distance in pixels between the outlines, NaN where there is only one.
        y, x: centre of the object, in pixels.
    """

    object: int
    change: Kind
    confidence: float
    area_before: int
    area_after: int
    changed: int
    outline_distance: float
    y: float
    x: float


@dataclass(frozen=True, eq=False)
class Repaired:
    """Upgraded labels int32 [H, W] and a `Change` for every object before or after, by id."""

    labels: Any
    changes: tuple[Change, ...]


@checked
def number_objects(
    mask: Bool[np.ndarray, "H W"],
    probability: Float32[np.ndarray, "H W"],
    before: Int32[np.ndarray, "H W"],
    *,
    minimum_area: int = 0,
) -> Repaired:
    """Divide an upgraded mask into objects that keep the ids of the noisy labels where they can be matched.

    The rule: a connected part of the mask and a connected piece of a noisy object match when they share at least
    half of the smaller of the two; a piece that matches several parts keeps the one it shares most with. Every
    part goes to its matching pieces, each pixel to the piece that is nearest within the part. What is left of a part
    after that and is at least half as thick as the median noisy piece is a new object, as are parts without a
    match. New objects are numbered on from the largest noisy id; those that touch each other are one.

    Args:
        mask, probability: as `upgrade` gives them.
        before: noisy labels, 0 background; a mask's `components` where there are no ids.
        minimum_area: new objects of fewer pixels are left out.

    >>> before = np.array([[7, 7, 0, 3, 0, 0]], np.int32)
    >>> mask = np.array([[True, True, False, False, False, True]])
    >>> repaired = number_objects(mask, mask.astype(np.float32), before)
    >>> repaired.labels.tolist()
    [[7, 7, 0, 0, 0, 8]]
    >>> [(one.object, one.change) for one in repaired.changes]
    [(3, 'removed'), (7, 'kept'), (8, 'added')]
    """
    mask, probability, before = np.asarray(mask), np.asarray(probability), np.asarray(before)
    markers = _matched(mask, before)
    new = components(_left_over(mask, markers, before))
    new = components((np.bincount(new.ravel()) >= minimum_area)[new] & (new > 0))
    markers = np.where(new > 0, new + int(before.max(initial=0)), markers)
    labels = watershed(np.zeros(mask.shape, np.uint8), markers, connectivity=2, mask=mask).astype(np.int32)
    return Repaired(labels, changes_of(before, labels, probability))


def _matched(mask: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Ids of noisy objects at the pixels that they share with the part of the mask they match."""
    parts = components(mask)
    pieces = components(before)
    table = overlaps(parts, pieces)
    smaller = np.minimum(table.prediction_area[table.prediction], table.truth_area[table.truth])
    is_match = table.shared >= MATCH * smaller
    part, piece, shared = (values[is_match] for values in (table.prediction, table.truth, table.shared))
    best_last = np.argsort(shared, kind="stable")
    part_of = np.zeros(len(table.truth_area) + 1, np.int64)
    part_of[piece[best_last] + 1] = part[best_last] + 1  # parts and pieces are numbered on from 1
    return np.where((parts > 0) & (part_of[pieces] == parts), before, 0)


def _left_over(mask: np.ndarray, markers: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Parts of the mask without a marker, and what of the others is thick enough to be an object of its own."""
    parts = components(mask)
    has_marker = np.zeros(int(parts.max(initial=0)) + 1, bool)
    has_marker[parts[markers > 0]] = True
    alone = mask & ~has_marker[parts]
    rest = mask & (markers == 0) & ~alone
    inner = (before > 0) & ~find_boundaries(before, mode="inner")
    pieces = components(before)
    if not pieces.any() or not rest.any():
        return alone
    depth = ndimage.maximum(ndimage.distance_transform_edt(inner), pieces, np.arange(1, pieces.max() + 1)) + 1
    thickness = np.median(depth) / 2
    core = ndimage.distance_transform_edt(rest) >= thickness
    if not core.any():
        return alone
    return alone | (rest & (ndimage.distance_transform_edt(~core) < thickness))


def changes_of(
    before: Int32[np.ndarray, "H W"], after: Int32[np.ndarray, "H W"], probability: Float32[np.ndarray, "H W"]
) -> tuple[Change, ...]:
    """What happened to every object of either label map, by id."""
    boxes_before, boxes_after = ndimage.find_objects(before), ndimage.find_objects(after)
    count = max(len(boxes_before), len(boxes_after))
    padded = [[*boxes, *[None] * (count - len(boxes))] for boxes in (boxes_before, boxes_after)]
    found = []
    for index, boxes in enumerate(zip(*padded, strict=True)):
        given = [box for box in boxes if box is not None]
        if given:
            window = tuple(
                slice(min(box[axis].start for box in given), max(box[axis].stop for box in given)) for axis in (0, 1)
            )
            found.append(_change(index + 1, window, before, after, probability))
    return tuple(found)


def _change(number: int, window: tuple[slice, ...], before, after, probability) -> Change:
    old, new = before[window] == number, after[window] == number
    is_removed = not new.any()
    shown = old if is_removed else new
    sure = float(probability[window][shown].mean(dtype=np.float64))
    changed = int((old ^ new).sum())
    distances = surface_distances(new, old)
    both = np.concatenate([distances.prediction, distances.truth])
    rows, columns = np.nonzero(shown)
    kind: Kind = "removed" if is_removed else "added" if not old.any() else "moved" if changed else "kept"
    return Change(
        number,
        kind,
        1 - sure if is_removed else sure,
        int(old.sum()),
        int(new.sum()),
        changed,
        float(both.mean()) if np.all(np.isfinite(both)) else float("nan"),
        float(rows.mean()) + window[0].start,
        float(columns.mean()) + window[1].start,
    )
