"""Gradient maps against gradients by hand, and the two that add up to the score."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.maps import ClassDifference, ClassScore, RegionScore
from segjax.maps.gradients import (
    full_grad,
    full_gradients,
    guided_backprop,
    integrated_gradients,
    min_max_magnitude,
    smooth_grad,
)
from segjax.models import Probe, create
from segjax.types import InputError

from .conftest import enlarged

TARGET = ClassDifference(1, 0)
WEIGHTS = np.array([-1.0, 1.0, 0.0])


def test_guided_backprop_is_that_of_numpy(tiny):
    apply, variables, image, by_hand = tiny
    found = guided_backprop(apply, variables, image, TARGET)
    expected = by_hand.gradients(image, WEIGHTS, guided=True)["image"].sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected, by_hand.gradients(image, WEIGHTS)["image"].sum(-1), atol=1e-3)


def test_smooth_grad_is_the_mean_gradient_over_its_noisy_copies(tiny):
    apply, variables, image, by_hand = tiny
    key = jax.random.key(3)
    spread = 0.2 * np.ptp(np.asarray(image), axis=(1, 2, 3)).reshape(-1, 1, 1, 1)
    noise = [np.asarray(jax.random.normal(one, image.shape)) for one in jax.random.split(key, 5)]
    expected = np.mean([by_hand.gradients(image + spread * one, WEIGHTS)["image"] for one in noise], 0).sum(-1)
    found = smooth_grad(key, apply, variables, image, TARGET, samples=5, noise=0.2)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("baseline", [None, 0.25])
def test_integrated_gradients_add_up_to_the_difference_of_scores(tiny, baseline):
    apply, variables, image, by_hand = tiny
    start = image.mean((1, 2), keepdims=True) if baseline is None else jnp.full((1, 1, 1, 1), baseline)
    given = None if baseline is None else start
    found = jax.jit(lambda x: integrated_gradients(apply, variables, x, TARGET, given, steps=400))(image)
    before, after = (by_hand.logits(np.broadcast_to(x, image.shape)) @ WEIGHTS for x in (start, image))
    np.testing.assert_allclose(found.sum((1, 2)), after - before, rtol=2e-3, atol=2e-3)


def test_integrated_gradients_are_those_of_numpy(tiny):
    apply, variables, image, by_hand = tiny
    points = [(step + 0.5) / 3 for step in range(3)]
    mean = np.mean([by_hand.gradients(share * np.asarray(image), WEIGHTS)["image"] for share in points], 0)
    found = integrated_gradients(apply, variables, image, TARGET, jnp.zeros((1, 1, 1, 1)), steps=3)
    np.testing.assert_allclose(found, (image * mean).sum(-1), rtol=1e-4, atol=1e-5)


CASES = {
    "msd": {"depth": 4, "width": 2, "input_mean": 0.2, "input_std": 0.5},
    "unet": {"width": 2, "levels": 1, "norm": "running"},
    "segnet": {"width": 2, "levels": 1, "norm": "none"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_full_gradients_add_up_to_the_score_of_every_network(name):
    network = create(name, **CASES[name])
    rng = np.random.default_rng(2)
    image = jnp.asarray(rng.uniform(0, 1, (2, 7, 6, 1)), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    variables = jax.tree.map(lambda x: jnp.asarray(rng.uniform(-0.4, 0.6, x.shape), jnp.float32), shapes)
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(lambda x: x + 0.5, variables["batch_stats"])  # variances
    target = RegionScore(1, jnp.asarray(rng.uniform(0, 1, (7, 6)), jnp.float32))
    apply = Probe(network)
    picture, layers = jax.jit(lambda v, x: full_gradients(apply, v, x, target))(variables, image)
    total = picture.sum((1, 2)) + sum(part.reshape(2, -1).sum(1) for part in layers.values())
    expected = target(apply(variables, image))
    assert np.abs(total - picture.sum((1, 2))).min() > 0.01  # the biases matter
    np.testing.assert_allclose(total, expected, rtol=1e-4)


def test_full_gradients_of_a_layer_that_is_called_twice_add_up_to_the_score():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, image):
            conv = nn.Conv(1, (3, 3), name="shared")
            return nn.Dense(2, name="head")(nn.relu(conv(nn.relu(conv(image))[:, ::2])).mean((1, 2)))

    image = jnp.asarray(np.random.default_rng(4).uniform(0, 1, (2, 6, 4, 1)), jnp.float32)
    variables = jax.tree.map(lambda x: x + 0.1, Twice().init(jax.random.key(0), image))
    picture, layers = full_gradients(Probe(Twice()), variables, image, ClassScore(1))
    assert set(layers) == {"shared#1", "shared#2", "head"}
    total = picture.sum((1, 2)) + sum(part.reshape(2, -1).sum(1) for part in layers.values())
    np.testing.assert_allclose(total, Twice().apply(variables, image)[:, 1], rtol=1e-5)


def test_full_grad_adds_the_parts_of_numpy(tiny):
    apply, variables, image, by_hand = tiny
    p, gradients = by_hand.params, by_hand.gradients(image, WEIGHTS)
    found = by_hand.layers(image)
    picture = np.abs((image * gradients["image"]).sum(-1))
    first = np.abs(gradients["first"] * (found["before_first"] > 0) * p["conv0"]["bias"])
    maps = np.abs(gradients["maps"] * (found["before_maps"] > 0) * p["conv1"]["bias"])
    np.testing.assert_allclose(
        full_grad(apply, variables, image, TARGET),
        picture + first.sum(-1) + enlarged(maps.sum(-1), 8, 6),
        rtol=1e-4,
        atol=1e-5,
    )

    def scaled(part):
        low, high = part.min((1, 2, 3), keepdims=True), part.max((1, 2, 3), keepdims=True)
        return (part - low) / (high - low)

    np.testing.assert_allclose(
        full_grad(apply, variables, image, TARGET, min_max_magnitude),
        scaled(picture[..., None])[..., 0] + scaled(first).sum(-1) + enlarged(scaled(maps).sum(-1), 8, 6),
        rtol=1e-4,
        atol=1e-5,
    )


def test_full_grad_of_a_network_that_is_not_piecewise_linear_is_refused():
    network = create("unet", width=2, levels=1, norm="group")
    image = jnp.ones((1, 4, 4, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    with pytest.raises(InputError, match="normalisation that does not depend on the picture"):
        jax.eval_shape(lambda v: full_grad(Probe(network), v, image, ClassScore(1)), variables)
