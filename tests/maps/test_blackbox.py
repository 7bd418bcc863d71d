"""Occlusion and RISE against loops over squares and masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.maps import ClassDifference
from segjax.maps.blackbox import occlusion, rise, rise_mask
from segjax.types import InputError

TARGET = ClassDifference(1, 0)
WEIGHTS = np.array([-1.0, 1.0, 0.0])


@pytest.mark.parametrize(("patch", "stride", "baseline"), [(3, 2, None), (4, 4, 0.5), (1, 1, 0.0)])
def test_occlusion_is_the_mean_fall_over_the_covering_squares(tiny, patch, stride, baseline):
    apply, variables, image, by_hand = tiny
    pictures = np.asarray(image)
    cover = pictures.mean((1, 2), keepdims=True) if baseline is None else baseline
    total, count = np.zeros((2, 8, 6)), np.zeros((8, 6))
    starts = [sorted({*range(0, size - patch + 1, stride), size - patch}) for size in (8, 6)]
    for top in starts[0]:
        for left in starts[1]:
            square = np.s_[top : top + patch, left : left + patch]
            covered = pictures.copy()
            covered[:, *square] = cover
            fall = (by_hand.logits(pictures) - by_hand.logits(covered)) @ WEIGHTS
            total[:, *square] += fall[:, None, None]
            count[square] += 1
    given = None if baseline is None else jnp.full((1, 1, 1, 1), baseline)
    found = occlusion(apply, variables, image, TARGET, patch, stride, given, chunk=4)
    np.testing.assert_allclose(found, total / count, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("patch", "stride", "message"), [(7, 1, "patch must be from 1 to 6"), (3, 4, "from 1 to 3")])
def test_squares_that_do_not_fit_or_cover_are_refused(tiny, patch, stride, message):
    apply, variables, image, _ = tiny
    with pytest.raises(InputError, match=message):
        occlusion(apply, variables, image, TARGET, patch, stride)


@pytest.mark.parametrize("count", [10, 3])  # more masks than a chunk, and fewer
def test_rise_is_the_sum_over_its_masks(tiny, count):
    apply, variables, image, by_hand = tiny
    key = jax.random.key(5)
    found = jax.jit(lambda x: rise(key, apply, variables, x, TARGET, count, 3, 0.4, chunk=4))(image)
    expected = np.zeros((2, 8, 6))
    for one in jax.random.split(key, count):
        mask = np.asarray(rise_mask(one, 8, 6, 3, 0.4))
        expected += (
            (by_hand.logits(np.asarray(image) * mask[..., None]) @ WEIGHTS)[:, None, None] * mask / (count * 0.4)
        )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_masks_of_rise_are_open_at_their_share():
    masks = jax.vmap(lambda key: rise_mask(key, 20, 16, 4, 0.3))(jax.random.split(jax.random.key(0), 400))
    assert masks.min() >= 0 and masks.max() <= 1 and masks.shape == (400, 20, 16)
    np.testing.assert_allclose(masks.mean(), 0.3, atol=0.02)
    assert len(np.unique(np.asarray(masks).reshape(400, -1), axis=0)) > 390


@pytest.mark.parametrize("options", [{"keep": 0.0}, {"masks": 0}, {"grid": 0}])
def test_impossible_masks_are_refused(tiny, options):
    apply, variables, image, _ = tiny
    with pytest.raises(InputError, match="rise: masks and grid must be at least 1"):
        rise(jax.random.key(0), apply, variables, image, TARGET, **options)
