"""Which pictures show a class, against a search through every pixel."""

from dataclasses import replace

import numpy as np

from segjax.data import open_source
from segjax.data.shots import pictures_by_class
from segjax.data.tiles import tiled
from segjax.types import Sample


class Pictures:
    """Three pictures of 2 x 4 pixels, classes a, b, c; object 2 of the first is of class 3."""

    spec, digest, class_names, label_names = "made", "0", ("a", "b", "c"), ()
    test_groups, coarsening = frozenset(), 1.0
    names = groups = ("p0", "p1", "p2")

    def __init__(self):
        labels = ([[1, 1, 0, 2], [1, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]], [[1, 0, 0, 2], [0, 0, 0, 2]])
        classes = ([1, 3, 2], [2], [1, 1])
        self.samples = [
            Sample(np.zeros((2, 4, 1), np.float32), np.array(ids, np.int32), np.array(kinds, np.int32), name, name)
            for ids, kinds, name in zip(labels, classes, self.names, strict=True)
        ]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def test_pictures_and_tiles_that_show_a_class():
    source = Pictures()
    # object 3 of the first picture and object 1 of the second are in the tables and not in sight
    assert pictures_by_class(source) == {1: (0, 2), 2: (), 3: (0,)}
    assert pictures_by_class(source, least=2) == {1: (0, 2), 2: (), 3: ()}
    assert pictures_by_class(source, least=4) == {1: (), 2: (), 3: ()}
    tiles = tiled(source, 2)  # left and right half of every picture
    assert pictures_by_class(tiles) == {1: (0, 4, 5), 2: (), 3: (1,)}


def test_ignored_objects_do_not_count():
    source = Pictures()
    first = source.samples[0]
    ignored = first.labels == 2
    source.samples[0] = replace(first, labels=np.where(ignored, 0, first.labels), ignored=ignored)
    assert pictures_by_class(source)[3] == ()


def test_tissue_against_every_pixel():
    source = open_source("microscope:tissue?size=sixth&volumes=1&slices=3&crop=40")
    areas = np.array([[(source[p].of_class(index) > 0).sum() for index in range(1, 7)] for p in range(3)])
    for least in (1, 40):
        expected = {index: tuple(np.flatnonzero(areas[:, index - 1] >= least)) for index in range(1, 7)}
        assert pictures_by_class(source, least) == expected
    assert 0 < (areas > 0).sum() < areas.size
