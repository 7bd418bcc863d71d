"""Layers of geographic information systems: shapes on the ground with columns, in GeoPackage, Shapefile or GeoJSON.

Needs the extra `geo`, imported on use. The first coordinate of a shape is the easting or longitude, always. An edge of
a shape is straight in the coordinate system of its file: where shapes are taken into another, long edges are divided.
"""

import functools
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, Shaped

from segjax.data.folders.tables import first_few
from segjax.data.formats.qgis import OUTLINES
from segjax.data.ground.geofiles import check_geo
from segjax.files import check_regular, explained, replacing, write_file
from segjax.types import Georeference, InputError

WGS84 = "EPSG:4326"
DRIVERS = {".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON", ".json": "GeoJSON"}
_GEOJSON = (".geojson", ".json")
_ONE_AT_A_TIME = Lock()  # warnings are silenced for the whole process meanwhile
_PARTS_OF_A_SPAN, _PARTS_OF_AN_OUTLINE = 256, 10_000


@dataclass(frozen=True, eq=False)
class Layer:
    """Shapes on the ground.

    Attributes:
        crs: their coordinate system, as "EPSG:32637" or well-known text.
        shapes: shapely geometries [N], or None for a row without one.
        columns: by name: one value per shape, as an array [N].
        numbers: int64 [N], the features' numbers in their file.
        unclosed: numbers of those of which an outline was not closed, which it is now.
    """

    crs: str
    shapes: Shaped[np.ndarray, " N"]
    columns: Mapping[str, Shaped[np.ndarray, " N"]] = field(default_factory=dict)
    numbers: Int64[np.ndarray, " N"] = field(default_factory=lambda: np.zeros(0, np.int64))
    unclosed: tuple[int, ...] = ()


