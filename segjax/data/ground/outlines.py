"""What was found on georeferenced pictures, as outlines for maps; needs the extra `geo`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from segjax.data.formats.layers import WGS84, Layer, in_pixels, moved, on_ground, write_layers
from segjax.data.formats.polygons import outlines_of as shapes_of
from segjax.data.ground.geofiles import check_geo, crs_of, write_mask
from segjax.ops.components import components
from segjax.types import Georeference


class Outline(NamedTuple):
    """One outline on the ground.

    Attributes:
        shape: shapely Polygon or MultiPolygon in the picture's coordinate system, along the edges of its pixels.
        crs: the coordinate system.
        score: mean of the probability over its pixels, in [0, 1].
        hectares: area on the ellipsoid.
        picture: name of the picture it was found in.
    """

    shape: Any
    crs: str
    score: float
    hectares: float
    picture: str


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
    import shapely
    from pyproj import Geod

    crs_of(georeference)
    labels = components(mask)
    if not (count := int(labels.max(initial=0))):
        return []
    shapes = on_ground(np.array(list(shapes_of(labels).values()), object), georeference)
    scores = ndimage.mean(probability, labels, np.arange(1, count + 1))
    geod = Geod(ellps="WGS84")
    places, _ = moved(shapes, georeference.crs, WGS84)
    hectares = [abs(geod.geometry_area_perimeter(place)[0]) / 1e4 for place in shapely.orient_polygons(places)]
    found = [
        Outline(shape, georeference.crs, float(score), float(area), picture)
        for shape, score, area in zip(shapes, scores, hectares, strict=True)
    ]
    return sorted(found, key=lambda outline: -outline.hectares)


class Places(NamedTuple):
    """A point within each of some outlines.

    Attributes:
        rows, columns: int [N], of the pixel that it lies in.
        x, y: float [N], in the picture's coordinate system, the easting or longitude first.
        longitude, latitude: float [N], in degrees of WGS84.
    """

    rows: Int[np.ndarray, " N"]
    columns: Int[np.ndarray, " N"]
    x: Float[np.ndarray, " N"]
    y: Float[np.ndarray, " N"]
    longitude: Float[np.ndarray, " N"]
    latitude: Float[np.ndarray, " N"]


def places_of(outlines: Sequence[Outline], georeference: Georeference) -> Places:
    """Where the outlines of one picture lie.

    Raises:
        InputError: the extra `geo` is missing.
    """
    check_geo()
    import shapely

    points = shapely.point_on_surface(_array([outline.shape for outline in outlines]))
    pixels, degrees = in_pixels(points, georeference), moved(points, georeference.crs, WGS84)[0]
    row, column = (np.floor(axis(pixels)).astype(int) for axis in (shapely.get_y, shapely.get_x))
    return Places(row, column, *(axis(some) for some in (points, degrees) for axis in (shapely.get_x, shapely.get_y)))


def write_outlines(folder: Path, outlines: Sequence[Outline], crs: Sequence[str]) -> None:
    """`sites.geojson` in WGS84 and `sites.gpkg` in the pictures' own systems, both valid and empty without outlines.

    Args:
        folder: where they are written.
        outlines: their columns are picture, score and hectares.
        crs: the pictures' coordinate systems; of several, each is a layer of `sites.gpkg`, named after it.

    Raises:
        InputError: the extra `geo` is missing, or the disk is full.
    """
    systems = list(dict.fromkeys(crs))
    own = {system: _layer(system, [outline for outline in outlines if outline.crs == system]) for system in systems}
    names = {system: "sites" if len(systems) == 1 else f"sites {system.replace(':', ' ')}" for system in systems}
    write_layers(folder / "sites.gpkg", {names[system]: layer for system, layer in own.items()})
    places = _array([outline.shape for outline in outlines])
    for system in systems:
        is_own = np.array([outline.crs == system for outline in outlines], bool)
        places[is_own] = moved(places[is_own], system, WGS84)[0]
    found = [outline._replace(shape=place) for outline, place in zip(outlines, places, strict=True)]
    write_layers(folder / "sites.geojson", {"sites": _layer(WGS84, found)})


def _layer(crs: str, outlines: Sequence[Outline]) -> Layer:
    columns = {
        "picture": np.array([outline.picture for outline in outlines], object),
        "score": np.array([round(outline.score, 4) for outline in outlines]),
        "hectares": np.array([round(outline.hectares, 4) for outline in outlines]),
    }
    return Layer(crs, _array([outline.shape for outline in outlines]), columns)


def _array(shapes: Sequence[Any]) -> np.ndarray:
    found = np.empty(len(shapes), object)
    found[:] = shapes
    return found


def write_sites(
    folder: Path,
    names: Sequence[str],
    places: Sequence[Georeference | None],
    masks: Bool[np.ndarray, "P H W"],
    probability: Float[np.ndarray, "P H W"],
) -> list[str]:
    """Masks and outlines of the pictures whose place on the ground is known; returns the names of the others.

    Writes `masks/PICTURE.tif` in the picture's coordinate system, and the files of `write_outlines`. Where no place is
    known, nothing is written.

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
        write_outlines(folder, outlines, [place.crs for place in places if place is not None])
    return unplaced
