import numpy as np

from segjax.annotations import to_target
from segjax.types import IGNORED

LABELS = np.array([[0, 1, 1, 2, 2], [0, 1, 1, 2, 2], [0, 0, 0, 0, 3]], np.int32)


def test_objects_are_class_one():
    np.testing.assert_array_equal(to_target(LABELS), (LABELS > 0).astype(np.int32))
    np.testing.assert_array_equal(to_target(LABELS > 0), (LABELS > 0).astype(np.int32))


def test_classes_and_ignored_pixels():
    ignore = np.zeros(LABELS.shape, bool)
    ignore[0, 4] = True
    target = to_target(LABELS, classes=np.array([2, 1, 3]), ignore=ignore)
    np.testing.assert_array_equal(target, [[0, 2, 2, 1, IGNORED], [0, 2, 2, 1, 1], [0, 0, 0, 0, 3]])


def test_touching_objects_are_divided_by_background():
    target = to_target(LABELS, separate=True)
    np.testing.assert_array_equal(target, [[0, 1, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
