import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from segjax.maps import by_maximum, min_max, positive, upsample
from segjax.maps.scaling import level_without, refuse_unusable
from segjax.types import InputError

from .conftest import enlarged

MAPS = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 4)), jnp.float32)


def test_enlarging_is_bilinear_between_cell_centres():
    np.testing.assert_allclose(upsample(MAPS, 9, 7), enlarged(np.asarray(MAPS), 9, 7), rtol=1e-5, atol=1e-6)
    inner = ndimage.zoom(np.asarray(MAPS[0]), 2, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(upsample(MAPS[0], 6, 8), inner, rtol=1e-5, atol=1e-6)


def test_scales_are_those_of_each_map_and_empty_maps_stay_empty():
    both = jnp.stack([MAPS[0], jnp.zeros((3, 4)), -jnp.ones((3, 4))])
    np.testing.assert_allclose(by_maximum(both), [MAPS[0] / MAPS[0].max(), np.zeros((3, 4)), np.zeros((3, 4))])
    span = MAPS[0].max() - MAPS[0].min()
    np.testing.assert_allclose(min_max(both)[0], (MAPS[0] - MAPS[0].min()) / span, rtol=1e-6)
    assert not min_max(both)[1:].any()
    np.testing.assert_array_equal(positive(both), np.maximum(both, 0))


@pytest.mark.parametrize("scale", [by_maximum, min_max])
def test_maps_that_are_not_finite_are_not_taken_for_empty_ones(scale):
    maps = jnp.stack([MAPS[0], MAPS[1].at[1, 2].set(jnp.nan), jnp.full((3, 4), jnp.nan), jnp.zeros((3, 4))])
    for found in (scale(maps), scale(positive(maps))):
        np.testing.assert_array_equal(np.isfinite(found).all((1, 2)), [True, False, False, True])
        assert not found[3].any()
        with pytest.raises(InputError, match=r"those of 2 of 4 pictures are not finite \(b, c\)"):
            refuse_unusable(found, list("abcd"))


def test_the_level_of_pictures_without_the_class_is_a_quantile():
    assert level_without(np.arange(101), 0.9) == pytest.approx(90)
    with pytest.raises(InputError, match="no map shows a picture without the class"):
        level_without(np.zeros((0, 4, 4)))
    with pytest.raises(InputError, match="share must be above 0 and below 1"):
        level_without(MAPS, 1.0)


def test_maps_that_are_not_finite_are_refused_by_name():
    maps = np.zeros((3, 2, 2))
    refuse_unusable(maps, ["a", "b", "c"])
    maps[1, 0, 0], maps[2, 1, 1] = np.nan, np.inf
    with pytest.raises(InputError, match=r"those of 2 of 3 pictures are not finite \(b, c\).*lower learning rate"):
        refuse_unusable(maps, ["a", "b", "c"])
