"""Colour-coded masks: a picture in which every class has its colour, with a table of the colours.

The table is a CSV file with the columns colour (#FF8000 or "255, 128, 0") and class (a name). The class `background` is
no object, and pixels of the class `ignored` count as not judged. Several colours may be of one class.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64
from PIL import Image
from scipy.spatial import KDTree

from segjax.data.folders.tables import read_table
from segjax.data.formats.annotation import Annotation, Loss, Picture
from segjax.data.formats.files import check_opaque, check_size
from segjax.data.pictures.images import read_picture
from segjax.files import replacing
from segjax.ops.components import components
from segjax.types import InputError

BACKGROUND, IGNORED = "background", "ignored"
_IGNORED_VALUE = 255
_MOST_CLASSES = 254
_NEAR = 32  # levels by which JPEG and smoothing change a colour, so that it is still taken for it
_HEX = re.compile(r"#([0-9a-fA-F]{6})")
_NUMBERS = re.compile(r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})")


@dataclass(frozen=True)
class ColourTable:
    """Colours and what they mean.

    Attributes:
        values: value in a class image of each colour, as 65536 red + 256 green + blue: 0 background, 1.. classes, 255
            not judged. The first colour of a value is the one that is written.
        class_names: names of class 1, 2, ... in the order of the table.
    """

    values: Mapping[int, int]
    class_names: tuple[str, ...]


def open_table(path: Path) -> ColourTable:
    """Read a table of colours.

    Raises:
        InputError: the file lacks its columns, a colour is not understood or is there twice, a class has no name, or
            there are no classes or more than 254.
    """
    values: dict[int, int] = {}
    numbers: dict[str, int] = {BACKGROUND: 0, IGNORED: _IGNORED_VALUE}
    for text, name in read_table(path.parent, "colours", path.name, ("colour", "class")):
        colour = _colour(path, text)
        if colour in values:
            raise InputError(f"{path}: the colour {text} appears twice; give every class its own colour")
        if not name:
            raise InputError(f"{path}: the colour {text} has no class; write one, or {BACKGROUND} or {IGNORED}")
        values[colour] = numbers.setdefault(name, len(numbers) - 1)
    if not 1 <= len(numbers) - 2 <= _MOST_CLASSES:
        raise InputError(f"{path}: names {len(numbers) - 2} classes; a class image holds 1..{_MOST_CLASSES}")
    return ColourTable(values, tuple(numbers)[2:])


def read_classes(path: Path, table: ColourTable) -> Int32[np.ndarray, "H W"]:
    """The class image of a colour-coded mask: 0 background, 1.. classes of the table, 255 not judged.

    Raises:
        InputError: the file cannot be read, is transparent somewhere, holds more than 8 bits per colour, or has a
            colour that is not in the table.
    """
    check_opaque(path)
    levels = np.round(read_picture(path, scale="dtype", channels=3).astype(np.float64) * 255, 4)
    if (levels != np.round(levels)).any():
        raise InputError(f"{path}: holds more than 8 bits per colour; save it as RGB PNG of 8 bits")
    red, green, blue = np.moveaxis(levels.astype(np.int64), -1, 0)
    found, first, places, counts = np.unique(
        red << 16 | green << 8 | blue, return_index=True, return_inverse=True, return_counts=True
    )
    is_unknown = ~np.isin(found, list(table.values))
    if is_unknown.any():
        which = int(np.flatnonzero(is_unknown)[counts[is_unknown].argmax()])
        y, x = divmod(int(first[which]), red.shape[1])
        others = int(is_unknown.sum()) - 1
        where = f"({counts[which]} pixels, the first at x={x}, y={y})" + (f", and {others} more," if others else "")
        raise InputError(f"{path}: the colour #{found[which]:06x} {where} {_remedy(found[is_unknown], table)}")
    return np.array([table.values[int(colour)] for colour in found], np.int32)[places].reshape(red.shape)


def read(path: Path, picture: Picture, table: ColourTable) -> Annotation:
    """The 8-connected pieces of each class as objects.

    Raises:
        InputError: as `read_classes`, or the mask has another size than the picture.
    """
    values = read_classes(path, table)
    check_size(path, values.shape, picture.shape)
    ignored = values == _IGNORED_VALUE
    judged = np.where(ignored, 0, values)
    labels = components(judged)
    count, first = len(np.unique(labels[labels > 0])), np.unique(labels, return_index=True)
    classes = tuple(table.class_names[judged.flat[place] - 1] for label, place in zip(*first, strict=True) if label)
    return Annotation(labels, classes, ignored if ignored.any() else None, Loss(count, count))


def write(path: Path, annotation: Annotation, picture: Picture, table: ColourTable) -> Loss:
    """Write a PNG with a palette, whose places are the values of a class image.

    The format holds classes, not objects: those that touch become one, those in pieces several. Objects are compared
    with the piece that shares most pixels with them.

    Raises:
        InputError: an object's class, the background or pixels that nobody judged have no colour in the table, or the
            disk cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: colour-coded masks are written as PNG; name it {path.stem}.png")
    values = _values_of(path, annotation, table)
    palette = bytearray(3 * 256)
    for colour, value in reversed(list(table.values.items())):
        palette[3 * value : 3 * value + 3] = colour.to_bytes(3, "big")
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(bytes(palette))
    with replacing(path) as unfinished:
        image.save(unfinished, format="PNG")
    back = read(path, picture, table)
    written, left = len(np.unique(annotation.labels[annotation.labels > 0])), back.loss.objects_out
    notes = (f"{written} objects are {left} pieces of one class",) if written != left else ()
    return Loss(written, left, _changed(annotation.labels, back.labels), notes=notes)


