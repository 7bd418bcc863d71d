"""Losses against values worked out by hand and against optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from segjax.training.losses import (
    LOSSES,
    balanced_weights,
    cross_entropy,
    generalized_cross_entropy,
    soft_dice,
    symmetric_cross_entropy,
)
from segjax.types import InputError

KEY = jax.random.key(0)
LOGITS = jax.random.normal(KEY, (2, 3, 4, 2))
TARGET = jnp.asarray(np.random.default_rng(0).integers(0, 2, (2, 3, 4)), jnp.int32)


def test_soft_dice_of_undecided_logits():
    # p = 1/2 everywhere, 3 of 8 pixels are object: 1 - 2 * 1.5 / (4 + 3)
    target = jnp.zeros((1, 2, 4), jnp.int32).at[0, 0, :3].set(1)
    np.testing.assert_allclose(soft_dice(jnp.zeros((1, 2, 4, 2)), target), 1 - 3 / 7, rtol=1e-6)


def test_soft_dice_ignores_pixels():
    kept = soft_dice(LOGITS[:, :, :2], TARGET[:, :, :2])
    np.testing.assert_allclose(soft_dice(LOGITS, TARGET.at[:, :, 2:].set(-1)), kept, rtol=1e-6)


def test_soft_dice_sums_over_the_whole_batch():
    p = np.asarray(jax.nn.softmax(LOGITS)[..., 1], np.float64)
    y = np.asarray(TARGET, np.float64)
    np.testing.assert_allclose(soft_dice(LOGITS, TARGET), 1 - 2 * (p * y).sum() / (p.sum() + y.sum()), rtol=1e-5)


def test_cross_entropy_agrees_with_optax():
    expected = optax.softmax_cross_entropy_with_integer_labels(LOGITS, TARGET).mean()
    np.testing.assert_allclose(cross_entropy(LOGITS, TARGET), expected, rtol=1e-6)


def test_cross_entropy_ignores_pixels():
    kept = cross_entropy(LOGITS[:, :2], TARGET[:, :2])
    np.testing.assert_allclose(cross_entropy(LOGITS, TARGET.at[:, 2:].set(-1)), kept, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_everything_ignored_gives_finite_gradients(name):
    value, gradient = jax.value_and_grad(LOSSES[name])(LOGITS, jnp.full_like(TARGET, -1))
    assert np.isfinite(value) and np.all(np.isfinite(gradient))


def test_both_is_the_sum():
    total = soft_dice(LOGITS, TARGET) + cross_entropy(LOGITS, TARGET)
    np.testing.assert_allclose(LOSSES["both"](LOGITS, TARGET), total, rtol=1e-6)


def test_perfect_and_inverted_predictions():
    sure = 50.0 * (2.0 * jax.nn.one_hot(TARGET, 2) - 1.0)
    np.testing.assert_allclose(soft_dice(sure, TARGET), 0.0, atol=1e-6)
    np.testing.assert_allclose(soft_dice(-sure, TARGET), 1.0, atol=1e-6)


def probability_of_target(logits, target):
    p = np.exp(np.asarray(logits, np.float64))
    return np.take_along_axis(p / p.sum(-1, keepdims=True), np.asarray(target)[..., None], -1)[..., 0]


def test_generalized_cross_entropy_is_its_formula():
    p = probability_of_target(LOGITS, TARGET)
    np.testing.assert_allclose(generalized_cross_entropy(LOGITS, TARGET), ((1 - p**0.7) / 0.7).mean(), rtol=1e-5)
    # its ends: the mean absolute error 1 - p at q = 1, cross entropy as q goes to 0
    np.testing.assert_allclose(generalized_cross_entropy(LOGITS, TARGET, q=1.0), (1 - p).mean(), rtol=1e-5)
    near_zero = generalized_cross_entropy(LOGITS, TARGET, q=1e-3)
    np.testing.assert_allclose(near_zero, cross_entropy(LOGITS, TARGET), rtol=2e-3)


def test_symmetric_cross_entropy_is_its_formula():
    # both sums over classes written out, with log 0 = -4
    one_hot = np.eye(2)[np.asarray(TARGET)]
    p = np.exp(np.asarray(jax.nn.log_softmax(LOGITS), np.float64))
    forward = -(one_hot * np.log(p)).sum(-1)
    reverse = -(p * np.where(one_hot == 1, 0.0, -4.0)).sum(-1)
    np.testing.assert_allclose(symmetric_cross_entropy(LOGITS, TARGET), (0.1 * forward + reverse).mean(), rtol=1e-5)


@pytest.mark.parametrize("loss", [generalized_cross_entropy, symmetric_cross_entropy])
def test_noise_robust_losses_ignore_pixels_and_stay_bounded_by_wrong_labels(loss):
    kept = loss(LOGITS[:, :2], TARGET[:, :2])
    np.testing.assert_allclose(loss(LOGITS, TARGET.at[:, 2:].set(-1)), kept, rtol=1e-6)
    # a pixel that is surely something else pulls less than one that is undecided, unlike with cross entropy
    pulls = [
        float(jnp.abs(jax.grad(loss)(jnp.asarray([[[[size, 0.0]]]]), jnp.ones((1, 1, 1), jnp.int32))).max())
        for size in (0.0, 12.0)
    ]
    assert pulls[1] < 0.3 * pulls[0]


def test_class_weights_weigh_the_mean():
    # -log softmax of (0, log 3): log 4 for class 0, log 4/3 for class 1; weights 1 and 9
    logits = jnp.broadcast_to(jnp.log(jnp.array([1.0, 3.0])), (3, 2))
    expected = (np.log(4) + 9 * 2 * np.log(4 / 3)) / 19
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0, 1, 1]), None, (0.1, 0.9)), expected, rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0, -1, 1]), None, (1.0, 1.0)), np.log(16 / 3) / 2)
    with pytest.raises(InputError, match="class_weights has 3 numbers for 2 classes"):
        cross_entropy(logits, jnp.array([0, 1, 1]), None, (1.0, 1.0, 1.0))


def test_weights_over_a_mapped_axis_are_those_of_the_whole_batch():
    weights = (0.2, 0.8)
    spread = jax.vmap(lambda *part: cross_entropy(*part, "data", weights), axis_name="data")(
        LOGITS[:, None], TARGET[:, None]
    )
    np.testing.assert_allclose(spread, cross_entropy(LOGITS, TARGET, None, weights), rtol=1e-5)


def test_balanced_weights_make_classes_count_alike():
    targets = np.array([0] * 9 + [1], np.int32)
    assert balanced_weights(targets, 2) == (10 / 18, 10 / 2)
    assert balanced_weights(np.array([0, 1, -1, 1], np.int32), 2) == (3 / 2, 3 / 4)
    with pytest.raises(
        InputError, match=r"every class from 0 to 2 must occur in the targets, but their counts are 9, 1, 0"
    ):
        balanced_weights(targets, 3)


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_counts_a_pixel_so_many_times(name):
    # the second picture twice, its last pixels once, its first ones not at all
    weight = jnp.ones((2, 3, 4)).at[1].set(2.0).at[1, 0].set(0.0).at[1, 2].set(1.0)
    repeated = [(0, slice(0, 3)), (1, slice(1, 3)), (1, slice(1, 2))]
    logits = jnp.concatenate([LOGITS[picture, rows] for picture, rows in repeated])[None]
    target = jnp.concatenate([TARGET[picture, rows] for picture, rows in repeated])[None]
    loss = LOSSES[name]
    np.testing.assert_allclose(loss(LOGITS, TARGET, weight=weight), loss(logits, target), rtol=1e-5)
    nothing = jnp.zeros_like(weight)
    gradient = jax.grad(loss)(LOGITS, TARGET, weight=nothing)
    np.testing.assert_array_equal(gradient, 0.0)


def test_class_weights_and_weights_of_pixels_multiply():
    weight = jnp.abs(LOGITS[..., 0])
    found = cross_entropy(LOGITS, TARGET, class_weights=(1.0, 3.0), weight=weight)
    both = np.asarray(weight * jnp.where(TARGET == 1, 3.0, 1.0), np.float64)
    expected = -(both * np.log(probability_of_target(LOGITS, TARGET))).sum() / both.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
