"""What is particular to the mixed-scale dense network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create
from segjax.types import InputError

QUICK = {"xla_backend_optimization_level": 0}
IMAGE = jax.random.uniform(jax.random.key(0), (1, 12, 12, 2))


def test_initial_values_are_the_published_ones():
    parameters = jax.jit(create("msd").init, compiler_options=QUICK)(jax.random.key(0), IMAGE)["params"]
    n = 9 * (2 + 99) + 2
    kernels = np.asarray(parameters["kernels"])
    np.testing.assert_allclose(kernels.std(), np.sqrt(2 / n), rtol=0.02)
    assert abs(kernels.mean()) < 0.001
    for name in ("biases", "head_kernel", "head_bias"):
        assert not np.asarray(parameters[name]).any()


def test_untrained_logits_are_zero():
    network = create("msd", depth=3)
    logits, _ = network.init_with_output(jax.random.key(0), IMAGE)
    assert not np.asarray(logits).any()


def test_dilations_go_from_one_to_ten_and_start_again():
    assert create("msd", depth=12).dilations == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2)


def test_input_is_normalised_by_fixed_numbers():
    network = create("msd", depth=2, input_mean=(0.5, 0.25), input_std=0.5)
    variables = network.init(jax.random.key(0), IMAGE)
    _, maps = network.apply(variables, IMAGE, features=True)
    expected = (IMAGE - jnp.array([0.5, 0.25]).reshape(1, 1, 1, 2)) / 0.5
    np.testing.assert_allclose(maps["dense"][..., :2], expected, rtol=1e-6)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 9 * (2 + 3) + 2 + 4 * 2 + 2


def test_numbers_for_another_count_of_channels_are_refused():
    with pytest.raises(InputError, match="input_mean has 3 numbers, but the picture has 2 channels"):
        create("msd", depth=2, input_mean=(0.5, 0.5, 0.5)).init(jax.random.key(0), IMAGE)


def test_width_adds_channels_per_layer():
    network = create("msd", depth=3, width=2)
    logits, variables = network.init_with_output(jax.random.key(0), IMAGE)
    assert logits.shape == (1, 12, 12, 2)
    assert variables["params"]["kernels"].shape == (18, 2 + 4 + 6)
    assert variables["params"]["head_kernel"].shape == (8, 2)
