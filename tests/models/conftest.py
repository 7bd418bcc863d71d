"""Random variables for networks, without the time that compiling `init` takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(scope="session")
def random_variables():
    """Function of a network and a picture: its variables as uniform random numbers, none of them zero."""

    def draw(network, image, members=(), lowest=-0.5):
        shapes = jax.eval_shape(network.init, jax.random.key(0), image)
        rng = np.random.default_rng(1)
        return jax.tree.map(lambda x: jnp.asarray(rng.uniform(lowest, 0.6, (*members, *x.shape)), jnp.float32), shapes)

    return draw
