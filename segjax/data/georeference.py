"""Where a GeoTIFF lies on the ground, read from its tags."""

from pathlib import Path
from typing import Any

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
