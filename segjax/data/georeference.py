"""Where a GeoTIFF lies on the ground, read from its tags, and how large its pixels are there."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from segjax.types import Georeference, InputError

_USER_DEFINED = 32767
_PLACED = ("ModelPixelScaleTag", "ModelTiepointTag", "ModelTransformationTag")


def read_georeference(path: Path) -> Georeference | None:
    """The georeference of a picture file; None for any other file than a TIFF with a place on the ground.

    Raises:
        InputError: no such file, or one that cannot be read; a GeoTIFF without a coordinate system that has an EPSG
            number, or without a north-up scale and tie point or a transformation.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a picture")
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    keys, is_placed = _tags(path)
    if not keys and not is_placed:
        return None
    code = next((int(keys[name]) for name in ("ProjectedCSTypeGeoKey", "GeographicTypeGeoKey") if name in keys), None)
    if code in (None, 0, _USER_DEFINED):
        raise InputError(
            f"{path}: a GeoTIFF without a coordinate system that has an EPSG number; assign one, "
            "for example with gdal_edit.py -a_srs EPSG:32637"
        )
    if "ModelTransformation" in keys:
        (a, b, _, c), (d, e, _, f) = keys["ModelTransformation"][:2]
    elif "ModelPixelScale" in keys and len(keys.get("ModelTiepoint", ())) >= 6:
        scale, (column, row, _, x, y, _) = keys["ModelPixelScale"], keys["ModelTiepoint"][:6]
        a, b, d, e = scale[0], 0.0, 0.0, -scale[1]
        c, f = x - a * column, y - e * row
    else:
        raise InputError(f"{path}: a GeoTIFF without scale and tie point; write it again with its geotransform")
    if int(keys.get("GTRasterTypeGeoKey", 1)) == 2:  # the numbers are of the first pixel's centre
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return Georeference(f"EPSG:{code}", (float(a), float(b), float(c), float(d), float(e), float(f)))


def _tags(path: Path) -> tuple[dict[str, Any], bool]:
    """The keys of a GeoTIFF, and whether tags say where its pixels are; nothing of a file that is no TIFF."""
    try:
        with tifffile.TiffFile(path) as file:
            return file.geotiff_metadata or {}, any(name in file.pages.first.tags for name in _PLACED)
    except tifffile.TiffFileError:
        return {}, False
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from error


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
