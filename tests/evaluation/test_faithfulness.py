"""Removal metrics against loops over steps, on a score that reads a few pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.evaluation import confidence, deletion, insertion, road
from segjax.evaluation.faithfulness import Confidence
from segjax.ops.fill import fill_from_neighbours
from segjax.types import InputError

SIZE = (6, 5)
RNG = np.random.default_rng(0)
IMAGE = jnp.asarray(RNG.uniform(0, 1, (2, *SIZE, 1)), jnp.float32)
MAPS = jnp.asarray(RNG.permutation(60).reshape(2, *SIZE) / 60, jnp.float32)
WEIGHTS = jnp.asarray(RNG.uniform(0, 1, (1, *SIZE, 1)), jnp.float32)


def score(image):
    return jnp.mean(image * WEIGHTS, (1, 2, 3))


def exchanged(image, other, maps, count):
    """The `count` highest pixels of each map taken from the other picture, one by one."""
    result = np.array(image)
    for picture in range(len(maps)):
        for flat in np.argsort(-maps[picture].ravel())[:count]:
            place = np.unravel_index(flat, SIZE)
            result[picture][place] = np.broadcast_to(other, image.shape)[picture][place]
    return result


@pytest.mark.parametrize("steps", [30, 7])
def test_insertion_and_deletion_exchange_pixel_after_pixel(steps):
    substrate = IMAGE.mean((1, 2), keepdims=True)
    image, maps = np.asarray(IMAGE), np.asarray(MAPS)
    counts = [round(step * 30 / steps) for step in range(steps + 1)]
    blank = np.broadcast_to(substrate, image.shape)
    for metric, start, end in ((deletion, image, blank), (insertion, blank, image)):
        curve = jax.jit(lambda x, m, f=metric: f(score, x, m, substrate, steps))(IMAGE, MAPS)
        expected = np.array([score(exchanged(start, end, maps, count)) for count in counts])
        np.testing.assert_allclose(curve.scores, expected, rtol=1e-5)
        np.testing.assert_allclose(curve.area, np.trapezoid(expected, axis=0) / steps, rtol=1e-5)


def test_a_map_that_follows_the_weights_is_best():
    own = jnp.broadcast_to(WEIGHTS[..., 0], (2, *SIZE)) * IMAGE[..., 0]
    blank = jnp.zeros((1, 1, 1, 1))
    for other in (MAPS, -own):
        assert (deletion(score, IMAGE, own, blank).area < deletion(score, IMAGE, other, blank).area).all()
        assert (insertion(score, IMAGE, own, blank).area > insertion(score, IMAGE, other, blank).area).all()


@pytest.mark.slow
def test_road_fills_what_it_removes():
    key, shares = jax.random.key(1), (0.2, 0.7)
    found = jax.jit(lambda x, m: road(key, score, x, m, shares, noise=0.0))(IMAGE, MAPS)
    fill = jax.jit(fill_from_neighbours)
    for step, count in enumerate((6, 21)):
        order = np.argsort(-np.asarray(MAPS).reshape(2, -1), -1)
        for chosen, changes in ((order[:, :count], found.most_first), (order[:, -count:], found.least_first)):
            removed = np.zeros((2, 30), bool)
            np.put_along_axis(removed, chosen, True, -1)
            filled = fill(IMAGE, jnp.asarray(removed.reshape(2, *SIZE)))
            np.testing.assert_allclose(changes[step], score(filled) - score(IMAGE), atol=1e-6)
    np.testing.assert_allclose(found.combined, (found.least_first - found.most_first).mean(0) / 2)
    noisy = jax.jit(lambda x, m: road(key, score, x, m, shares, noise=0.1))(IMAGE, MAPS)
    assert not np.allclose(noisy.most_first, found.most_first, atol=1e-4)
    with pytest.raises(InputError, match="shares must be above 0 and below 1"):
        road(key, score, IMAGE, MAPS, (0.5, 1.0))


def test_drop_gain_and_increase():
    found = Confidence(jnp.array([0.8, 0.5, 0.4]), jnp.array([0.2, 0.5, 0.7]))
    np.testing.assert_allclose(found.drop, [0.75, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found.gain, [0, 0, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(found.increase, [0, 0, 1])
    masked = confidence(score, IMAGE, MAPS)
    np.testing.assert_allclose(masked.masked, score(IMAGE * MAPS[..., None]), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("broken", [jnp.nan, jnp.inf])
def test_a_map_that_is_not_finite_has_no_numbers_and_leaves_the_others_alone(broken):
    bad, blank = MAPS.at[1, 2, 3].set(broken), jnp.zeros((1, 1, 1, 1))
    measured = [
        lambda maps: deletion(score, IMAGE, maps, blank, 5),
        lambda maps: insertion(score, IMAGE, maps, blank, 5),
        lambda maps: road(jax.random.key(0), score, IMAGE, maps, (0.2, 0.6)),
        lambda maps: confidence(lambda image: score(jnp.nan_to_num(image)), IMAGE, maps).masked,
    ]
    for measure in measured:
        for found, expected in zip(*map(jax.tree.leaves, (measure(bad), measure(MAPS))), strict=True):
            np.testing.assert_allclose(found[..., 0], expected[..., 0], rtol=1e-6)
            assert np.isnan(found[..., 1]).all() and np.isfinite(expected).all()


def test_confidence_that_is_not_a_number_is_neither_drop_nor_increase():
    found = Confidence(jnp.array([jnp.nan, 0.5]), jnp.array([0.2, jnp.nan]))
    assert np.isnan([found.drop, found.gain, found.increase]).all()
