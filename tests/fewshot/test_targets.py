"""From objects to targets and back."""

import numpy as np
import pytest

from segjax.fewshot.targets import border_target, type_target
from segjax.ops.instances import instances
from segjax.types import InputError


def touching() -> np.ndarray:
    """Two squares of 5 x 5 pixels side by side, and one of 3 x 3 apart."""
    labels = np.zeros((12, 16), np.int32)
    labels[2:7, 2:7], labels[2:7, 7:12], labels[9:12, 13:16] = 4, 2, 9
    return labels


def test_a_line_parts_touching_objects():
    target = type_target(touching(), "line")
    assert (target[2:7, 6:8] == 0).all() and target.sum() == 59 - 10
    assert (type_target(touching(), "none") == (touching() > 0)).all()
    ignore = np.zeros((12, 16), bool)
    ignore[0] = True
    assert (type_target(touching(), "line", ignore)[0] == -1).all()
    assert instances(target == 1).max() == 3 and instances(touching() > 0).max() == 2


def test_the_border_is_what_has_a_foreign_neighbour():
    labels = touching()
    padded = np.pad(labels, 1, mode="edge")
    expected = np.zeros(labels.shape, np.int32)
    for row, column in np.argwhere(labels > 0):
        expected[row, column] = len(np.unique(padded[row : row + 3, column : column + 3])) > 1
    np.testing.assert_array_equal(border_target(labels), expected)
    ignore = labels == 9
    assert (border_target(labels, ignore)[ignore] == -1).all()


@pytest.mark.parametrize("grouping", ["components", "watershed"])
def test_objects_are_grown_back_into_their_border(grouping):
    labels = touching()
    found = instances(labels > 0, grouping, border_target(labels) == 1)
    assert found.max() == 3
    for index in (4, 2, 9):
        own = labels == index
        assert len(np.unique(found[own])) == 1 and (found == found[own][0]).sum() == own.sum()


def test_an_unknown_delineation_is_refused():
    with pytest.raises(InputError, match="delineation"):
        type_target(touching(), "outline")
