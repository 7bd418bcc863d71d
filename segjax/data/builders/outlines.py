"""Outlines of a public set as label images."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int32

from segjax.data.formats.annotation import Piece, paint
from segjax.types import InputError


class Region(NamedTuple):
    """One outlined object.

    Attributes:
        name: what messages call it.
        class_index: from 1.
        corners: [V, 2], x before y, in coordinates of pixel corners.
    """

    name: str
    class_index: int
    corners: Float[np.ndarray, "V 2"]


class Painted(NamedTuple):
    """Objects as a label image; `remarks` tell what was wrong with their outlines."""

    labels: Int32[np.ndarray, "H W"]
    classes: Int32[np.ndarray, " N"]
    remarks: tuple[str, ...]


def paint_regions(path: Path, regions: Sequence[Region], shape: tuple[int, int]) -> Painted:
    """Paint regions into a picture, the smaller over the larger.

    Raises:
        InputError: a coordinate is no number, or the extra `formats` is missing.
    """
    pieces, classes, remarks = [], [], set()
    for region in regions:
        if not np.isfinite(region.corners).all():
            raise InputError(f"{path}: outline {region.name} has a corner that is no number; get the file again")
        if len(region.corners) < 3:
            remarks.add("outlines of fewer than three corners, which were left out")
            continue
        mask, was_invalid, is_outside = _fill(region.corners, shape)
        if was_invalid:
            remarks.add("outlines that cross themselves, which were repaired")
        if is_outside:
            remarks.add("outlines that leave the picture, which were cut off")
        if mask.any():
            pieces.append(Piece(0, 0, mask))
            classes.append(region.class_index)
        else:
            remarks.add("outlines without the centre of a pixel of the picture, which were left out")
    labels, overlapping, hidden = paint(shape, pieces)
    if overlapping:
        remarks.add("outlines that overlap, where the smaller object has the pixels")
    if hidden:
        remarks.add("objects hidden under smaller ones")
    return Painted(labels, np.array(classes, np.int32), tuple(sorted(remarks)))


def _fill(corners: Float[np.ndarray, "V 2"], shape: tuple[int, int]) -> tuple[np.ndarray, bool, bool]:
    try:
        import rasterio.features
        import shapely
    except ImportError as error:
        raise InputError("outlines need rasterio and shapely; run: pip install 'segjax[formats]'") from error
    polygon = shapely.Polygon(corners)
    valid = polygon if polygon.is_valid else shapely.make_valid(polygon)
    left, top, right, bottom = polygon.bounds
    is_outside = min(left, top) < 0 or right > shape[1] or bottom > shape[0]
    if valid.area == 0:
        return np.zeros(shape, bool), True, is_outside
    mask = rasterio.features.rasterize([valid], out_shape=shape, dtype="uint8")
    return mask.astype(bool), not polygon.is_valid, is_outside
