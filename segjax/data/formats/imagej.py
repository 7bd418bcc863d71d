"""ImageJ and Fiji: the areas of an ROI file or of a zip of the ROI manager; needs the extra `formats`.

Corners are those of pixels, as everywhere in ImageJ. An object's class is its property "class", as `write` makes it,
else "group 3" where the ROI is in a group.
"""

import itertools
import struct
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from segjax.data.formats.annotation import Annotation, Loss, Picture, Plane, check_formats
from segjax.data.formats.polygons import Outline, annotate, combined, compare, note_lost, outlines_of
from segjax.data.pictures.limits import largest_content
from segjax.files import check_regular, replacing
from segjax.types import InputError

_ELLIPSE_CORNERS = 72  # of ImageJ's own rotated ellipse, which is a polygon
_OVAL_CORNERS = 720  # a polygon that is nowhere 0.01 pixels inside an oval of 1,000 pixels across
_CURVE_STEPS = np.linspace(0, 1, 65)[1:, None]
_LARGEST_INTEGER = 32_767  # larger ones are written as fractions, which every program reads alike
_LARGEST_GROUP = 255
_CLASS = "class: "  # begins the line of a ROI's properties
_ANY = (0, 0, 0)


def read(path: Path, picture: Picture, plane: Plane | None = None) -> Annotation:
    """The areas of an ROI file (`.roi`) or of a zip of them, which fit the plane; ROIs without a position fit all.

    Points, lines, angles, texts and pictures are left out and named. Splines are read as the polygon of their points.

    Args:
        path: the file.
        picture: the picture.
        plane: which plane of its stack the picture is. None: it is none, and the ROIs must be of one plane.

    Raises:
        InputError: the extra is missing, the file cannot be read, it holds ROIs of several planes, or all lie beyond
            the picture.
    """
    check_formats("roifile", "rasterio", "shapely")
    from roifile import ROI_OPTIONS

    found = _read_rois(path)
    planes = {_place(roi) for _, roi in found} - {_ANY}
    if plane is None and len(planes) > 1:
        raise InputError(
            f"{path}: holds ROIs of {len(planes)} planes of a stack; "
            "give the stack itself as picture, or one zip for each of its planes"
        )
    rois = [(name, roi) for name, roi in found if plane is None or _fits(_place(roi), plane)]
    outlines, lost, splines, invalid = [], defaultdict(list), 0, 0
    for name, roi in rois:
        if kind := _without_area(roi):
            lost[f"as they are {kind}, not areas"].append(name)
            continue
        try:
            area, was_repaired = combined(_rings(roi))
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: ROI {name} cannot be read ({error}); save it again in ImageJ") from error
        splines, invalid = splines + bool(roi.options & ROI_OPTIONS.SPLINE_FIT), invalid + was_repaired
        outlines.append(Outline(name, area, _class_of(roi)))
    notes = [note_lost(reason, names) for reason, names in lost.items()]
    if splines:
        notes.append(f"{splines} spline(s) read as polygons of their points")
    return annotate(path, outlines, picture.shape, Loss(objects_in=len(rois), invalid=invalid, notes=tuple(notes)))


