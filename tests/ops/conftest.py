"""What the tests of operations compare with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture
def assert_same_gradients():
    """Compares value and all gradients of two functions, contracted with the same random numbers."""

    def compare(ours, theirs, *arguments, atol=2e-4):
        weights = jax.random.normal(jax.random.key(9), jax.eval_shape(ours, *arguments).shape)

        def both(function):
            def contracted(*a):
                value = function(*a)
                return jnp.sum(value * weights), value

            return jax.jit(jax.grad(contracted, tuple(range(len(arguments))), has_aux=True))(*arguments)

        for a, b in zip(jax.tree.leaves(both(ours)), jax.tree.leaves(both(theirs)), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=atol)

    return compare
