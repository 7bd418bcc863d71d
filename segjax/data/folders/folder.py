"""A folder of one's own pictures as a source."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32
from skimage.util import map_array

from segjax.data.folders.annotation_files import place_of
from segjax.data.folders.check import Inspection, inspect_folder
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.inspected import UNCLASSIFIED, Inspected, read_annotation, read_image
from segjax.types import InputError, Sample, digest_of

_SHOWN_PROBLEMS = 3


class FolderSource:
    """Pictures and label images of a folder, matched by name; the options are those of `FolderOptions`.

    Label values are renumbered 1..N: per picture, or per group with volumes=true, where equal values in the slices of
    a group are one object and N counts the objects of the whole group. A folder classes/ of class images (0 background,
    255 not judged) gives each object the class of most of its pixels, over the group with volumes=true; pixels of 255,
    and all pixels of objects that are mostly 255, are ignored and no object's. Without other labels the objects are the
    8-connected pieces of each class. Without class images every object has class 1. With image_labels samples have
    image-level labels, whose names are `label_names`. Samples of GeoTIFF files have a georeference. Pixels without data
    in the picture or its labels, as GDAL declares them, are ignored and no object's.

    Files of other formats (`segjax.data.formats`) may take the place of label images. Where they name the classes of
    objects, these are the classes, in the order of class_names or else of the alphabet.

    Attributes:
        entries: the files of each picture.
        has_classes: classes are told apart, or pixels are not judged.
        losses: what reading each annotation lost.

    Every file is read once when the source is opened, and the source is refused if `check_folder` finds anything.
    """

    coarsening = 1.0
    test_groups: frozenset[str] = frozenset()

    def __init__(self, path: Path, options: FolderOptions, spec: str, inspection: Inspection | None = None) -> None:
        """Raises InputError with the first problems of the folder; an `inspection` of it is not made again."""
        inspection = inspection or inspect_folder(path, options)
        options = inspection.options
        if inspection.problems:
            shown = "".join(f"\n  {problem}" for problem in inspection.problems[:_SHOWN_PROBLEMS])
            raise InputError(
                f"{spec}: {len(inspection.problems)} problem(s) in the folder:{shown}\n"
                f"See all of them with: python -m experiments.check '{spec}'"
            )
        self.spec = spec
        self._options = options
        self.has_classes = inspection.has_classes()
        self.entries = [entry for entry, _ in inspection.pictures]
        found = [picture for _, picture in inspection.pictures]
        self.names = tuple(entry.name for entry in self.entries)
        self.groups = tuple(entry.group for entry in self.entries)
        self.shapes = tuple(picture.shape for picture in found)
        self.losses = tuple(picture.loss for picture in found)
        count = _count_classes(inspection)
        # the objects of one table are numbered together: those of a group, or of a picture
        table_names = self.groups if options.volumes == "true" else self.names
        members: dict[str, list[Inspected]] = {}
        for name, picture in zip(table_names, found, strict=True):
            members.setdefault(name, []).append(picture)
        tables = {name: _objects(pictures, count) for name, pictures in members.items()}
        self._tables = [tables[name] for name in table_names]
        last = max(1, count, *inspection.names)
        self.class_names = tuple(inspection.names.get(index, f"class {index}") for index in range(1, last + 1))
        self._image_labels, self.label_names = inspection.image_labels, inspection.label_names
        reading = (options.labels, options.scale, options.channels, options.volumes, self.class_names)
        contents = (part for e, p in inspection.pictures for part in (e.name, e.group, p.files))
        whole = (self.label_names, self._image_labels) if self.label_names else ()
        bands = (options.bands,) if options.bands else ()
        self.digest = digest_of(*reading, *bands, *contents, *whole)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        entry, (ids, classes) = self.entries[index], self._tables[index]
        image, missing = read_image(entry, self._options)
        found = read_annotation(entry, self._options, (image.shape[0], image.shape[1]), missing)
        labels = _renumbered(found.labels, ids)
        ignored = np.zeros(labels.shape, bool) if found.missing is None else found.missing.copy()
        if self.has_classes and found.classes is not None:
            ignored |= (found.classes == UNCLASSIFIED) | ((found.labels > 0) & (labels == 0))
            labels = np.where(ignored, 0, labels)
        ignored |= entry.labels is None
        return Sample(
            image,
            labels,
            classes,
            entry.group,
            entry.name,
            ignored if ignored.any() else None,
            self._image_labels[index],
            place_of(entry),
        )

    def values_of(self, index: int) -> Int32[np.ndarray, " N"]:
        """The values that objects 1..N of a picture have in its label file (of components: the number of the piece)."""
        return self._tables[index][0]


def _count_classes(inspection: Inspection) -> int:
    """The largest class index of the class images or masks; 0 where nothing tells classes apart."""
    if not inspection.has_classes():
        return 0
    values = {int(value) for _, picture in inspection.pictures for value in picture.class_values} - {UNCLASSIFIED}
    return max(values, default=1)


def _objects(pictures: Sequence[Inspected], count: int) -> tuple[Int32[np.ndarray, " N"], Int32[np.ndarray, " N"]]:
    """Label values of these pictures' objects, ascending, and the class of each; without those mostly not judged."""
    ids = np.unique(np.concatenate([picture.ids for picture in pictures])).astype(np.int32)
    if count == 0:
        return ids, np.ones(len(ids), np.int32)
    areas = np.zeros((len(ids), count + 1), np.int64)
    for picture in pictures:
        columns = np.where(picture.class_values == UNCLASSIFIED, count, picture.class_values - 1)
        areas[np.ix_(np.searchsorted(ids, picture.ids), columns)] += picture.areas
    classes = areas.argmax(1).astype(np.int32) + np.int32(1)
    is_object = classes <= count
    return ids[is_object], classes[is_object]


def _renumbered(labels: Int32[np.ndarray, "H W"], ids: Int32[np.ndarray, " N"]) -> Int32[np.ndarray, "H W"]:
    """Each value becomes its place in `ids`, counted from 1; values that are not there become 0."""
    return map_array(labels, ids, np.arange(1, len(ids) + 1, dtype=np.int32))
