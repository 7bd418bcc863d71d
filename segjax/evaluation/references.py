"""What a map has to be compared with before it means anything: trivial masks, coarse but perfect maps, brightness."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from segjax.ops.components import components
from segjax.types import InputError

Mask = Bool[np.ndarray, "H W"]


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> Mask:
    """The pixels whose centre is at most `radius` pixels from the point (row, column)."""
    rows, columns = np.indices(shape)
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


def median_radius(labels: Int[np.ndarray, "P H W"] | Bool[np.ndarray, "P H W"]) -> float:
    """Of the objects, each in each picture: the radius in pixels of the disc of their median area.

    Args:
        labels: ids of the objects, 0 background; a mask is one object.
    """
    areas = np.concatenate([np.bincount(picture.ravel())[1:] for picture in labels])
    return float(np.sqrt(np.median(areas[areas > 0]) / np.pi))


def fixed_discs(truth: Mask, radius: float) -> Mask:
    """A disc of one radius, in pixels, on the centre of mass of every object (8-connected component)."""
    return _discs(truth, lambda area: radius)


def area_matched_discs(truth: Mask) -> Mask:
    """A disc with the object's true area on the centre of mass of every object (8-connected component)."""
    return _discs(truth, lambda area: np.sqrt(area / np.pi))


def coarse_map(truth: Mask, stride: int, offset: tuple[int, int] = (0, 0)) -> Float[np.ndarray, "H W"]:
    """The best that a map of a layer with this stride could be: the share of object in each cell, bilinearly enlarged.

    Args:
        truth: the object.
        stride: side of a cell in pixels.
        offset: rows and columns, each from 0 to stride - 1, by which the first cell reaches over the picture's corner.

    Raises:
        InputError: the stride is under 1, or the offset outside its range.
    """
    if stride < 1 or not all(0 <= one < stride for one in offset):
        raise InputError(f"stride must be 1 or more, and the offset from 0 to stride - 1, not {stride} and {offset}")
    cells = [-(-(size + one) // stride) for size, one in zip(truth.shape, offset, strict=True)]
    margins = [(one, count * stride - size - one) for size, one, count in zip(truth.shape, offset, cells, strict=True)]
    padded = np.pad(truth.astype(np.float64), margins)
    shares = padded.reshape(cells[0], stride, cells[1], stride).mean((1, 3))
    large = ndimage.zoom(shares, stride, order=1, mode="nearest", grid_mode=True)
    return large[offset[0] : offset[0] + truth.shape[0], offset[1] : offset[1] + truth.shape[1]]


def brightness_correlation(activation_map: Float[np.ndarray, "H W"], image: Float[np.ndarray, "H W C"]) -> float:
    """Pearson correlation of a map with the picture's brightness (mean over channels), in [-1, 1].

    Near 1 or -1 the map is a copy of the picture. NaN where one of the two is constant or not finite.
    """
    brightness = image.mean(-1).ravel()
    values = activation_map.ravel()
    if not all(np.isfinite(part).all() and np.ptp(part) > 0 for part in (values, brightness)):
        return float("nan")
    return float(np.corrcoef(values, brightness)[0, 1])


def _discs(truth, radius_of):
    labels = components(truth)
    found = np.zeros_like(truth)
    areas = np.bincount(labels.ravel())[1:]
    numbers = np.arange(1, areas.size + 1)
    for centre, area in zip(ndimage.center_of_mass(truth, labels, numbers), areas, strict=True):
        found |= disc(truth.shape, centre, radius_of(area))
    return found
