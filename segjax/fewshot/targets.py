"""From numbered objects to what a head is fitted to."""

import numpy as np
from jaxtyping import Bool, Int32, Integer
from scipy import ndimage

from segjax.annotations import to_target
from segjax.types import InputError

DELINEATIONS = ("line", "border", "none")


def type_target(
    labels: Integer[np.ndarray, "H W"], delineation: str, ignore: Bool[np.ndarray, "H W"] | None = None
) -> Int32[np.ndarray, "H W"]:
    """Target of a head from numbered objects: 1 the type, 0 background, -1 ignored.

    Args:
        labels: 0 background, 1..N objects.
        delineation: "line": pixels of an object beside another one are background, so that a thin line parts objects
            that touch; "border" and "none": every pixel of an object is of the type.
        ignore: pixels that are not annotated.

    Raises:
        InputError: unknown delineation.
    """
    if delineation not in DELINEATIONS:
        raise InputError(f"delineation: unknown {delineation!r}; choose one of {', '.join(DELINEATIONS)}")
    return np.asarray(to_target(labels.astype(np.int32), ignore=ignore, separate=delineation == "line"))


def border_target(
    labels: Integer[np.ndarray, "H W"], ignore: Bool[np.ndarray, "H W"] | None = None
) -> Int32[np.ndarray, "H W"]:
    """Target of the border class: 1 in every object pixel that has another object or background among its eight
    neighbours (the picture's edge is none), 0 elsewhere, -1 ignored."""
    padded = np.pad(labels, 1, mode="edge")
    highest = ndimage.maximum_filter(padded, 3)[1:-1, 1:-1]
    lowest = ndimage.minimum_filter(padded, 3)[1:-1, 1:-1]
    target = ((labels > 0) & (highest != lowest)).astype(np.int32)
    return target if ignore is None else np.where(ignore, -1, target).astype(np.int32)
