"""What every format is read into and written from, and the report of what a conversion changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from segjax.data.folders.tables import first_few
from segjax.types import Georeference, InputError

UNNAMED = "object"  # the one class of a file that must name classes, and whose objects have none


@dataclass(frozen=True)
class Loss:
    """What reading or writing one picture's annotation changed; all zero where nothing did.

    Attributes:
        objects_in: objects that the file (read) or the label image (written) holds.
        objects_out: objects that are left after it.
        pixels_changed: written: pixels whose object differs when the file is read back. Read: 0.
        overlapping: pixels that several objects claimed; the smaller object has them (`paint`).
        holes_filled: holes that the format cannot hold.
        invalid: outlines that cross themselves or have no area, which were repaired or left out.
        outside: objects with a part beyond the picture's border, which was cut off.
        notes: what else a reader should know, a sentence each; lost objects are named here.
    """

    objects_in: int = 0
    objects_out: int = 0
    pixels_changed: int = 0
    overlapping: int = 0
    holes_filled: int = 0
    invalid: int = 0
    outside: int = 0
    notes: tuple[str, ...] = ()


class Picture(NamedTuple):
    """What a reader of annotations has to know about the picture they belong to.

    Attributes:
        name: as in its source.
        file: name of its file, with ending.
        shape: height and width in pixels.
        georeference: where it lies on the ground, where that is known.
    """

    name: str
    file: str
    shape: tuple[int, int]
    georeference: Georeference | None = None


class Plane(NamedTuple):
    """The plane of a stack that a picture is, counted from 1.

    Attributes:
        position: number of the plane in the whole stack, channels not counted.
        z, t: its slice and time point, 1 where the stack has no such axis.
        channels: how many the stack has; they count in positions as ImageJ stores them.
    """

    position: int = 1
    z: int = 1
    t: int = 1
    channels: int = 1


@dataclass(frozen=True, eq=False)
class Annotation:
    """One picture's annotation, whatever file it came from.

    Attributes:
        labels: int32 [H, W]; 0 is background, 1..N are objects in the order of the file.
        classes: the class name of object i at position i - 1; () where the file tells no classes apart.
        ignored: bool [H, W], pixels that nobody judged (COCO crowds); None: all are judged.
        loss: what reading changed.
    """

    labels: Int32[np.ndarray, "H W"]
    classes: tuple[str, ...] = ()
    ignored: Bool[np.ndarray, "H W"] | None = None
    loss: Loss = field(default_factory=Loss)


class Piece(NamedTuple):
    """One object before it is painted: its pixels inside a box of the picture.

    Attributes:
        y, x: first row and column of the box.
        mask: bool [h, w], the object's pixels in the box; the box lies inside the picture.
    """

    y: int
    x: int
    mask: Bool[np.ndarray, "h w"]


def paint(shape: tuple[int, int], pieces: Sequence[Piece]) -> tuple[Int32[np.ndarray, "H W"], int, list[int]]:
    """A label image of objects that may overlap: the largest is painted first, of equal ones the earlier.

    So no object is hidden by a larger one, and the order in the file decides only between equal areas.

    Returns:
        The label image, in which piece i has the id i + 1; the number of pixels that several pieces claim; the
        positions of pieces of which no pixel is left.
    """
    labels, claims = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    order = sorted(range(len(pieces)), key=lambda index: -int(pieces[index].mask.sum()))
    for index in order:
        y, x, mask = pieces[index]
        box = np.s_[y : y + mask.shape[0], x : x + mask.shape[1]]
        labels[box][mask] = index + 1
        claims[box] += mask
    left = np.bincount(labels.ravel(), minlength=len(pieces) + 1)[1:]
    return labels, int((claims > 1).sum()), np.flatnonzero(left == 0).tolist()


def painted(
    shape: tuple[int, int], pieces: Sequence[Piece], names: Sequence[str], classes: Sequence[str], loss: Loss
) -> Annotation:
    """The annotation of objects that may overlap; those of which no pixel is left are named, and ids close up.

    Args:
        shape: height and width of the picture.
        pieces: the objects, of which some may have no pixel.
        names: what messages call each of them.
        classes: the class name of each, or ().
        loss: what reading them lost so far; what painting loses is added.
    """
    labels, overlapping, without = paint(shape, pieces)
    lost = set(without)
    kept = [index for index in range(len(pieces)) if index not in lost]
    ids = np.zeros(len(pieces) + 1, np.int32)
    ids[np.array(kept, int) + 1] = np.arange(1, len(kept) + 1)
    hidden = [names[index] for index in without if pieces[index].mask.any()]
    empty = [names[index] for index in without if not pieces[index].mask.any()]
    notes = [
        f"{len(which)} {reason}: {first_few(which)}"
        for reason, which in (("lost without a pixel in the picture", empty), ("lost under smaller ones", hidden))
        if which
    ]
    return Annotation(
        ids[labels],
        tuple(classes[index] for index in kept) if classes else (),
        loss=replace(loss, objects_out=len(kept), overlapping=overlapping, notes=(*loss.notes, *notes)),
    )


def check_formats(*packages: str) -> None:
    """Stop where packages of the extra `formats` are not installed.

    Raises:
        InputError: names the packages and how to install them.
    """
    if missing := [name for name in packages if find_spec(name) is None]:
        raise InputError(f"{', '.join(missing)} not installed; run: pip install 'segjax[formats]'")
