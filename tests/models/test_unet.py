"""What is particular to the U-Net."""

import jax
import jax.numpy as jnp
import numpy as np

from segjax.models import create

QUICK = {"xla_backend_optimization_level": 0}


def test_channels_are_the_published_ones():
    image = jnp.zeros((1, 32, 32, 1))
    shapes = jax.eval_shape(
        lambda key: create("unet").init_with_output(key, image, features=True)[0][1], jax.random.key(0)
    )
    channels = {name: shape.shape[-1] for name, shape in shapes.items()}
    assert channels == {
        "down0": 64, "down1": 128, "down2": 256, "down3": 512, "down4": 512,
        "up3": 256, "up2": 128, "up1": 64, "up0": 64,
    }  # fmt: skip


def test_weights_start_within_one_over_the_root_of_their_inputs():
    network = create("unet", width=8, levels=1, norm="none")
    parameters = jax.jit(network.init, compiler_options=QUICK)(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
    for layer, inputs in [
        (parameters["down0"]["conv1"], 9 * 8),
        (parameters["upsample0"], 4 * 8),
        (parameters["head"], 8),
    ]:
        for values in (np.asarray(layer["kernel"]), np.asarray(layer["bias"])):
            assert np.abs(values).max() <= inputs**-0.5
        # the standard deviation of a uniform distribution is its half width over the root of 3
        np.testing.assert_allclose(layer["kernel"].std(), (3 * inputs) ** -0.5, rtol=0.3)
