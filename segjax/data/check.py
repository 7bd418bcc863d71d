"""Look at every file of a folder once and name each problem that would spoil a training, before one begins."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
from jaxtyping import Int32, Int64

from segjax.data.georeference import read_georeference
from segjax.data.images import is_8_bit, read_labels, read_picture
from segjax.data.listing import Entry, FolderOptions, Problem, first_few, fit_to_folder, list_folder, read_class_names
from segjax.ops.components import components
from segjax.types import InputError

UNCLASSIFIED = 255  # pixel value of class images that means "not judged"
_LARGEST_CLASS = 64
_SAME_SIZE = "export both at the same size, labels without interpolation"
_SECOND_CLASS = 0.25  # share of an object from which a second class contradicts the first; outlines may differ a little
_NO_PLACE = (
    "no georeference, which others have",
    "write them as GeoTIFF, or go without their masks and outlines on maps",
)
_PIECES_OF_A_MASK = 4.0  # mean pieces per value from which ids are taken for a mask; lobed nuclei stay below


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


@dataclass(frozen=True)
class Inspection:
    """The pictures of a folder that could be read, and everything that is wrong with the folder.

    `options` are those given, fitted to the folder; `names` are the class names given; `remarks` are what one should
    know, but can be used.
    """

    options: FolderOptions
    names: dict[int, str]
    pictures: list[tuple[Entry, Inspected]]
    problems: list[Problem]
    remarks: list[Problem] = field(default_factory=list)

    def has_classes(self) -> bool:
        """Whether classes are told apart: by class images, or by masks with more than one value beside 0 in all."""
        values = {int(value) for _, picture in self.pictures for value in picture.class_values}
        is_class_mask = self.options.labels == "components" and len(values) > 1
        return is_class_mask or any(entry.classes for entry, _ in self.pictures)


def check_folder(path: Path, options: Mapping[str, str], sides: Mapping[str, str] | None = None) -> list[Problem]:
    """Every problem of the folder; empty when it can be used.

    Args:
        path: the folder.
        options: as in a `folder:` spec.
        sides: picture name to "train", "validation" or "test", where a split is there already.

    Raises:
        InputError: there is nothing to check (missing folder, no pictures, no labels, unknown option).
    """
    return inspect_folder(path, FolderOptions.parse(options), sides).problems


def inspect_folder(path: Path, options: FolderOptions, sides: Mapping[str, str] | None = None) -> Inspection:
    """Read every picture and label image of the folder once, several files at a time."""
    options = fit_to_folder(path, options)
    names = read_class_names(path, options.class_names)
    entries, problems = list_folder(path, options)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        results = list(threads.map(lambda entry: _inspect(entry, options), entries))
    pictures = [(entry, found) for entry, (found, _) in zip(entries, results, strict=True) if found is not None]
    problems += [problem for _, of_picture in results for problem in of_picture]
    inspection = Inspection(options, names, pictures, problems, _places(path, [entry.image for entry, _ in pictures]))
    problems += _same_twice(pictures, sides or {})
    problems += _mixed_channels(path, pictures)
    problems += _masks(inspection)
    problems += _class_values(inspection)
    return inspection


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
    return components(labels), labels if classes is None else classes


def read_image(entry: Entry, options: FolderOptions) -> np.ndarray:
    """The picture of an entry, scaled and with the channels that the options ask for."""
    scale = cast(Literal["max", "dtype"], options.scale)
    return read_picture(entry.image, scale=scale, channels=int(options.channels or 0))


def _inspect(entry: Entry, options: FolderOptions) -> tuple[Inspected | None, list[Problem]]:
    problems: list[Problem] = []
    image = labels = classes = None
    try:
        image = read_image(entry, options)
    except InputError as error:
        problems.append(_problem(entry.image, error))
    try:
        labels, classes = read_annotation(entry, options)
    except InputError as error:
        named = [path for path in (entry.labels, entry.classes) if path and str(error).startswith(f"{path}: ")]
        problems.append(_problem(named[0], error))
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
    pieces = components(np.where(classes == UNCLASSIFIED, 0, classes))
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
    pieces = components(labels) if options.labels == "instances" else labels
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


def _same_twice(pictures: Sequence[tuple[Entry, Inspected]], sides: Mapping[str, str]) -> list[Problem]:
    first: dict[str, Entry] = {}
    problems = []
    for entry, found in pictures:
        other = first.setdefault(found.content, entry)
        if other is entry:
            continue
        here, there = sides.get(entry.name, ""), sides.get(other.name, "")
        across = f", and the split has one in {there} and one in {here}" if here and there and here != there else ""
        problems.append(Problem(entry.image, f"same picture as {other.image.name}{across}", "remove one of the two"))
    return problems


def _mixed_channels(path: Path, pictures: Sequence[tuple[Entry, Inspected]]) -> list[Problem]:
    counts = Counter(found.channels for _, found in pictures)
    if len(counts) < 2:
        return []
    kinds = ", ".join(f"{count} with {channels}" for channels, count in sorted(counts.items()))
    remedy = "give channels=1 (all grey) or channels=3 (all RGB), or choose one kind with groups= and keep="
    return [Problem(path, f"pictures of different channel numbers: {kinds}", remedy)]


def _places(path: Path, images: Sequence[Path]) -> list[Problem]:
    """What keeps masks and outlines of some pictures off the ground, a remark for each reason."""
    unplaced: dict[tuple[str, str], list[Path]] = {}
    for image in images:
        try:
            found = read_georeference(image)
        except InputError as error:
            problem = _problem(image, error)
            unplaced.setdefault((problem.reason, problem.remedy), []).append(image)
        else:
            if found is None:
                unplaced.setdefault(_NO_PLACE, []).append(image)
    if len(unplaced.get(_NO_PLACE, ())) == len(images):  # plain pictures, which nobody expects to be anywhere
        return []
    shown = {
        why: f"{len(those)} of {len(images)} pictures ({first_few([path.name for path in those], 3)})"
        for why, those in unplaced.items()
    }
    return [Problem(path, f"{which}: {reason}", remedy) for (reason, remedy), which in shown.items()]


def _masks(inspection: Inspection) -> list[Problem]:
    """Masks given where instances are expected."""
    pictures, options = inspection.pictures, inspection.options
    if options.labels == "components" or options.volumes == "true":
        return []
    values = {int(i) for _, found in pictures for i in found.ids}
    per_value = sum(found.pieces for _, found in pictures) / max(1, sum(len(found.ids) for _, found in pictures))
    if len(values) > _LARGEST_CLASS or per_value <= _PIECES_OF_A_MASK:
        return []
    reason = f"{len(values)} label value(s), each in {per_value:.1f} pieces per picture: masks, not instances"
    folder = next(entry.labels.parent for entry, _ in pictures if entry.labels)
    return [Problem(folder, reason, "give labels=components")]


def _class_values(inspection: Inspection) -> list[Problem]:
    """Values of class images and masks that cannot be classes, or that have no name where names are given."""
    if not inspection.has_classes():
        return []
    problems = []
    for entry, found in inspection.pictures:
        judged = found.class_values[found.class_values != UNCLASSIFIED]
        unnamed = [int(value) for value in judged if inspection.names and int(value) not in inspection.names]
        if len(judged) and judged.max() > _LARGEST_CLASS:
            reason = f"class value {judged.max()}; classes are 1..{_LARGEST_CLASS}, {UNCLASSIFIED} not judged"
            remedy = "a mask smoothed, scaled or once saved as JPEG has such values: export it again without"
        elif unnamed:
            reason = f"class value {', '.join(map(str, unnamed))} is not among those that class_names names"
            remedy = f"name it there, or correct the pixels ({UNCLASSIFIED} not judged)"
        else:
            continue
        problems.append(Problem(entry.classes or entry.labels or entry.image, reason, remedy))
    return problems


def _problem(path: Path, error: InputError) -> Problem:
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
