"""Labels that ignore what a network doubts, the mean over its looks, and training that weighs pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create
from segjax.training import StepConfig, make_steps
from segjax.types import InputError
from segjax.upgrade.confidence import (
    Weighted,
    averaged_probability,
    confidence_weights,
    ignore_unsure,
    make_weighted_steps,
)

NETWORK = create("msd", depth=2)
CONFIG = StepConfig(loss="both", learning_rate=1e-2, augment=True)


def test_labels_that_are_less_likely_than_sure_are_ignored():
    probability = np.array([0.0, 0.15, 0.25, 0.5, 0.55, 0.79, 0.81, 1.0], np.float32)
    found = ignore_unsure(probability, sure=0.8)
    np.testing.assert_array_equal(found, [0, 0, -1, -1, -1, -1, 1, 1])
    assert found.dtype == np.int32
    np.testing.assert_array_equal(ignore_unsure(probability, sure=0.5), probability > 0.5)


@pytest.mark.parametrize("sure", [0.4, 1.0])
def test_sure_is_a_probability_of_the_likelier_label(sure):
    with pytest.raises(InputError, match=r"sure must be from 0\.5"):
        ignore_unsure(np.zeros(3, np.float32), sure=sure)


def test_weights_by_hand():
    np.testing.assert_allclose(confidence_weights(np.array([0.0, 0.25, 0.5, 1.0], np.float32)), [1, 0.5, 0, 1])


def test_a_network_that_looks_at_each_pixel_alone_gives_the_same_from_every_side():
    # logits (0, ln of the value): the probability is value / (1 + value), wherever the pixel is turned to
    def apply(variables, images):
        return jnp.concatenate([jnp.zeros_like(images), jnp.log(images)], -1)

    images = np.random.default_rng(0).uniform(0.1, 9.0, (3, 6, 6, 1)).astype(np.float32)
    for seen in (images, images[:, :, :4]):
        expected = seen[..., 0] / (1 + seen[..., 0])
        np.testing.assert_allclose(averaged_probability(_Network(apply), {}, seen), expected, rtol=1e-5)


@pytest.mark.parametrize(("shape", "looks"), [((4, 4), 8), ((4, 6), 4)])
def test_the_mean_is_over_all_flips_and_turns(shape, looks):
    # it marks the upper left corner of whatever it sees: every corner is marked by as many looks
    def apply(variables, images):
        corner = jnp.zeros(images.shape[:3]).at[:, 0, 0].set(1.0)
        return jnp.stack([50 * (1 - 2 * corner), jnp.zeros_like(corner)], -1)

    found = averaged_probability(_Network(apply), {}, np.zeros((1, *shape, 1), np.float32))[0]
    expected = np.zeros(shape)
    expected[np.ix_([0, -1], [0, -1])] = looks / 4 / looks
    np.testing.assert_allclose(found, expected, atol=1e-6)


class _Network:
    """A network without weights."""

    def __init__(self, apply):
        self.apply = apply

    def init(self, key, images):
        return {}


def pictures(weight):
    generator = np.random.default_rng(1)
    target = generator.integers(0, 2, (4, 16, 16)).astype(np.int32)
    return generator.random((4, 16, 16, 1), np.float32), Weighted(target, np.full(target.shape, weight, np.float32))


def after_one_step(steps, images, targets):
    state = steps.init(jax.random.key(0), images)
    return steps.train(state, images, targets)


def test_equal_weights_are_the_plain_step_and_0_is_ignored():
    images, targets = pictures(0.3)
    plain, weighted = make_steps(NETWORK, CONFIG), make_weighted_steps(NETWORK, CONFIG)
    expected, _ = after_one_step(plain, images, targets.target)
    found, _ = after_one_step(weighted, images, targets)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found.params, expected.params)

    some = targets.weight * (np.arange(16) < 8)
    _, ignoring = after_one_step(plain, images, np.where(some > 0, targets.target, -1))
    _, loss = after_one_step(weighted, images, Weighted(targets.target, some))
    np.testing.assert_allclose(loss, ignoring, rtol=1e-5)
