"""Pooling against the plain library formulation, in value and gradient, for even and odd sizes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.ops.pooling import (
    average_pool_to,
    enlarge_nearest,
    max_pool,
    max_pool_with_indices,
    overlapping_max_pool,
    pad_to,
    unpool,
)

SIZES = [(4, 6), (5, 7)]


def picture(height, width):
    return jax.random.normal(jax.random.key(0), (2, height, width, 3))


def library_pool(x):
    return nn.max_pool(x, (2, 2), (2, 2))


@pytest.mark.parametrize("pool", [max_pool, lambda x: max_pool_with_indices(x)[0]], ids=["plain", "with_indices"])
@pytest.mark.parametrize("size", SIZES)
def test_pooling_equals_the_library_in_value_and_gradient(pool, size):
    x = picture(*size)
    weights = jax.random.normal(jax.random.key(1), library_pool(x).shape)
    np.testing.assert_array_equal(pool(x), library_pool(x))
    ours, theirs = (jax.grad(lambda x, f=f: jnp.sum(f(x) * weights))(x) for f in (pool, library_pool))
    np.testing.assert_array_equal(ours, theirs)


def test_equal_values_share_the_gradient_of_plain_pooling_and_the_first_gets_it_with_indices():
    x = jnp.ones((1, 2, 2, 1))
    shared = jax.grad(lambda x: jnp.sum(max_pool(x)))(x)
    first = jax.grad(lambda x: jnp.sum(max_pool_with_indices(x)[0]))(x)
    np.testing.assert_array_equal(shared.ravel(), [0.25, 0.25, 0.25, 0.25])
    np.testing.assert_array_equal(first.ravel(), [1, 0, 0, 0])


def test_indices_name_the_place_in_reading_order():
    window = np.eye(4, dtype=np.float32).reshape(4, 2, 2, 1)
    np.testing.assert_array_equal(max_pool_with_indices(jnp.asarray(window))[1].ravel(), [0, 1, 2, 3])


@pytest.mark.parametrize("size", SIZES)
def test_unpooling_puts_every_maximum_back_to_its_pixel(size):
    x = np.asarray(picture(*size))
    values, index = max_pool_with_indices(jnp.asarray(x))
    expected = np.zeros_like(x)
    for b, i, j, c in np.ndindex(*values.shape):
        window = x[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        row, column = np.unravel_index(window.argmax(), (2, 2))
        expected[b, 2 * i + row, 2 * j + column, c] = window.max()
    np.testing.assert_array_equal(unpool(values, index, *size), expected)


def test_gradient_of_unpooling_reads_the_place_of_each_value():
    x = picture(5, 7)
    values, index = max_pool_with_indices(x)
    gradient = jax.grad(lambda values: jnp.sum(unpool(values, index, 5, 7) * x))(values)
    np.testing.assert_array_equal(gradient, values)


def test_padding_adds_zeros_below_and_on_the_right():
    padded = pad_to(jnp.ones((1, 1, 2, 1)), 2, 3)
    np.testing.assert_array_equal(padded[0, :, :, 0], [[1, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 2)])
def test_overlapping_pooling_equals_the_library_in_value_and_gradient(size):
    def library(x):
        return nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))

    x = picture(*size)
    weights = jax.random.normal(jax.random.key(1), library(x).shape)
    np.testing.assert_array_equal(overlapping_max_pool(x), library(x))
    ours, theirs = (jax.grad(lambda x, f=f: jnp.sum(f(x) * weights))(x) for f in (overlapping_max_pool, library))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("size", [(14, 7), (9, 20), (3, 1)])
def test_average_pooling_takes_the_means_of_its_windows(size):
    x = np.asarray(picture(*size))
    pooled = average_pool_to(jnp.asarray(x), 7, 7)
    for i in range(7):
        for j in range(7):
            rows = slice(i * size[0] // 7, -(-(i + 1) * size[0] // 7))
            columns = slice(j * size[1] // 7, -(-(j + 1) * size[1] // 7))
            np.testing.assert_allclose(pooled[:, i, j], x[:, rows, columns].mean((1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rows", "height"), [(3, 6), (3, 5), (3, 7), (2, 9), (1, 1)])
def test_enlarging_to_the_nearest_takes_the_row_below_and_sums_gradients_back(rows, height):
    x = picture(rows, 4)
    index = np.array([int(row * rows / height) for row in range(height)])
    np.testing.assert_array_equal(enlarge_nearest(x, height, 8), np.asarray(x)[:, index][:, :, np.arange(8) // 2])
    weights = np.arange(height, dtype=np.float32)[None, :, None, None] + 1
    gradient = jax.grad(lambda x: jnp.sum(enlarge_nearest(x, height, 8) * weights))(x)
    sums = [2 * weights[0, index == row].sum() for row in range(rows)]
    np.testing.assert_allclose(gradient[0, :, 0, 0], sums)
