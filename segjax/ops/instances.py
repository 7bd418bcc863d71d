"""From a predicted mask to numbered objects."""

import numpy as np
from jaxtyping import Bool, Float, Int32, Integer
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from segjax.ops.components import components
from segjax.types import InputError

GROUPINGS = ("components", "watershed")


def instances(
    mask: Bool[np.ndarray, "H W"],
    grouping: str = "components",
    border: Bool[np.ndarray, "H W"] | None = None,
    minimum_area: int = 1,
    distance: float = 1.0,
) -> Int32[np.ndarray, "H W"]:
    """Numbered objects of a predicted mask.

    Args:
        mask: predicted pixels of the type.
        grouping: "components": every 8-connected piece is an object; "watershed": pieces are parted where they are
            narrow, along watersheds of the distance to the background from its peaks.
        border: predicted border pixels. The objects are then the pieces of mask without border, grown back into it.
        minimum_area: pieces of fewer pixels are dropped.
        distance: least height in pixels of a peak above the saddle to the next one ("watershed").

    Raises:
        InputError: unknown grouping, minimum_area below 1, or a distance that is not positive.
    """
    if grouping not in GROUPINGS:
        raise InputError(f"grouping: unknown {grouping!r}; choose one of {', '.join(GROUPINGS)}")
    if minimum_area < 1 or not distance > 0:
        raise InputError(
            f"minimum_area must be at least 1 pixel, and distance must be positive, not {minimum_area} and {distance}"
        )
    core = mask if border is None else mask & ~border
    depth = _distance(core)
    markers = components(core) if grouping == "components" else _peaks(depth, core, distance)
    pieces = components(mask)
    is_lost = np.isin(pieces, pieces[markers > 0], invert=True) & mask  # pieces that are border throughout
    markers = np.where(is_lost, pieces + markers.max(initial=0), markers)
    return _numbered(watershed(-depth, markers, mask=mask, connectivity=2), minimum_area)


def _distance(mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Distance to the background, in pixels; beyond the picture there is none."""
    if mask.all():
        return np.full(mask.shape, float(max(mask.shape)))
    return ndimage.distance_transform_edt(mask)


def _peaks(depth: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"], distance: float) -> Int32[np.ndarray, "H W"]:
    """Numbered peaks that stand `distance` above the saddle to the next one; every piece has at least one."""
    floor = 0.5  # below every distance within a mask
    lowered = reconstruction(np.where(mask, np.maximum(depth - distance, floor), 0.0), depth)
    # the margin makes a maximum of what fills the picture
    return components(local_maxima(np.pad(lowered, 1))[1:-1, 1:-1] & mask)


def _numbered(labels: Integer[np.ndarray, "H W"], minimum_area: int) -> Int32[np.ndarray, "H W"]:
    """Objects 1..N in order of their ids, without those that are too small."""
    sizes = np.bincount(labels.ravel())
    kept = sizes >= minimum_area
    kept[0] = False
    ids = np.where(kept, np.cumsum(kept), 0)
    return ids[labels].astype(np.int32)
