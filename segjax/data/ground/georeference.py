"""Where a GeoTIFF lies on the ground, read from its tags, and how large its pixels are there."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from segjax.files import check_regular
from segjax.types import Georeference, InputError

_USER_DEFINED = 32767
_PLACED = ("ModelPixelScaleTag", "ModelTiepointTag", "ModelTransformationTag")


def read_georeference(path: Path) -> Georeference | None:
    """The georeference of a picture file; None for any other file than a TIFF with a place on the ground.

    Raises:
        InputError: no such file, or one that cannot be read; a GeoTIFF without a coordinate system that has an EPSG
            number, without a north-up scale and tie point or a transformation, or one that is to be turned before it is
            seen.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a picture")
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    tags = _tags(path)
    if tags is None:
        return None
    if tags.orientation > 1:
        raise InputError(
            f"{path}: is stored turned or mirrored (orientation {tags.orientation}), so programs disagree about where "
            "it lies; write it again with gdal_translate"
        )
    if (crs := _crs(tags)) is None:
        raise InputError(
            f"{path}: has no coordinate system with an EPSG number; assign one, for example with gdal_edit.py -a_srs "
            "EPSG:32637"
        )
    if (transform := _transform(tags)) is None:
        raise InputError(
            f"{path}: has no scale or no tie point, so its place is unknown; write it again with its geotransform"
        )
    return Georeference(crs, transform)


def check_same_place(picture: Path, labels: Path) -> None:
    """Where a picture and its label image both have a place on the ground, it is the same to a tenth of a pixel.

    Two coordinate systems are compared where both have EPSG numbers, the places where both have a transformation.

    Raises:
        InputError: names the label image: another coordinate system, rows that run the other way, or another place.
    """
    here, there = _tags(picture), _tags(labels)
    if here is None or there is None:
        return
    if (own := _crs(there)) != (crs := _crs(here)) and own and crs:
        raise InputError(f"{labels}: has the coordinate system {own}, but its picture has {crs}; {_SAME_GRID}")
    from_picture, from_labels = _transform(here), _transform(there)
    if from_picture is None or from_labels is None:
        return
    (a, b, _, d, e, _), (height, width) = from_picture, here.shape
    if a * from_labels[0] < 0 or e * from_labels[4] < 0:
        raise InputError(
            f"{labels}: its rows or columns run in the opposite direction to those of its picture; {_SAME_GRID}"
        )
    corners = np.array([[0, width, 0], [0, 0, height], [1, 1, 1]])
    away = (np.reshape(from_labels, (2, 3)) - np.reshape(from_picture, (2, 3))) @ corners
    pixels = float(np.linalg.norm(away, axis=0).max() / np.sqrt(abs(a * e - b * d) or np.inf))
    if pixels > _SHIFT:
        raise InputError(f"{labels}: lies up to {pixels:.3g} pixels away from its picture; {_SAME_GRID}")


_SHIFT = 0.1  # pixels
_SAME_GRID = (
    "write it on the picture's grid (gdalwarp -r near with the picture's -t_srs, -te and -ts), "
    "or correct its georeference"
)


class _Tags(NamedTuple):
    """What the tags of a TIFF with a place on the ground say."""

    keys: dict[str, Any]
    orientation: int
    shape: tuple[int, int]


def _tags(path: Path) -> _Tags | None:
    """None of a file that is no TIFF, or has no place."""
    try:
        check_regular(path)
        with tifffile.TiffFile(path) as file:
            page, keys = file.pages.first, file.geotiff_metadata or {}
            if not keys and not any(name in page.tags for name in _PLACED):
                return None
            return _Tags(keys, int(page.tags.valueof("Orientation", 1)), (page.imagelength, page.imagewidth))
    except tifffile.TiffFileError:
        return None
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    except Exception as error:  # tags of damaged files raise nearly anything
        raise InputError(f"{path}: its tags cannot be read ({error}); write it again as GeoTIFF") from error