def read_layer(path: Path, name: str = "", columns: tuple[str, ...] = ()) -> Layer:
    """A layer of a vector file, read once for as long as the file does not change.

    Args:
        name: of the layer; "" where the file has only one with shapes.
        columns: those that are read.

    Raises:
        InputError: the extra is missing, the file cannot be read, has several layers and none is named, lacks the layer
            or a column, has no coordinate system, or coordinates that its coordinate system cannot have.
    """
    check_geo()
    try:
        check_regular(path)
        state = path.stat()
    except OSError:
        raise InputError(f"{path}: there is no such file; give a GeoPackage, Shapefile or GeoJSON file") from None
    return _read(path, name, columns, (state.st_size, state.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _read(path: Path, name: str, columns: tuple[str, ...], state: tuple[int, int]) -> Layer:
    import pyogrio
    import shapely
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        name = _layer_name(path, name, pyogrio.list_layers(path).tolist())
        about = pyogrio.read_info(path, layer=name, force_feature_count=True)
        known = about["fields"]
        if about["features"] and (missing := [column for column in columns if column not in known]):
            raise InputError(f"{path}: has no column {missing[0]}; its columns are {', '.join(known) or 'none'}")
        meta, numbers, encoded, values = pyogrio.raw.read(
            path,
            layer=name,
            columns=[column for column in columns if column in known],
            return_fids=True,
            force_2d=False,
        )
        shapes = shapely.from_wkb(encoded, on_invalid="ignore")
        is_unclosed = np.array([one is not None for one in encoded], bool) & shapely.is_missing(shapes)
        shapes[is_unclosed] = shapely.from_wkb(encoded[is_unclosed], on_invalid="fix")
    except (DataSourceError, DataLayerError, shapely.errors.ShapelyError) as error:
        raise InputError(f"{path}: cannot be read ({error}); write it again as GeoPackage") from error
    crs = _crs_of_file(path, meta["crs"])
    _check_degrees(path, crs, shapes)
    found = dict(zip(meta["fields"], values, strict=True))
    return Layer(crs, shapes, found, np.asarray(numbers, np.int64), tuple(numbers[is_unclosed].tolist()))


def _layer_name(path: Path, name: str, layers: Sequence[Sequence[Any]]) -> str:
    names = [str(layer) for layer, kind in layers if kind is not None]  # tables such as layer_styles have no shapes
    if name and name not in names:
        raise InputError(f"{path}: has no layer {name} with shapes; choose one of {', '.join(names) or 'none'}")
    if not names:
        raise InputError(f"{path}: has no layer with shapes; give a file of polygons or points")
    if len(names) > 1 and not name:
        raise InputError(f"{path}: has the layers {first_few(names)}; choose one by layer=NAME (--layer NAME)")
    return name or names[0]


def _crs_of_file(path: Path, found: str | None) -> str:
    """The coordinate system as the file states it; that of GeoJSON without any is WGS84 (RFC 7946, section 4)."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    remedy = "state it, for example in QGIS by Layer, Set Layer CRS, and export the layer again"
    if path.suffix.lower() in _GEOJSON:
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise InputError(f"{path}: cannot be read ({error}); write it again as UTF-8") from None
        if "crs" in content:  # of 2008; GDAL takes WGS84 for what it does not understand
            stated = content["crs"]
            name = stated.get("properties", {}).get("name") if isinstance(stated, dict) else None
            try:
                found = CRS.from_user_input(str(name)).to_wkt()
            except CRSError:
                raise InputError(f"{path}: its crs {json.dumps(stated)} is unknown; {remedy}") from None
    if found is None:
        raise InputError(f"{path}: has no coordinate system; {remedy}")
    crs = CRS.from_user_input(found)
    if not (crs.is_geographic or crs.is_projected):
        raise InputError(f"{path}: its coordinate system ({crs.name}) is not on the Earth; {remedy}")
    return found


def _check_degrees(path: Path, crs: str, shapes: Shaped[np.ndarray, " N"]) -> None:
    import shapely
    from pyproj import CRS

    if not CRS.from_user_input(crs).is_geographic or not len(shapes):
        return
    left, low, right, high = np.nan_to_num(shapely.total_bounds(shapes))
    if max(-left, right) > 360 or max(-low, high) > 90:
        raise InputError(
            f"{path}: has coordinates up to {max(abs(left), right, abs(low), high):.6g}, but its coordinate system is "
            "in degrees; state the right coordinate system"
        )


def write_layers(path: Path, layers: Mapping[str, Layer]) -> None:
    """A vector file in place of any that is there, with a QGIS style that shows outlines only.

    The style of a GeoPackage is in its table layer_styles, where QGIS finds it; that of another file is beside it, with
    the ending .qml. GeoJSON is in WGS84, exterior rings counter-clockwise (RFC 7946).

    Args:
        path: ends in .gpkg, .shp (10 letters of column names) or .geojson; only a GeoPackage holds several layers.
        layers: by name.

    Raises:
        InputError: another ending, several layers for a file that holds one, a missing extra, or a full disk.
    """
    driver = DRIVERS.get(path.suffix.lower())
    if driver is None or (len(layers) > 1 and driver != "GPKG"):
        raise InputError(f"{path}: this format cannot hold the layer; give a file name that ends in .gpkg")
    if driver == "GeoJSON":
        (layer,) = layers.values()
        write_file(path, _geojson(layer))
    else:
        _write_parts(path, driver, layers)
    if driver != "GPKG":
        write_file(path.with_suffix(".qml"), OUTLINES)


def _write_parts(path: Path, driver: str, layers: Mapping[str, Layer]) -> None:
    """A GeoPackage, or the files of a Shapefile, first in a folder of their own: they need their names."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", suffix=".unfinished", dir=path.parent) as folder:
            for name, layer in layers.items():
                _write(Path(folder) / path.name, driver, name if driver == "GPKG" else path.stem, layer)
            if driver == "GPKG":
                _write_styles(Path(folder) / path.name, list(layers))
            for part in sorted(Path(folder).iterdir()):
                with replacing(path.with_name(part.name)) as unfinished:
                    part.rename(unfinished)


def _write(path: Path, driver: str, name: str, layer: Layer) -> None:
    check_geo()
    import pyogrio
    import shapely
    from pyogrio.errors import DataSourceError

    try:
        pyogrio.raw.write(
            path,
            shapely.to_wkb(layer.shapes),
            list(layer.columns.values()),
            list(layer.columns),
            layer=name,
            driver=driver,
            geometry_type="MultiPolygon" if driver == "GPKG" else "Polygon",  # what a Shapefile calls both
            promote_to_multi=driver == "GPKG",
            crs=layer.crs,
            encoding="UTF-8",
        )
    except DataSourceError as error:
        raise InputError(f"{path}: cannot be written ({error}); choose another folder") from error


def _write_styles(path: Path, names: Sequence[str]) -> None:
    """The table in which QGIS looks for styles of a GeoPackage, with the columns that it gives it itself."""
    import pyogrio

    rows: dict[str, list[Any]] = {
        "f_table_catalog": ["" for _ in names],
        "f_table_schema": ["" for _ in names],
        "f_table_name": list(names),
        "f_geometry_column": ["geom" for _ in names],
        "styleName": ["outlines" for _ in names],
        "styleQML": [OUTLINES for _ in names],
        "styleSLD": ["" for _ in names],
        "useAsDefault": [True for _ in names],
        "description": ["outlines only" for _ in names],
        "owner": ["" for _ in names],
        "ui": [None for _ in names],
    }
    values = [np.asarray(column, bool if name == "useAsDefault" else object) for name, column in rows.items()]
    pyogrio.raw.write(
        path, None, values, list(rows), layer="layer_styles", driver="GPKG", append=False, layer_options={"FID": "id"}
    )


def _geojson(layer: Layer) -> str:
    """A FeatureCollection; a valid one without features where the layer has none."""
    shapes: Sequence[Any] = ()
    if len(layer.shapes):
        check_geo()
        import shapely

        shapes = shapely.orient_polygons(moved(layer.shapes, layer.crs, WGS84)[0])
    features = [
        {
            "type": "Feature",
            "id": number + 1,
            "geometry": None if shape is None or shape.is_empty else shape.__geo_interface__,
            "properties": {name: values[number].item() if hasattr(values[number], "item") else values[number]
                           for name, values in layer.columns.items()},
        }
        for number, shape in enumerate(shapes)
    ]  # fmt: skip
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=1) + "\n"


