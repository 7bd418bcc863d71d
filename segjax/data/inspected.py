"""What is known of one picture and its label image after both were read once, and what is wrong with them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import cc3d
import numpy as np
from jaxtyping import Int32, Int64

from segjax.data.images import is_8_bit, read_labels, read_picture
from segjax.data.listing import Entry, FolderOptions, Problem
from segjax.data.tables import first_few
from segjax.types import InputError

UNCLASSIFIED = 255  # pixel value of class images that means "not judged"
_SAME_SIZE = "export both at the same size, labels without interpolation"
_SECOND_CLASS = 0.25  # share of an object from which a second class contradicts the first; outlines may differ a little


@dataclass(frozen=True, eq=False)
class Inspected:
    """What is known of one picture after it was read once.

    Attributes:
        shape: height and width in pixels.
        channels: channels of the picture as it will be given out.
        content: hash of the picture's values; equal for the same picture under two names.
        files: hash of the bytes of picture, label and class image.
        ids: int32 [N], the label values present, ascending, 0 left out.
        class_values: int32 [K], the values of the class image (of the mask, for labels=components), ascending, 0 left
            out.
        areas: int64 [N, K], pixels of object n that have class value k.
        pieces: number of 8-connected pieces of all objects.
        has_truncated_ids: the ids look cut to 8 bits.
    """

    shape: tuple[int, int]
    channels: int
    content: str
    files: str
    ids: Int32[np.ndarray, " N"]
    class_values: Int32[np.ndarray, " K"]
    areas: Int64[np.ndarray, "N K"]
    pieces: int
    has_truncated_ids: bool


def read_annotation(
    entry: Entry, options: FolderOptions
) -> tuple[Int32[np.ndarray, "H W"], Int32[np.ndarray, "H W"] | None]:
    """Object ids (pieces of the mask, for labels=components) and the class of each pixel, if known.

    Without label image all ids are 0.
    """
    if entry.labels is None:
        height, width, _ = read_picture(entry.image).shape
        return np.zeros((height, width), np.int32), None
    labels = read_labels(entry.labels)
    is_apart = entry.classes is not None and entry.classes != entry.labels
    classes = read_labels(entry.classes) if entry.classes and is_apart else None
    if classes is not None and classes.shape != labels.shape:
        sizes = f"size {_size(classes.shape)} beside labels of {_size(labels.shape)}"
        raise InputError(f"{entry.classes}: {sizes}; {_SAME_SIZE}")
    if options.labels == "instances":
        return labels, classes
    return _pieces(labels), labels if classes is None else classes


def read_image(entry: Entry, options: FolderOptions) -> np.ndarray:
    """The picture of an entry, scaled and with the channels that the options ask for."""
    scale = cast(Literal["max", "dtype"], options.scale)
    return read_picture(entry.image, scale=scale, channels=int(options.channels or 0))


def _pieces(labels: Int32[np.ndarray, "H W"]) -> Int32[np.ndarray, "H W"]:
    """8-connected pieces of equal value, numbered from 1."""
    return cc3d.connected_components(labels, connectivity=8, out_dtype=np.uint32).astype(np.int32)


def inspect_picture(entry: Entry, options: FolderOptions) -> tuple[Inspected | None, list[Problem]]:
    """Read a picture and its labels; None where they cannot be used together."""
    problems: list[Problem] = []
    image = labels = classes = None
    try:
        image = read_image(entry, options)
    except InputError as error:
        problems.append(problem_of(entry.image, error))
    try:
        labels, classes = read_annotation(entry, options)
    except InputError as error:
        named = [path for path in (entry.labels, entry.classes) if path and str(error).startswith(f"{path}: ")]
        problems.append(problem_of(named[0], error))
    if image is not None and image.min() == image.max():
        problems.append(Problem(entry.image, "every pixel has the same value", "remove it or export it again"))
    if labels is not None and options.empty == "refuse" and not options.image_labels and entry.labels:
        judged = labels if entry.classes is None or classes is None else labels * (classes != UNCLASSIFIED)
        if not judged.any():
            kind = "object" if not labels.any() else "object that was judged"
            remedy = "annotate or remove it, or give empty=keep"
            problems.append(Problem(entry.labels, f"no {kind} in the label image", remedy))
    if image is None or labels is None:
        return None, problems
    if labels.shape != image.shape[:2]:
        sizes = f"size {_size(labels.shape)} beside a picture of {_size(image.shape)}"
        problems.append(Problem(entry.labels or entry.image, sizes, _SAME_SIZE))
        return None, problems
    found = _measure(entry, options, image, labels, classes)
    if found.has_truncated_ids:
        reason = f"8-bit labels hold {found.pieces} separate objects; ids above 255 were cut off or wrapped around"
        problems.append(Problem(entry.labels or entry.image, reason, "export ids again as 16- or 32-bit PNG or TIFF"))
    if classes is not None and entry.classes not in (None, entry.labels):
        problems += [
            Problem(entry.classes or entry.labels or entry.image, reason, remedy)
            for reason, remedy in _contradictions(labels, classes, found)
        ]
    return found, problems


def _contradictions(
    labels: Int32[np.ndarray, "H W"], classes: Int32[np.ndarray, "H W"], found: Inspected
) -> list[tuple[str, str]]:
    """Where class image and labels exclude each other: reason and remedy."""
    contradictions = []
    _, sizes = np.unique(labels[labels > 0], return_counts=True)
    unnamed = found.ids[2 * found.areas.sum(1) < sizes]
    if len(unnamed):
        reason = f"no class under (most of) object {first_few(unnamed.tolist())}"
        contradictions.append((reason, f"give it a class, {UNCLASSIFIED} if unknown"))
    judged = found.areas[:, found.class_values != UNCLASSIFIED]
    divided = found.ids[judged.sum(1) - judged.max(1, initial=0) > _SECOND_CLASS * judged.sum(1)]
    if len(divided):
        contradictions.append(
            (f"several classes under object {first_few(divided.tolist())}", "give every object one class")
        )
    pieces = _pieces(np.where(classes == UNCLASSIFIED, 0, classes))
    alone = np.setdiff1d(pieces, [*np.unique(pieces[labels > 0]), 0])
    if len(alone):
        row, column = np.argwhere(pieces == alone[0])[0]
        reason = f"{len(alone)} region(s) with a class and no object, the first at row {row}, column {column}"
        contradictions.append((reason, "add the objects to the labels, or give the regions class 0 or 255"))
    return contradictions


def _measure(
    entry: Entry,
    options: FolderOptions,
    image: np.ndarray,
    labels: Int32[np.ndarray, "H W"],
    classes: Int32[np.ndarray, "H W"] | None,
) -> Inspected:
    inside = labels > 0
    ids, position = np.unique(labels[inside], return_inverse=True)
    under = np.zeros(0, np.int32) if classes is None else classes[inside]
    values = np.unique(under if classes is None else classes[classes > 0])
    areas = np.zeros((len(ids), len(values)), np.int64)
    if len(values):
        has_class = under > 0
        flat = position[has_class] * len(values) + np.searchsorted(values, under[has_class])
        areas = np.bincount(flat, minlength=areas.size).reshape(areas.shape)
    pieces = _pieces(labels) if options.labels == "instances" else labels
    pieces_of_255 = len(np.unique(pieces[labels == 255]))
    count = int(pieces.max())
    looks_cut = count > 255 or (len(ids) > 100 and pieces_of_255 > 2)
    return Inspected(
        shape=(int(labels.shape[0]), int(labels.shape[1])),
        channels=int(image.shape[-1]),
        content=_hash(repr(image.shape).encode(), image.tobytes()),
        files=_hash(*(path.read_bytes() for path in (entry.image, entry.labels, entry.classes) if path)),
        ids=ids.astype(np.int32),
        class_values=values.astype(np.int32),
        areas=areas,
        pieces=count,
        has_truncated_ids=bool(
            options.labels == "instances" and pieces_of_255 and looks_cut and entry.labels and is_8_bit(entry.labels)
        ),
    )


def problem_of(path: Path, error: InputError) -> Problem:
    """An InputError of `segjax.data.images` ("PATH: reason; remedy") as a problem."""
    reason, _, remedy = str(error).removeprefix(f"{path}: ").rpartition("; ")
    return Problem(path, reason or remedy, remedy if reason else "repair or remove the file")


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"


def _hash(*parts: bytes) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()
