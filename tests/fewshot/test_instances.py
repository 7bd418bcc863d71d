"""From objects to targets and back."""

import numpy as np
import pytest
from scipy import ndimage

from segjax.fewshot.instances import border_target, instances, type_target
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


def test_watersheds_part_what_is_narrow():
    rows, columns = np.mgrid[:30, :50]
    discs = [(rows - 15) ** 2 + (columns - centre) ** 2 <= 100 for centre in (15, 33)]
    mask = discs[0] | discs[1]
    assert instances(mask).max() == 1
    found = instances(mask, "watershed")
    assert found.max() == 2 and ((found > 0) == mask).all()
    assert (found[:, :24][mask[:, :24]] == found[15, 15]).all() and (found[:, 25:][mask[:, 25:]] == found[15, 33]).all()
    assert instances(discs[0], "watershed").max() == 1
    thin = np.zeros((5, 9), bool)
    thin[2, 1:8] = True
    np.testing.assert_array_equal(instances(thin, "watershed") > 0, thin)
    assert instances(np.ones((4, 4), bool), "watershed").max() == 1
    assert instances(np.zeros((4, 4), bool), "watershed").max() == 0


@pytest.mark.parametrize("grouping", ["components", "watershed"])
def test_an_empty_column_changes_nothing(grouping):
    generator = np.random.default_rng(0)
    for _ in range(60):
        mask = ndimage.gaussian_filter(generator.standard_normal((55, 17)), 2) > 0.03
        mask[:, -1] = False
        border = mask & ~ndimage.binary_erosion(mask)
        for given in (None, border):
            wide = np.pad(mask, ((0, 0), (0, 1))), grouping, None if given is None else np.pad(given, ((0, 0), (0, 1)))
            np.testing.assert_array_equal(instances(mask, grouping, given), instances(*wide)[:, :-1])


def test_small_pieces_are_dropped_and_ids_have_no_gaps():
    labels = touching()
    labels[0, 0] = 1
    found = instances(labels > 0, minimum_area=10)
    assert np.unique(found).tolist() == [0, 1] and (found > 0).sum() == 50
    assert instances(labels > 0, minimum_area=9).max() == 2


def test_unknown_ways_are_refused():
    with pytest.raises(InputError, match="grouping"):
        instances(touching() > 0, "snakes")
    with pytest.raises(InputError, match="delineation"):
        type_target(touching(), "outline")
    with pytest.raises(InputError, match="minimum_area"):
        instances(touching() > 0, minimum_area=0)
