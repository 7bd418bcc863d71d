"""QuPath: the objects of a picture as GeoJSON in pixel corners; needs the extra `formats`.

Read are a FeatureCollection, a list of features, and a single feature, also compressed by gzip.
"""

import gzip
import io
import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from segjax.data.formats.annotation import Annotation, Loss, Picture, check_formats
from segjax.data.formats.polygons import Outline, annotate, compare, fill, note_lost, outlines_of, repaired
from segjax.data.pictures.limits import largest_content
from segjax.files import read_file, write_file
from segjax.types import InputError

IGNORE = "Ignore*"  # QuPath's own class of regions that are not judged
_OBJECTS = ("detection", "cell")
_REGIONS = ("tile", "tma_core", "root", "image")


def read(path: Path, picture: Picture, part: Literal["cells", "nuclei"] = "cells") -> Annotation:
    """The polygons of a GeoJSON file that QuPath wrote, or a program that writes like it.

    Points and lines are left out and named. So are tiles and cores, and annotations beside cells or detections: they
    are the regions in which these were looked for. Regions of class "Ignore*" are not judged.

    Args:
        path: the file; it ends in .geojson or .json, or in .gz after that.
        picture: the picture.
        part: "cells" or "nuclei": which outline of cells with a nucleus; cells without one are then lost.

    Raises:
        InputError: the extra is missing, the file cannot be read, is no GeoJSON, holds objects of several planes, or
            all lie beyond the picture.
    """
    check_formats("rasterio", "shapely")
    import shapely

    features = _features(path)
    _check_planes(path, features)
    has_objects = any(_kind(feature) in _OBJECTS for feature in features)
    outlines, ignored, lost = [], [], defaultdict(list)
    for number, feature in enumerate(features, 1):
        name, kind, class_name = _name(feature, number), _kind(feature), _class_of(feature)
        geometry = _geometry(feature, part)
        if kind in _REGIONS or (has_objects and kind == "annotation" and class_name != IGNORE):
            lost[f"as they are regions ({kind}), not objects"].append(name)
        elif geometry is None:
            lost["without a nucleus" if part == "nuclei" and kind == "cell" else "without an outline"].append(name)
        else:
            try:
                with np.errstate(invalid="ignore"):  # of NaN, which is lost as an outline without area
                    shape = shapely.geometry.shape(geometry)
            except Exception as error:  # shapely raises nearly anything on geometries that are none
                raise InputError(
                    f"{path}: feature {name} is not a GeoJSON geometry ({error}); export it again"
                ) from error
            if _has_no_area(geometry):
                lost["as they are points or lines, not areas"].append(name)
            elif class_name == IGNORE:
                ignored.append(shape)
            else:
                outlines.append(Outline(name, shape, class_name))
    notes = tuple(note_lost(reason, names) for reason, names in lost.items())
    loss = Loss(objects_in=len(features) - len(ignored), notes=notes)
    annotation = annotate(path, outlines, picture.shape, loss)
    if not ignored:
        return annotation
    return replace(annotation, ignored=_mask(ignored, picture.shape) & (annotation.labels == 0))


def write(path: Path, annotation: Annotation, picture: Picture) -> Loss:
    """A FeatureCollection with a detection per object, its class, its holes and an id; QuPath opens it.

    Pixels that nobody judged become regions of class "Ignore*".

    Args:
        path: the file to be written; it ends in .geojson.
        annotation: the objects.
        picture: the picture they belong to.

    Raises:
        InputError: the extra is missing.
    """
    check_formats("rasterio", "shapely")
    features = []
    for number, (label, outline) in enumerate(outlines_of(annotation.labels).items(), 1):
        class_name = annotation.classes[label - 1] if annotation.classes else ""
        features.append(_feature(picture, f"{number}", "detection", outline, class_name))
    if annotation.ignored is not None:
        for outline in outlines_of(annotation.ignored.astype(np.int32)).values():
            features.append(_feature(picture, "not judged", "annotation", outline, IGNORE))
    write_file(path, json.dumps({"type": "FeatureCollection", "features": features}) + "\n")
    return compare(annotation, read(path, picture))