class Bounds(NamedTuple):
    """A box on the ground, in the units of some coordinate system."""

    left: float
    low: float
    right: float
    high: float


def bounds_of(georeference: Georeference, shape: tuple[int, int]) -> Bounds:
    """The box of a picture in its own coordinate system."""
    a, b, c, d, e, f = georeference.transform
    columns, rows = np.array([0, shape[1], 0, shape[1]]), np.array([0, 0, shape[0], shape[0]])
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    return Bounds(float(x.min()), float(y.min()), float(x.max()), float(y.max()))


def moved(
    shapes: Shaped[np.ndarray, " N"], source: str, target: str, bounds: Bounds | None = None
) -> tuple[Shaped[np.ndarray, " N"], float]:
    """Shapes in another coordinate system.

    Edges in and near the box are divided before, so that none is longer than 1/256 of the box or 1/10,000 of its
    outline. In a box of 100 km a divided edge is then within a centimetre of the straight one. What cannot be placed
    has infinite coordinates.

    Args:
        bounds: the box in `target` that must be right; None: that of the shapes.

    Returns:
        The shapes, and the accuracy in metres that the best known transformation has there (0: exact or not known).

    Raises:
        InputError: no transformation between the two systems is known, as where one of them is of another planet.
    """
    import shapely
    from pyproj import CRS, Transformer
    from pyproj.transformer import AreaOfInterest, TransformerGroup

    here, there = CRS.from_user_input(source), CRS.from_user_input(target)
    if not len(shapes) or here.equals(there, ignore_axis_order=True):
        return shapes, 0.0
    if bounds is None:
        box, system = Bounds(*shapely.total_bounds(shapes)), here
    else:
        box, system = bounds, there
    to_degrees = Transformer.from_crs(system, WGS84, always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(*box)
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a grid is missing: the accuracy says it
        area = AreaOfInterest(west, south, east, north) if np.isfinite([west, south, east, north]).all() else None
        known = TransformerGroup(here, there, always_xy=True, area_of_interest=area, allow_ballpark=False).transformers
    if not known:
        raise InputError(
            f"{here.name} cannot be transformed into {there.name} without a grid of shifts; reproject the layer, for "
            "example in QGIS"
        )
    span = box if system is here else Bounds(*known[0].transform_bounds(*box, direction="INVERSE"))
    divided = _divided(shapes, span)
    placed = shapely.transform(divided, lambda xy: np.stack(known[0].transform(xy[:, 0], xy[:, 1]), -1))
    return placed, max(0.0, known[0].accuracy)


def _divided(shapes: Shaped[np.ndarray, " N"], span: Bounds) -> Shaped[np.ndarray, " N"]:
    """Shapes with long edges divided, but for those farther from a box than it is wide and high."""
    import shapely

    width, height = span.right - span.left, span.high - span.low
    if not np.isfinite([width, height]).all():
        width = height = 0.0
        is_near = np.ones(len(shapes), bool)
    else:
        left, low, right, high = shapely.bounds(shapes).T
        is_near = (left < span.right + width) & (right > span.left - width)
        is_near &= (low < span.high + height) & (high > span.low - height)
    edges = np.maximum(np.hypot(width, height) / _PARTS_OF_A_SPAN, shapely.length(shapes) / _PARTS_OF_AN_OUTLINE)
    is_near &= edges > 0
    divided = shapes.copy()
    divided[is_near] = shapely.segmentize(shapes[is_near], edges[is_near])
    return divided


def in_pixels(shapes: Shaped[np.ndarray, " N"], georeference: Georeference) -> Shaped[np.ndarray, " N"]:
    """Shapes in the picture's system as shapes in its pixel corners, column before row."""
    import shapely

    a, b, c, d, e, f = georeference.transform
    inverse = np.linalg.inv([[a, b], [d, e]]).T
    return shapely.transform(shapes, lambda xy: (xy - (c, f)) @ inverse)


def on_ground(shapes: Shaped[np.ndarray, " N"], georeference: Georeference) -> Shaped[np.ndarray, " N"]:
    """Shapes in pixel corners as shapes in the picture's coordinate system."""
    import shapely

    a, b, c, d, e, f = georeference.transform
    return shapely.transform(shapes, lambda xy: xy @ np.array([[a, d], [b, e]]) + (c, f))
