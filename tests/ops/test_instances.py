"""From a predicted mask to numbered objects."""

import numpy as np
import pytest
from scipy import ndimage

from segjax.ops.instances import instances
from segjax.types import InputError


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
    labels = np.zeros((12, 16), np.int32)
    labels[2:7, 2:12], labels[9:12, 13:16] = 1, 1
    labels[0, 0] = 1
    found = instances(labels > 0, minimum_area=10)
    assert np.unique(found).tolist() == [0, 1] and (found > 0).sum() == 50
    assert instances(labels > 0, minimum_area=9).max() == 2


def test_unknown_ways_are_refused():
    with pytest.raises(InputError, match="grouping"):
        instances(np.ones((4, 4), bool), "snakes")
    with pytest.raises(InputError, match="minimum_area"):
        instances(np.ones((4, 4), bool), minimum_area=0)
