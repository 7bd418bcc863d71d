"""Label images that break converters, for the tests of several formats."""

import numpy as np

from segjax.data.formats.annotation import Annotation, Picture

NAMES = ("nested", "touching", "diagonal", "two_parts", "hole_in_hole", "border", "one_pixel", "full", "empty")


def labels_of(name):
    """One of them by name."""
    labels = np.zeros((24, 32), np.int32)
    if name == "nested":  # 2 lies in a hole of 1, 3 in a hole of 2
        for number, edge in ((1, 2), (2, 5), (3, 8)):
            labels[edge : 24 - edge, edge : 32 - edge] = number
    elif name == "touching":
        labels[4:12, 4:12], labels[4:12, 12:20], labels[12:20, 4:20] = 1, 2, 3
    elif name == "diagonal":  # 1 hangs together by corners only, and so does the background inside 2
        labels[np.arange(10), np.arange(10)] = 1
        labels[12:20, 12:20] = 2
        labels[np.arange(13, 17), np.arange(13, 17)] = 0
    elif name == "two_parts":
        labels[2:6, 2:6] = labels[15:20, 20:30] = 1
        labels[8:12, 8:12] = 2
    elif name == "hole_in_hole":  # rings of one object around each other
        for edge in range(0, 12, 2):
            labels[edge : 24 - edge, edge : 32 - edge] = 1
            labels[edge + 1 : 23 - edge, edge + 1 : 31 - edge] = 0
    elif name == "border":
        labels[0, :], labels[1:, 0], labels[-1, 1:], labels[5:9, -1] = 1, 2, 3, 4
    elif name == "one_pixel":
        labels[::2, ::2] = np.arange(1, 193).reshape(12, 16)
    elif name == "full":
        labels[:] = 1
    return labels


def picture_of(labels):
    return Picture("a", "a.png", labels.shape)


def many(count=3000, side=2000):
    """That many discs beside each other, the ids in no order."""
    rows = int(np.ceil(np.sqrt(count)))
    step = side // rows
    y, x = np.mgrid[:step, :step] - (step - 1) / 2
    disc = y**2 + x**2 < (step / 2) ** 2
    ids = np.random.default_rng(0).permutation(count) + 1
    labels = np.zeros((side, side), np.int32)
    for place, number in enumerate(ids):
        row, column = divmod(place, rows)
        labels[row * step :, column * step :][:step, :step][disc] = number
    return labels


def annotation_of(labels, classes=(), ignored=None):
    return Annotation(labels, tuple(classes), ignored)
