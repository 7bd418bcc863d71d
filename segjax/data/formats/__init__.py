"""Annotations in the formats that other programs write and read, with a report of what got lost on the way."""

from collections.abc import Callable, Iterator, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from segjax.data.formats.annotation import UNNAMED, Annotation, Loss, Picture, Plane
from segjax.files import write_table
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


class Reading(NamedTuple):
    """What a file of annotations does not say itself.

    Attributes:
        colours: table of what colours mean.
        plane: which plane of its stack the picture is.
        layer, class_column, radius, all_touched: as of `segjax.data.formats.vectors.Options`.
    """

    colours: Path | None = None
    plane: Plane | None = None
    layer: str = ""
    class_column: str = ""
    radius: float = 0.0
    all_touched: bool = False


Reader = Callable[[Path, Picture, Reading], Annotation]
Writer = Callable[[Path, Items, Manner], Iterator[Loss]]


@dataclass(frozen=True)
class Format:
    """One way to keep annotations.

    Attributes:
        line: what it is, for help.
        read: the annotation of one picture from a file (or folder of masks). None: it is only written.
        write: all annotations into a folder, one loss for each as they are written. None: it is only read.
        endings: of files that belong to one picture, by which they are taken for this format.
        whole: endings of files that hold the annotations of a whole set.
        is_folder: the files of a picture lie in a folder of their own.
        pictures: where a picture lies in a folder of this format.
    """

    line: str
    read: Reader | None
    write: Writer | None
    endings: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    is_folder: bool = False
    pictures: str = "images/{name}{ending}"


def _reader(module: str, **options: Any) -> Reader:
    """The `read` of a module, which is imported on use as it may need an extra."""
    return lambda path, picture, _: _module(module).read(path, picture, **options)


def _writer(module: str, place: str) -> Writer:
    """The `write` of a module for every picture."""

    def write(folder: Path, items: Items, manner: Manner) -> Iterator[Loss]:
        for picture, annotation in items:
            path = folder / place.format(name=picture.name)
            (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
            yield _module(module).write(path, annotation, picture)

    return write


def _module(name: str) -> Any:
    return import_module(f"segjax.data.formats.{name}")


def _read_colours(path: Path, picture: Picture, reading: Reading) -> Annotation:
    if reading.colours is None:
        raise InputError(
            f"{path}: the meaning of its colours is unknown; give colours=FILE.csv (columns colour, class)"
        )
    colours = _module("colours")
    return colours.read(path, picture, colours.open_table(reading.colours))


def _write_colours(folder: Path, items: Items, manner: Manner) -> Iterator[Loss]:
    """Colour-coded masks in labels/ with colours.csv beside it: evenly spread hues, black background."""
    colours, names = _module("colours"), manner.class_names or (UNNAMED,)
    rows = [("#000000", colours.BACKGROUND), ("#FFFFFF", colours.IGNORED)]
    for number, name in enumerate(names):
        red, green, blue = (round(255 * part) for part in hsv_to_rgb(number / len(names), 1.0, 0.9))
        rows.append((f"#{red:02X}{green:02X}{blue:02X}", name))
    write_table(folder / "colours.csv", [("colour", "class"), *rows])
    table = colours.open_table(folder / "colours.csv")
    for picture, annotation in items:
        yield colours.write(folder / LABELS / f"{picture.name}.png", annotation, picture, table)


def _write_coco(folder: Path, items: Items, manner: Manner, polygons: bool = False) -> Iterator[Loss]:
    path = folder / "annotations.json"
    yield from _module("coco").write_set(path, items, manner.class_names, polygons=polygons)


def _write_labels(folder: Path, items: Items, manner: Manner) -> Iterator[Loss]:
    yield from _module("label_images").write_set(folder, items, manner.class_names, manner.dtype)


def _read_imagej(path: Path, picture: Picture, reading: Reading) -> Annotation:
    return _module("imagej").read(path, picture, reading.plane)


def _read_vectors(path: Path, picture: Picture, reading: Reading) -> Annotation:
    vectors = _module("vectors")
    return vectors.read(path, picture, vectors.Options(*reading[2:]))


FORMATS = {
    "labels": Format("label images, TIFF (int32 for napari), with class images", None, _write_labels),
    "imagej": Format(
        "ROIs of ImageJ and Fiji, a zip for each picture",
        _read_imagej,
        _writer("imagej", LABELS + "/{name}.zip"),
        endings=(".zip", ".roi"),
    ),
    "qupath": Format(
        "GeoJSON of QuPath, a file for each picture; of its cells the whole",
        _reader("qupath"),
        _writer("qupath", LABELS + "/{name}.geojson"),
        endings=(".geojson", ".geojson.gz", ".json"),
    ),
    "qupath_nuclei": Format("GeoJSON of QuPath, of its cells the nuclei", _reader("qupath", part="nuclei"), None),
    "coco": Format("COCO JSON, one file for the set, outlines as RLE", _reader("coco"), _write_coco, whole=(".json",)),
    "coco_polygons": Format(
        "COCO JSON with polygons, which hold no holes",
        None,
        lambda folder, items, manner: _write_coco(folder, items, manner, polygons=True),
    ),
    "object_masks": Format(
        "a mask file for each object, a folder for each picture, as in the Data Science Bowl 2018",
        _reader("object_masks"),
        _writer("object_masks", ""),
        is_folder=True,
        pictures="{name}/images/{name}{ending}",
    ),
    "cellpose": Format(
        "label images beside the pictures, as Cellpose's *_masks.tif", None, _writer("cellpose", "images")
    ),
    "colours": Format("masks in which every class has its colour, with a table", _read_colours, _write_colours),
    "vectors": Format(
        "GeoPackage, for pictures with a place on the ground (Shapefile and GeoJSON are read, too)",
        _read_vectors,
        _writer("vectors", LABELS + "/{name}.gpkg"),
        endings=(".gpkg", ".shp"),
        whole=(".gpkg", ".shp", ".geojson"),
    ),
}


def formats_of(use: Literal["read", "write"]) -> list[str]:
    """Names of the formats that can be read, or written."""
    return [name for name, one in FORMATS.items() if getattr(one, use)]


def name_without_ending(file: Path) -> str:
    """The name of a file without the ending of its format, or without its last ending."""
    endings = sorted((ending for one in FORMATS.values() for ending in one.endings), key=len, reverse=True)
    ending = next((ending for ending in endings if file.name.lower().endswith(ending)), file.suffix)
    return file.name[: len(file.name) - len(ending)]


def format_of(file: Path, is_whole: bool = False) -> str:
    """The format of a file that belongs to one picture, or to the whole set, by its ending; "" where it is none.

    A folder is one of masks.
    """
    if file.is_dir():
        return next(name for name, one in FORMATS.items() if one.is_folder)
    endings = {name: one.whole if is_whole else one.endings for name, one in FORMATS.items()}
    return next((name for name in endings if file.name.lower().endswith(endings[name])), "")
