"""A folder of one's own pictures as a source."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from segjax.data.check import UNCLASSIFIED, Inspected, Inspection, inspect_folder, read_annotation, read_image
from segjax.data.digests import digest_of
from segjax.data.listing import FolderOptions
from segjax.types import InputError, Sample

_SHOWN_PROBLEMS = 3


class FolderSource:
    """Pictures and label images of a folder, matched by name; the options are those of `FolderOptions`.

    Label values are renumbered 1..N: per picture, or per group with volumes=true, where equal values in the slices of
    a group are one object and N counts the objects of the whole group. A folder classes/ of class images (0 background,
    255 not judged) gives each object the class of most of its pixels, over the group with volumes=true; objects that
    are mostly 255 make up a last class "unclassified". Without class images every object has class 1.

    Every file is read once when the source is opened, and the source is refused if `check_folder` finds anything.
    """

    coarsening = 1.0
    test_groups: frozenset[str] = frozenset()

    def __init__(self, path: Path, options: FolderOptions, spec: str) -> None:
        """Raises InputError with the first problems of the folder."""
        inspection = inspect_folder(path, options)
        if inspection.problems:
            shown = "".join(f"\n  {problem}" for problem in inspection.problems[:_SHOWN_PROBLEMS])
            raise InputError(
                f"{spec}: {len(inspection.problems)} problem(s) in the folder:{shown}\n"
                f"See all of them with: python -m experiments.check '{spec}'"
            )
        self.spec = spec
        self._options = options
        self._entries = [entry for entry, _ in inspection.pictures]
        found = [picture for _, picture in inspection.pictures]
        self.names = tuple(entry.name for entry in self._entries)
        self.groups = tuple(entry.group for entry in self._entries)
        self.shapes = tuple(picture.shape for picture in found)
        count = _count_classes(inspection, options)
        # the objects of one table are numbered together: those of a group, or of a picture
        table_names = self.groups if options.volumes == "true" else self.names
        members: dict[str, list[Inspected]] = {}
        for name, picture in zip(table_names, found, strict=True):
            members.setdefault(name, []).append(picture)
        tables = {name: _objects(pictures, count, options) for name, pictures in members.items()}
        self._tables = [tables[name] for name in table_names]
        has_unclassified = any((classes > max(1, count)).any() for _, classes in tables.values())
        self.class_names = _class_names(options.class_names, max(1, count)) + ("unclassified",) * has_unclassified
        reading = (options.labels, options.scale, options.channels, options.volumes, options.class_names)
        contents = (part for e, p in inspection.pictures for part in (e.name, e.group, p.files))
        self.digest = digest_of(*reading, *contents)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        entry, (ids, classes) = self._entries[index], self._tables[index]
        labels, _ = read_annotation(entry, self._options)
        return Sample(read_image(entry, self._options), _renumbered(labels, ids), classes, entry.group, entry.name)

    def values_of(self, index: int) -> Int32[np.ndarray, " N"]:
        """The values that objects 1..N of a picture have in its label file (of components: the number of the piece)."""
        return self._tables[index][0]


def _count_classes(inspection: Inspection, options: FolderOptions) -> int:
    """The largest class index of the class images or masks; 0 where nothing tells classes apart."""
    if not inspection.has_classes(options):
        return 0
    values = {int(value) for _, picture in inspection.pictures for value in picture.class_values} - {UNCLASSIFIED}
    return max(values, default=1)


def _objects(
    pictures: Sequence[Inspected], count: int, options: FolderOptions
) -> tuple[Int32[np.ndarray, " N"], Int32[np.ndarray, " N"]]:
    """Label values of these pictures' objects, ascending, and the class of each; class count + 1 is "not judged"."""
    ids = np.unique(np.concatenate([picture.ids for picture in pictures])).astype(np.int32)
    if count == 0:
        return ids, np.ones(len(ids), np.int32)
    areas = np.zeros((len(ids), count + 1), np.int64)
    for picture in pictures:
        columns = np.where(picture.class_values == UNCLASSIFIED, count, picture.class_values - 1)
        areas[np.ix_(np.searchsorted(ids, picture.ids), columns)] += picture.areas
    classes = areas.argmax(1).astype(np.int32) + np.int32(1)
    is_object = classes <= (count if options.labels == "components" else count + 1)  # 255 in a mask is no object
    return ids[is_object], classes[is_object]


def _renumbered(labels: Int32[np.ndarray, "H W"], ids: Int32[np.ndarray, " N"]) -> Int32[np.ndarray, "H W"]:
    """Each value becomes its place in `ids`, counted from 1; values that are not there become 0."""
    present, position = np.unique(labels, return_inverse=True)
    numbers = np.where(np.isin(present, ids), np.searchsorted(ids, present) + 1, 0).astype(np.int32)
    return numbers[position].reshape(labels.shape)


def _class_names(option: str, count: int) -> tuple[str, ...]:
    given = tuple(name.strip() for name in option.split(",")) if option else ()
    if given and len(given) < count:
        raise InputError(f"option class_names names {len(given)} classes, the folder has {count}; name them all")
    return given or tuple(f"class {index}" for index in range(1, count + 1))
