"""Objects as outlines and back, exact to the pixel; needs the extra `formats`.

Coordinates are those of pixel corners, column before row: (0, 0) is the upper left corner of the picture, (W, H) the
lower right one, and the centre of the first pixel is (0.5, 0.5). A pixel belongs to an outline where its centre does.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int32

from segjax.data.folders.tables import first_few
from segjax.data.formats.annotation import Annotation, Loss, Piece, check_formats, painted
from segjax.types import InputError

_ONE_AT_A_TIME = Lock()  # rasterio silences a warning for the whole process meanwhile, which two threads must not
UNCLASSIFIED = "unclassified"  # class of objects without one in a file that gives others one


class Outline(NamedTuple):
    """One object of a file.

    Attributes:
        name: what messages call it.
        geometry: a shapely Polygon or MultiPolygon in pixel corners; it may cross itself or leave the picture.
        class_name: "" where the file gives it none.
    """

    name: str
    geometry: Any
    class_name: str = ""


def outlines_of(labels: Int32[np.ndarray, "H W"]) -> dict[int, Any]:
    """The outline of every object along pixel edges: a shapely Polygon, or a MultiPolygon where it has several parts.

    Pixels that touch at a corner only are two parts. Filling an outline gives back the object's pixels exactly.

    Raises:
        InputError: the extra `formats` is missing.
    """
    check_formats("rasterio", "shapely")
    import rasterio.features
    import shapely

    parts = defaultdict(list)
    for geometry, label in rasterio.features.shapes(labels, mask=labels > 0, connectivity=4):
        parts[int(label)].append(shapely.geometry.shape(geometry))
    return {i: parts[i][0] if len(parts[i]) == 1 else shapely.MultiPolygon(parts[i]) for i in sorted(parts)}


def fill(geometry: Any, shape: tuple[int, int], all_touched: bool = False) -> Piece:
    """The pixels of a picture whose centres lie in a valid outline; of no pixel where there are none.

    Of a centre exactly on the border between two outlines, one of them has the pixel. With `all_touched`: all pixels
    that the outline touches.
    """
    import rasterio.features

    left, top, right, bottom = geometry.bounds
    x, y = max(0, math.floor(left)), max(0, math.floor(top))
    width, height = min(shape[1], math.ceil(right)) - x, min(shape[0], math.ceil(bottom)) - y
    if width <= 0 or height <= 0:
        return Piece(0, 0, np.zeros((0, 0), bool))
    window = rasterio.Affine.translation(x, y)
    with _ONE_AT_A_TIME:
        mask = rasterio.features.rasterize(
            [geometry], out_shape=(height, width), transform=window, all_touched=all_touched, dtype="uint8"
        )
    return Piece(y, x, mask.astype(bool))


def combined(rings: Iterable[Float[np.ndarray, "_ 2"]]) -> tuple[Any, bool]:
    """What an odd number of rings encloses (a ring in another is a hole, one in a hole an island), and whether it was
    repaired: a ring that crosses itself encloses what an odd number of its loops does."""
    import shapely

    area, is_repaired = shapely.Polygon(), False
    for ring in rings:
        if len(ring) < 3:
            continue
        with np.errstate(invalid="ignore"):  # of NaN, which `repaired` sees
            polygon, was_invalid = repaired(shapely.Polygon(ring))
        area, is_repaired = area.symmetric_difference(polygon), is_repaired or was_invalid
    return area, is_repaired


def repaired(geometry: Any) -> tuple[Any, bool]:
    """The areas of a geometry without points and lines, made valid, and whether that was needed.

    An outline that crosses itself becomes its loops; where two loops lie on each other, a hole. Parts of one object
    that lie on each other are one.
    """
    import shapely

    flat = shapely.force_2d(geometry)
    if not np.isfinite(shapely.get_coordinates(flat)).all():
        return shapely.Polygon(), True
    if flat.is_valid and flat.geom_type in ("Polygon", "MultiPolygon"):
        return flat, False
    areas = _areas(flat)
    valid = [area for part in areas for area in _areas(shapely.make_valid(part))]
    return shapely.union_all(valid), not all(part.is_valid for part in areas) or not flat.is_valid


def annotate(
    path: Path, outlines: Sequence[Outline], shape: tuple[int, int], loss: Loss, all_touched: bool = False
) -> Annotation:
    """Paint the outlines of a file into a label image and say what got lost.

    Args:
        path: the file, for messages.
        outlines: its objects.
        shape: height and width of the picture.
        loss: what reading the file lost so far; what painting loses is added.
        all_touched: see `fill`.

    Raises:
        InputError: outlines, but all of them beyond the picture.
    """
    pieces, kept, lost = [], [], defaultdict(list)
    invalid = outside = 0
    for outline in outlines:
        geometry, was_invalid = repaired(outline.geometry)
        invalid += was_invalid or geometry.area == 0
        if geometry.area == 0:
            lost["without area"].append(outline.name)
            continue
        piece = fill(geometry, shape, all_touched)
        left, top, right, bottom = geometry.bounds
        # half a pixel beyond the border lies no centre of a pixel yet
        outside += min(left, top) < -0.5 or right > shape[1] + 0.5 or bottom > shape[0] + 0.5
        if piece.mask.any():
            pieces.append(piece)
            kept.append(outline)
        else:
            is_beyond = left >= shape[1] or top >= shape[0] or right <= 0 or bottom <= 0
            lost["beyond the picture" if is_beyond else "without the centre of a pixel"].append(outline.name)
    if outlines and len(lost["beyond the picture"]) == len(outlines):
        raise InputError(
            f"{path}: all {len(outlines)} outline(s) lie outside the picture of {shape[1]} x {shape[0]} pixels; give "
            "the outlines of this picture, in its pixels"
        )
    notes = [note_lost(reason, names) for reason, names in lost.items() if names]
    so_far = replace(loss, invalid=loss.invalid + invalid, outside=outside, notes=(*loss.notes, *notes))
    return painted(shape, pieces, [outline.name for outline in kept], _classes(kept), so_far)


def note_lost(reason: str, names: Sequence[str]) -> str:
    """How many objects are lost, why, and the names of the first: "2 lost without area: a, b"."""
    return f"{len(names)} lost {reason}: {first_few(names)}"


def compare(written: Annotation, read: Annotation) -> Loss:
    """What a file changed that was written and read back: its objects are the written ones in the order of their ids.

    Returns:
        The loss of reading it, with the number of objects that were written and of the pixels whose object differs.
    """
    ids, numbers = np.unique(np.append(0, written.labels), return_inverse=True)
    changed = int((numbers[1:].reshape(written.labels.shape) != read.labels).sum())
    classes = tuple(written.classes[label - 1] for label in ids[1:]) if written.classes else ()
    notes = () if classes == read.classes else ("the file cannot hold some names of classes",)
    if written.ignored is not None and read.ignored is None and written.ignored.any():
        notes = (*notes, f"{int(written.ignored.sum())} pixel(s) that nobody judged became background")
    return replace(read.loss, objects_in=len(ids) - 1, pixels_changed=changed, notes=(*read.loss.notes, *notes))


def _classes(outlines: Sequence[Outline]) -> tuple[str, ...]:
    if not any(outline.class_name for outline in outlines):
        return ()
    return tuple(outline.class_name or UNCLASSIFIED for outline in outlines)


def _areas(geometry: Any) -> list[Any]:
    """The polygons that a geometry holds, however deep."""
    if geometry.geom_type == "Polygon":
        return [] if geometry.is_empty else [geometry]
    return [area for part in getattr(geometry, "geoms", ()) for area in _areas(part)]
