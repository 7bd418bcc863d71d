"""What is known of one picture and its label image after both were read once, and what is wrong with them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from scipy import ndimage

from segjax.data.folders.annotation_files import read_file
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.listing import Entry, Problem
from segjax.data.folders.tables import first_few, list_of
from segjax.data.formats.annotation import Loss
from segjax.data.formats.label_images import class_image
from segjax.data.ground.georeference import check_same_place, read_georeference
from segjax.data.pictures.images import is_8_bit, read_labels_with_missing, read_picture_with_missing
from segjax.ops.components import components
from segjax.types import InputError

NO_PLACE = (
    "no georeference, which others have",
    "write them as GeoTIFF, or go without their masks and outlines on maps",
)
UNCLASSIFIED = 255  # pixel value of class images that means "not judged"
_SAME_SIZE = "export both at the same size, labels without interpolation"
_SECOND_CLASS = 0.25  # share of an object from which a second class contradicts the first; outlines may differ a little
_LEAST_RECURRING = 1.5  # pieces per value of a smoothed mask
_MOST_FLAT, _LEAST_JOINED = 0.01, 0.9  # shares of its pixels that are neither background nor full


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
        has_background: some pixel is 0.
        covers: share of the picture that its largest object takes, 0..1.
        on_border: share of the picture's outermost pixels that this object takes, 0..1.
        is_smoothed: the values look like those of a mask with soft borders.
        class_names: names of class 1, 2, ..., where the file names its classes.
        loss: what reading the annotation lost.
        unplaced: why masks and outlines of the picture have no place on the ground, and what to do; () where they have.
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
    has_background: bool
    covers: float
    on_border: float
    is_smoothed: bool
    class_names: tuple[str, ...] = ()
    loss: Loss = field(default_factory=Loss)
    unplaced: tuple[str, ...] = NO_PLACE


class Labelling(NamedTuple):
    """The annotation of an entry as it was read.

    Attributes:
        labels: object ids (pieces of the mask, for labels=components); all 0 without label image.
        classes: the class of each pixel, if known.
        missing: where picture, labels or class image have no data, so that nothing is judged; ids and classes are 0
            there.
        class_names: the names of class 1, 2, ..., where the file names its classes.
        loss: what reading lost.
    """

    labels: Int32[np.ndarray, "H W"]
    classes: Int32[np.ndarray, "H W"] | None
    missing: Bool[np.ndarray, "H W"] | None
    class_names: tuple[str, ...]
    loss: Loss


def read_annotation(
    entry: Entry, options: FolderOptions, shape: tuple[int, int], missing: Bool[np.ndarray, "H W"] | None = None
) -> Labelling:
    """The annotation of an entry whose picture has this height and width, and no data where `missing`."""
    if entry.labels is None:
        return Labelling(np.zeros(shape, np.int32), None, missing, (), Loss())
    classes: Int32[np.ndarray, "H W"] | None = None
    names: tuple[str, ...] = ()
    if entry.format:
        found = read_file(entry, shape)
        labels, names, loss = found.labels, entry.class_names or tuple(sorted(set(found.classes))), found.loss
        if names or entry.classes is not None or (found.ignored is not None and found.ignored.any()):
            classes = class_image(found, names)
    else:
        labels, without = read_labels_with_missing(entry.labels, at=entry.labels_at)
        missing = _either(missing, without)
        if entry.classes is not None and entry.classes != entry.labels:
            classes, without = read_labels_with_missing(entry.classes, at=entry.classes_at)
            missing = _either(missing, without)
        if classes is not None and classes.shape != labels.shape:
            sizes = f"size {_size(classes.shape)} beside labels of {_size(labels.shape)}"
            raise InputError(f"{entry.classes}: {sizes}; {_SAME_SIZE}")
        count = len(np.unique(labels[labels > 0]))
        loss = Loss(count, count)
    if missing is not None and missing.shape == labels.shape:  # other shapes are refused later
        labels = np.where(missing, 0, labels)
        classes = None if classes is None else np.where(missing, 0, classes)
    if options.labels == "components" and not entry.format:
        labels, classes = components(labels), labels if classes is None else classes
        loss = Loss(int(labels.max(initial=0)), int(labels.max(initial=0)))
    return Labelling(labels, classes, missing, names, loss)


def _either(first: Bool[np.ndarray, "..."] | None, second: Bool[np.ndarray, "..."] | None) -> np.ndarray | None:
    """Where any of the two is True; the first where they differ in shape."""
    if first is None or second is None:
        return second if first is None else first
    return first | second if first.shape == second.shape else first


def read_image(
    entry: Entry, options: FolderOptions
) -> tuple[Float32[np.ndarray, "H W C"], Bool[np.ndarray, "H W"] | None]:
    """The picture of an entry, scaled and with the channels that the options ask for, and where it has no data."""
    scale = cast(Literal["max", "dtype"], options.scale)
    channels, bands = int(options.channels or 0), list_of(options.bands)
    return read_picture_with_missing(entry.image, scale=scale, channels=channels, at=entry.at, bands=bands)


def inspect_picture(entry: Entry, options: FolderOptions) -> tuple[Inspected | None, list[Problem]]:
    """Read a picture and its labels; None where they cannot be used together."""
    problems: list[Problem] = []
    image = missing = labels = classes = None
    try:
        image, missing = read_image(entry, options)
    except InputError as error:
        problems.append(problem_of(entry.image, error))
    try:
        for path in {path for path in (entry.labels, entry.classes) if path and image is not None and not entry.format}:
            check_same_place(entry.image, path)
        # of a picture that cannot be read, the labels are looked at all the same where they have a size of their own
        if image is not None or not entry.format:
            read = read_annotation(entry, options, (0, 0) if image is None else image.shape[:2], missing)
            labels, classes = read.labels, read.classes
    except InputError as error:
        files = (path for path in (entry.labels, entry.classes) if path and str(error).startswith(f"{path}: "))
        problems.append(problem_of(next(files, entry.labels if entry.format and entry.labels else entry.image), error))
    if image is not None and image.min() == image.max():
        remedy = "remove it or export it again"
        problems.append(Problem(entry.image, "every pixel has the same value", remedy, "training"))
    if labels is not None and options.empty == "refuse" and not options.image_labels and entry.labels:
        judged = labels if entry.classes is None or classes is None else labels * (classes != UNCLASSIFIED)
        if not judged.any():
            kind = "object" if not labels.any() else "judged object"
            place = f"annotation of {entry.name}" if entry.format else "label image"
            lost = f" ({'; '.join(read.loss.notes)})" if read.loss.notes else ""
            remedy = "annotate or remove it, or give empty=keep"
            problems.append(Problem(entry.labels, f"no {kind} in the {place}{lost}", remedy, "training"))
    if image is None or labels is None:
        return None, problems
    if labels.shape != image.shape[:2]:
        sizes = f"its size is {_size(labels.shape)}, but the picture's is {_size(image.shape)}"
        problems.append(Problem(entry.labels or entry.image, sizes, _SAME_SIZE))
        return None, problems
    found = replace(
        _measure(entry, options, image, labels, classes),
        class_names=read.class_names,
        loss=read.loss,
        unplaced=_unplaced(entry.image),
    )
    if classes is not None and entry.classes not in (None, entry.labels):
        problems += [
            Problem(entry.classes or entry.labels or entry.image, reason, remedy)
            for reason, remedy in _contradictions(labels, classes, found)
        ]
    return found, problems


def _unplaced(image: Path) -> tuple[str, ...]:
    """Why a picture has no place on the ground, and what to do; () where it has."""
    try:
        return () if read_georeference(image) else NO_PLACE
    except InputError as error:
        problem = problem_of(image, error)
        return problem.reason, problem.remedy


def _contradictions(
    labels: Int32[np.ndarray, "H W"], classes: Int32[np.ndarray, "H W"], found: Inspected
) -> list[tuple[str, str]]:
    """Where class image and labels exclude each other: reason and remedy."""
    contradictions = []
    _, sizes = np.unique(labels[labels > 0], return_counts=True)
    unnamed = found.ids[2 * found.areas.sum(1) < sizes]
    if len(unnamed):
        reason = f"no class in most of object {first_few(unnamed.tolist())}"
        contradictions.append((reason, f"give it a class, {UNCLASSIFIED} if unknown"))
    judged = found.areas[:, found.class_values != UNCLASSIFIED]
    divided = found.ids[judged.sum(1) - judged.max(1, initial=0) > _SECOND_CLASS * judged.sum(1)]
    if len(divided):
        contradictions.append(
            (f"several classes in object {first_few(divided.tolist())}", "give every object one class")
        )
    pieces = components(np.where(classes == UNCLASSIFIED, 0, classes))
    alone = np.setdiff1d(pieces, [*np.unique(pieces[labels > 0]), 0])
    if len(alone):
        row, column = np.argwhere(pieces == alone[0])[0]
        reason = f"{len(alone)} region(s) with a class but no object, the first at row {row}, column {column}"
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
    ids, position, sizes = np.unique(labels[inside], return_inverse=True, return_counts=True)
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
    is_smoothed = options.labels == "instances" and _is_smoothed(labels, ids, count)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    looks_cut = count > 255 or (len(ids) > 100 and pieces_of_255 > 2)
    return Inspected(
        shape=(int(labels.shape[0]), int(labels.shape[1])),
        channels=int(image.shape[-1]),
        content=_hash(repr(image.shape).encode(), image.tobytes()),
        files=_hash(image.tobytes() if entry.at else entry.image.read_bytes(), *_contents(entry, labels, classes)),
        ids=ids.astype(np.int32),
        class_values=values.astype(np.int32),
        areas=areas,
        pieces=count,
        has_truncated_ids=bool(
            options.labels == "instances"
            and (pieces_of_255 and looks_cut and not is_smoothed)
            and (entry.labels and not entry.format)
            and is_8_bit(entry.labels)
        ),
        has_background=not inside.all(),
        covers=float(sizes.max(initial=0) / labels.size),
        on_border=float((border == ids[sizes.argmax()]).mean()) if len(ids) else 0.0,
        is_smoothed=is_smoothed,
    )


def _contents(entry: Entry, labels: Int32[np.ndarray, "H W"], classes: Int32[np.ndarray, "H W"] | None) -> list[bytes]:
    """The bytes of the label files, or of what was read from a stack, a file of the whole set or a folder."""
    if entry.format or entry.at:
        return [part.tobytes() for part in (labels, classes) if part is not None]
    return [path.read_bytes() for path in (entry.labels, entry.classes) if path]


def _is_smoothed(labels: Int32[np.ndarray, "H W"], ids: Int32[np.ndarray, " N"], pieces: int) -> bool:
    """Whether all but the largest value lie in slopes around it: recurring, and never nine equal pixels in a square."""
    if len(ids) < 3 or pieces < _LEAST_RECURRING * len(ids):
        return False
    is_between = (labels > 0) & (labels < ids[-1])
    is_flat = ndimage.minimum_filter(labels, 3) == ndimage.maximum_filter(labels, 3)
    joined = components(labels > 0)
    is_joined = np.isin(joined, np.unique(joined[labels == ids[-1]]))
    return bool(is_flat[is_between].mean() < _MOST_FLAT and is_joined[is_between].mean() > _LEAST_JOINED)


def problem_of(path: Path, error: InputError) -> Problem:
    """An InputError of `segjax.data.pictures.images` ("PATH: reason; remedy") as a problem."""
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
