"""Annotations in the formats that other programs write and read, with a report of what got lost on the way."""

import csv
from collections.abc import Callable, Iterator, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from segjax.data.formats.annotation import Annotation, Loss, Picture
from segjax.types import InputError

Items = Sequence[tuple[Picture, Annotation]]
Dtype = Literal["uint16", "int32", "smallest"]
LABELS = "labels"  # folder of the files that belong to one picture each


class Manner(NamedTuple):
    """How annotations are written.

    Attributes:
        class_names: names of class 1, 2, ...; () where classes are not told apart.
        dtype: of label images.
    """

    class_names: tuple[str, ...] = ()
    dtype: Dtype = "smallest"


@dataclass(frozen=True)
class Format:
    """One way to keep annotations.

    Attributes:
        line: what it is, for help.
        endings: of its files, by which a folder's files are taken for it; () where the name of the format must be said.
        place: whether a file belongs to one picture, a folder of files does, or one file holds the whole set.
        read: the annotation of one picture from a file (or folder, of folders); the third argument is the table of
            colours, where there is one. None: it is only written.
        write: all annotations into a folder, one loss for each as they are written. None: it is only read.
        pictures: where a picture lies in a folder of this format.
    """

    line: str
    endings: tuple[str, ...]
    place: Literal["picture", "folder", "set"]
    read: Callable[[Path, Picture, Path | None], Annotation] | None
    write: Callable[[Path, Items, Manner], Iterator[Loss]] | None
    pictures: str = "images/{file}"


def _reader(module: str, **options: Any) -> Callable[[Path, Picture, Path | None], Annotation]:
    """The `read` of a module, which is imported on use as it may need an extra."""
    return lambda path, picture, _: _module(module).read(path, picture, **options)


def _writer(module: str, place: str) -> Callable[[Path, Items, Manner], Iterator[Loss]]:
    """The `write` of a module for every picture."""

    def write(folder: Path, items: Items, manner: Manner) -> Iterator[Loss]:
        for picture, annotation in items:
            path = folder / place.format(name=picture.name)
            (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
            yield _module(module).write(path, annotation, picture)

    return write


def _module(name: str) -> Any:
    return import_module(f"segjax.data.formats.{name}")


def _read_colours(path: Path, picture: Picture, table: Path | None) -> Annotation:
    if table is None:
        raise InputError(f"{path}: what its colours mean is not known; give colours=FILE.csv (columns colour, class)")
    colours = _module("colours")
    return colours.read(path, picture, colours.open_table(table))


def _write_colours(folder: Path, items: Items, manner: Manner) -> Iterator[Loss]:
    """Colour-coded masks in labels/ with colours.csv beside it: evenly spread hues, black background."""
    colours, names = _module("colours"), manner.class_names or ("object",)
    rows = [("#000000", colours.BACKGROUND), ("#FFFFFF", colours.IGNORED)]
    for number, name in enumerate(names):
        red, green, blue = (round(255 * part) for part in hsv_to_rgb(number / len(names), 1.0, 0.9))
        rows.append((f"#{red:02X}{green:02X}{blue:02X}", name))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "colours.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("colour", "class"), *rows])
    table = colours.open_table(folder / "colours.csv")
    for picture, annotation in items:
        yield colours.write(folder / LABELS / f"{picture.name}.png", annotation, picture, table)


def _write_coco(folder: Path, items: Items, manner: Manner, polygons: bool = False) -> Iterator[Loss]:
    path = folder / "annotations.json"
    yield from _module("coco").write_set(path, items, manner.class_names, polygons=polygons)


def _write_labels(folder: Path, items: Items, manner: Manner) -> Iterator[Loss]:
    yield from _module("label_images").write_set(folder, items, manner.class_names, manner.dtype)


FORMATS = {
    "labels": Format("label images, TIFF (int32 for napari)", (), "picture", None, _write_labels),
    "imagej": Format(
        "ROI files and zips of ImageJ and Fiji",
        (".zip", ".roi"),
        "picture",
        _reader("imagej"),
        _writer("imagej", LABELS + "/{name}.zip"),
    ),
    "qupath": Format(
        "GeoJSON of QuPath, whole cells",
        (".geojson", ".geojson.gz", ".json"),
        "picture",
        _reader("qupath"),
        _writer("qupath", LABELS + "/{name}.geojson"),
    ),
    "qupath_nuclei": Format(
        "GeoJSON of QuPath, the nuclei of its cells", (), "picture", _reader("qupath", part="nuclei"), None
    ),
    "coco": Format("COCO JSON, outlines as RLE", (".json",), "set", _reader("coco"), _write_coco),
    "object_masks": Format(
        "a mask file for each object: NAME/images/ and NAME/masks/, as in the Data Science Bowl 2018",
        (),
        "folder",
        _reader("object_masks"),
        _writer("object_masks", ""),
        "{name}/images/{name}{ending}",
    ),
    "cellpose": Format(
        "label images beside the pictures, NAME_masks.tif, of Cellpose",
        (),
        "picture",
        _reader("cellpose"),
        _writer("cellpose", "images"),
    ),
    "colours": Format(
        "masks in which every class has its colour, with a table", (), "picture", _read_colours, _write_colours
    ),
    "coco_polygons": Format(
        "COCO JSON, outlines as polygons, which lose holes",
        (),
        "set",
        None,
        lambda folder, items, manner: _write_coco(folder, items, manner, polygons=True),
    ),
}


def formats_of(use: Literal["read", "write"]) -> list[str]:
    """Names of the formats that can be read, or written."""
    return [name for name, one in FORMATS.items() if getattr(one, use)]


def name_without_ending(file: Path) -> str:
    """The name of a file without the ending of its format, or without its last ending."""
    endings = sorted((ending for one in FORMATS.values() for ending in one.endings), key=len, reverse=True)
    found = next((ending for ending in endings if file.name.lower().endswith(ending)), file.suffix)
    return file.name.removesuffix(file.name[len(file.name) - len(found) :]) if found else file.name


def format_of(file: Path, place: Literal["picture", "folder", "set"]) -> str:
    """The format of a file by its ending, of a folder by its being one; "" where it is none of them."""
    candidates = {name: one for name, one in FORMATS.items() if one.place == place}
    if place == "folder":
        return next(iter(candidates), "")
    return next((name for name, one in candidates.items() if file.name.lower().endswith(one.endings or ("\0",))), "")
