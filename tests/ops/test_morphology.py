import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segjax.ops.morphology import dilate, erode, maximum_3x3, minimum_3x3

SQUARE = np.ones((3, 3), bool)
quick = settings(derandomize=True, deadline=None, max_examples=20)


def random_mask(seed: int, *shape: int, share: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def by_scipy(mask: np.ndarray, times: int, grows: bool) -> np.ndarray:
    if times == 0:
        return mask
    if grows:
        return ndimage.binary_dilation(mask, SQUARE, iterations=times)
    return ndimage.binary_erosion(mask, SQUARE, iterations=times, border_value=1)


def test_one_pixel_grows_to_a_square():
    mask = np.zeros((40, 40), bool)
    mask[31, 20] = True
    expected = np.zeros((40, 40), bool)
    expected[29:34, 18:23] = True
    np.testing.assert_array_equal(dilate(mask, 2), expected)
    np.testing.assert_array_equal(erode(expected, 2), mask)


def test_the_border_of_the_picture_does_not_erode():
    assert np.asarray(erode(np.ones((40, 40), bool), 5)).all()
    assert not np.asarray(dilate(np.zeros((40, 40), bool), 5)).any()


@pytest.mark.parametrize("height", [1, 32, 33])
def test_agrees_with_scipy_around_the_word_length(height):
    mask = random_mask(height, height, 45)
    for times in (0, 1, 3, 40):
        np.testing.assert_array_equal(dilate(mask, times), by_scipy(mask, times, True))
        np.testing.assert_array_equal(erode(~mask, times), by_scipy(~mask, times, False))


def test_slices_do_not_touch_each_other():
    mask = random_mask(1, 2, 3, 40, 40)
    grown = np.asarray(dilate(mask, 2))
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(grown[index], by_scipy(mask[index], 2, True))


def test_vmap_over_masks_and_times_equals_loop():
    masks, times = random_mask(2, 4, 40, 40), jnp.array([0, 1, 2, 5])
    mapped = jax.jit(jax.vmap(dilate))(masks, times)
    for mask, count, result in zip(masks, times.tolist(), np.asarray(mapped), strict=True):
        np.testing.assert_array_equal(result, by_scipy(mask, count, True))


@quick
@given(seed=st.integers(0, 1000), first=st.integers(0, 4), second=st.integers(0, 4))
def test_repetitions_add_up_and_never_shrink(seed, first, second):
    mask = random_mask(seed, 40, 40)
    together = np.asarray(dilate(mask, first + second))
    np.testing.assert_array_equal(together, dilate(dilate(mask, first), second))
    assert (together | mask == together).all()


def test_grey_neighbourhoods_agree_with_scipy():
    values = np.random.default_rng(3).integers(-9, 9, (2, 17, 23)).astype(np.int32)
    for one, highest, lowest in zip(values, maximum_3x3(values), minimum_3x3(values), strict=True):
        np.testing.assert_array_equal(highest, ndimage.maximum_filter(one, 3, mode="nearest"))
        np.testing.assert_array_equal(lowest, ndimage.minimum_filter(one, 3, mode="nearest"))
