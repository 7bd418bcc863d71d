"""Masks as GeoTIFF, for geographic information systems; needs the extra `geo`, whose packages are imported on use."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from segjax.files import replacing
from segjax.types import Georeference, InputError

PACKAGES = ("rasterio", "shapely", "pyproj", "pyogrio")
NODATA = 255  # of masks, where nothing is known


def missing_packages() -> list[str]:
    """Those of the extra `geo` that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def check_geo() -> None:
    """Stop where the extra is not installed.

    Raises:
        InputError: names the packages and how to install them.
    """
    if missing := missing_packages():
        raise InputError(f"{', '.join(missing)} not installed; run: pip install 'segjax[geo]'")


def write_mask(
    path: Path, mask: Bool[np.ndarray, "H W"], georeference: Georeference, known: Bool[np.ndarray, "H W"] | None = None
) -> None:
    """A GeoTIFF of one band, 1 inside and 0 outside, in the picture's own coordinate system.

    Args:
        known: where the picture has data; elsewhere the mask has its nodata value, 255. None: everywhere, and the file
            has no nodata value.

    Raises:
        InputError: the extra `geo` is missing, or the coordinate system is unknown.
    """
    check_geo()
    import rasterio

    profile = {
        "driver": "GTiff",
        "height": mask.shape[0],
        "width": mask.shape[1],
        "count": 1,
        "dtype": "uint8",
        "compress": "deflate",
        "crs": crs_of(georeference),
        "transform": rasterio.Affine(*georeference.transform),
        "nodata": None if known is None else NODATA,
    }
    values = mask.astype(np.uint8) if known is None else np.where(known, mask, NODATA).astype(np.uint8)
    with replacing(path) as unfinished, rasterio.open(unfinished, "w", **profile) as file:
        file.write(values, 1)


def crs_of(georeference: Georeference) -> Any:
    """The coordinate system as rasterio's CRS.

    Raises:
        InputError: it is unknown.
    """
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(georeference.crs)
    except CRSError as error:
        raise InputError(
            f"coordinate system {georeference.crs!r} is unknown ({error}); give one as EPSG:32637"
        ) from error
