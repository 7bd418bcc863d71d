"""Global poolings against sums written out by hand, and against their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.ops.global_pooling import POOLINGS, average, global_pooling, log_sum_exp, rank_weighted, top_share

X = jax.random.normal(jax.random.key(0), (2, 5, 4, 3))
FLAT = np.sort(np.asarray(X, np.float64).reshape(2, 20, 3), axis=1)[:, ::-1]


def test_top_share_is_the_mean_of_the_largest():
    np.testing.assert_allclose(top_share(X, 0.25), FLAT[:, :5].mean(1), rtol=1e-5)
    np.testing.assert_allclose(top_share(X, 1e-6), FLAT[:, 0], rtol=1e-6)
    np.testing.assert_allclose(top_share(X, 1.0), average(X), rtol=1e-5, atol=1e-6)


def test_rank_weights_fall_by_e_over_the_share():
    weights = np.exp(-np.arange(20) / 4.0)  # a fifth of 20 pixels
    expected = (weights[:, None] * FLAT).sum(1) / weights.sum()
    np.testing.assert_allclose(rank_weighted(X, 0.2), expected, rtol=1e-5)


def test_log_sum_exp_lies_between_mean_and_maximum():
    expected = np.log(np.exp(3.0 * FLAT).mean(1)) / 3.0
    np.testing.assert_allclose(log_sum_exp(X, 3.0), expected, rtol=1e-5)
    np.testing.assert_allclose(log_sum_exp(X, 1e-3), average(X), atol=2e-3)
    np.testing.assert_allclose(log_sum_exp(X, 200.0), FLAT[:, 0], atol=0.02)


@pytest.mark.parametrize("kind", POOLINGS)
def test_a_constant_map_has_its_own_value_and_gradients_sum_to_one(kind):
    pool = global_pooling(kind, share=0.3, sharpness=2.0)
    np.testing.assert_allclose(pool(jnp.full((1, 4, 5, 2), 3.25)), 3.25, rtol=1e-5)
    gradient = jax.grad(lambda x: pool(x)[:, 0].sum())(X)
    np.testing.assert_allclose(gradient.sum((1, 2)), [[1, 0, 0]] * 2, atol=1e-5)
