"""Where a GeoTIFF lies on the ground, read from its tags."""

from pathlib import Path

import tifffile

from segjax.types import Georeference, InputError

_USER_DEFINED = 32767


def read_georeference(path: Path) -> Georeference | None:
    """The georeference of a picture file; None for any other file than a GeoTIFF.

    Raises:
        InputError: a GeoTIFF without a coordinate system that has an EPSG number, or without a north-up scale and tie
            point or a transformation.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    with tifffile.TiffFile(path) as file:
        keys = file.geotiff_metadata
    if not keys:
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
