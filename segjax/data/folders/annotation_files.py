"""The annotation of one picture of a folder from a file that is no label image."""

from dataclasses import replace

import numpy as np

from segjax.data.folders.listing import Entry
from segjax.data.formats import FORMATS
from segjax.data.formats.annotation import Annotation, Picture
from segjax.data.formats.polygons import UNCLASSIFIED
from segjax.data.ground.georeference import read_georeference
from segjax.types import Georeference, InputError


def picture_of(entry: Entry, shape: tuple[int, int]) -> Picture:
    """What readers and writers of annotations have to know of a picture."""
    file = f"{entry.name}.tif" if entry.at else entry.image.name
    return Picture(entry.name, file, shape, place_of(entry))


def place_of(entry: Entry) -> Georeference | None:
    """Where a picture lies on the ground; None where that is not known or not understood."""
    try:
        return read_georeference(entry.image)
    except InputError:  # not all that is learnt needs a place on the ground; `inspect_folder` remarks what is missing
        return None


def read_file(entry: Entry, shape: tuple[int, int]) -> Annotation:
    """The annotation of an entry that names a format.

    Where others of its folder have classes (`entry.class_names`), objects of a file without any are "unclassified".

    Raises:
        InputError: what the format raises.
    """
    read = FORMATS[entry.format].read
    assert read is not None and entry.labels is not None  # as listed
    found = read(entry.labels, picture_of(entry, shape), entry.reading)
    if entry.class_names and not found.classes:
        return replace(found, classes=(UNCLASSIFIED,) * int(np.max(found.labels, initial=0)))
    return found
