"""COCO JSON, the annotations of a whole set in one file: polygons, both run-length encodings (RLE), crowds.

Needs the extra `formats`. Outlines are filled as pycocotools fills them: the corners are rounded to a fifth of a pixel,
(0, 0) being the upper left corner of the first pixel, and a pixel belongs to an outline where its centre does. Where an
outline crosses itself, what lies inside twice is outside. Several polygons of one annotation are one object, of which
each pixel in any polygon is part: COCO's polygons hold no holes, its RLE does.

Objects are numbered in the order of the file, picture by picture; `write_set` writes them in the order of their ids, so
that ids without a gap survive a round trip.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import eq
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from segjax.data.folders.tables import first_few
from segjax.data.formats.annotation import UNNAMED, Annotation, Loss, Picture, Piece, check_formats, painted
from segjax.data.formats.polygons import compare, outlines_of
from segjax.files import read_file, write_file
from segjax.types import InputError

_FARTHEST = 1_000_000  # pixels; pycocotools counts in fifths of a pixel, with 32 bits


@dataclass(frozen=True, eq=False)
class CocoSet:
    """A COCO file, parsed and checked but for the outlines.

    Attributes:
        path: of the file.
        files: names of the picture files as they are written there, folders included, in the order of the file.
        class_names: names of the categories in the order of their ids; () for the one category "object".
        categories: the name of each category id.
        images: entries of pictures by the last part of their file name.
        annotations: those of each picture id, in the order of the file.
    """

    path: Path
    files: tuple[str, ...]
    class_names: tuple[str, ...]
    categories: Mapping[Any, str]
    images: Mapping[str, Sequence[Mapping[str, Any]]]
    annotations: Mapping[Any, Sequence[Mapping[str, Any]]]

    def image(self, file: str) -> Mapping[str, Any]:
        """The entry of a picture file; one of the two names may have folders that the other lacks.

        Raises:
            InputError: no picture or several fit.
        """
        parts = _parts(file)
        same = self.images.get(parts[-1], ())
        exact = [entry for entry in same if _parts(entry["file_name"]) == parts]
        ends = ((entry, _parts(entry["file_name"])) for entry in same)
        found = exact or [entry for entry, end in ends if all(map(eq, reversed(parts), reversed(end)))]
        if not found:
            raise InputError(
                f"{self.path}: has no picture {file}; its pictures are {first_few(self.files) or 'none'}; "
                "correct file_name there or rename the picture"
            )
        if len(found) > 1:
            names = first_few([entry["file_name"] for entry in found])
            raise InputError(f"{self.path}: {file} may be any of {names}; name the picture with its folder")
        return found[0]


def open_set(path: Path) -> CocoSet:
    """A COCO file, parsed once as long as it does not change.

    Raises:
        InputError: the file is no COCO file, names a picture or a category twice, or has an annotation of an unknown
            picture or category.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); correct the name") from error
    return _open(path, state.st_size, state.st_mtime_ns)


def read(path: Path, picture: Picture) -> Annotation:
    """The objects of one picture; pixels of crowds that are no object's are ignored.

    Raises:
        InputError: as `open_set`; the picture is not in the file or has another size there; an outline is not
            understood or of another size.
    """
    check_formats("pycocotools", "shapely")
    coco = open_set(path)
    entry = coco.image(picture.file)
    size = (entry.get("height", picture.shape[0]), entry.get("width", picture.shape[1]))
    if size != picture.shape:
        raise InputError(
            f"{path}: {picture.file} is {size[0]} x {size[1]} in this file (height x width), but the picture is "
            f"{picture.shape[0]} x {picture.shape[1]}; annotate the picture at its own size"
        )
    pieces, names, classes, without = [], [], [], []
    holes = invalid = outside = 0
    crowd = np.zeros(picture.shape, bool)
    for annotation in coco.annotations.get(entry["id"], ()):
        name = f"annotation {annotation.get('id', '(without id)')}"
        if not _has_outline(annotation):
            without.append(name)
            continue
        drawn = _draw(f"{path}: {name} of {picture.file}", annotation["segmentation"], picture.shape)
        if annotation.get("iscrowd"):
            y, x, mask = drawn.piece
            crowd[y : y + mask.shape[0], x : x + mask.shape[1]] |= mask
            continue
        pieces.append(drawn.piece)
        names.append(name)
        classes.append(coco.categories[annotation["category_id"]])
        holes, invalid, outside = holes + drawn.holes, invalid + drawn.is_invalid, outside + drawn.is_outside
    notes = (f"{len(without)} lost without outline (a box only): {first_few(without)}",) if without else ()
    loss = Loss(len(pieces) + len(without), holes_filled=holes, invalid=invalid, outside=outside, notes=notes)
    found = painted(picture.shape, pieces, names, classes if coco.class_names else (), loss)
    ignored = crowd & (found.labels == 0)
    return replace(found, ignored=ignored if ignored.any() else None)


