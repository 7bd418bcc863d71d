"""Annotations other than outlines: how many things with a price they take, and what a network is told of them."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float32, Int32, Integer
from scipy import ndimage
from skimage.filters import threshold_otsu

from segjax.annotations.annotators import Correction
from segjax.annotations.prices import outline_lengths
from segjax.ops.components import components
from segjax.types import IGNORED

INNER, OUTER = 0.7, 1.4  # of the usual radius around a point: object within the first, background beyond the second
Counts = dict[str, float]  # by names of prices
Labels = Int32[np.ndarray, "H W"]
Mask = Bool[np.ndarray, "H W"]


def counts_of(kind: str, labels: Labels, coarsening: float = 1.0) -> Counts:
    """How many of the things that have a price annotating a picture takes.

    Args:
        kind: as of `segjax.annotations.prices.Prices.of`.
        coarsening: edge of a pixel in those that lengths of outlines count.
    """
    if kind == "image_label":
        return {"picture": 1.0, "image_label": 1.0}
    ids, lengths = outline_lengths(labels)
    if kind in ("points", "boxes"):
        return {"picture": 1.0, {"points": "point", "boxes": "box"}[kind]: float(len(ids))}
    name = "outline" if kind == "careful" else kind
    return {"picture": 1.0, name: float(len(ids)), f"{name}_per_px": float(lengths.sum()) * coarsening}


def sum_of(counts: Iterable[Counts]) -> Counts:
    """Several counts together."""
    found: Counts = {}
    for name, count in (entry for one in counts for entry in one.items()):
        found[name] = found.get(name, 0.0) + count
    return found


def counts_of_correction(found: Correction, coarsening: float = 1.0) -> Counts:
    """The same of proposed objects that are looked at, and corrected where they are wrong."""
    done = {"look": float(found.looked), "correction": float(found.redrawn)}
    return {**counts_of("careful", found.drawn, coarsening), **done}


def around_points(marked: Mask, radius: float) -> Labels:
    """What points say of their surroundings.

    1 within `INNER` times the usual radius of a point, 0 beyond `OUTER` times, -1 between.
    """
    if not marked.any():
        return np.zeros(marked.shape, np.int32)
    distance = ndimage.distance_transform_edt(~marked)
    return np.where(distance <= INNER * radius, 1, np.where(distance <= OUTER * radius, IGNORED, 0)).astype(np.int32)


def in_boxes(labels: Labels) -> Labels:
    """The ellipse in the bounding box of each object is 1, the rest of the box -1, all else 0."""
    found = np.zeros(labels.shape, np.int32)
    for box in filter(None, ndimage.find_objects(labels)):
        found[box] = IGNORED
    return np.where(ellipses_in_boxes(labels), 1, found).astype(np.int32)


def ellipses_in_boxes(truth: Mask | Integer[np.ndarray, "H W"]) -> Mask:
    """The ellipse that fills the bounding box of every object: every id, or every 8-connected component of a mask."""
    labels = components(truth) if truth.dtype == bool else truth
    rows, columns = np.indices(truth.shape)
    found = np.zeros(truth.shape, bool)
    for box in filter(None, ndimage.find_objects(labels)):
        centre = [(part.start + part.stop - 1) / 2 for part in box]
        half = [(part.stop - part.start) / 2 for part in box]
        found |= ((rows - centre[0]) / half[0]) ** 2 + ((columns - centre[1]) / half[1]) ** 2 <= 1
    return found


def standing_out(image: Float32[np.ndarray, "H W C"]) -> float:
    """A cheap guess of the foreground: the share of the pixels on the rarer side of Otsu's threshold of the brightness.

    0 of an even picture.
    """
    bright = image.mean(-1)
    if np.ptp(bright) == 0:
        return 0.0
    share = float((bright > threshold_otsu(bright)).mean())
    return min(share, 1 - share)
