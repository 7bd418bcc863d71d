"""A small support set of features, and tiny networks to take features from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.fewshot import Extractor
from segjax.models import create

OPTIONS = {"msd": {"depth": 3}, "unet": {"width": 3, "levels": 2}, "segnet": {"width": 3, "levels": 2}}


@pytest.fixture(scope="session")
def clouds():
    """Function of a seed and a number of pictures: features [P, 12, 10, 5] and targets.

    The type is a rectangle whose pixels are shifted in some features; a few pixels are ignored.
    """

    def draw(seed=0, pictures=4):
        generator = np.random.default_rng(seed)
        targets = np.zeros((pictures, 12, 10), np.int32)
        for target in targets:
            row, column = generator.integers(0, 5, 2)
            target[row : row + 6, column : column + 5] = 1
        values = generator.normal(size=(*targets.shape, 5))
        values[..., 1] += 0.8 * values[..., 0]  # nearly collinear, as features of networks are
        values += 1.2 * (targets == 1)[..., None] * np.linspace(1, -0.5, 5)
        targets[generator.random(targets.shape) < 0.05] = -1
        return values.astype(np.float32), targets

    return draw


@pytest.fixture
def support(clouds):
    return clouds()


@pytest.fixture(scope="session")
def tiny():
    """Function of a network's name, seed, channels and layers: an extractor with random weights."""

    def make(name, seed, channels=1, layers=()):
        network = create(name, **OPTIONS[name])
        shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, 16, 16, channels), np.float32))
        generator = np.random.default_rng(seed)
        variables = jax.tree.map(lambda x: jnp.float32(generator.uniform(-0.5, 0.6, x.shape)), shapes)
        return Extractor(network, variables, layers)

    return make


@pytest.fixture(scope="session")
def extractors(tiny):
    return [tiny("msd", 0), tiny("unet", 1)]
