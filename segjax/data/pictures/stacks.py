"""TIFF stacks as pictures: which planes a file of OME, ImageJ or any other program holds, and what they are called.

Numbers of time points, depths, pages and channels count from 1, as Fiji shows them.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from segjax.data.pictures.decoders import file_kind, named
from segjax.data.pictures.tiff_layout import Position, layout_of, stack_text
from segjax.types import InputError


class Plane(NamedTuple):
    """One picture of a file.

    Attributes:
        name: the file's name without ending, then where in the stack: "cells@t3,z12" (time point 3, depth 12),
            "cells@p7" (page 7 of a stack that does not say what its pages are), "cells" where the file holds one
            picture. Numbers have leading zeros, so that the order of names is that of planes.
        volume: the name without depth or page: planes with the same are slices of one volume.
        at: where in the stack, as `read_picture` and `read_labels` take it.
    """

    name: str
    volume: str
    at: Position


def planes_of(path: Path) -> tuple[Plane, ...]:
    """The pictures of a file, slowest axis first: each a time point, depth or page with all its channels.

    Raises:
        InputError: the file cannot be read or is no picture, or its planes are not understood.
    """
    with named(path):
        axes = _axes(path)
    planes = []
    for numbers in product(*(range(1, size + 1) for _, size in axes)):
        parts = [
            (axis, f"{axis}{number:0{len(str(size))}}") for (axis, size), number in zip(axes, numbers, strict=True)
        ]
        at = tuple((axis, number) for (axis, _), number in zip(axes, numbers, strict=True))
        time = [text for axis, text in parts if axis == "t"]
        planes.append(Plane(_named(path, [text for _, text in parts]), _named(path, time), at))
    return tuple(planes)


def channel_names(path: Path) -> tuple[str, ...]:
    """Names that OME-XML or ImageJ give to the channels of a file; () where there are none.

    Raises:
        InputError: as `planes_of` does.
    """
    with named(path):
        return layout_of(path).names if file_kind(path) == "TIFF" else ()


def label_planes(picture: Path, labels: Path) -> tuple[Position, ...]:
    """Where in a label file the labels of every plane of a picture file lie, in the order of `planes_of`.

    Both have the same axes of the same lengths; or one axis each of the same length, of which one file does not say
    what it is.

    Raises:
        InputError: names the label file: its planes are not those of the picture.
    """
    with named(picture):
        here = _axes(picture)
    with named(labels):
        there = _axes(labels)
        if dict(here) != dict(there):
            is_unnamed = len(here) == len(there) == 1 and "p" in (here[0][0], there[0][0])
            if not is_unnamed or here[0][1] != there[0][1]:
                raise InputError(
                    f"is {stack_text(dict(there))}, but its picture is {stack_text(dict(here))}; save both with the "
                    "same time points and depths (in Fiji: Image > Properties)"
                )
            return tuple(((there[0][0], number),) for number in range(1, there[0][1] + 1))
        return tuple(plane.at for plane in planes_of(picture))


def _axes(path: Path) -> tuple[tuple[str, int], ...]:
    """The axes over which pictures spread, and their lengths; none where the file holds one picture."""
    return layout_of(path).around if file_kind(path) == "TIFF" else ()


def _named(path: Path, parts: Sequence[str]) -> str:
    return f"{path.stem}@{','.join(parts)}" if parts else path.stem