def write_set(
    path: Path,
    items: Sequence[tuple[Picture, Annotation]],
    class_names: Sequence[str] = (),
    polygons: bool = False,
) -> list[Loss]:
    """Write the annotations of all pictures, read them back, and say per picture what changed.

    Args:
        path: the file.
        items: pictures with their annotations; gone through twice, so they may be read from disk on access.
        class_names: names of category 1, 2, ...; others follow in the order in which they appear. Objects without a
            class have the category "object". Pixels that nobody judged are a crowd of every category.
        polygons: outlines along pixel edges, which lose holes, in place of compressed RLE, which loses nothing.

    Raises:
        InputError: the extra `formats` is missing, two pictures have one file name, or the disk cannot be written.
    """
    check_formats("pycocotools", "rasterio", "shapely")
    categories = {name: number for number, name in enumerate(class_names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    crowds: list[tuple[int, dict[str, Any]]] = []
    holes = []
    for number, (picture, annotation) in enumerate(items, 1):
        height, width = picture.shape
        images.append({"id": number, "file_name": picture.file, "height": height, "width": width})
        outlines, filled = _polygons(annotation) if polygons else (_rles(annotation), 0)
        holes.append(filled)
        for label, outline, rle in outlines:
            name = annotation.classes[label - 1] if annotation.classes else UNNAMED
            category = categories.setdefault(name, len(categories) + 1)
            annotations.append(_entry(len(annotations) + 1, number, category, outline, rle))
        if annotation.ignored is not None and annotation.ignored.any():
            crowds.append((number, _encode(annotation.ignored)))
    if crowds and not categories:
        categories[UNNAMED] = 1
    for number, rle in crowds:
        for category in categories.values():
            entry = _entry(len(annotations) + 1, number, category, _text(rle), rle)
            annotations.append({**entry, "iscrowd": 1})
    content = {
        "info": {"description": "The annotations of a picture are in the order of its object ids."},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    write_file(path, json.dumps(content) + "\n")
    back = (compare(annotation, read(path, picture)) for picture, annotation in items)
    return [replace(loss, holes_filled=filled) for loss, filled in zip(back, holes, strict=True)]


class _Written(NamedTuple):
    label: int
    segmentation: object
    rle: dict[str, Any]


class _Drawn(NamedTuple):
    piece: Piece
    holes: int = 0
    is_invalid: bool = False
    is_outside: bool = False


@lru_cache(maxsize=2)
def _open(path: Path, size: int, changed: int) -> CocoSet:
    try:
        content = json.loads(read_file(path))
    except InputError:
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path}: is not a COCO file (not JSON: {error}); export the annotations again") from error
    if isinstance(content, list):
        raise InputError(
            f"{path}: holds a list, as COCO results do; give the file with images, annotations, categories"
        )
    keys = ("images", "annotations", "categories")
    lists: list[Any] = [content.get(key) if isinstance(content, dict) else None for key in keys]
    if not all(isinstance(part, list) and all(isinstance(entry, dict) for entry in part) for part in lists):
        raise InputError(
            f"{path}: is not a COCO file with the lists images, annotations and categories; export it again"
        )
    images, annotations, categories = lists
    names = _unique(path, categories, "categories", "name")
    pictures = _unique(path, images, "images", "file_name")
    of_picture: dict[Any, list[Mapping[str, Any]]] = {key: [] for key in pictures}
    for number, annotation in enumerate(annotations):
        name = f"annotation {annotation.get('id', f'in place {number + 1}')}"
        for key, known, what in (("image_id", pictures, "picture"), ("category_id", names, "category")):
            if not _is_id(annotation.get(key)) or annotation[key] not in known:
                raise InputError(
                    f"{path}: {name} has the {what} {annotation.get(key)!r}, which the file does not list; add the "
                    f"{what} or remove the annotation"
                )
        if annotation.get("iscrowd", 0) not in (0, 1):
            raise InputError(f"{path}: {name} has iscrowd {annotation['iscrowd']!r}; write 0 or 1")
        of_picture[annotation["image_id"]].append(annotation)
    if annotations and not any(map(_has_outline, annotations)):
        raise InputError(f"{path}: holds boxes only, no outlines (segmentation); export the outlines too")
    by_end: dict[str, list[Mapping[str, Any]]] = {}
    for image in images:
        by_end.setdefault(_parts(image["file_name"])[-1], []).append(image)
    ordered = tuple(names[key] for key in sorted(names, key=lambda key: (isinstance(key, str), key)))
    class_names = () if ordered == (UNNAMED,) else ordered
    return CocoSet(path, tuple(pictures.values()), class_names, names, by_end, of_picture)


def _unique(path: Path, entries: Sequence[Mapping[str, Any]], kind: str, key: str) -> dict[Any, str]:
    """Names by id; InputError where an entry lacks one of them or two entries have the same."""
    names: dict[Any, str] = {}
    ids: dict[str, Any] = {}
    for entry in entries:
        number, name = entry.get("id"), entry.get(key)
        if not _is_id(number) or not isinstance(name, str) or not name.strip():
            raise InputError(f"{path}: an entry of {kind} lacks id or {key}: {str(entry)[:80]}; export the file again")
        if number in names:
            raise InputError(f"{path}: id {number} of {kind} appears twice; give every entry its own id")
        if name in ids:
            raise InputError(
                f"{path}: {key} {name} is there twice in {kind} (ids {ids[name]} and {number}); "
                "keep one and move its annotations there"
            )
        names[number], ids[name] = name, number
    return names


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _has_outline(annotation: Mapping[str, Any]) -> bool:
    return annotation.get("segmentation") not in (None, "", [], [[]], {})


def _parts(file: str) -> tuple[str, ...]:
    """Folders and name of a file, whatever system wrote them."""
    return PurePosixPath(unicodedata.normalize("NFC", file.replace("\\", "/"))).parts or (file,)


def _draw(where: str, segmentation: object, shape: tuple[int, int]) -> _Drawn:
    """The pixels of one annotation."""
    if isinstance(segmentation, dict):
        return _Drawn(_crop(_checked_rle(where, segmentation, shape)))
    if isinstance(segmentation, list):
        is_flat = all(isinstance(part, int | float) for part in segmentation)
        return _fill(where, [segmentation] if is_flat else segmentation, shape)
    raise InputError(f"{where}: the outline is neither polygons nor RLE; export the file again")


def _checked_rle(where: str, segmentation: Mapping[str, Any], shape: tuple[int, int]) -> dict[str, Any]:
    """An RLE that covers the picture exactly: pycocotools hands out memory at random where one is too short."""
    from pycocotools import mask

    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != list(shape):
        raise InputError(
            f"{where}: its RLE has size {size}, but the picture has {list(shape)} (height, width); export it again"
        )
    area = shape[0] * shape[1]
    if isinstance(counts, str):
        counts = _counts_of(counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        counts = []
    if sum(counts) != area:
        raise InputError(f"{where}: its RLE does not cover the {area} pixels of the picture; export it again")
    return mask.frPyObjects({"size": size, "counts": counts}, *shape)


def _counts_of(text: str) -> list[int]:
    """The counts of a compressed RLE, so that they can be checked; pycocotools does not hand them out.

    A count is cut into groups of 5 bits, the lowest first, each a character from "0" on to which 32 is added where
    another follows; the highest bit of the last is the sign. From the fourth count on it is the difference to the one
    two before (`rleFrString` in pycocotools).
    """
    counts: list[int] = []
    count = bits = 0
    for character in text:
        group = ord(character) - ord("0")
        if not 0 <= group < 64:
            return []
        count |= (group & 31) << bits
        bits += 5
        if not group & 32:
            signed = count - (1 << bits) if group & 16 else count
            counts.append(signed + (counts[-2] if len(counts) > 2 else 0))
            count = bits = 0
    return counts if bits == 0 else []


def _fill(where: str, polygons: Sequence[object], shape: tuple[int, int]) -> _Drawn:
    """The union of polygons [x, y, x, y, ...]."""
    import shapely
    from pycocotools import mask

    rings, is_invalid, is_outside = [], False, False
    for polygon in polygons:
        ring = _checked_ring(where, polygon, shape)
        outline = shapely.Polygon(ring) if len(ring) > 2 else shapely.Polygon()
        is_invalid |= not outline.is_valid or outline.area == 0
        # half a pixel beyond the border lies no centre of a pixel yet
        is_outside |= bool(ring.min() < -0.5 or (ring > np.array(shape[::-1]) + 0.5).any())
        if len(ring) > 2:
            rings.append((ring, outline))
    if not rings:
        return _Drawn(Piece(0, 0, np.zeros((0, 0), bool)), 0, True, is_outside)
    rle = mask.merge(mask.frPyObjects([ring.ravel().tolist() for ring, _ in rings], *shape))
    holes = 0
    if len(rings) > 1 and not is_invalid:
        areas = [outline for _, outline in rings]
        holes = sum(any(other is not area and other.contains(area) for other in areas) for area in areas)
    return _Drawn(_crop(rle), holes, is_invalid, is_outside)


def _checked_ring(where: str, polygon: object, shape: tuple[int, int]) -> np.ndarray:
    """Corners [V, 2]; coordinates that pycocotools would answer with gigabytes are refused."""
    if not isinstance(polygon, list) or not polygon or not all(type(value) in (int, float) for value in polygon):
        raise InputError(f"{where}: a polygon is not a list of numbers; export the file again")
    if len(polygon) % 2:
        raise InputError(f"{where}: a polygon has {len(polygon)} numbers; each corner needs x and y")
    if not all(abs(value) <= _FARTHEST for value in polygon):  # NaN is not
        raise InputError(f"{where}: a polygon lies far outside any picture; export it in pixels")
    ring = np.array(polygon, float).reshape(-1, 2)
    length = float(np.linalg.norm(ring - np.roll(ring, 1, 0), axis=1).sum())
    longest = 4 * shape[0] * shape[1] + 10 * (shape[0] + shape[1])  # every pixel edge, and some beyond the border
    if length > longest:
        raise InputError(
            f"{where}: an outline is {length:.0f} pixels long, but the picture is {shape[0]} x {shape[1]}; export the "
            "outlines of this picture, in its pixels"
        )
    return ring


def _crop(rle: Mapping[str, Any]) -> Piece:
    from pycocotools import mask

    x, y, width, height = (int(value) for value in mask.toBbox(rle))
    return Piece(y, x, mask.decode(rle)[y : y + height, x : x + width].astype(bool))


def _encode(pixels: np.ndarray) -> dict[str, Any]:
    from pycocotools import mask

    return mask.encode(np.asfortranarray(pixels, np.uint8))


def _text(rle: Mapping[str, Any]) -> dict[str, Any]:
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def _rles(annotation: Annotation) -> Iterator[_Written]:
    for label in np.unique(annotation.labels[annotation.labels > 0]):
        rle = _encode(annotation.labels == label)
        yield _Written(int(label), _text(rle), rle)


def _polygons(annotation: Annotation) -> tuple[list[_Written], int]:
    """Outlines along pixel edges, and the number of holes that they fill."""
    from pycocotools import mask

    found, holes = [], 0
    for label, geometry in outlines_of(annotation.labels).items():
        parts = getattr(geometry, "geoms", [geometry])
        holes += sum(len(part.interiors) for part in parts)
        rings = [[int(value) for corner in part.exterior.coords[:-1] for value in corner] for part in parts]
        found.append(_Written(label, rings, mask.merge(mask.frPyObjects(rings, *annotation.labels.shape))))
    return found, holes


def _entry(number: int, image: int, category: int, segmentation: object, rle: Mapping[str, Any]) -> dict[str, Any]:
    from pycocotools import mask

    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": segmentation,
        "area": int(mask.area(rle)),
        "bbox": mask.toBbox(rle).tolist(),
        "iscrowd": 0,
    }