def write(path: Path, annotation: Annotation, picture: Picture, plane: Plane | None = None) -> Loss:
    """A zip for the ROI manager: a traced outline per object, a composite where it has holes or several parts.

    The names are 0001, 0002, ... in the order of the ids, classes become groups and the property "class". Pixels that
    nobody judged become background.

    Args:
        path: the file to be written; it ends in .zip.
        annotation: the objects.
        picture: the picture they belong to.
        plane: the plane of its stack that the picture is.

    Raises:
        InputError: the extra is missing.
    """
    check_formats("roifile", "rasterio", "shapely")
    groups = {name: number for number, name in enumerate(sorted(set(annotation.classes)), 1)}
    with replacing(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file:
        for number, (label, outline) in enumerate(outlines_of(annotation.labels).items(), 1):
            roi = _roi_of(outline)
            roi.name = f"{number:04d}"
            if plane:
                roi.position, roi.z_position, roi.t_position = plane[:3]
            if annotation.classes:
                name = annotation.classes[label - 1]
                roi.group, roi.props = min(groups[name], _LARGEST_GROUP), f"{_CLASS}{name}\n"
            file.writestr(f"{roi.name}.roi", roi.tobytes())
    return compare(annotation, read(path, picture, plane))


def _read_rois(path: Path) -> list[tuple[str, Any]]:
    """The ROIs of a file with their names; of one without a name, that of its file."""
    from roifile import ImagejRoi

    check_regular(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                # two files of one name are two ROIs, so they are not asked for by name
                parts = [part for part in file.infolist() if _is_roi(Path(part.filename))]
                need, limit = sum(part.file_size for part in parts), largest_content(path.stat().st_size)
                if need > limit:
                    raise ValueError(f"{need / 2**20:,.0f} MiB unpacked, where it may have {limit / 2**20:,.0f}")
                contents = [(Path(part.filename).stem, file.read(part)) for part in parts]
        else:
            contents = [(path.stem, path.read_bytes())]
        rois = [ImagejRoi.frombytes(content) for _, content in contents]
    except Exception as error:  # roifile and zipfile raise nearly anything on damaged files
        raise InputError(f"{path}: cannot be read as ROIs of ImageJ ({error}); save it again in ImageJ") from error
    return [(roi.name or name, roi) for (name, _), roi in zip(contents, rois, strict=True)]


def _is_roi(file: Path) -> bool:
    """A ROI of ImageJ, not what macOS writes beside it into zips (__MACOSX/._NAME.roi)."""
    return file.suffix.lower() == ".roi" and not file.name.startswith("._")


def _place(roi: Any) -> tuple[int, int, int]:
    """Position, slice and time point that a ROI is bound to, 0 where to none; channels tell no planes apart.

    The position counts only where no channel, slice and time point are given.
    """
    is_bound = roi.c_position or roi.z_position or roi.t_position
    return (0, roi.z_position, roi.t_position) if is_bound else (roi.position, 0, 0)


def _fits(place: tuple[int, int, int], plane: Plane) -> bool:
    position = -(-place[0] // plane.channels)  # every channel of a plane counts
    return all(bound in (0, number) for bound, number in zip((position, *place[1:]), plane[:3], strict=True))


def _without_area(roi: Any) -> str:
    """What a ROI is that encloses nothing; "" of an area."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE):
        return {ROI_SUBTYPE.TEXT: "texts", ROI_SUBTYPE.IMAGE: "pictures"}[roi.subtype]
    areas = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
    if roi.roitype in areas:
        return ""
    return {ROI_TYPE.POINT: "points", ROI_TYPE.ANGLE: "angles", ROI_TYPE.NOROI: "empty"}.get(roi.roitype, "lines")


def _class_of(roi: Any) -> str:
    given = [line.removeprefix(_CLASS) for line in roi.props.splitlines() if line.startswith(_CLASS)]
    return given[0] if given else f"group {roi.group}" if roi.group else ""


def _rings(roi: Any) -> Sequence[Float[np.ndarray, "_ 2"]]:
    """The closed lines around an area; where they lie in each other, every second is a hole."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.composite:
        return list(_path_rings(roi.multi_coordinates))
    if roi.subtype in (ROI_SUBTYPE.ELLIPSE, ROI_SUBTYPE.ROTATED_RECT):
        return [_rotated(roi, roi.subtype == ROI_SUBTYPE.ELLIPSE)]
    if roi.roitype not in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        return [np.asarray(roi.coordinates(), np.float64)]
    whole = (roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top)
    box = (roi.xd, roi.yd, roi.widthd, roi.heightd) if roi.subpixelrect else whole
    x, y, width, height = map(float, box)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    if roi.roitype == ROI_TYPE.OVAL:
        corners = (_circle(_OVAL_CORNERS) + 1) / 2
    elif roi.rounded_rect_arc_size:
        return [_rounded(x, y, width, height, roi.rounded_rect_arc_size)]
    return [corners * (width, height) + (x, y)]


def _circle(corners: int) -> Float[np.ndarray, "V 2"]:
    angles = np.arange(corners) * (2 * np.pi / corners)
    return np.stack([np.cos(angles), np.sin(angles)], -1)


def _rotated(roi: Any, is_ellipse: bool) -> Float[np.ndarray, "V 2"]:
    """An ellipse or rectangle around the axis from (x1, y1) to (x2, y2), as ImageJ draws it.

    The number beside the axis, which takes the place of the arrow's style and size, is the ratio of the axes or the
    width of the rectangle.
    """
    stored = struct.pack(">BBh", roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size)
    (number,) = struct.unpack(">f", stored)
    start, end = np.array([roi.x1, roi.y1]), np.array([roi.x2, roi.y2])
    along = (end - start) / 2
    across = np.array([-along[1], along[0]])
    across *= number if is_ellipse else number / 2 / (np.hypot(*along) or 1)
    shape = _circle(_ELLIPSE_CORNERS) if is_ellipse else np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]], np.float64)
    return (start + end) / 2 + shape @ np.stack([along, across])


