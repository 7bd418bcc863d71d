"""Upgrading one batch, a set, and by tiles gives the network's own answer for each picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create
from segjax.types import InputError
from segjax.upgrade import upgrade_set
from segjax.upgrade.learning import with_labels
from segjax.upgrade.repair import make_upgrade

NETWORK = create("unet", width=2, levels=1, norm="none")
SIZES = [(20, 24), (20, 24), (20, 24), (33, 18), (20, 24)]


@pytest.fixture(scope="module")
def params():
    return jax.jit(NETWORK.init)(jax.random.key(0), np.zeros((1, 20, 24, 2), np.float32))


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(3)
    images = [generator.random((*size, 1), np.float32) for size in SIZES]
    return images, [generator.random(size) > 0.5 for size in SIZES]


@pytest.fixture(scope="module")
def expected(params, pictures):
    """Probability of class 1 as a logistic function of the difference of the logits, picture by picture."""
    found = []
    for image, mask in zip(*pictures, strict=True):
        logits = np.asarray(NETWORK.apply(params, jnp.asarray(with_labels(image, mask))[None])[0], np.float64)
        found.append(1 / (1 + np.exp(logits[..., 0] - logits[..., 1])))
    return found


def test_upgrade_gives_mask_and_probability(params, pictures, expected):
    images, masks = (np.stack(part[:3]) for part in pictures)
    upgraded = make_upgrade(NETWORK)(params, images, masks)
    np.testing.assert_allclose(upgraded.probability, expected[:3], atol=1e-6)
    np.testing.assert_array_equal(upgraded.mask, np.asarray(upgraded.probability) > 0.5)


@pytest.mark.parametrize("options", [{"batch": 2}, {"batch": 1}, {"tile": 8, "batch": 3}], ids=str)
def test_a_set_of_mixed_sizes_comes_back_in_its_order(params, pictures, expected, options):
    found = list(upgrade_set(NETWORK, params, *pictures, **options))
    assert len(found) == len(SIZES)
    for upgraded, probability in zip(found, expected, strict=True):
        np.testing.assert_allclose(upgraded.probability, probability, atol=1e-6)
        np.testing.assert_array_equal(upgraded.mask, probability > 0.5)


def test_with_labels_appends_the_mask_as_0_and_1():
    image = np.full((2, 3, 2), 0.5, np.float32)
    mask = np.array([[True, False, True], [False, False, True]])
    seen = with_labels(image, mask)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen[..., 2], mask)
    np.testing.assert_array_equal(seen[..., :2], image)


def test_what_cannot_be_upgraded_is_refused(params, pictures):
    images, masks = pictures
    with pytest.raises(InputError, match="masks: there are 4 for 5 pictures"):
        next(upgrade_set(NETWORK, params, images, masks[:4]))
    with pytest.raises(InputError, match="number 3 has the size"):
        list(upgrade_set(NETWORK, params, images, [masks[0]] * 5))
    with pytest.raises(InputError, match="batch must be at least 1"):
        next(upgrade_set(NETWORK, params, images, masks, batch=0))
    with pytest.raises(InputError, match="norm"):
        next(upgrade_set(create("unet", norm="batch"), params, images, masks, tile=8))


def test_every_call_for_one_network_shares_its_compiled_function():
    assert make_upgrade(NETWORK) is make_upgrade(create("unet", width=2, levels=1, norm="none"))
    assert make_upgrade(NETWORK) is not make_upgrade(create("unet", width=3, levels=1, norm="none"))
