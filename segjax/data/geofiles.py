"""Masks as GeoTIFF and outlines as GeoJSON, for geographic information systems; needs the extra `geo`.

rasterio, shapely and pyproj are imported on use: nothing else of the package needs them.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from segjax.types import Georeference, InputError

PACKAGES = ("rasterio", "shapely", "pyproj")
WGS84 = "EPSG:4326"
NODATA = 255  # of masks, where nothing is known


class Outline(NamedTuple):
    """One outline on the ground.

    Attributes:
        polygon: GeoJSON geometry in WGS84, longitude first, exterior ring counter-clockwise.
        score: mean of the probability over its pixels, in [0, 1].
        hectares: area on the ellipsoid.
        picture: name of the picture it was found in.
    """

    polygon: dict[str, Any]
    score: float
    hectares: float
    picture: str


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
        "crs": _crs(georeference),
        "transform": rasterio.Affine(*georeference.transform),
        "nodata": None if known is None else NODATA,
    }
    values = mask.astype(np.uint8) if known is None else np.where(known, mask, NODATA).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)


def outlines_of(
    mask: Bool[np.ndarray, "H W"],
    probability: Float[np.ndarray, "H W"],
    georeference: Georeference,
    picture: str,
) -> list[Outline]:
    """The 8-connected pieces of a mask as outlines on the ground, largest first; none of an empty mask.

    Raises:
        InputError: the extra `geo` is missing, or the coordinate system is unknown.
    """
    check_geo()
    import rasterio.features
    import shapely
    from pyproj import Geod, Transformer

    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        return []
    to_wgs84 = Transformer.from_crs(_crs(georeference).to_wkt(), WGS84, always_xy=True)
    geod = Geod(ellps="WGS84")
    transform = rasterio.Affine(*georeference.transform)
    pieces = rasterio.features.shapes(labels.astype(np.int32), mask=mask, connectivity=8, transform=transform)
    scores = ndimage.mean(probability, labels, np.arange(1, count + 1))
    found = []
    for geometry, number in pieces:
        there = shapely.transform(
            shapely.geometry.shape(geometry), lambda xy: np.stack(to_wgs84.transform(xy[:, 0], xy[:, 1]), -1)
        )
        polygon = shapely.geometry.polygon.orient(there, 1.0)
        area = abs(geod.geometry_area_perimeter(polygon)[0])
        score = float(scores[int(number) - 1])
        found.append(Outline(shapely.geometry.mapping(polygon), score, float(area) / 1e4, picture))
    return sorted(found, key=lambda outline: -outline.hectares)


def write_geojson(path: Path, outlines: Sequence[Outline]) -> None:
    """Outlines as a GeoJSON FeatureCollection in WGS84; a valid one without features where nothing was found."""
    features = [
        {
            "type": "Feature",
            "id": number,
            "geometry": outline.polygon,
            "properties": {
                "picture": outline.picture,
                "score": round(outline.score, 4),
                "hectares": round(outline.hectares, 4),
            },
        }
        for number, outline in enumerate(outlines, 1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, indent=1) + "\n", encoding="utf-8")


def write_sites(
    folder: Path,
    names: Sequence[str],
    places: Sequence[Georeference | None],
    masks: Bool[np.ndarray, "P H W"],
    probability: Float[np.ndarray, "P H W"],
) -> list[str]:
    """Masks and outlines of the pictures whose place on the ground is known; returns the names of the others.

    Writes `masks/PICTURE.tif` in the picture's coordinate system and `sites.geojson` in WGS84, which is valid and empty
    where no site was found. Where no place is known, nothing is written.

    Raises:
        InputError: the extra `geo` is missing, or a coordinate system is unknown.
    """
    outlines: list[Outline] = []
    unplaced = []
    for name, place, mask, score in zip(names, places, masks, probability, strict=True):
        if place is None:
            unplaced.append(name)
        else:
            write_mask(folder / "masks" / f"{name.replace('/', '_')}.tif", mask, place)
            outlines += outlines_of(mask, score, place, name)
    if len(unplaced) < len(names):
        write_geojson(folder / "sites.geojson", outlines)
    return unplaced


def _crs(georeference: Georeference) -> Any:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(georeference.crs)
    except CRSError as error:
        raise InputError(
            f"coordinate system {georeference.crs!r} is unknown ({error}); give one as EPSG:32637"
        ) from error