def _colour(path: Path, text: str) -> int:
    if match := _HEX.fullmatch(text):
        return int(match[1], 16)
    numbers = [int(number) for number in match.groups()] if (match := _NUMBERS.fullmatch(text)) else [256]
    if max(numbers) > 255:
        raise InputError(f'{path}: {text!r} is not a colour; write #FF8000 or "255, 128, 0" in quotation marks')
    return int.from_bytes(bytes(numbers), "big")


def _remedy(unknown: np.ndarray, table: ColourTable) -> str:
    known = np.array(list(table.values))
    distances, nearest = KDTree(_channels(known)).query(_channels(unknown), p=np.inf)
    which = int(np.argmin(distances))
    if distances[which] > _NEAR:
        return "is not in the table of colours; add it with its class, or save the mask as PNG without smoothing"
    return (
        f"is not in the table of colours, and #{unknown[which]:06x} is nearly its #{known[nearest[which]]:06x}, as "
        "after JPEG or smoothing; save the mask as PNG from the original, without smoothing"
    )


def _channels(colours: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, "N 3"]:
    return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], -1)


def _values_of(path: Path, annotation: Annotation, table: ColourTable) -> Int32[np.ndarray, "H W"]:
    """The class image of an annotation, every value of which has a colour."""
    present = np.unique(annotation.labels[annotation.labels > 0])
    if len(present) and not annotation.classes and len(table.class_names) > 1:
        raise InputError(
            f"{path}: the objects have no classes, but the table has {len(table.class_names)}; keep one class in it"
        )
    names = {int(i): annotation.classes[i - 1] if annotation.classes else table.class_names[0] for i in present}
    if missing := sorted(set(names.values()) - set(table.class_names)):
        raise InputError(f"{path}: the class {missing[0]!r} has no colour in the table; add one")
    of_label = np.zeros(int(present.max(initial=0)) + 1, np.int32)
    for label, name in names.items():
        of_label[label] = 1 + table.class_names.index(name)
    values = of_label[annotation.labels]
    if annotation.ignored is not None:
        values = np.where(annotation.ignored & (annotation.labels == 0), _IGNORED_VALUE, values)
    for value, name in ((0, BACKGROUND), (_IGNORED_VALUE, IGNORED)):
        if (values == value).any() and value not in table.values.values():
            raise InputError(f"{path}: pixels of the class {name!r} have no colour in the table; add one")
    return values


def _changed(written: Int32[np.ndarray, "H W"], read: Int32[np.ndarray, "H W"]) -> int:
    """Pixels that are not shared by an object and its piece; each piece is that of one object at most."""
    pairs, counts = np.unique(np.stack([written.ravel(), read.ravel()]), axis=1, return_counts=True)
    objects, pieces, same = {0}, {0}, int(counts[(pairs == 0).all(0)].sum())
    for index in np.argsort(-counts, kind="stable"):
        one, other = (int(number) for number in pairs[:, index])
        if one not in objects and other not in pieces:
            objects.add(one)
            pieces.add(other)
            same += int(counts[index])
    return written.size - same