def _feature(picture: Picture, name: str, kind: str, outline: Any, class_name: str) -> dict[str, Any]:
    import shapely

    # the same picture and object give the same id, so that a file written twice is the same
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{picture.name}/{name}"))
    properties: dict[str, Any] = {"objectType": kind, "name": name}
    if class_name:
        properties["classification"] = {"name": class_name}
    return {"type": "Feature", "id": identity, "geometry": shapely.geometry.mapping(outline), "properties": properties}


def _unpacked(path: Path, content: bytes) -> bytes:
    limit = largest_content(len(content))
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise InputError(f"{path}: needs more than {limit / 2**20:,.0f} MiB when it is unpacked; unpack it yourself")
    return text


def _features(path: Path) -> list[dict[str, Any]]:
    """The features of a file, however they are wrapped."""
    try:
        content = read_file(path)
        data = json.loads(_unpacked(path, content) if content[:2] == b"\x1f\x8b" else content)
    except InputError:
        raise
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as GeoJSON ({error}); export it again from QuPath") from error
    if isinstance(data, dict):
        data = data.get("features") if data.get("type") == "FeatureCollection" else [data]
    is_known = isinstance(data, list) and all(isinstance(one, dict) and one.get("type") == "Feature" for one in data)
    if not is_known:
        raise InputError(
            f"{path}: holds no GeoJSON features; export the objects from QuPath with File > Export objects as GeoJSON"
        )
    return data


def _properties(feature: Mapping[str, Any]) -> dict[str, Any]:
    given = feature.get("properties")
    return given if isinstance(given, dict) else {}


def _kind(feature: Mapping[str, Any]) -> str:
    properties = _properties(feature)
    kind = properties.get("objectType", properties.get("object_type", "")) or "annotation"
    return str(kind).lower().removeprefix("path").removesuffix("object").removesuffix("_")


def _name(feature: Mapping[str, Any], number: int) -> str:
    return str(_properties(feature).get("name") or feature.get("id") or number)


def _class_of(feature: Mapping[str, Any]) -> str:
    """The class of a feature: QuPath writes a name, or the names of a class and its subclasses; others write text."""
    given = _properties(feature).get("classification")
    if isinstance(given, dict):
        names = given.get("names")
        given = given.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else "")
    return str(given or "")


def _geometry(feature: Mapping[str, Any], part: str) -> Any:
    if part == "nuclei" and _kind(feature) == "cell":
        return feature.get("nucleusGeometry") or _properties(feature).get("nucleusGeometry")
    return feature.get("geometry")


def _has_no_area(geometry: Mapping[str, Any]) -> bool:
    if geometry["type"] == "GeometryCollection":
        return all(_has_no_area(part) for part in geometry["geometries"])
    return geometry["type"] not in ("Polygon", "MultiPolygon")


def _check_planes(path: Path, features: list[dict[str, Any]]) -> None:
    """QuPath writes the plane of an object of a stack into its geometry; without one it is the first."""
    geometries = [geometry for feature in features if isinstance(geometry := feature.get("geometry"), dict)]
    found = [plane if isinstance(plane := geometry.get("plane"), dict) else {} for geometry in geometries]
    planes = {(str(plane.get("z", 0)), str(plane.get("t", 0))) for plane in found}
    if len(planes) > 1:
        raise InputError(f"{path}: holds objects on {len(planes)} planes of a stack; export every plane separately")


def _mask(geometries: list[Any], shape: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    mask = np.zeros(shape, bool)
    for geometry in geometries:
        area, _ = repaired(geometry)
        if area.area:
            y, x, part = fill(area, shape)
            mask[y : y + part.shape[0], x : x + part.shape[1]] |= part
    return mask
