"""Every operation of a network gives the same value and gradient under jit, vmap, pmap and checkpoint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.ops.convolution import convolve, strided_convolution, upsample_convolution
from segjax.ops.dense_stack import dense_dilated_stack, dense_stack_columns
from segjax.ops.global_pooling import rank_weighted, top_share
from segjax.ops.pooling import max_pool, max_pool_with_indices, overlapping_max_pool, unpool


def pool_and_back(x):
    """Pooling with indices, and the values back where they were."""
    pooled, index = max_pool_with_indices(x)
    return unpool(jnp.sin(pooled), index, *x.shape[1:3])


def stack(x, kernels, biases):
    return dense_dilated_stack(x, kernels, biases, (1, 2, 1))


OPERATIONS = {
    "convolve": (convolve, [(2, 4, 5, 3), (3, 3, 3, 2)]),
    "strided": (lambda x, kernel: strided_convolution(x, kernel, 2), [(2, 5, 4, 3), (3, 3, 3, 2)]),
    "upsample": (upsample_convolution, [(2, 3, 2, 3), (2, 2, 3, 2)]),
    "max pool": (max_pool, [(2, 5, 4, 3)]),
    "overlapping pool": (overlapping_max_pool, [(2, 5, 4, 3)]),
    "top share": (lambda x: top_share(x, 0.3), [(2, 5, 4, 3)]),
    "rank": (lambda x: rank_weighted(x, 0.3), [(2, 5, 4, 3)]),
    "pool with indices": (pool_and_back, [(2, 5, 4, 3)]),
    "dense stack": (stack, [(2, 1, 4, 5), (9, dense_stack_columns(2, 3, 1)), (3,)]),
}


def members(shapes, count):
    """Arguments of `count` members, stacked."""
    return [jax.random.normal(jax.random.key(seed), (count, *shape)) for seed, shape in enumerate(shapes)]


def with_gradient(operation):
    """Value and gradients of a sum that weighs every output differently."""

    def both(*arguments):
        def total(*a):
            value = operation(*a)
            return jnp.sum(value * jnp.cos(jnp.arange(value.size, dtype=value.dtype)).reshape(value.shape)), value

        return jax.grad(total, tuple(range(len(arguments))), has_aux=True)(*arguments)

    return both


def assert_members_equal(mapped, operation, stacked, count):
    for member in range(count):
        alone = with_gradient(operation)(*(argument[member] for argument in stacked))
        for a, b in zip(jax.tree.leaves(mapped), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(np.asarray(a)[member], b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("transform", [jax.vmap, jax.pmap, lambda f: jax.jit(jax.vmap(f))], ids=["vmap", "pmap", "jit"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_mapped_members_equal_single_ones(name, transform):
    operation, shapes = OPERATIONS[name]
    stacked = members(shapes, 3)
    assert_members_equal(transform(with_gradient(operation))(*stacked), operation, stacked, 3)


@pytest.mark.parametrize("name", OPERATIONS)
def test_checkpoint_and_jit_change_nothing(name):
    operation, shapes = OPERATIONS[name]
    arguments = [argument[0] for argument in members(shapes, 1)]
    plain = with_gradient(operation)(*arguments)
    again = jax.jit(with_gradient(jax.checkpoint(operation)))(*arguments)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
