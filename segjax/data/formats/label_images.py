"""Label images beside a folder of class images: the layout that `folder:` reads without being told."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32
from PIL import Image

from segjax.data.formats import LABELS, Dtype, Items
from segjax.data.formats.annotation import Annotation, Loss
from segjax.data.formats.files import write_labels
from segjax.data.pictures.images import read_labels
from segjax.files import replacing, write_table
from segjax.types import InputError

NOT_JUDGED = 255
_LARGEST_CLASS = 64


def write_set(folder: Path, items: Items, class_names: Sequence[str], dtype: Dtype) -> Iterator[Loss]:
    """Write labels/NAME.tif and, where classes are told apart, classes/NAME.png and class_names.csv.

    Args:
        folder: the folder.
        items: pictures with their annotations. Ids stay as they are.
        class_names: names of class 1, 2, ...; () where classes are not told apart, and then pixels that nobody judged
            become background.
        dtype: of the label images.

    Raises:
        InputError: more than 64 classes, ids that the type does not hold, or a disk that cannot be written.
    """
    if len(class_names) > _LARGEST_CLASS:
        raise InputError(
            f"{folder}: has {len(class_names)} classes, but class images hold {_LARGEST_CLASS}; merge some"
        )
    if class_names:
        write_table(folder / "class_names.csv", [("class", "name"), *enumerate(class_names, 1)])
    for picture, annotation in items:
        path = folder / LABELS / f"{picture.name}.tif"
        write_labels(path, annotation.labels, dtype)
        changed = int((read_labels(path) != annotation.labels).sum())
        count = len(np.unique(annotation.labels[annotation.labels > 0]))
        notes: tuple[str, ...] = ()
        if class_names:
            with replacing(folder / "classes" / f"{picture.name}.png") as path:
                Image.fromarray(class_image(annotation, class_names).astype(np.uint8)).save(path, format="PNG")
        elif annotation.ignored is not None and annotation.ignored.any():
            notes = (f"{int(annotation.ignored.sum())} pixel(s) that nobody judged became background",)
        yield Loss(count, count, changed, notes=notes)


def class_image(annotation: Annotation, class_names: Sequence[str]) -> Int32[np.ndarray, "H W"]:
    """The class of every pixel: 0 background, 1.. the place of its object's class, 255 not judged.

    Without names all objects are of class 1.
    """
    numbers = {name: number for number, name in enumerate(class_names, 1)}
    largest = int(annotation.labels.max(initial=0))
    classes = [numbers[name] for name in annotation.classes] if annotation.classes else [1] * largest
    values = np.array([0, *classes], np.int32)[annotation.labels]
    return values if annotation.ignored is None else np.where(annotation.ignored, NOT_JUDGED, values).astype(np.int32)
