"""Classes of whole pictures: from a table, or from the objects that a picture shows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.tables import folded, list_of, near, read_picture_table, refuse_twice
from segjax.data.tiles import picture_shapes
from segjax.types import InputError, Sample, Source, digest_of

PRESENCE = ("without", "with")


def read_image_labels(
    path: Path, options: FolderOptions, names: Sequence[str]
) -> tuple[tuple[int | None, ...], tuple[str, ...]]:
    """The class index of each picture and the names of classes 0, 1, ...; Nones and () without option image_labels.

    Raises:
        InputError: a table that cannot be read, a picture without label or with two, labels that differ only in
            spelling, a label that label_names does not name, fewer than two classes.
    """
    if not options.image_labels:
        return (None,) * len(names), ()
    option = f"option image_labels={options.image_labels}"
    table = read_picture_table(path, "image_labels", options.image_labels, "label")
    missing = [name for name in names if not table.get(name)]
    if missing:
        partner = near(missing[0], {folded(name): name for name in table})
        raise InputError(
            f"{option} gives no label for {missing[0]}{partner} ({len(missing)} in all); every picture needs one"
        )
    found = {table[name] for name in names}
    order = _in_order(found)
    if options.label_names:
        order = list_of(options.label_names)
        refuse_twice(f"option label_names={options.label_names}", order)
        unnamed = sorted(found - set(order))
        if unnamed:
            partner = near(unnamed[0], {folded(name): name for name in order})
            raise InputError(
                f"{option}: label {unnamed[0]} is not among label_names={options.label_names}{partner}; name it there"
            )
    if len(found) < 2:
        raise InputError(f"{option}: all pictures have the label {found.pop()}; a classifier needs two classes")
    return tuple(order.index(table[name]) for name in names), tuple(order)


def _in_order(labels: set[str]) -> list[str]:
    """Whole numbers by size, anything else by the alphabet."""
    are_numbers = all(label.isascii() and label.isdigit() for label in labels)
    return sorted(sorted(labels), key=int) if are_numbers else sorted(labels)


class PresenceSource:
    """A source whose pictures have the image-level label 1 where they show a large enough object, else 0."""

    label_names: tuple[str, ...] = PRESENCE

    def __init__(self, source: Source, area: int) -> None:
        """See `with_presence`."""
        self._source, self._area = source, area
        self.spec = f"{source.spec}{'&' if '?' in source.spec else '?'}presence={area}"
        self.digest = digest_of(source.digest, "presence", area)
        self.names, self.groups = source.names, source.groups
        self.shapes = picture_shapes(source)
        self.class_names, self.test_groups = source.class_names, source.test_groups
        self.coarsening = source.coarsening

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        sample = self._source[index]
        if sample.ignored is not None and sample.ignored.all():
            raise InputError(
                f"presence={self._area}: picture {sample.name} has no label image, so its objects are unknown"
            )
        areas = np.bincount(sample.labels.ravel(), minlength=len(sample.classes) + 1)
        is_large = (areas >= self._area) & (np.arange(len(areas)) > 0)
        labels = np.where(is_large[sample.labels], sample.labels, 0).astype(np.int32)
        return replace(sample, labels=labels, label=int(is_large.any()))


def with_presence(source: Source, area: int) -> PresenceSource:
    """Image-level labels from masks: 1 where an object shows at least `area` pixels in the picture (tile), else 0.

    Smaller objects, and what the border leaves of larger ones, are taken for background.

    Raises:
        InputError: area below 1.
    """
    if area < 1:
        raise InputError(f"presence={area}: must be at least 1 pixel; give for example presence=50")
    return PresenceSource(source, area)
