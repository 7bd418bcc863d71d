"""Sites of a GeoPackage, Shapefile or GeoJSON file as labels of a GeoTIFF scene, and back; needs the extra `geo`.

A pixel belongs to a site where its centre does; with `all_touched`, wherever the site touches it. Sites are taken into
the scene's coordinate system, points become circles of a stated radius on the ground.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from segjax.data.folders.tables import first_few
from segjax.data.formats.annotation import Annotation, Loss, Picture
from segjax.data.formats.layers import (
    WGS84,
    Bounds,
    Layer,
    bounds_of,
    in_pixels,
    moved,
    on_ground,
    read_layer,
    write_layers,
)
from segjax.data.formats.polygons import UNCLASSIFIED, Outline, annotate, compare, note_lost, outlines_of
from segjax.data.ground.georeference import metres_per_pixel
from segjax.types import Georeference, InputError

_CORNERS_OF_A_CIRCLE = 72  # 0.1 % of its area is missing


class Options(NamedTuple):
    """How the sites of a file are read.

    Attributes:
        layer: its name, where the file has several.
        class_column: the column that holds each site's class; "": classes are not told apart.
        radius: of the circle around a point, in metres; 0: points are refused.
        all_touched: a pixel belongs to a site wherever the site touches it, not where its centre lies in it.
    """

    layer: str = ""
    class_column: str = ""
    radius: float = 0.0
    all_touched: bool = False


PLAIN = Options()


class Sites(NamedTuple):
    """What a file holds, in the pixel corners of a scene.

    Attributes:
        inside: the sites that reach into the scene, named "feature 12" after their number in the file.
        beyond: names of those wholly beyond it.
        shapeless: names of those without a shape that has an area.
        shapes: of all features, as areas; None where there is none.
        loss: what reading lost; `outside` counts those beyond.
    """

    inside: list[Outline]
    beyond: list[str]
    shapeless: list[str]
    shapes: Shaped[np.ndarray, " N"]
    loss: Loss


def read(path: Path, picture: Picture, options: Options = PLAIN) -> Annotation:
    """The sites of a file as objects of a scene.

    Args:
        path: anything that GDAL reads as vectors.
        picture: must have a georeference.

    Returns:
        Label 1..N in the order of the file. `loss.objects_in` counts all features of the layer, `loss.outside` those
        with a part beyond the scene, and a note says how many lie wholly beyond it.

    Raises:
        InputError: what `read_layer` raises; a picture without a place; points without a radius; coordinate systems
            between which no transformation is known.
    """
    return annotated(path, sites_of(path, picture, options), picture, options)


def annotated(path: Path, sites: Sites, picture: Picture, options: Options) -> Annotation:
    """The sites of a file as objects of its scene; see `read`."""
    found = annotate(path, sites.inside, picture.shape, replace(sites.loss, outside=0), options.all_touched)
    return replace(found, loss=replace(found.loss, outside=found.loss.outside + sites.loss.outside))


def sites_of(path: Path, picture: Picture, options: Options) -> Sites:
    """The sites of a file in the pixel corners of a scene, and what reading them lost.

    Raises:
        InputError: as `read`.
    """
    layer, shapes, notes = ground_of(path, picture, options)
    place = _place_of(picture)
    classes = layer.columns.get(options.class_column)
    if classes is not None:
        kinds = [_class_of(value) for value in classes]
        if count := kinds.count(UNCLASSIFIED):
            notes.append(f"{count} without a value in column {options.class_column}: {UNCLASSIFIED}")
    sites, beyond, shapeless = [], [], []
    shapes = in_pixels(shapes, place)
    for index, shape in enumerate(shapes):
        name = f"feature {layer.numbers[index]}"
        if shape is None or shape.is_empty:
            shapeless.append(name)
        elif not _reaches(shape, picture.shape):
            beyond.append(name)
        else:
            sites.append(Outline(name, shape, "" if classes is None else kinds[index]))
    for reason, names in (("without a shape that has an area", shapeless), ("wholly beyond the scene", beyond)):
        if names:
            notes.append(note_lost(reason, names))
    loss = Loss(len(shapes), invalid=len(layer.unclosed), outside=len(beyond), notes=tuple(notes))
    return Sites(sites, beyond, shapeless, shapes, loss)


def ground_of(path: Path, picture: Picture, options: Options) -> tuple[Layer, Shaped[np.ndarray, " N"], list[str]]:
    """The layer, its shapes as areas in the scene's coordinate system (None where there is none), and notes.

    Raises:
        InputError: as `read`.
    """
    import shapely

    if options.radius < 0:
        raise InputError(f"radius must be at least 0 metres, not {options.radius}")
    place = _place_of(picture)
    layer = read_layer(path, options.layer, tuple(filter(None, [options.class_column])))
    parts = [_parts(shape) for shape in layer.shapes]
    areas = _array([_joined(part, "Polygon") for part in parts])
    points = [[part for part in of_one if part.geom_type == "Point"] for of_one in parts]
    if any(points) and not options.radius:
        count = sum(map(bool, points))
        raise InputError(
            f"{path}: holds points ({count} of {len(parts)} features); say how far the sites reach with radius=METRES "
            "(--radius METRES)"
        )
    bounds = bounds_of(place, picture.shape)
    shapes, accuracy = moved(areas, layer.crs, place.crs, bounds)
    for index, of_one in enumerate(points):
        if of_one:
            circles = _circles(of_one, options.radius, layer.crs, place.crs, bounds)
            shapes[index] = shapely.union_all([*circles, *([] if shapes[index] is None else [shapes[index]])])
    return layer, shapes, _notes(layer, parts, accuracy, metres_per_pixel(place, picture.shape))


def write(path: Path, annotation: Annotation, picture: Picture) -> Loss:
    """The objects of a scene as polygons along pixel edges with columns `id` and, where there are any, `class`.

    They are in the scene's coordinate system, in GeoJSON in WGS84. What is read back is compared with what was written.

    Raises:
        InputError: what `write_layers` raises, or a picture without a place.
    """
    place = _place_of(picture)
    outlines = outlines_of(annotation.labels)
    ids = np.array(list(outlines), np.int32)
    columns: dict[str, Any] = {"id": ids}
    if annotation.classes:
        columns["class"] = np.array([annotation.classes[index - 1] for index in ids], object)
    shapes = on_ground(_array(list(outlines.values())), place)
    write_layers(path, {path.stem: Layer(place.crs, shapes, columns)})
    loss = compare(annotation, read(path, picture, Options(class_column="class" if annotation.classes else "")))
    if annotation.ignored is not None and annotation.ignored.any():
        count = int(annotation.ignored.sum())
        loss = replace(loss, notes=(*loss.notes, f"{count} pixels that nobody judged are background in this format"))
    return loss


def _place_of(picture: Picture) -> Georeference:
    if picture.georeference is None:
        raise InputError(f"{picture.file}: its place on the ground is unknown, but sites need it; give a GeoTIFF")
    return picture.georeference


def _parts(shape: Any) -> list[Any]:
    """The polygons, lines and points of a geometry, however deep, without heights."""
    import shapely

    if shape is None or shape.is_empty:
        return []
    if hasattr(shape, "geoms"):
        return [part for one in shape.geoms for part in _parts(one)]
    return [shapely.force_2d(shape)]


def _joined(parts: Sequence[Any], kind: str) -> Any:
    import shapely

    found = [part for part in parts if part.geom_type == kind]
    return shapely.MultiPolygon(found) if len(found) > 1 else (found[0] if found else None)


def _circles(points: Sequence[Any], radius: float, crs: str, target: str, bounds: Bounds) -> Shaped[np.ndarray, " N"]:
    """Circles on the ellipsoid around points."""
    import shapely
    from pyproj import Geod

    places, _ = moved(np.array(points, object), crs, WGS84)
    longitude, latitude = np.repeat(shapely.get_coordinates(places), _CORNERS_OF_A_CIRCLE, 0).T
    azimuths = np.tile(np.linspace(0, 360, _CORNERS_OF_A_CIRCLE, endpoint=False), len(points))
    x, y, _ = Geod(ellps="WGS84").fwd(longitude, latitude, azimuths, np.full(len(azimuths), radius))
    rings = np.stack([x, y], -1).reshape(len(points), _CORNERS_OF_A_CIRCLE, 2)
    return moved(shapely.polygons(rings), WGS84, target, bounds)[0]


def _reaches(shape: Any, size: tuple[int, int]) -> bool:
    left, top, right, bottom = shape.bounds
    return bool(left < size[1] and top < size[0] and right > 0 and bottom > 0)


def _class_of(value: Any) -> str:
    if value is None or value != value:
        return UNCLASSIFIED
    return str(int(value)) if isinstance(value, float | np.floating) and value == int(value) else str(value).strip()


def _notes(layer: Layer, parts: Sequence[Sequence[Any]], accuracy: float, metres: float | None) -> list[str]:
    import shapely

    notes = []
    if layer.unclosed:
        names = [f"feature {number}" for number in layer.unclosed]
        notes.append(f"{len(names)} had an outline that was not closed, which was closed: {first_few(names)}")
    if count := int(shapely.has_z(layer.shapes).sum()):
        notes.append(f"{count} have heights (Z), which labels do not hold")
    lines = [
        f"feature {number}"
        for number, of_one in zip(layer.numbers, parts, strict=True)
        if any(part.geom_type in ("LineString", "LinearRing") for part in of_one)
    ]
    if lines:
        notes.append(f"{len(lines)} hold lines, which have no area and are left out: {first_few(lines)}")
    if metres is not None and accuracy > metres:
        notes.append(f"places may be off by {accuracy:g} m: the shift between the two systems is not known better")
    return notes


def _array(shapes: Sequence[Any]) -> Shaped[np.ndarray, " N"]:
    found = np.empty(len(shapes), object)
    found[:] = shapes
    return found