def _crs(tags: _Tags) -> str | None:
    """The coordinate system, as "EPSG:32637"; None where it has no number."""
    names = ("ProjectedCSTypeGeoKey", "GeographicTypeGeoKey")
    code = next((int(tags.keys[name]) for name in names if name in tags.keys), 0)
    return None if code in (0, _USER_DEFINED) else f"EPSG:{code}"


def _transform(tags: _Tags) -> tuple[float, float, float, float, float, float] | None:
    """As of `Georeference`; None where neither a transformation nor scale and tie point are there."""
    keys, matrix = tags.keys, np.asarray(tags.keys.get("ModelTransformation", ()))
    if matrix.shape == (4, 4):
        (a, b, _, c), (d, e, _, f) = matrix[:2]
    elif len(keys.get("ModelPixelScale", ())) == 3 and len(keys.get("ModelTiepoint", ())) >= 6:
        scale, (column, row, _, x, y, _) = keys["ModelPixelScale"], keys["ModelTiepoint"][:6]
        a, b, d, e = scale[0], 0.0, 0.0, -scale[1]
        c, f = x - a * column, y - e * row
    else:
        return None
    if int(keys.get("GTRasterTypeGeoKey", 1)) == 2:  # the numbers are of the first pixel's centre
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return float(a), float(b), float(c), float(d), float(e), float(f)


def metres_per_pixel(georeference: Georeference, shape: tuple[int, int] = (0, 0)) -> float | None:
    """Side of a pixel on the ground: the root of its area, in metres.

    In a UTM zone (EPSG:32601 to 32660, 32701 to 32760) the units of the system are taken for metres, as they are to
    0.1 %. In any other system the edges of one pixel are measured on the ellipsoid, which needs pyproj (extra `geo`).

    Args:
        shape: height and width of the picture, whose middle pixel is measured; else that at its first corner.

    Returns:
        None where the system is no UTM zone and pyproj is missing, does not know it, or finds no place on the ground.
    """
    if re.fullmatch(r"EPSG:32[67](0[1-9]|[1-5]\d|60)", georeference.crs):
        a, b, _, d, e, _ = georeference.transform
        return float(np.sqrt(abs(a * e - b * d)))
    return _geodesic_side(georeference.at(shape[0] // 2, shape[1] // 2)) if find_spec("pyproj") else None


def pixel_edges(georeference: Georeference, shape: tuple[int, int] = (0, 0)) -> tuple[float, float] | None:
    """Width and height of a picture's middle pixel on the ellipsoid of WGS84, in metres; needs pyproj (extra `geo`).

    Returns:
        None where its system is unknown or it has no place on the ground.
    """
    lengths, _ = _measured(georeference.at(shape[0] // 2, shape[1] // 2))
    return lengths if min(lengths) > 0 and max(lengths) < np.inf else None


def _geodesic_side(georeference: Georeference) -> float | None:
    """Root of the area of the first pixel on the ellipsoid of WGS84, in metres."""
    lengths, angle = _measured(georeference)
    area = lengths[0] * lengths[1] * abs(np.sin(np.deg2rad(angle)))
    return float(np.sqrt(area)) if 0 < area < np.inf else None


def _measured(georeference: Georeference) -> tuple[tuple[float, float], float]:
    """Width and height of the first pixel in metres and the angle between them in degrees; infinite if not known."""
    from pyproj import Geod, Transformer
    from pyproj.exceptions import ProjError  # of which an unknown system's is one

    a, b, c, d, e, f = georeference.transform
    try:
        to_wgs84 = Transformer.from_crs(georeference.crs, "EPSG:4326", always_xy=True)
        longitude, latitude = to_wgs84.transform([c, c + a, c + b], [f, f + d, f + e])
        corner = [longitude[0]] * 2, [latitude[0]] * 2
        azimuths, _, lengths = Geod(ellps="WGS84").inv(*corner, longitude[1:], latitude[1:])
    except ProjError:
        return (np.inf, np.inf), 90.0
    return (float(lengths[0]), float(lengths[1])), float(azimuths[0] - azimuths[1])
