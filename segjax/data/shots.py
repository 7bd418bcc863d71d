"""Which pictures show a class: the candidates for a shot, one annotated picture that contains the class."""

import numpy as np

from segjax.types import Source


def pictures_by_class(source: Source, least: int = 1) -> dict[int, tuple[int, ...]]:
    """For every class (1, 2, ...) the pictures or tiles that show it: indices into the source, ascending.

    Every picture is read once. A class that no picture shows has an empty entry.

    Args:
        source: pictures; a tiled source lists tiles.
        least: pixels of the class that must be in sight; ignored ones do not count.
    """
    shown: dict[int, list[int]] = {index: [] for index in range(1, len(source.class_names) + 1)}
    for picture in range(len(source)):
        sample = source[picture]
        areas = np.bincount(sample.classes[sample.labels[sample.labels > 0] - 1], minlength=len(shown) + 1)
        for index in np.flatnonzero(areas[1:] >= least) + 1:
            shown[int(index)].append(picture)
    return {index: tuple(pictures) for index, pictures in shown.items()}