def _rounded(x: float, y: float, width: float, height: float, arc: int) -> Float[np.ndarray, "V 2"]:
    """A rectangle with rounded corners, each a quarter of a circle of that diameter."""
    import shapely

    radius = min(arc, width, height) / 2
    middle = shapely.box(x + radius, y + radius, x + width - radius, y + height - radius)
    return np.asarray(middle.buffer(radius, quad_segs=_OVAL_CORNERS // 4).exterior.coords)


def _path_rings(path: Float[np.ndarray, " F"]) -> Iterator[Float[np.ndarray, "_ 2"]]:
    """The rings of a composite: a path of moves (0), lines (1), quadratic (2) and cubic curves (3) and closings (4)."""
    numbers, at = np.asarray(path, np.float64), 0
    ring: list[Any] = []
    while at < len(numbers):
        command = int(numbers[at])
        if command not in range(5):
            raise ValueError(f"a path with the command {command}")
        count = (1, 1, 2, 3, 0)[command]
        points = numbers[at + 1 : at + 1 + 2 * count].reshape(count, 2)
        at += 1 + 2 * count
        if command == 0:
            if ring:
                yield np.array(ring)
            ring = [points[0]]
        elif command in (1, 2, 3):
            ring.extend(_curve(np.array([ring[-1], *points])) if count > 1 else points)
    if ring:
        yield np.array(ring)


def _curve(points: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, "V 2"]:
    """A Bezier curve as a line of many corners, without its first point (de Casteljau)."""
    levels = [np.broadcast_to(point, (len(_CURVE_STEPS), 2)) for point in points]
    while len(levels) > 1:
        levels = [a + (b - a) * _CURVE_STEPS for a, b in itertools.pairwise(levels)]
    return levels[0]


def _roi_of(outline: Any) -> Any:
    """The ROI of a shapely outline along pixel edges."""
    from roifile import ROI_TYPE, ImagejRoi

    polygons = getattr(outline, "geoms", [outline])
    rings = [np.asarray(ring.coords)[:-1] for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    box = tuple(map(int, outline.bounds))
    if len(rings) == 1:
        dtype = np.int32 if rings[0].max() <= _LARGEST_INTEGER else np.float32
        roi = ImagejRoi.frompoints(rings[0].astype(dtype))
        roi.left, roi.top, roi.right, roi.bottom = box
        roi.roitype = ROI_TYPE.TRACED if dtype == np.int32 else ROI_TYPE.FREEHAND
        return roi
    path: list[float] = []
    for ring in rings:
        for command, corner in zip([0] + [1] * (len(ring) - 1), ring, strict=True):
            path += [command, *corner]
        path.append(4)
    left, top, right, bottom = box
    roi = ImagejRoi(roitype=ROI_TYPE.RECT, left=left, top=top, right=right, bottom=bottom)
    roi.multi_coordinates, roi.shape_roi_size = np.array(path, np.float32), len(path)
    return roi
